# SPDX-License-Identifier: GPL-3.0-or-later
"""Over the whole collection: no option that changes nothing, no module outside the action group."""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from hostup_emulator.model import Owner, Vps
from hostup_emulator.server import Emulator
from hostup_emulator.world import Drive, Switches, World
from support.lab import Lab

CLONE = Path(__file__).resolve().parents[2]
ASKS_NO_API = "ssh_host_keys"  # has no connection options, and tests of its own
MODULES = sorted({path.stem for path in (CLONE / "plugins" / "modules").glob("*.py")} - {ASKS_NO_API})


@dataclass(frozen=True)
class Effect:
    """Two tasks that differ in one option, and therefore in what they send or return."""

    option: str
    given: Any
    instead_of: Any = None
    base: dict[str, Any] = field(default_factory=dict)
    modules: tuple[str, ...] = ("hostup_vps_iso",)
    selects_vps: bool = False
    faults: tuple[dict[str, Any], ...] = ()
    tls: bool = False
    switches: dict[str, Any] = field(default_factory=dict)


OURS = object()  # the value that all tasks have
BOTH = ("hostup_vps_iso", "hostup_vps_iso_info")
POWER = ("hostup_vps_power",)
REINSTALL = ("hostup_vps_reinstall",)
NAMED = (*BOTH, *POWER, *REINSTALL, "hostup_vps_info")
ACCEPTANCE = ("hostup_acceptance",)
ALL = (*NAMED, *ACCEPTANCE)
NEW = {"name": "new.iso"}
HELD = {"state": "unmounted"}
CONFIRMED = ("vps_name", "confirm")
DELAYED = {"until": "delay", "delay": 1}
DEFAULTS: dict[str, dict[str, Any]] = {  # what each module is given unless its row says otherwise
    "hostup_vps_iso": {"name": "ubuntu.iso"},
    "hostup_vps_power": {"state": "started"},
    "hostup_vps_reinstall": {
        "name": "ubuntu.iso",
        "confirm": ["{{ vps_name }}"],
        "boot_order": "ignore",
        "until": "none",
        "shutdown_timeout": 30,
    },
}
# In each world: ubuntu.iso is in the library and in ide2, other.iso in the library; ide3 is an empty drive.
EFFECTS = [
    Effect("api_key", OURS, "wrong", modules=ALL),
    Effect("api_base", OURS, "http://127.0.0.1:1", {"api_retries": 0}, modules=ALL),
    Effect("api_timeout", 1, 10, {"api_retries": 0}, ALL, faults=({"kind": "slow", "seconds": 2.0, "times": 2},)),
    Effect("api_retries", 0, 1, modules=ALL, faults=({"kind": "problem"}, {"kind": "problem", "after": 1, "times": 2})),
    Effect("ca_path", "{{ ca_path }}", modules=ALL, tls=True),
    Effect("validate_certs", False, True, modules=ALL, tls=True),
    Effect("vps_id", "{{ vps_id }}", "vps_other", modules=NAMED, selects_vps=True),
    Effect("vps_name", "{{ vps_name }}", "other", modules=ALL, selects_vps=True),
    Effect("vps_ip", "{{ vps_ip }}", "192.0.2.200", modules=NAMED, selects_vps=True),
    Effect("vps_ids", ["{{ vps_id }}"], ["vps_other"], modules=(*BOTH, *POWER, *REINSTALL), selects_vps=True),
    Effect("name", "ubuntu.iso", "other.iso", {"state": "unmounted"}),
    Effect("name", "ubuntu.iso", modules=("hostup_vps_iso_info",)),
    Effect("iso_id", "{{ iso_id }}", "iso_other", {"name": None}, modules=BOTH),
    Effect("state", "unmounted", "mounted"),
    Effect("url", "{{ url }}", "{{ url }}?", NEW),
    Effect("job_id", "job_of_nobody", None, {"url": "{{ url }}", **NEW}),
    Effect("decompress", "gzip", "none", {"url": "{{ url }}", "wait": False, **NEW}),
    Effect("resolve_redirects", True, False, {"url": "{{ redirect }}", **NEW}),
    Effect("refresh", True, False, {"url": "{{ url }}"}),
    Effect("device", "ide3", None, {"state": "mounted"}),
    Effect("keep_drive", True, False, HELD, switches={"unmount_removes_drive": True}),
    Effect("on_conflict", "fail", "replace", {"name": "other.iso", "state": "mounted", "device": "ide2"}),
    Effect("wait", False, True, {"url": "{{ url }}", **NEW}),
    Effect("details", True, False, modules=("hostup_vps_info",)),
    Effect("wait_timeout", 10, 600, {"url": "{{ url }}", **NEW}),
    Effect("confirm", "{{ vps_name }}", "other", {"vps_name": "{{ vps_name }}", "iso_url": "{{ url }}"}, ACCEPTANCE),
    Effect("iso_url", "{{ url }}", "{{ url }}?", dict.fromkeys(CONFIRMED, "{{ vps_name }}"), ACCEPTANCE),
    Effect("wait_timeout", 10, 600, {"iso_url": "{{ url }}", **dict.fromkeys(CONFIRMED, "{{ vps_name }}")}, ACCEPTANCE),
    Effect("state", "stopped", "started", modules=POWER),
    Effect("force", True, False, {"state": "stopped"}, POWER),
    Effect("wait", False, True, {"state": "stopped"}, POWER),
    Effect("wait_timeout", 10, 300, {"state": "stopped"}, POWER, switches={"shutdown_seconds": 60.0}),
    Effect("name", "ubuntu.iso", "other.iso", {}, REINSTALL),
    Effect("iso_id", "{{ iso_id }}", "iso_other", {"name": None}, REINSTALL),
    Effect("url", "{{ url }}", "{{ url }}?", NEW, REINSTALL),
    Effect("job_id", "job_of_nobody", None, {"url": "{{ url }}", **NEW}, REINSTALL),
    Effect("decompress", "gzip", "none", {"url": "{{ url }}", **NEW}, REINSTALL),
    Effect("resolve_redirects", True, False, {"url": "{{ redirect }}", **NEW}, REINSTALL),
    Effect("refresh", True, False, {"url": "{{ url }}"}, REINSTALL),
    Effect("device", "ide3", None, {}, REINSTALL),
    Effect("keep_drive", True, False, DELAYED, REINSTALL, switches={"unmount_removes_drive": True}),
    Effect("on_conflict", "fail", "replace", {"name": "other.iso", "device": "ide2"}, REINSTALL),
    Effect("confirm", ["{{ vps_name }}"], ["other"], {}, REINSTALL),
    Effect("expect_ip", "{{ vps_ip }}", "192.0.2.200", {}, REINSTALL),
    Effect("boot_order", "check", "ignore", {}, REINSTALL),
    Effect("force", True, False, {}, REINSTALL),
    Effect("until", "power_off", "none", {"install_timeout": 1}, REINSTALL),
    Effect("delay", 1, None, DELAYED, REINSTALL),
    Effect("start", False, True, DELAYED, REINSTALL),
    Effect("download_timeout", 1, 600, {"url": "{{ url }}", **NEW}, REINSTALL),
    Effect("shutdown_timeout", 1, 60, {}, REINSTALL, switches={"shutdown_seconds": 4.0}),
    Effect("install_timeout", 1, 2, {"until": "power_off"}, REINSTALL),
    Effect("host_keys", [], None, {}, REINSTALL),
    Effect("ssh_host", "-x", None, {}, REINSTALL),
    Effect("proof", "given", "none", {}, REINSTALL),
    Effect("again", True, False, {}, REINSTALL),
    Effect("ssh_port", 0, 22, {"ssh_host": "127.0.0.1"}, REINSTALL),
]
# Gives an option the value that it has anyway: shows that the comparison can tell when nothing changes.
CONTROL = Effect("validate_certs", True, modules=ALL)


def documentation(module: str) -> dict[str, Any]:
    """What ansible-doc says of a module."""
    command = [str(Path(sys.executable).with_name("ansible-doc")), "--json", f"hostup.cloud.{module}"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    [found] = json.loads(done.stdout).values()
    return dict(found["doc"])


@pytest.mark.parametrize("module", MODULES)
def test_every_documented_option_is_in_the_table(module: str) -> None:
    assert {effect.option for effect in EFFECTS if module in effect.modules} == set(documentation(module)["options"])


def test_the_action_group_lists_the_modules() -> None:
    runtime = yaml.safe_load((CLONE / "meta" / "runtime.yml").read_text())
    assert runtime["action_groups"] == {"hostup": MODULES}
    assert {path.stem for path in (CLONE / "plugins" / "action").glob("*.py")} == {*MODULES, ASKS_NO_API}


@pytest.fixture
def tls_emulator(tmp_path: Path) -> Iterator[tuple[Emulator, Path]]:
    """An emulator behind TLS, and the authority that has signed for it."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    with Emulator(World(), tls=context) as emulator:
        yield emulator, path


def furnish(world: World, owner: Owner, name: str) -> tuple[Vps, str]:
    """Put a VPS and two ISOs into a world. Returns the VPS and the ID of the ISO that it holds."""
    held = world.add_iso(owner, "ubuntu.iso", size_gb=0.7)
    world.add_iso(owner, "other.iso")
    number = len(world.vpses) + 1
    drives = {"ide2": Drive.holding(held.id), "ide3": Drive.empty()}
    return world.add_vps(owner, name, f"192.0.2.{number}", drives=drives), held.id


@pytest.mark.parametrize("module", MODULES)
def test_every_option_changes_a_request_or_a_result(
    module: str, lab: Lab, tls_emulator: tuple[Emulator, Path], redirect: str
) -> None:
    """Each option is a host of one play: first with the option, then without it or with another value of it."""
    emulator_with_tls, ca_path = tls_emulator
    hosts: dict[str, dict[str, Any]] = {}
    for number, effect in enumerate([CONTROL, *(effect for effect in EFFECTS if module in effect.modules)]):
        for way in ("with", "without"):
            host = f"{number}-{effect.option}-{way}".replace("_", "-")
            emulator = emulator_with_tls if effect.tls else lab.emulator
            owner = emulator.world.add_owner(host, Switches(**effect.switches))
            vps, iso_id = furnish(emulator.world, owner, host)
            for fault in effect.faults:
                emulator.faults.add(**{"owner": host, **fault})
            given = {
                "api_key": emulator.world.add_key(owner),
                "api_base": emulator.url,
                "vps_id": None if effect.selects_vps else vps.id,
                **DEFAULTS.get(module, {}),
                **effect.base,
            }
            value = effect.given if way == "with" else effect.instead_of
            if value is not OURS:
                given[effect.option] = value
            hosts[host] = {
                "given": {name: value for name, value in given.items() if value is not None},
                "vps_id": vps.id,
                "vps_name": host,
                "vps_ip": vps.primary_ip,
                "iso_id": iso_id,
                "ca_path": str(ca_path),
                "url": lab.url,
                "redirect": redirect,
            }
    lab.emulator.downloads.min_seconds = 1.5
    options = sorted(documentation(module)["options"])
    task = {
        f"hostup.cloud.{module}": {name: f"{{{{ given.{name} | default(omit) }}}}" for name in options},
        "ignore_errors": True,
    }
    run = lab.play([task], hosts=hosts, env={"HOSTUP_API_KEY": None, "HOSTUP_API_BASE": None})
    seen = {item.host: item.result for item in run.results}
    assert seen.keys() == hosts.keys()

    def trace(host: str) -> str:
        """What a host's task sent and returned, without what differs anyway."""
        own = hosts[host]
        sent = [
            (call.method, call.path.replace(own["vps_id"], "VPS"), call.body, call.status)
            for emulator in (lab.emulator, emulator_with_tls)
            for call in emulator.calls
            if call.vps_id == own["vps_id"] and "/jobs/" not in call.path
        ]
        shown = ("msg", "actions", "available", "mounted", "vps", "lines")
        result = {name: value for name, value in seen[host].items() if name in shown}
        text = json.dumps((sent, result)).replace(own["vps_name"], "HOST")
        text = text.replace(f'"{own["vps_ip"]}"', '"IP"')
        return re.sub(r"\b(vps|iso|job|req)_[0-9a-z]{26}", r"\1", text)

    same = [host for host in hosts if host.endswith("-with") and trace(host) == trace(f"{host}out")]
    assert same == [host for host in hosts if host.startswith("0-") and host.endswith("-with")]
