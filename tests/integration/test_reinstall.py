# SPDX-License-Identifier: GPL-3.0-or-later
"""The role `hostup_reinstall`, on machines that only keep books; the systems on them are an SSH server of this process.

What the module does that it stands upon is tested in `test_reinstall_task.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import asyncssh
import pytest
import yaml

from hostup_emulator.model import Drive, Vps
from support.lab import Lab, Playing, Run
from support.sshd import Sshds, new_key, serve_ssh

ROLE = Path(__file__).resolve().parents[2] / "roles" / "hostup_reinstall"
ADDRESS = "127.0.0.1"
CD_FIRST = ("ide2", "scsi0")
DISK_FIRST = ("scsi0", "ide2")
ALL_OF_IT = ["mount", "restart", "unmount", "start"]
NO_SSH: dict[str, Any] = {"proof": "none", "connection": "none"}

Hosts = dict[str, dict[str, Any]]


@pytest.fixture
def site(lab: Lab) -> Lab:
    """A laboratory with an ISO, whose installers power off after two looks."""
    lab.world.switches.installer_reads = 2
    lab.world.add_iso(lab.owner, "ubuntu.iso")
    return lab


@pytest.fixture
def sshds() -> Iterator[Sshds]:
    """SSH servers by name."""
    with serve_ssh() as servers:
        yield servers


def variables(**values: Any) -> dict[str, Any]:
    """Variables of the role, by the names that it gives them."""
    return {f"hostup_reinstall_{name}": value for name, value in values.items()}


def cases(lab: Lab, **cases: dict[str, Any]) -> tuple[Hosts, dict[str, Vps]]:
    """Add a VPS for each, which boots from its CD/DVD drive first; returns them as hosts with these variables, too."""
    vpses = {name: lab.world.add_vps(lab.owner, name, ADDRESS, boot_order=CD_FIRST) for name in cases}
    return {name: {"hostup_vps_id": vpses[name].id, **more} for name, more in cases.items()}, vpses


def begin(
    lab: Lab,
    hosts: Hosts,
    *args: str,
    play: Mapping[str, Any] | None = None,
    env: Mapping[str, str | None] | None = None,
    **given: Any,
) -> Playing:
    """Start a play with the role; what the hosts have goes before what is given here."""
    wanted = variables(**{"confirm": list(hosts), "iso_name": "ubuntu.iso", "ssh_timeout": lab.in_task(30), **given})
    hosts = {name: {**wanted, **more} for name, more in hosts.items()}
    body = {"roles": ["hostup.cloud.hostup_reinstall"], **(play or {})}
    return lab.start([], play=body, hosts=hosts, args=args, env=env)


def reinstall(lab: Lab, hosts: Hosts, *args: str, **options: Any) -> Run:
    """The same, to the end."""
    return begin(lab, hosts, *args, **options).finish()


def writes(lab: Lab, vps: Vps) -> list[str]:
    """The last part of the path of each write that was taken."""
    taken = [call for call in lab.calls.writes() if call.status < 400 and call.vps_id == vps.id]
    return [call.path.rpartition("/")[2] for call in taken]


def wait_for_write(lab: Lab, vps: Vps, step: str) -> None:
    """Wait until the API has taken it."""
    lab.until(lambda: step in writes(lab, vps))


def report(run: Run, host: str) -> dict[str, Any]:
    """The report at the end, of one host."""
    facts: dict[str, Any] = run.of("Put the report together", host)["ansible_facts"]["hostup_reinstall_report"]
    return facts


def failure(run: Run, host: str) -> str:
    """The last word on a host that has failed."""
    assert run.code == 2
    text: str = run.of("Fail with the first error", host)["msg"]
    return text


def answering(lab: Lab, sshds: Sshds, hosts: Hosts) -> Path:
    """Have each host reached at an SSH server of its own, with a known_hosts file that this file returns."""
    known = lab.folder / ".ssh" / "known_hosts"
    for name, host in hosts.items():
        # the path of a shared connection would be too long here
        args = f"-o UserKnownHostsFile={known} -o GlobalKnownHostsFile=/dev/null -o ControlPath=none"
        host |= {"ansible_host": ADDRESS, "ansible_port": sshds[name].port, "ansible_ssh_common_args": args}
    return known


def change_systems(lab: Lab, sshds: Sshds, vpses: Mapping[str, Vps], new: Mapping[str, asyncssh.SSHKey | None]) -> None:
    """Silence each SSH server when its VPS restarts, and have the new one answer when it is started."""
    for name, vps in vpses.items():
        wait_for_write(lab, vps, "restart")
        sshds[name].answer(None)
    for name, vps in vpses.items():
        wait_for_write(lab, vps, "start")
        sshds[name].answer(new[name])


def line(name: str, key: asyncssh.SSHKey) -> str:
    """A line of known_hosts."""
    return f"{name} {' '.join(key.export_public_key().decode().split()[:2])}\n"


# --- the way through -------------------------------------------------------------------------------------------------


SSH_CASES: dict[str, dict[str, Any]] = {
    "python": {},
    "raw": variables(connection="raw") | {"ansible_become": True, "ansible_become_user": "nobody-of-that-name"},
    "unknown": variables(connection="none", proof="any_host_key"),
    "same": {},
    "silent": {},
    # the user's own arguments for ssh are still in force: nobody speaks this cipher
    "refusing": variables(connection="raw", ssh_timeout=20) | {"ansible_ssh_args": "-o Ciphers=3des-cbc"},
}
# What each host that fails is told.
REFUSALS = {
    "same": "The old system answers: ",
    "silent": "No SSH server answers at {} after ",
    "refusing": "does not let Ansible in: ",
}


@pytest.mark.parametrize(
    "names", [["python", "raw", "same"], pytest.param(list(SSH_CASES), marks=pytest.mark.exhaustive)]
)
def test_installs_and_proves(site: Lab, sshds: Sshds, names: list[str]) -> None:
    """One play for what the SSH servers may do; each host is a case. The play's next task runs on the new system."""
    hosts, vpses = cases(site, **{name: dict(SSH_CASES[name]) for name in names})
    old, fresh = ({name: new_key() for name in names} for _age in range(2))
    new: dict[str, Any] = {**fresh, "same": old["same"], "silent": None}
    known = answering(site, sshds, hosts)
    at = {name: f"[{ADDRESS}]:{sshds[name].port}" for name in names}
    other = line("other.example.com", new_key())
    known.parent.mkdir()
    known.write_text(other + line(at["python"], old["python"]))
    for name, host in hosts.items():
        sshds[name].answer(None if name == "unknown" else old[name])
        if name in ("same", "silent"):
            host["hostup_reinstall_ssh_timeout"] = site.in_task(3)
    after = {"name": "After", "ansible.builtin.raw": "exit 0", "when": "inventory_hostname == 'python'"}

    playing = begin(site, hosts, play={"post_tasks": [after]})
    change_systems(site, sshds, vpses, new)
    run = playing.finish()

    outcomes = {name: report(run, name)["outcome"] == "reinstalled" for name in names}
    assert outcomes == {name: name not in REFUSALS for name in names}, run.output
    for name, vps in vpses.items():
        assert writes(site, vps) == ALL_OF_IT and (vps.mounts(), vps.power_state) == ([], "running")
        if name in REFUSALS:
            assert REFUSALS[name].format(at[name]) in failure(run, name) and report(run, name)["phase"] == "proof"
    facts, prints = report(run, "python"), [old["python"].get_fingerprint(), fresh["python"].get_fingerprint()]
    assert (facts["vps_id"], facts["iso"], facts["device"]) == (vpses["python"].id, "ubuntu.iso", "ide2")
    assert (facts["msg"], facts["phase"], facts["warnings"]) == ("", "", [])
    assert [facts["old_fingerprints"], facts["new_fingerprints"]] == [[prints[0]], [prints[1]]]
    assert re.fullmatch(r"python: reinstalled from ubuntu.iso in \d+ s", facts["line"])
    assert run.of("After", "python")["rc"] == 0
    assert "reset_connection" not in run.output  # no warning of it
    lines = known.read_text()
    assert (
        other in lines
        and line(at["python"], fresh["python"]) in lines
        and line(at["python"], old["python"]) not in lines
    )
    assert line(at["same"], old["same"]) not in lines  # nothing is written of what is not proven
    if "unknown" in names:
        assert "No host key of the old system was known" in report(run, "unknown")["warnings"][0]


def test_without_ssh(site: Lab) -> None:
    hosts, vpses = cases(
        site,
        stopped={},
        forced=variables(force=True),
        delayed=variables(until="delay", delay=90),
        ignored=variables(boot_order="ignore", until="delay", delay=90),  # and boots from its disk
    )
    vpses["stopped"].power_state = "stopped"
    vpses["ignored"].boot_order = None
    defaults = {"group/hostup.cloud.hostup": {"api_key": site.key}}
    env = {"HOSTUP_API_KEY": None}
    run = reinstall(site, hosts, play={"module_defaults": defaults}, env=env, **NO_SSH)
    assert run.code == 0, run.output
    assert writes(site, vpses["stopped"]) == ["mount", "start", "unmount", "start"]
    assert writes(site, vpses["forced"]) == ["mount", "reset", "unmount", "start"]
    assert writes(site, vpses["delayed"])[:3] == ALL_OF_IT[:3]
    assert writes(site, vpses["ignored"]) == ["mount", "restart", "unmount", "reset"]
    assert "No proof was asked for" in report(run, "forced")["warnings"][0]


@pytest.mark.exhaustive
def test_until_another_host_key_answers(site: Lab, sshds: Sshds) -> None:
    """The installer boots the new system itself, with the ISO in the drive until then."""
    site.world.switches.installer_reads = None
    hosts, vpses = cases(site, one=variables(until="ssh", connection="raw"))
    answering(site, sshds, hosts)
    sshds["one"].answer(new_key())
    playing = begin(site, hosts)
    site.until(lambda: "restart" in writes(site, vpses["one"]))
    site.until(lambda: sshds["one"].visits > 8)  # the old system answers for a while yet
    assert writes(site, vpses["one"])[-1] == "restart"
    sshds["one"].answer(new_key())
    run = playing.finish()
    assert run.code == 0, run.output
    assert writes(site, vpses["one"]) == ["mount", "restart", "unmount"]


@pytest.mark.parametrize("strategy", ["free", pytest.param("host_pinned", marks=pytest.mark.exhaustive)])
def test_strategies_and_batches(site: Lab, strategy: str) -> None:
    hosts, vpses = cases(site, first={}, refused={}, last={})
    site.faults.add("problem", "POST", f"{vpses['refused'].id}/actions/restart", status=403, times=None)
    play = {"strategy": strategy, "serial": [1, "100%"], "max_fail_percentage": 60}
    run = reinstall(site, hosts, play=play, **NO_SSH, table=False)
    assert [report(run, name)["outcome"] for name in hosts] == ["reinstalled", "failed", "reinstalled"]
    assert vpses["refused"].mounts() == []


# --- what it is refused for ------------------------------------------------------------------------------------------


@pytest.mark.smoke
@pytest.mark.parametrize("args", [(), pytest.param(("--check",), marks=pytest.mark.exhaustive)])
def test_stops_unless_confirmed(lab: Lab, args: tuple[str, ...]) -> None:
    confirmations: list[Any] = ["", "VM-00", "vm-001, db-01", ["vm-0"], [], "all", "*"]
    given = {f"vm-0{number}": variables(confirm=text) for number, text in enumerate(confirmations)}
    hosts, _vpses = cases(lab, **given, silence=variables(confirm=[]))
    run = reinstall(lab, hosts, *args, **NO_SSH)
    assert lab.calls.writes() == []
    for name in hosts:
        assert f"confirm has to hold {name!r}" in failure(run, name) or "confirm is empty" in failure(run, name)


def test_forms_of_a_confirmation(site: Lab) -> None:
    """That of AWX's text area, too."""
    hosts, _vpses = cases(
        site,
        commas=variables(confirm="db-01, commas"),
        lines=variables(confirm="db-01\r\nlines\r\n"),
        items=variables(confirm=["db-01", "items"]),
    )
    run = reinstall(site, hosts, "--check", **NO_SSH)
    assert run.code == 0, run.output


def test_two_hosts_that_mean_the_same_vps(site: Lab) -> None:
    hosts = {name: {"hostup_vps_id": site.vps.id} for name in ("one", "other")}
    run = reinstall(site, hosts, confirm=["web-01"], **NO_SSH)
    for name in hosts:
        assert "one and other mean the same VPS" in failure(run, name)
    assert site.calls.writes() == []


def test_host_with_the_id_of_another(site: Lab) -> None:
    """The address that the play connects to is not that of the VPS."""
    hosts, vpses = cases(site, mine={})
    hosts["mine"]["ansible_host"] = "192.0.2.77"
    run = reinstall(site, hosts, **NO_SSH)
    assert "has the primary address 127.0.0.1, not 192.0.2.77 (expect_ip)" in failure(run, "mine")
    assert writes(site, vpses["mine"]) == []


def test_nothing_to_compare_with(site: Lab, sshds: Sshds) -> None:
    """What known_hosts has may be about a system that is long gone."""
    hosts, vpses = cases(site, stale={}, unknown={})
    known = answering(site, sshds, hosts)
    known.parent.mkdir()
    known.write_text(line(f"[{ADDRESS}]:{sshds['stale'].port}", new_key()))
    run = reinstall(site, hosts)
    for name, vps in vpses.items():
        assert "hostup_reinstall_proof=any_host_key" in failure(run, name) and writes(site, vps) == []
    assert "long gone" in str(run.of("Ask for them", "stale")["warnings"])


def test_another_machine_at_the_address(site: Lab, sshds: Sshds) -> None:
    """It answers while the VPS is off."""
    hosts, vpses = cases(site, one={})
    answering(site, sshds, hosts)
    sshds["one"].answer(new_key())
    run = reinstall(site, hosts)
    assert "that is another machine's address" in failure(run, "one")
    assert writes(site, vpses["one"]) == ALL_OF_IT


def test_until_ssh_needs_a_proof(site: Lab) -> None:
    """Or nobody would wait for anything, and the ISO would stay in the drive."""
    hosts, vpses = cases(site, one=variables(until="ssh"))
    run = reinstall(site, hosts, **NO_SSH)
    assert "hostup_reinstall_until=ssh waits for another SSH host key" in failure(run, "one")
    assert writes(site, vpses["one"]) == []


def test_arguments_are_validated(lab: Lab) -> None:
    wrong = {"until": "never", "boot_order": "hope", "proof": "ping", "connection": "telnet", "install_timeout": "long"}
    hosts, _vpses = cases(lab, **{f"wrong_{name}": variables(**{name: value}) for name, value in wrong.items()})
    run = reinstall(lab, hosts)
    assert run.code == 2 and len(lab.calls) == 0
    for name in wrong:
        [result] = [item.result for item in run.results if item.host == f"wrong_{name}"]
        assert result["failed"] and f"hostup_reinstall_{name}" in str(result["argument_errors"])


def test_every_variable_is_documented_with_its_default() -> None:
    options = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    defaults = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
    told = {name: option.get("default", defaults[name]) for name, option in options.items()}
    assert told == defaults
    # an argument spec cannot tell what a number, or a choice between two, is by default where that is a template
    untold = {name.removeprefix("hostup_reinstall_") for name, option in options.items() if "default" not in option}
    assert untold == {"ssh_port", "known_hosts"}
    table = (ROLE / "README.md").read_text()
    assert [name for name in defaults if f"`{name}`" not in table] == []


# --- the boot order --------------------------------------------------------------------------------------------------


HOOK = """
- name: Ask for another boot order
  ansible.builtin.copy:
    content: "{{{{ hostup_reinstall_hook | to_json }}}}"
    dest: {folder}/{{{{ hostup_reinstall_hook.vps_name }}}}
    mode: "0600"
  delegate_to: localhost

- name: Wait for it
  ansible.builtin.wait_for:
    path: {folder}/done
    timeout: 60
  delegate_to: localhost
"""


@pytest.mark.parametrize("is_right", [True, False])
def test_hook_may_put_the_boot_order_right(site: Lab, is_right: bool) -> None:
    hosts, vpses = cases(site, wrong={})
    if is_right:
        site.world.set_boot_order(vpses["wrong"], DISK_FIRST)
    else:
        vpses["wrong"].boot_order = ["scsi0"]
    (site.folder / "hook.yaml").write_text(HOOK.format(folder=site.folder))
    playing = begin(site, hosts, **NO_SSH, boot_order_tasks="hook.yaml")
    site.until((site.folder / "wrong").exists)
    assert writes(site, vpses["wrong"]) == []
    if is_right:
        site.world.set_boot_order(vpses["wrong"], CD_FIRST)
    (site.folder / "done").touch()
    run = playing.finish()
    told = json.loads((site.folder / "wrong").read_text())
    assert (told["vps_id"], told["device"]) == (vpses["wrong"].id, "ide2") and "scsi0" in told["boot_obstacle"]
    if is_right:
        assert report(run, "wrong")["outcome"] == "reinstalled"
    else:
        assert "ide2 is not in the boot order" in failure(run, "wrong") and writes(site, vpses["wrong"]) == []


# --- check mode ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_keyword", [False, True])
def test_check_mode_tells_what_would_be_done(site: Lab, by_keyword: bool) -> None:
    hook = site.folder / "hook.yaml"
    hook.write_text("[]")
    hosts, vpses = cases(
        site,
        full=variables(
            boot_order_tasks=str(hook), force=True, proof="any_host_key", seed_url=f"{site.source}/seed.iso"
        ),
        short=variables(until="delay", delay=90, **NO_SSH),
    )
    site.world.set_boot_order(vpses["full"], DISK_FIRST)
    args, play = ((), {"check_mode": True}) if by_keyword else (("--check", "--diff"), {})
    run = reinstall(site, hosts, *args, play=play)
    assert run.code == 0, run.output
    assert site.calls.writes() == [] and not (site.folder / ".ssh").exists()
    assert {report(run, name)["outcome"] for name in hosts} == {"foreseen"}
    lines = {name: run.of("Tell what would be done", name)["msg"] for name in hosts}
    assert lines["full"][0].startswith(f"full ({vpses['full'].id}): nothing was changed.")
    assert "not look at the boot order, although scsi0 comes first in the boot order scsi0, ide2" in lines["full"]
    assert lines["full"][-3:] == [
        f"wait up to {site.in_task(30)} s for another SSH host key than now",
        "write it into ~/.ssh/known_hosts",
        "wait until Ansible runs modules on it",
    ]
    assert lines["short"][-2:] == ["reset it, or start it if it is off", "take no proof of the new system"]


# --- what an earlier run has left ------------------------------------------------------------------------------------


def test_a_login_that_fails_does_not_wipe_the_new_system_again(site: Lab, sshds: Sshds) -> None:
    hosts, vpses = cases(site, one=variables(connection="raw", ssh_timeout=site.in_task(3)))
    known = answering(site, sshds, hosts)
    old, new = new_key(), new_key()
    sshds["one"].answer(old)
    playing = begin(site, hosts)
    change_systems(site, sshds, vpses, {"one": None})
    run = playing.finish()
    assert "No SSH server answers" in failure(run, "one")

    sshds["one"].answer(new)
    run = reinstall(site, hosts, "--check")
    assert "go on to the proof" in run.of("Tell what would be done", "one")["msg"][0]
    run = reinstall(site, hosts)
    assert run.code == 0, run.output
    assert (
        writes(site, vpses["one"]) == ALL_OF_IT and line(f"[{ADDRESS}]:{sshds['one'].port}", new) in known.read_text()
    )
    assert "hostup_reinstall_from=start" in report(run, "one")["warnings"][0]


def reinstalled_in_vain(site: Lab, sshds: Sshds) -> tuple[Hosts, dict[str, Vps]]:
    """A host whose old system still answers after a reinstallation."""
    hosts, vpses = cases(site, one=variables(connection="none", ssh_timeout=site.in_task(3)))
    answering(site, sshds, hosts)
    old = new_key()
    sshds["one"].answer(old)
    playing = begin(site, hosts)
    change_systems(site, sshds, vpses, {"one": old})
    assert "The old system answers" in failure(playing.finish(), "one")
    return hosts, vpses


def test_what_was_not_installed_is_installed_when_it_is_run_again(site: Lab, sshds: Sshds) -> None:
    hosts, vpses = reinstalled_in_vain(site, sshds)
    site.calls.clear()
    playing = begin(site, hosts)
    change_systems(site, sshds, vpses, {"one": new_key()})
    run = playing.finish()
    assert run.code == 0, run.output
    assert writes(site, vpses["one"]) == ALL_OF_IT


@pytest.mark.parametrize("has_note", [True, pytest.param(False, marks=pytest.mark.exhaustive)])
def test_from_the_proof(site: Lab, sshds: Sshds, has_note: bool) -> None:
    """As in AWX, where nothing is known of the earlier job."""
    hosts, vpses = reinstalled_in_vain(site, sshds)
    env = {} if has_note else {"XDG_CACHE_HOME": str(site.folder / "fresh")}
    run = reinstall(site, hosts, env=env, **{"from": "proof"})
    if has_note:
        assert "The old system answers" in failure(run, "one")
    else:
        assert run.code == 0 and "likely, but not proven" in report(run, "one")["warnings"][0]
    assert writes(site, vpses["one"]) == ALL_OF_IT


@pytest.mark.exhaustive
def test_from_the_start_all_the_same(site: Lab, sshds: Sshds) -> None:
    hosts, vpses = cases(site, one=variables(connection="none", proof="any_host_key", ssh_timeout=site.in_task(2)))
    answering(site, sshds, hosts)
    for given in ({}, {"from": "start"}):
        assert "No SSH server answers" in failure(reinstall(site, hosts, **given), "one")
    assert writes(site, vpses["one"]) == ALL_OF_IT * 2


# --- the rest --------------------------------------------------------------------------------------------------------


def test_seed_is_there_while_it_installs_and_gone_afterwards(site: Lab) -> None:
    given = variables(seed_url=site.url, seed_name="seed.iso")
    hosts, vpses = cases(site, works=given)
    vpses["works"].drives["ide0"] = Drive.cloud_init()
    site.world.switches.installer_reads = None
    playing = begin(site, hosts, **NO_SSH)
    site.until(lambda: "restart" in writes(site, vpses["works"]) and site.calls.matching("GET", "/status$"))
    held = {mount.device for mount in vpses["works"].mounts()}
    assert held == {"ide0", "ide2", "ide3"}
    site.world.machines.stop(vpses["works"])
    run = playing.finish()
    assert run.code == 0, run.output
    assert [mount.device for mount in vpses["works"].mounts()] == ["ide0"]
    assert any("cloud-init drive beside the seed" in warning for warning in report(run, "works")["warnings"])
    assert [iso.name for iso in site.owner.library.values()] == ["ubuntu.iso"]


def test_seed_is_not_brought_where_nobody_has_confirmed(site: Lab) -> None:
    site.world.add_iso(site.owner, "seed.iso")
    hosts, vpses = cases(site, one=variables(seed_url=site.url, seed_name="seed.iso", confirm=["another"]))
    run = reinstall(site, hosts, **NO_SSH)
    assert "nobody has confirmed that" in failure(run, "one")
    assert writes(site, vpses["one"]) == []


def test_seed_that_cannot_be_deleted_is_told(site: Lab) -> None:
    hosts, vpses = cases(site, one=variables(seed_url=site.url, seed_name="seed.iso"))
    site.faults.add("problem", "DELETE", "/iso", status=403, times=None)
    site.faults.add("problem", "POST", "/iso/actions/delete", status=403, times=None)
    run = reinstall(site, hosts, **NO_SSH)
    assert "The seed could not be deleted: " in str(report(run, "one")["warnings"])
    assert "start" in writes(site, vpses["one"])


def test_a_mended_iso_under_the_same_name(site: Lab) -> None:
    """Told of, and taken once for all hosts where that is wished."""
    [iso] = site.owner.library.values()
    iso.size_gb = 0.7
    hosts, vpses = cases(site, one={}, two={})
    given = {**NO_SSH, "iso_url": site.url, "proof": "none"}
    run = reinstall(site, hosts, **given)
    told = report(run, "one")
    assert (told["size_gb"], told["source_size_gb"] < 0.1, writes(site, vpses["one"])) == (0.7, True, ALL_OF_IT)
    assert "it may be outdated" in told["warnings"][0]
    run = reinstall(site, hosts, **given, refresh=True)
    assert run.code == 0, run.output
    fresh = report(run, "two")
    assert fresh["size_gb"] == fresh["source_size_gb"] == told["source_size_gb"]
    assert site.orders() == 1 and len(site.calls.matching("DELETE", "/iso/")) == 1


def test_reports_of_a_fleet(site: Lab) -> None:
    hosts, vpses = cases(site, first={}, blocked={}, last={})
    vpses["blocked"].drives["ide2"] = Drive.cloud_init()
    vpses["blocked"].boot_order = ["scsi0"]
    env = {"ANSIBLE_SHOW_CUSTOM_STATS": "1"}
    (site.folder / "reports").mkdir()
    run = reinstall(site, hosts, env=env, **NO_SSH, report_file="reports/{{ inventory_hostname }}.json")
    [table] = [item.result["msg"] for item in run.results if item.task == "Show a line for each host"]
    assert [text.partition(" ")[0] for text in table] == ["first:", "blocked:", "last:"]
    reports = {name: json.loads((site.folder / "reports" / f"{name}.json").read_text()) for name in hosts}
    assert [entry["outcome"] for entry in reports.values()] == ["reinstalled", "failed", "reinstalled"]
    blocked = reports["blocked"]
    assert (blocked["phase"], "not in the boot order" in blocked["line"]) == ("preflight", True)
    assert run.output.rpartition("CUSTOM STATS")[2].count('"outcome": "reinstalled"') == 2


@pytest.mark.parametrize("file", ["reports.json", "nowhere/{{ inventory_hostname }}.json"])
def test_a_report_that_would_be_lost_is_refused_at_first(site: Lab, file: str) -> None:
    hosts, _vpses = cases(site, one={}, two={})
    run = reinstall(site, hosts, **NO_SSH, report_file=file)
    assert run.code == 2 and len(site.calls) == 0
    told = [item.result["msg"] for item in run.results if item.task == "Insist on a file of its own for each report"]
    assert len(told) == 2 and all("must lie in a folder that is there and" in text for text in told)
    assert "Destination directory" not in run.output


@pytest.mark.exhaustive
def test_strange_settings_of_the_user(site: Lab, sshds: Sshds) -> None:
    """Localhost is reached by ssh, and nobody can write where modules would."""
    hosts, vpses = cases(site, one=variables(connection="none"))
    known = answering(site, sshds, hosts)
    strange = {"ansible_connection": "ssh", "ansible_remote_tmp": "/proc/none", "ansible_become": True}
    (site.folder / "host_vars").mkdir()
    (site.folder / "host_vars" / "localhost.yml").write_text(yaml.safe_dump(strange))
    hosts["one"]["ansible_remote_tmp"] = "/proc/none"
    old, new = new_key(), new_key()
    sshds["one"].answer(old)
    playing = begin(site, hosts, env={"ANSIBLE_PIPELINING": "0"})
    change_systems(site, sshds, vpses, {"one": new})
    run = playing.finish()
    assert run.code == 0, run.output
    assert known.read_text() == line(f"[{ADDRESS}]:{sshds['one'].port}", new)
