# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory, as `ansible-inventory` and `ansible-playbook` see it."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from hostup_emulator.server import Emulator
from hostup_emulator.world import Drive, World
from support import forked
from support.lab import KEY, Lab, Run

PLUGIN = {"plugin": "hostup.cloud.hostup_vps"}
CACHE: dict[str, Any] = {"cache": True, "cache_plugin": "ansible.builtin.jsonfile", "cache_connection": "kept"}


@dataclass(frozen=True)
class Shown:
    """What `ansible-inventory` has written."""

    code: int
    output: str
    errors: str

    @property
    def whole(self) -> dict[str, Any]:
        """The inventory of `--list`."""
        return dict(json.loads(self.output))

    @property
    def hosts(self) -> dict[str, Any]:
        """The variables of all hosts, without Ansible's marks."""
        return dict(unmarked(self.whole["_meta"]["hostvars"]))

    def members(self, group: str) -> list[str]:
        """The hosts that are in a group itself."""
        return list(self.whole.get(group, {}).get("hosts", []))


def unmarked(value: Any) -> Any:
    """A value as a play sees it: Ansible marks what is no template."""
    if isinstance(value, list):
        return [unmarked(item) for item in value]
    if isinstance(value, dict):
        return value["__ansible_unsafe"] if "__ansible_unsafe" in value else {k: unmarked(v) for k, v in value.items()}
    return value


def write(lab: Lab, config: Mapping[str, Any], name: str = "hostup.yml") -> Path:
    """Put an inventory file where Ansible runs."""
    path = lab.folder / name
    path.write_text(yaml.safe_dump({**PLUGIN, **config}))
    return path


def show(
    lab: Lab,
    *args: str,
    env: Mapping[str, str | None] | None = None,
    name: str = "hostup.yml",
    **config: Any,
) -> Shown:
    """Run `ansible-inventory --list`, or with other arguments."""
    number = len(list(lab.folder.parent.glob("*.out")))
    output, errors = (lab.folder.parent / f"inventory.{number}.{ending}" for ending in ("out", "err"))
    process = forked.start(
        ["ansible-inventory", "-i", write(lab, config, name).name, *(args or ["--list"])],
        folder=lab.folder,
        env=lab.environment(env),
        output=output,
        errors=errors,
    )
    code = process.wait(60)
    return Shown(code, output.read_text(), " ".join(errors.read_text().split()))  # Ansible wraps its warnings


def furnish(lab: Lab) -> None:
    """Two VPSs, the second one without an address."""
    lab.vps.operating_system = {"displayName": "Debian 13", "family": "debian", "version": "13", "variant": None}
    lab.vps.tags = ["Web", "a b"]
    lab.world.add_vps(lab.owner, "db-01").power_state = "stopped"


# --- what is in it ---------------------------------------------------------------------------------------------------


@pytest.mark.smoke
def test_graph(lab: Lab) -> None:
    furnish(lab)
    assert show(lab, "--graph").output.splitlines() == [
        "@all:",
        "  |--@ungrouped:",
        "  |--@hostup:",
        "  |  |--@hostup_os_debian:",
        "  |  |  |--web-01",
        "  |  |--@hostup_os_unknown:",
        "  |  |  |--db-01",
        "  |  |--@hostup_power_running:",
        "  |  |  |--web-01",
        "  |  |--@hostup_power_stopped:",
        "  |  |  |--db-01",
        "  |  |--@hostup_status_active:",
        "  |  |  |--web-01",
        "  |  |  |--db-01",
        "  |  |--@hostup_tag_a_b:",
        "  |  |  |--web-01",
        "  |  |--@hostup_tag_web:",
        "  |  |  |--web-01",
    ]


@pytest.mark.smoke
def test_host_variables(lab: Lab) -> None:
    """They are what the info module shows."""
    furnish(lab)
    shown = show(lab)
    info = {"name": "info", "hostup.cloud.hostup_vps_info": {}}
    vpses = {vps["name"]: vps for vps in lab.play([info]).of("info")["vps"]}
    assert shown.hosts == {
        "web-01": {
            "ansible_host": "192.0.2.10",
            "hostup_vps_id": lab.vps.id,
            "hostup_vps": vpses["web-01"],
        },
        "db-01": {"hostup_vps_id": vpses["db-01"]["id"], "hostup_vps": vpses["db-01"]},
    }
    assert (shown.code, shown.errors) == (0, "")


def test_no_vps(lab: Lab) -> None:
    empty = lab.world.add_key(lab.world.add_owner("bob"))
    run = lab.play(
        [{"name": "count", "ansible.builtin.debug": {"msg": "{{ groups['hostup'] | length }}"}}],
        args=["-i", write(lab, {"api_key": empty}).name],
    )
    assert str(run.of("count")["msg"]) == "0"


def test_a_thousand_cost_ten_requests(lab: Lab) -> None:
    lab.add_fleet(999)
    assert len(show(lab).hosts) == 1000
    assert [call.query["limit"] for call in lab.calls] == ["100"] * 10


def test_shared_and_odd_names(lab: Lab) -> None:
    twin = lab.world.add_vps(lab.owner, "Web-01")
    odd = lab.world.add_vps(lab.owner, "localhost")
    nameless = [lab.world.add_vps(lab.owner, "") for _number in range(12)]
    shown = show(lab)
    assert shown.hosts.keys() == {vps.id for vps in (lab.vps, twin, odd, *nameless)}
    assert "15 VPSs are hosts under their IDs" in shown.errors
    assert (
        f"{lab.vps.id} ('web-01'), {twin.id} ('Web-01'), {odd.id} ('localhost'), {nameless[0].id} (None), "
        in shown.errors
    )
    assert "and 5 others." in shown.errors


def test_limit(lab: Lab) -> None:
    furnish(lab)
    task = {"name": "who", "ansible.builtin.debug": {"msg": "{{ hostup_vps.name }}"}}
    inventory = ["-i", write(lab, {}).name]
    running = lab.play([task], play={"hosts": "hostup"}, args=[*inventory, "--limit", "hostup_power_running"])
    assert [item.result["msg"] for item in running.results] == ["web-01"]
    every = lab.play([task], play={"hosts": "hostup"}, args=inventory)
    assert sorted(item.result["msg"] for item in every.results) == ["db-01", "web-01"]


def test_the_ids_for_one_task(lab: Lab) -> None:
    iso = lab.world.add_iso(lab.owner, "rescue.iso")
    lab.add_fleet(5)
    ids = "{{ groups['hostup'] | map('extract', hostvars, 'hostup_vps_id') | list }}"
    task = {"name": "all", "hostup.cloud.hostup_vps_iso": {"vps_ids": ids, "state": "mounted", "name": "rescue.iso"}}
    run = lab.play([task], play={"hosts": "localhost"}, args=["-i", write(lab, {}).name])
    result = run.of("all")
    assert result["changed"]
    assert {one["vps_id"] for one in result["results"]} == set(lab.world.vpses)
    assert all(Drive.holding(iso.id) in vps.drives.values() for vps in lab.owner.vpses)


def test_the_example_and_a_key_from_a_file(lab: Lab) -> None:
    furnish(lab)
    (lab.folder / ".config" / "hostup").mkdir(parents=True)
    (lab.folder / ".config" / "hostup" / "key").write_text(lab.key)
    program = str(Path(sys.executable).with_name("ansible-doc"))
    command = [program, "--json", "--type", "inventory", PLUGIN["plugin"]]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    [found] = json.loads(done.stdout).values()
    example = yaml.safe_load(found["examples"])
    from_file = {"api_key": "{{ lookup('ansible.builtin.file', '~/.config/hostup/key') }}"}
    for more in ({}, from_file):
        shown = show(lab, env={"HOSTUP_API_KEY": None if more else lab.key}, **example, **more)
        assert (shown.errors, list(shown.hosts)) == ("", ["db-01", "web-01"])
        assert shown.members("billed_monthly") == ["web-01", "db-01"]
        assert shown.hosts["db-01"]["ansible_user"] == "root"


def test_constructed(lab: Lab) -> None:
    furnish(lab)
    constructed: dict[str, Any] = {
        "compose": {"label": "hostup_vps.name | upper", "broken": "hostup_vps.operating_system.family"},
        "groups": {"addressed": "ansible_host is defined"},
        "keyed_groups": [{"key": "hostup_vps.tags", "separator": "", "parent_group": "tagged"}],
    }
    shown = show(lab, **constructed)
    assert [shown.hosts[host]["label"] for host in ("web-01", "db-01")] == ["WEB-01", "DB-01"]
    assert "broken" not in shown.hosts["db-01"]
    assert shown.members("addressed") == ["web-01"]
    assert shown.members("Web") == ["web-01"]
    strict = show(lab, strict=True, **constructed)
    assert strict.hosts == {}
    assert "Could not set broken for host db-01" in strict.errors


@pytest.mark.parametrize("name", ["hostup.yml", "hostup.yaml", "hostup_vps.yml", "my.hostup_vps.yaml"])
def test_file_names(lab: Lab, name: str) -> None:
    assert show(lab, name=name).hosts.keys() == {"web-01"}


def test_another_file_name(lab: Lab) -> None:
    shown = show(lab, name="servers.yml")
    assert shown.hosts == {}
    assert lab.calls == []


# --- where it gets the key from, and what goes wrong -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("api_key", "args"),
    [
        (KEY, []),
        ("{{ lookup('ansible.builtin.env', 'ELSEWHERE') }}", []),
        ("{{ from_outside }}", ["-e", f"from_outside={KEY}"]),
    ],
)
def test_the_key_in_the_file(lab: Lab, api_key: str, args: list[str]) -> None:
    shown = show(lab, "--list", *args, env={"HOSTUP_API_KEY": "wrong", "ELSEWHERE": KEY}, api_key=api_key)
    assert shown.hosts.keys() == {"web-01"}


def test_a_vaulted_key(lab: Lab) -> None:
    vault = ["--vault-password-file", "password"]
    shown = show(lab, "--list", *vault, env={"HOSTUP_API_KEY": None}, api_key=lab.vaulted(KEY), **CACHE)
    assert (list(shown.hosts), shown.errors) == (["web-01"], "")
    assert KEY not in shown.output


def test_an_empty_option_leaves_the_environment_its_say(lab: Lab) -> None:
    assert show(lab, api_key="", api_base="{{ '' }}").hosts.keys() == {"web-01"}


@pytest.mark.parametrize(
    ("env", "config", "says"),
    [
        (
            {"HOSTUP_API_KEY": None},
            {},
            "api_key is required: set the option or the environment variable HOSTUP_API_KEY",
        ),
        ({"HOSTUP_API_KEY": ""}, {}, "api_key is required"),
        ({"HOSTUP_API_KEY": "wr0ng-key"}, {}, "HTTP 401"),
        ({"HOSTUP_API_KEY": "wr0ng\nkey"}, {}, "api_key holds a blank"),
        ({}, {"api_base": "http://127.0.0.1:1", "api_retries": 0}, "got no answer"),
        ({}, {"api_base": "http://api.example.com"}, "is plain http to another machine"),
        ({"HOSTUP_API_RETRIES": "many"}, {}, "api_retries"),
    ],
)
def test_what_goes_wrong_is_told(lab: Lab, env: dict[str, str | None], config: dict[str, Any], says: str) -> None:
    shown = show(lab, env=env, **config)
    assert (shown.code, shown.hosts) == (0, {})
    assert says in shown.errors
    assert "wr0ng" not in shown.errors
    assert "Traceback" not in shown.errors
    fatal = show(lab, env={**env, "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1"}, **config)
    assert fatal.code != 0
    assert says in fatal.errors


def test_words_of_the_api_are_made_visible(lab: Lab) -> None:
    lab.faults.add("problem", status=403, detail="no\x1b[2J\x9bway", times=1)
    assert r"no\x1b[2J\x9bway" in show(lab).errors
    lab.world.add_vps(lab.owner, "red\x1b[31m\x9b")
    assert r"('red\x1b[31m\x9b')" in show(lab).errors


def test_missing_requests_is_told(lab: Lab) -> None:
    """A library of that name which cannot be imported stands in for its absence."""
    (lab.folder / "without" / "requests").mkdir(parents=True)
    (lab.folder / "without" / "requests" / "__init__.py").write_text("raise ImportError('not here')\n")
    shown = show(lab, env={"PYTHONPATH": f"{lab.folder}/without"})
    assert "-m pip install requests" in shown.errors


def test_an_id_that_cannot_be_a_host_name(lab: Lab) -> None:
    body = {"data": [{"id": "{{ lookup('ansible.builtin.pipe', 'id') }}"}], "nextCursor": None}
    lab.faults.add("wrong_shape", path="/vps$", body=body)
    shown = show(lab)
    assert shown.hosts == {}
    assert "an id that cannot be a host name" in shown.errors


def test_waiting_does_not_spoil_the_output(lab: Lab) -> None:
    lab.add_fleet(100)
    lab.faults.add("problem", status=429, headers={"Retry-After": "10"}, times=1)
    shown = show(lab)
    assert len(shown.hosts) == 101
    assert "hostup.cloud.hostup_vps: waiting " in shown.errors


def test_connection_options(lab: Lab) -> None:
    lab.faults.add("problem", status=500, times=1)
    assert show(lab, api_retries=0).hosts == {}
    lab.faults.add("problem", status=500, times=1)
    assert show(lab, api_retries=1).hosts.keys() == {"web-01"}
    lab.faults.add("slow", seconds=3.0, times=None)
    assert show(lab, api_retries=0, api_timeout=1).hosts == {}
    assert show(lab, api_retries=0, api_timeout=30).hosts.keys() == {"web-01"}


def test_tls_options(lab: Lab) -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(lab.folder / "ca.pem"))
    with Emulator(World(), tls=context) as emulator:
        owner = emulator.world.add_owner("ann")
        emulator.world.add_vps(owner, "tls-01")
        reached: dict[str, Any] = {"api_base": emulator.url, "api_key": emulator.world.add_key(owner)}
        assert show(lab, **reached).hosts == {}
        assert show(lab, ca_path=str(lab.folder / "ca.pem"), **reached).hosts.keys() == {"tls-01"}
        assert show(lab, validate_certs=False, **reached).hosts.keys() == {"tls-01"}


# --- the cache -------------------------------------------------------------------------------------------------------


def flush(lab: Lab, config: Mapping[str, Any], **more: Any) -> Run:
    """Have Ansible refresh the cache."""
    return lab.play([], args=["-i", write(lab, config).name, "--flush-cache", "-vvvvv"], **more)


def test_cache(lab: Lab) -> None:
    furnish(lab)
    fresh = show(lab, **CACHE)
    assert len(lab.calls) == 1
    cached = show(lab, **CACHE)
    assert (cached.whole, cached.errors) == (fresh.whole, "")
    lab.world.add_vps(lab.owner, "web-02")
    assert "web-02" not in show(lab, **CACHE).hosts
    assert len(lab.calls) == 1
    flush(lab, CACHE)
    assert "web-02" in show(lab, **CACHE).hosts
    assert len(lab.calls) == 2


def test_a_cache_is_for_one_key(lab: Lab) -> None:
    """And for one origin. Whoever uses the same file with another sees what that may see."""
    bob = lab.world.add_owner("bob")
    lab.world.add_vps(bob, "db-01")
    theirs = lab.world.add_key(bob)
    for _time in range(2):  # the second time from the cache
        assert list(show(lab, **CACHE).hosts) == ["web-01"]
        assert list(show(lab, env={"HOSTUP_API_KEY": theirs}, **CACHE).hosts) == ["db-01"]
    assert len(lab.calls) == 2
    elsewhere = show(lab, env={"HOSTUP_API_BASE": "http://127.0.0.1:1", "HOSTUP_API_RETRIES": "0"}, **CACHE)
    assert (elsewhere.hosts, "got no answer" in elsewhere.errors) == ({}, True)
    nobody = show(lab, env={"HOSTUP_API_KEY": None}, **CACHE)
    assert (nobody.hosts, "api_key is required" in nobody.errors) == ({}, True)
    assert not [path for path in (lab.folder / "kept").iterdir() if KEY in path.name]


def test_a_cache_that_is_too_old(lab: Lab) -> None:
    show(lab, **CACHE)
    for path in (lab.folder / "kept").iterdir():
        os.utime(path, (0, 0))
    assert "HTTP 401" in show(lab, env={"HOSTUP_API_KEY": "wrong"}, **CACHE).errors
    assert show(lab, **CACHE).hosts.keys() == {"web-01"}
    assert len(lab.calls) == 3


def test_the_key_is_shown_and_kept_nowhere(lab: Lab) -> None:
    """Not even if the API has echoed it."""
    lab.vps.tags = [KEY, f"x{KEY}"]
    config: dict[str, Any] = {"api_key": "{{ lookup('ansible.builtin.env', 'ELSEWHERE') }}", **CACHE}
    for _time in range(2):
        shown = show(lab, "--list", "-vvvvv", env={"HOSTUP_API_KEY": None, "ELSEWHERE": KEY}, **config)
        assert "web-01" in shown.output
        assert KEY not in shown.output + shown.errors
    lab.faults.add("problem", status=400, detail=f"You sent Bearer {KEY}.")
    run = flush(lab, config, env={"HOSTUP_API_KEY": None, "ELSEWHERE": KEY})
    assert "You sent Bearer" in run.output
    assert KEY not in run.output
    assert list((lab.folder / "kept").iterdir()) != []
    assert lab.files_with(KEY) == []


@pytest.mark.smoke  # so that `make matrix` has it on each core
def test_values_are_plain_wherever_there_is_no_brace(lab: Lab) -> None:
    """AWX keeps what `--export` prints, and understands no marks."""
    furnish(lab)
    lab.vps.tags = ["plain", "{{ marked }}"]
    found = show(lab, "--list", "--export").whole["_meta"]["hostvars"]["web-01"]
    assert found["hostup_vps"]["power_state"] == "running"  # for its enabled_var
    assert (found["hostup_vps_id"], found["ansible_host"]) == (lab.vps.id, "192.0.2.10")
    assert found["hostup_vps"]["tags"] == ["plain", {"__ansible_unsafe": "{{ marked }}"}]
    assert json.dumps(found).count("__ansible_unsafe") == 1


@pytest.mark.smoke
def test_nothing_that_the_api_tells_is_taken_for_a_template(lab: Lab) -> None:
    touched = lab.folder / "touched"
    template = f"{{{{ lookup('ansible.builtin.pipe', 'touch {touched}') }}}}"
    lab.vps.tags = [template]
    lab.vps.service_status = template
    lab.vps.operating_system = {"displayName": template, "family": template, "version": None, "variant": None}
    lab.vps.primary_ip = template
    hostile = lab.world.add_vps(lab.owner, template)
    config = {
        **CACHE,
        "compose": {"composed": "hostup_vps.tags"},
        "keyed_groups": [{"key": "hostup_vps.tags", "prefix": "keyed"}],
    }
    task = {
        "name": "show",
        "ansible.builtin.debug": {
            "msg": ["{{ inventory_hostname }}", "{{ hostup_vps }}", "{{ composed }}", "{{ ansible_host }}"]
        },
        "when": "ansible_host is defined",
    }
    for _time in range(2):  # the second time from the cache
        run = lab.play([task], play={"hosts": "hostup"}, args=["-i", write(lab, config).name])
        name, vps, composed, address = run.of("show", "web-01")["msg"]
        assert (name, composed, address) == ("web-01", [template], template)
        assert (vps["tags"], vps["operating_system"]["display_name"]) == ([template], template)
        assert hostile.id in {item.host for item in run.results} | set(show(lab, **config).hosts)
    assert not touched.exists()
    assert len(lab.calls) == 1
