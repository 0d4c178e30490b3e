# SPDX-License-Identifier: GPL-3.0-or-later
"""The role `reinstall`, on machines that only keep books; the systems on them are an SSH server of this process."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import asyncssh
import pytest
import yaml

from hostup_emulator.model import Drive, Gate, Vps
from support.lab import Lab, Playing, Run
from support.sshd import Sshds, new_key, serve_ssh

INSTALLER_READS = 5  # more than it takes to see that it runs
CD_FIRST = ("ide2", "scsi0")
DISK_FIRST = ("scsi0", "ide2")
NO_SSH: dict[str, Any] = {"proof": "none", "connection": "none"}
BEFORE_BOOT = ["preflight", "download", "mount", "remember"]
PHASES = [*BEFORE_BOOT, "boot", "install", "unmount", "start", "proof", "known_hosts", "forget"]

Hosts = dict[str, dict[str, Any]]


@pytest.fixture
def site(lab: Lab) -> Lab:
    """A laboratory whose VPS boots from its CD/DVD drive first, and whose installers power off."""
    lab.world.set_boot_order(lab.vps, CD_FIRST)
    lab.world.switches.installer_reads = INSTALLER_READS
    return lab


@pytest.fixture
def sshds() -> Iterator[Sshds]:
    """SSH servers by name."""
    with serve_ssh() as servers:
        yield servers


def variables(values: Mapping[str, Any]) -> dict[str, Any]:
    """Variables of the role, by the names that it gives them."""
    return {f"hostup_reinstall_{name}": value for name, value in values.items()}


def cases(lab: Lab, **cases: dict[str, Any]) -> tuple[Hosts, dict[str, Vps]]:
    """Add a VPS for each, which boots from its CD/DVD drive first; returns them as hosts with these variables, too."""
    vpses = {name: lab.world.add_vps(lab.owner, name, boot_order=CD_FIRST) for name in cases}
    return {name: {"hostup_vps_id": vpses[name].id, **more} for name, more in cases.items()}, vpses


def begin(
    lab: Lab,
    *args: str,
    hosts: Hosts | None = None,
    play: Mapping[str, Any] | None = None,
    env: Mapping[str, str | None] | None = None,
    **given: Any,
) -> Playing:
    """Start a play with the role; what the hosts have goes before what is given here, or not at all for `None`."""
    short = {"confirm": ["web-01", *(hosts or ())], "iso_url": lab.url, "timeout": 40, "ssh_timeout": 20}
    wanted = variables({name: value for name, value in {**short, **given}.items() if value is not None})
    hosts = {name: {**wanted, **more} for name, more in (hosts or {"web-01": {}}).items()}
    return lab.start([], play={"roles": ["hostup.cloud.reinstall"], **(play or {})}, hosts=hosts, args=args, env=env)


def reinstall(lab: Lab, *args: str, **options: Any) -> Run:
    """The same, to the end."""
    return begin(lab, *args, **options).finish()


def writes(lab: Lab, vps: Vps | None = None) -> list[str]:
    """The last part of the path of each write that was taken, for all VPSs or for one."""
    taken = [call for call in lab.calls.writes() if call.status < 400 and (vps is None or call.vps_id == vps.id)]
    return [call.path.rpartition("/")[2] for call in taken]


def wait_for_write(lab: Lab, vps: Vps, step: str) -> None:
    """Wait until the API has taken it."""
    lab.until(lambda: step in writes(lab, vps))


def report(run: Run, host: str = "web-01") -> dict[str, Any]:
    """The report at the end, of one host."""
    facts: dict[str, Any] = run.of("Put the report together", host)["ansible_facts"]["reinstall_report"]
    return facts


def told(run: Run, task: str, host: str) -> list[str]:
    """What is shown to the reader at the end."""
    lines: list[str] = run.of(task, host)["msg"]
    return lines


def failure(run: Run, host: str = "web-01") -> str:
    """The last word on a host that has failed."""
    assert run.code == 2
    text: str = run.of("Fail with the first error", host)["msg"]
    return text


def line(name: str, key: asyncssh.SSHKey) -> str:
    """A line of known_hosts."""
    return f"{name} {key.export_public_key().decode().strip()}\n"


# --- the way through -------------------------------------------------------------------------------------------------


SSH_CASES: dict[str, dict[str, Any]] = {
    "python": {},
    "raw": variables({"connection": "raw"}) | {"ansible_become": True, "ansible_become_user": "nobody-of-that-name"},
    "unknown": variables({"connection": "none", "proof": "any_host_key"}),
    "refreshed": variables({"connection": "none", "known_hosts": True}),
    "same": variables({"ssh_timeout": 6}),
    "same_as_in_known_hosts": variables({"ssh_timeout": 6}),
    "silent": variables({"ssh_timeout": 6}),
    # the user's own arguments for ssh are still in force: nobody speaks this cipher
    "refusing_python": variables({"ssh_timeout": 6}) | {"ansible_ssh_args": "-o Ciphers=3des-cbc"},
    "refusing_raw": variables({"connection": "raw", "ssh_timeout": 1}) | {"ansible_ssh_args": "-o Ciphers=3des-cbc"},
}
# What each host that fails is told.
REFUSALS = {
    "same": "The old system answered",
    "same_as_in_known_hosts": "The old system answered",
    "silent": "No SSH server answered at {} within 6 s",
    "refusing_python": "imed out",
    "refusing_raw": "does not let Ansible in: ",
}


@pytest.mark.parametrize(
    "names", [["python", "refreshed", "same"], pytest.param(list(SSH_CASES), marks=pytest.mark.exhaustive)]
)
def test_installs_and_proves(site: Lab, sshds: Sshds, names: list[str]) -> None:
    """One play for what the SSH servers may do; each host is a case."""
    hosts, vpses = cases(site, **{name: dict(SSH_CASES[name]) for name in names})
    old, fresh = ({name: new_key() for name in SSH_CASES} for _age in range(2))
    new = {**fresh, "silent": None} | {name: old[name] for name in ("same", "same_as_in_known_hosts")}
    at = {name: f"[127.0.0.1]:{sshds[name].port}" for name in SSH_CASES}
    known = site.folder / "known"
    kept = [line("other.example.com", new_key()), line(at["same_as_in_known_hosts"], old["same_as_in_known_hosts"])]
    known.write_text("".join([*kept, line(at["refreshed"], old["refreshed"])]))
    for name, host in hosts.items():
        host |= {"ansible_host": "127.0.0.1", "ansible_port": sshds[name].port}
        sshds[name].answer(None if name in ("unknown", "same_as_in_known_hosts") else old[name])

    # `type` is the name of a variable in our own shell command
    playing = begin(site, hosts=hosts, known_hosts_path=str(known), env={"type": "bogus"})
    for name, vps in vpses.items():
        wait_for_write(site, vps, "restart")
        sshds[name].answer(None)
    for name, vps in vpses.items():
        wait_for_write(site, vps, "unmount")
        sshds[name].answer(new[name])
    run = playing.finish()

    reports = {name: report(run, name) for name in names}
    outcomes = {name: reports[name]["outcome"] == "reinstalled" for name in names}
    assert outcomes == {name: name not in REFUSALS for name in names}, run.output
    assert site.orders() == 1
    for name, vps in vpses.items():
        assert [step for step in writes(site, vps) if step != "from-url"] == ["mount", "restart", "unmount", "start"]
        assert (vps.mounts(), vps.power_state) == ([], "running")
        if name in REFUSALS:
            assert reports[name]["phase"] == "proof" and "failed in the phase proof: " in failure(run, name)
            assert REFUSALS[name].format(at[name]) in failure(run, name)

    facts, prints = reports["python"], [old["python"].get_fingerprint(), fresh["python"].get_fingerprint()]
    assert (facts["vps_id"], facts["vps_name"]) == (vpses["python"].id, "python")
    assert (facts["iso"], facts["device"], facts["warnings"], facts["msg"]) == ("ubuntu.iso", "ide2", [], "")
    assert [facts["old_fingerprints"], facts["new_fingerprints"]] == [[prints[0]], [prints[1]]]
    assert list(facts["seconds"]) == PHASES and facts["seconds"]["install"] >= 1
    lines = told(run, "Tell what was done", "python")
    assert lines[0] == "python: reinstalled from ubuntu.iso, and started from the disk"
    assert lines[2:] == [f"SSH host keys before: {prints[0]}", f"SSH host keys now: {prints[1]}"]
    if "unknown" in names:
        [warning] = reports["unknown"]["warnings"]
        assert "No host key of the old system was known" in warning
        assert "SSH host keys before: none was known" in told(run, "Tell what was done", "unknown")

    assert known.read_text() == "".join([*kept, line(at["refreshed"], fresh["refreshed"])])
    assert not list(site.folder.rglob("hostup-known-hosts-*"))


@pytest.mark.exhaustive
def test_until_another_host_key_answers(site: Lab, sshds: Sshds) -> None:
    """The installer boots the new system itself, which has no Python."""
    site.world.switches.installer_reads = None
    sshd = sshds["web-01"]
    sshd.answer(new_key())
    host = {"ansible_host": "127.0.0.1", "ansible_port": sshd.port}
    playing = begin(site, hosts={"web-01": host}, until="ssh", connection="raw")
    wait_for_write(site, site.vps, "restart")
    site.until(lambda: sshd.visits > 3)  # the old system answers for a while yet
    assert writes(site)[-1] == "restart"
    sshd.answer(new_key())
    run = playing.finish()
    assert run.code == 0, run.output
    assert writes(site)[2:] == ["restart", "unmount"]


WAYS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "running": ({}, ["restart", "unmount", "start"]),
    "stopped": ({}, ["start", "unmount", "start"]),
    "forced": ({"force": True}, ["reset", "unmount", "start"]),
    "delayed": ({"until": "delay", "delay": 12}, ["restart", "unmount", "start"]),
    "too_early": ({"until": "delay", "delay": 1}, ["restart", "unmount", "start"]),
    "ignored": ({"boot_order": "ignore", "until": "delay", "delay": 1}, ["restart", "unmount", "reset"]),
    "harmless": ({"device": "ide2", "until": "delay", "delay": 1}, ["restart", "unmount", "reset"]),
}


@pytest.mark.parametrize(
    "names", [["stopped", "delayed", "ignored"], pytest.param(list(WAYS), marks=pytest.mark.exhaustive)]
)
def test_ways_through_without_ssh(site: Lab, names: list[str]) -> None:
    # what waits for a time cannot see how often it is looked at
    site.world.switches.installer_reads, site.world.switches.installer_seconds = None, float(site.in_task(5))
    hosts, vpses = cases(site, **{name: variables(WAYS[name][0]) for name in names})
    vpses["stopped"].power_state = "stopped"
    vpses["ignored"].boot_order = None
    if "harmless" in names:
        vpses["harmless"].drives |= {"ide0": Drive.empty(), "ide1": Drive.cloud_init()}
        site.world.set_boot_order(vpses["harmless"], ["net0", "ide0", "ide1", "ide2", "scsi0"])
    site.world.add_iso(site.owner, "ubuntu.iso")
    defaults = {"group/hostup.cloud.hostup": {"api_key": site.key}}
    run = reinstall(site, **NO_SSH, hosts=hosts, play={"module_defaults": defaults}, env={"HOSTUP_API_KEY": None})
    assert run.code == 0, run.output
    assert {name: writes(site, vps)[1:] for name, vps in vpses.items()} == {name: WAYS[name][1] for name in names}


@pytest.mark.exhaustive
def test_installer_that_is_quicker_than_a_look(site: Lab) -> None:
    """A VPS that ran has been restarted then. Of one that was off before, nobody knows whether it ever ran."""
    site.world.switches.installer_reads = 0
    hosts, vpses = cases(site, ran={}, was_off={})
    vpses["was_off"].power_state = "stopped"
    run = reinstall(site, **NO_SSH, hosts=hosts)
    assert (report(run, "ran")["outcome"], report(run, "was_off")["phase"]) == ("reinstalled", "boot"), run.output
    assert writes(site, vpses["ran"])[-3:] == ["restart", "unmount", "start"]
    assert writes(site, vpses["was_off"])[-2:] == ["start", "unmount"]


# --- confirmation and arguments --------------------------------------------------------------------------------------


@pytest.mark.smoke
@pytest.mark.parametrize("args", [(), ("--check",)])
def test_stops_unless_confirmed(lab: Lab, args: tuple[str, ...]) -> None:
    confirmations = ["", "VM-00", "vm-001, db-01", ["vm-0"], [], "all", "*"]
    given = {f"vm-0{number}": {"hostup_reinstall_confirm": text} for number, text in enumerate(confirmations)}
    hosts, _vpses = cases(lab, **given, silence={})
    run = reinstall(lab, *args, **NO_SSH, hosts=hosts, confirm=None)
    assert lab.calls.writes() == []
    assert len(lab.calls) == 3 * len(hosts)  # each VPS was looked up, and its name, and that is all
    for name in hosts:
        assert re.search(f"-e 'hostup_reinstall_confirm=(.*,)?{name}'", failure(run, name))


@pytest.mark.exhaustive
def test_a_name_that_several_have_confirms_none_of_them(site: Lab) -> None:
    twin = site.world.add_vps(site.owner, "web-01", boot_order=CD_FIRST)
    hosts = {vps.id.replace("_", "-"): {"hostup_vps_id": vps.id} for vps in (site.vps, twin)}
    run = reinstall(site, **NO_SSH, hosts=hosts, confirm="web-01")
    for host, given in hosts.items():
        assert f"-e 'hostup_reinstall_confirm=web-01,{given['hostup_vps_id']}'" in failure(run, host)
    assert site.calls.writes() == []
    run = reinstall(site, "--check", **NO_SSH, hosts=hosts, confirm=f"web-01,{twin.id}")
    assert [report(run, host)["outcome"] for host in hosts] == ["failed", "foreseen"]


def test_two_hosts_that_mean_the_same_vps(site: Lab) -> None:
    hosts = {name: {"hostup_vps_id": site.vps.id} for name in ("one", "other")}
    run = reinstall(site, **NO_SSH, hosts=hosts)
    assert "other and one mean the same VPS, web-01" in failure(run, "one")
    assert "one and other mean the same VPS, web-01" in failure(run, "other")
    assert site.calls.writes() == []


@pytest.mark.exhaustive
def test_nothing_to_compare_with(site: Lab) -> None:
    run = reinstall(site)
    assert "hostup_reinstall_proof=any_host_key" in failure(run)
    assert (report(run)["phase"], site.calls.writes()) == ("preflight", [])


@pytest.mark.exhaustive
def test_forms_of_a_confirmation(site: Lab) -> None:
    hosts, _vpses = cases(
        site,
        commas={"hostup_reinstall_confirm": "db-01, commas"},
        lines={"hostup_reinstall_confirm": "db-01\nlines\n"},
        list={"hostup_reinstall_confirm": ["db-01", "list"]},
    )
    run = reinstall(site, "--check", **NO_SSH, hosts=hosts, confirm=None)
    assert run.code == 0, run.output


def test_name_is_the_one_that_the_api_tells(site: Lab) -> None:
    by_id = {"hostup_vps_id": site.vps.id}
    hosts = {"anything": {**by_id, "hostup_reinstall_confirm": "anything"}, "whatever": by_id}
    run = reinstall(site, "--check", **NO_SSH, hosts=hosts, confirm=None)
    assert "hostup_reinstall_confirm=anything,web-01" in failure(run, "anything")
    confirmed = reinstall(site, "--check", **NO_SSH, hosts={"whatever": by_id})
    assert confirmed.code == 0 and report(confirmed, "whatever")["vps_name"] == "web-01"


def test_complains_before_anything(site: Lab) -> None:
    twin = site.world.add_vps(site.owner, "web-01")
    complaints: dict[str, tuple[dict[str, Any], str]] = {
        "no_iso": ({}, "Say which ISO"),
        "two_isos": ({"iso_id": "iso_1", "iso_name": "x.iso"}, "Say which ISO"),
        "no_delay": ({"until": "delay"}, "needs hostup_reinstall_delay"),
        "no_time": ({"timeout": 0}, "1 at least"),
        "no_keys": ({"known_hosts": True}, "hostup_reinstall_proof=host_key"),
        "no_hook": ({"boot_order_tasks": "nowhere.yml"}, "there is no file nowhere.yml"),
        "no_http": ({"iso_url": "ftp://example.com/x.iso"}, "http"),
        "no_cd": ({"device": "scsi0"}, "ide0"),
        "no_vps": ({"vps_id": "", "vps_name": "web-99"}, "There is no VPS with the name web-99"),
        "twins": ({"vps_id": "", "vps_name": "web-01"}, f"the name web-01: {site.vps.id}, {twin.id}."),
    }
    given = {
        name: variables({"iso_url": "" if name.endswith(("iso", "isos")) else site.url, **wrong})
        for name, (wrong, _complaint) in complaints.items()
    }
    hosts, _vpses = cases(site, **given)
    for name in ("no_vps", "twins"):
        hosts[name]["hostup_vps_id"] = ""
    run = reinstall(site, **NO_SSH, hosts=hosts)
    for name, (_wrong, complaint) in complaints.items():
        assert complaint in failure(run, name), name
    assert site.calls.writes() == []


def test_arguments_are_validated(lab: Lab) -> None:
    wrong = {"until": "never", "boot_order": "hope", "proof": "ping", "connection": "telnet", "timeout": "long"}
    hosts, _vpses = cases(lab, **{f"wrong_{name}": variables({name: value}) for name, value in wrong.items()})
    run = reinstall(lab, hosts=hosts)
    assert run.code == 2 and len(lab.calls) == 0
    for name in wrong:
        [result] = [item.result for item in run.results if item.host == f"wrong_{name}"]
        assert result["failed"] and f"hostup_reinstall_{name}" in str(result["argument_errors"])


def test_every_variable_is_documented_with_its_default() -> None:
    role = Path(__file__).resolve().parents[2] / "roles" / "reinstall"
    options = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    used = yaml.safe_load((role / "vars" / "main.yml").read_text())
    for name, option in options.items():
        ours = used.pop(f"__{name.removeprefix('hostup_')}")
        default = str(option.get("default", "")).strip("{} ")
        if option["type"] in ("str", "path") and "{{" not in str(option.get("default")):
            default = f"'{default}'"
        elif option["type"] == "bool":
            default = default.lower()
        assert re.match(rf"{{{{ {name} \| default\({re.escape(default)}[,)]", ours) or "default" not in option, name
    assert [name for name, value in used.items() if "hostup_reinstall" in str(value)] == []


# --- what the preflight finds ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("args", [(), pytest.param(("--check",), marks=pytest.mark.exhaustive)])
def test_wrong_boot_order_stops_it(lab: Lab, args: tuple[str, ...]) -> None:
    orders: dict[str, tuple[list[str] | None, str]] = {
        "disk": (["scsi0", "ide2"], "scsi0 comes first in the boot order scsi0, ide2"),
        "other_disk": (["net0", "virtio0", "ide2", "scsi0"], "virtio0 comes first"),
        "missing": (["scsi0"], "ide2 is not in the boot order scsi0"),
        "empty": ([], "the API does not tell the boot order"),
        "null": (None, "the API does not tell the boot order"),
        "other_iso": (["ide0", "ide2", "scsi0"], "ide0 comes first"),
    }
    hosts, vpses = cases(lab, **{name: {} for name in orders})
    for name, (order, _obstacle) in orders.items():
        vpses[name].boot_order = order
    vpses["other_iso"].drives["ide0"] = Drive.holding(lab.world.add_iso(lab.owner, "other.iso").id)
    run = reinstall(lab, *args, **NO_SSH, hosts=hosts)
    for name, (_order, obstacle) in orders.items():
        text = failure(run, name)
        assert f"failed in the phase preflight: {name} would not boot from ide2" in text and obstacle in text
        assert "HostUp's panel" in text and "hostup_reinstall_boot_order_tasks" in text
    assert lab.calls.writes() == []


@pytest.mark.parametrize("follows", [pytest.param(True, marks=pytest.mark.exhaustive), False])
def test_boot_order_that_is_to_follow_the_mount(lab: Lab, follows: bool) -> None:
    lab.world.switches.installer_reads = INSTALLER_READS
    lab.world.switches.mount_moves_cd_first = follows
    run = reinstall(lab, **NO_SSH, boot_order="after_mount")
    if follows:
        assert run.code == 0, run.output
    else:
        text = failure(run)
        assert "failed in the phase mount: web-01 would not boot from ide2" in text
        assert text.endswith("The ISO was unmounted.")
        assert writes(lab) == ["from-url", "mount", "unmount"]


HOOK = """
- name: Ask for another boot order
  ansible.builtin.copy:
    content: "{{{{ reinstall_hook | to_json }}}}"
    dest: {folder}/{{{{ reinstall_hook.vps_name }}}}
    mode: "0600"
  delegate_to: localhost

- name: Wait for it
  ansible.builtin.wait_for:
    path: {folder}/done
    timeout: 30
  delegate_to: localhost
"""


@pytest.mark.exhaustive
def test_hook_may_put_the_boot_order_right(site: Lab) -> None:
    hosts, vpses = cases(site, helped={}, not_helped={})
    for vps in vpses.values():
        site.world.set_boot_order(vps, DISK_FIRST)
    (site.folder / "hook.yaml").write_text(HOOK.format(folder=site.folder))
    playing = begin(site, **NO_SSH, hosts=hosts, boot_order_tasks="hook.yaml")
    site.until(lambda: all((site.folder / name).exists() for name in hosts))
    assert site.calls.writes() == []
    site.world.set_boot_order(vpses["helped"], CD_FIRST)
    (site.folder / "done").touch()
    run = playing.finish()
    given = {"vps_id": vpses["helped"].id, "vps_name": "helped", "device": "ide2", "order": list(DISK_FIRST)}
    assert json.loads((site.folder / "helped").read_text()) == given
    assert report(run, "helped")["outcome"] == "reinstalled"
    assert "scsi0 comes first" in failure(run, "not_helped")
    assert writes(site, vpses["not_helped"]) == []


@pytest.mark.parametrize("args", [(), pytest.param(("--check",), marks=pytest.mark.exhaustive)])
def test_closed_gates_stop_it(site: Lab, args: tuple[str, ...]) -> None:
    hosts, vpses = cases(site, restart={}, start={}, mount={}, upload={})
    vpses["start"].power_state = "stopped"
    closed = {name: Gate(False, f"There is no {name} now.", "busy") for name in hosts}
    vpses["restart"].gates["restart"] = closed["restart"]
    vpses["start"].gates["start"] = closed["start"]
    vpses["mount"].can_mount = closed["mount"]
    vpses["upload"].can_upload = closed["upload"]
    run = reinstall(site, *args, **NO_SSH, hosts=hosts)
    for name in hosts:
        assert "failed in the phase preflight: " in failure(run, name)
        assert f"There is no {name} now." in failure(run, name)
    assert site.calls.writes() == []


def test_check_mode_tells_what_would_be_done(site: Lab) -> None:
    hook = site.folder / "hook.yaml"
    hook.write_text("[]")
    port = {"ansible_host": "192.0.2.1", "ansible_port": 2222}
    hosts, vpses = cases(
        site,
        full=variables({"boot_order_tasks": str(hook), "known_hosts": True, "force": True}) | port,
        ssh=variables({"until": "ssh", "iso_url": "", "iso_name": "there.iso", "boot_order": "after_mount", **NO_SSH}),
        delay=variables({"until": "delay", "delay": 7, "boot_order": "ignore", "connection": "raw"}) | port,
    )
    there, other = (site.world.add_iso(site.owner, name).id for name in ("there.iso", "other.iso"))
    vpses["full"].drives = {"ide2": Drive.holding(other)}
    site.world.set_boot_order(vpses["full"], DISK_FIRST)
    vpses["ssh"].drives["ide2"] = Drive.holding(there)
    vpses["ssh"].power_state = "stopped"
    run = reinstall(site, "--check", "--diff", hosts=hosts, known_hosts_path="~/known")
    assert run.code == 0, run.output
    assert site.calls.writes() == []
    assert {report(run, name)["outcome"] for name in hosts} == {"foreseen"}
    lines = {name: told(run, "Tell what would be done", name) for name in hosts}
    assert lines["full"][0].startswith(f"full ({vpses['full'].id}), running: nothing was changed.")
    assert lines["full"][1:] == [
        "note the SSH host keys of the system that it has now, and stop unless one is known",
        "download ubuntu.iso",
        "unmount what is in ide2",
        "mount it on ide2",
        f"have the boot order put right by {hook}, for at present scsi0 comes first in the boot order scsi0, ide2",
        "reset the VPS, into the installer",
        "wait up to 40 s until the installer has switched it off",
        "unmount the ISO",
        "start the VPS from the disk",
        "wait up to 20 s for another SSH host key than now at [192.0.2.1]:2222",
        "wait until Ansible runs modules on it",
        "replace the keys in ~/known",
    ]
    assert lines["ssh"][1:] == [
        "find in the library: there.iso",
        "find it mounted on ide2",
        "look at the boot order then, and stop unless ide2 comes before the disk",
        "start the VPS, into the installer",
        "wait up to 40 s for another SSH host key than now",
        "unmount the ISO",
        "take no proof of the new system",
    ]
    assert lines["delay"][3:] == [
        "mount it on ide2",
        "not look at the boot order",
        "restart the VPS, into the installer",
        "wait 7 s",
        "unmount the ISO",
        "reset the VPS, or start it if it is off",
        "wait up to 20 s for another SSH host key than now at [192.0.2.1]:2222",
        "log in",
    ]


# --- many ------------------------------------------------------------------------------------------------------------


def test_failures_stop_nobody(site: Lab) -> None:
    hosts, vpses = cases(site, first={}, blocked={}, refused={}, half={}, last={})
    vpses["blocked"].can_mount = Gate(False, "An order is pending.", "pending_order")
    site.faults.add("problem", "POST", f"{vpses['refused'].id}/actions/restart", status=403, times=None)
    site.faults.add("problem", "POST", f"{vpses['half'].id}/iso/actions/mount", status=403, commit=True)
    run = reinstall(site, **NO_SSH, hosts=hosts)
    phases = {name: report(run, name)["phase"] for name in hosts if report(run, name)["outcome"] == "failed"}
    assert phases == {"blocked": "preflight", "refused": "boot", "half": "mount"}
    assert "failed in the phase mount: Could not mount ubuntu.iso on ide2" in failure(run, "half")
    assert site.orders() == 1
    assert {name: vps.mounts() for name, vps in vpses.items()} == {name: [] for name in hosts}
    assert writes(site, vpses["blocked"]) == []
    assert writes(site, vpses["refused"])[-1] == writes(site, vpses["half"])[-1] == "unmount"


@pytest.mark.exhaustive
def test_serial_goes_host_by_host(site: Lab) -> None:
    hosts, vpses = cases(site, first={}, second={})
    run = reinstall(site, **NO_SSH, hosts=hosts, play={"serial": 1})
    assert run.code == 0, run.output
    assert site.orders() == 1
    order = [call.vps_id for call in site.calls.writes()]
    assert order == [vps.id for vps in vpses.values() for _call in writes(site, vps)]


# --- what can go wrong -----------------------------------------------------------------------------------------------


@pytest.mark.exhaustive
def test_installer_that_never_ends(site: Lab) -> None:
    """Nor does a failing clean-up hide that."""
    hosts, vpses = cases(site, clean={}, unclean={})
    site.world.switches.installer_reads = None
    site.faults.add("problem", "POST", f"{vpses['unclean'].id}/iso/actions/unmount", status=403, times=None)
    run = reinstall(site, **NO_SSH, hosts=hosts, timeout=4)
    for name, vps in vpses.items():
        facts = report(run, name)
        assert "failed in the phase install: The VPS is still running after 4 s" in failure(run, name)
        assert (facts["outcome"], facts["phase"]) == ("failed", "install") and "still running" in facts["msg"]
        assert 4 <= facts["seconds"]["install"] < 20
        assert "start" not in writes(site, vps)
    assert failure(run, "clean").endswith("The ISO was unmounted.") and report(run, "clean")["warnings"] == []
    assert "403" not in failure(run, "unclean") and "was unmounted" not in failure(run, "unclean")
    [warning] = report(run, "unclean")["warnings"]
    assert "could not be unmounted" in warning and "403" in warning
    assert f"WARNING: {warning}" in told(run, "Tell what was done", "unclean")
    assert [vps.mounts() == [] for vps in vpses.values()] == [True, False]


def test_restart_that_is_not_heeded_says_what_to_do(site: Lab) -> None:
    site.world.switches.ignores_power_button = True
    site.world.switches.shutdown_timeout = 20
    text = failure(reinstall(site, **NO_SSH))
    assert "failed in the phase boot" in text and "hostup_reinstall_force=true would reset it" in text
    assert site.vps.mounts() == []


@pytest.mark.exhaustive
@pytest.mark.parametrize("listens", [True, False])
def test_run_again_while_the_installer_runs(site: Lab, listens: bool) -> None:
    site.world.switches.installer_reads = None
    playing = begin(site, **NO_SSH)
    wait_for_write(site, site.vps, "restart")
    after_restart = len(site.calls)
    site.until(lambda: any("/details" in call.path for call in site.calls[after_restart:]))
    playing.kill()
    assert site.vps.mounts() != [] and site.world.power_state(site.vps) == "running"
    site.world.switches.installer_reads = INSTALLER_READS
    site.world.switches.ignores_power_button = not listens
    site.world.switches.shutdown_timeout = 20
    before = len(writes(site))
    run = reinstall(site, **NO_SSH)
    assert run.code == 0, run.output
    # what was sent and not heeded is a write, too
    assert writes(site)[before:] == ["restart", *([] if listens else ["reset"]), "unmount", "start"]
    assert site.orders() == 1


@pytest.mark.exhaustive
def test_a_home_in_which_nothing_can_be_written(site: Lab) -> None:
    (site.folder / "occupied").touch()
    run = reinstall(site, **NO_SSH, env={"XDG_CACHE_HOME": str(site.folder / "occupied")})
    assert run.code == 0, run.output
    assert "a later one will not know the old system" in report(run)["warnings"][0]


@pytest.mark.exhaustive
def test_run_again_after_the_installer_has_ended(site: Lab) -> None:
    """The API is away for a while, too."""
    site.vps.drives["ide2"] = Drive.holding(site.world.add_iso(site.owner, "ubuntu.iso").id)
    site.vps.power_state = "stopped"
    playing = begin(site, **NO_SSH)
    wait_for_write(site, site.vps, "start")
    after_start = len(site.calls)
    site.until(lambda: any("/details" in call.path for call in site.calls[after_start:]))  # it is waited for
    site.faults.add("problem", "GET", "/status$", status=403, times=2)
    run = playing.finish()
    assert run.code == 0, run.output
    assert writes(site) == ["start", "unmount", "start"]
