# SPDX-License-Identifier: GPL-3.0-or-later
"""The role `hostup_reinstall` on real machines: what goes wrong there, and what it makes of it.

They take minutes, and `tests/integration/test_reinstall.py` has the like on machines that only keep books: all but the
proof that it works for real are exhaustive.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from hostup_emulator.model import Vps
from support.lab import Run

from .stage import FLEET, PATIENCE, Stage

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def server(stage: Stage, old_disk: Path) -> Vps:
    """A server that runs the old system."""
    vps = stage.add_server("web-01", old_disk)
    stage.boot(vps)
    return vps


def report(run: Run, host: str = "web-01") -> Mapping[str, Any]:
    """What the role says at its end."""
    [*_others, last] = [
        item.result["ansible_facts"]["hostup_reinstall_report"]
        for item in run.results
        if item.host == host and "hostup_reinstall_report" in item.result.get("ansible_facts", {})
    ]
    return dict(last)


def test_the_new_system_is_proven(stage: Stage, server: Vps) -> None:
    old_key, old = stage.host_key(server), stage.ssh(server, "cat /disk/etc/installation")
    run = stage.reinstall(server)
    assert run.code == 0, run.output
    assert stage.host_key(server) not in ("", old_key)
    assert stage.ssh(server, "cat /disk/etc/installation") not in ("", old)
    assert stage.ssh(server, "hostname") == "web-01"
    assert stage.drives(server) == []
    told = report(run)
    assert told["outcome"] == "reinstalled"
    assert told["old_fingerprints"] and told["new_fingerprints"] != told["old_fingerprints"]
    assert {"preflight", "mount", "install", "start"} <= told["seconds"].keys()


@pytest.mark.exhaustive
def test_an_installer_that_hangs(stage: Stage, server: Vps) -> None:
    run = stage.reinstall(
        server, hostup_reinstall_iso_url=f"{stage.lab.source}/hangs.iso", hostup_reinstall_install_timeout=20
    )
    assert run.code != 0
    assert (report(run)["outcome"], report(run)["phase"]) == ("failed", "install")
    assert "still running after the 20 s" in report(run)["msg"]
    assert stage.drives(server) == []


@pytest.mark.exhaustive
def test_an_installer_that_restarts_boots_into_itself_until_somebody_ends_that(stage: Stage, server: Vps) -> None:
    before = stage.console(server).count("looking for the medium")
    playing = stage.start(server, hostup_reinstall_iso_url=f"{stage.lab.source}/reboots.iso")
    stage.lab.until(lambda: stage.console(server).count("looking for the medium") >= before + 2, PATIENCE)
    playing.interrupt()
    stage.lab.until(lambda: stage.drives(server) == [])


@pytest.mark.exhaustive
def test_the_old_system_is_not_taken_for_a_new_one(stage: Stage, server: Vps) -> None:
    key = stage.host_key(server)
    run = stage.reinstall(
        server,
        hostup_reinstall_iso_url=f"{stage.lab.source}/leaves-the-disk.iso",
        hostup_reinstall_ssh_timeout=75,
    )
    assert run.code != 0
    assert stage.host_key(server) == key
    assert (report(run)["outcome"], report(run)["phase"]) == ("failed", "proof")
    assert "The old system answers" in report(run)["msg"]


@pytest.mark.exhaustive
def test_the_disk_comes_first(stage: Stage, server: Vps, tmp_path: Path) -> None:
    stage.lab.world.set_boot_order(server, ["scsi0", "ide2"])
    key, calls = stage.host_key(server), len(stage.lab.calls.writes())
    run = stage.reinstall(server)
    assert run.code != 0
    assert report(run)["phase"] == "preflight"
    assert "would not boot from ide2" in report(run)["msg"]
    assert len(stage.lab.calls.writes()) == calls
    hook = tmp_path / "hook.yml"
    order = {
        "url": f"{stage.emulator.url}/control/boot-order",
        "method": "POST",
        "body_format": "json",
        "body": {"vps": "{{ seen.vps_id }}", "order": ["{{ seen.device }}", "scsi0"]},
    }
    task = {"name": "CD first", "ansible.builtin.uri": order, "delegate_to": "localhost"}
    hook.write_text(yaml.safe_dump([{**task, "vars": {"seen": "{{ hostup_reinstall_hook }}"}}]))
    run = stage.reinstall(server, hostup_reinstall_boot_order_tasks=str(hook))
    assert run.code == 0, run.output
    assert stage.host_key(server) not in ("", key)


@pytest.mark.exhaustive
def test_the_emulator_is_restarted_while_it_installs(stage: Stage, server: Vps) -> None:
    """What was on is on again afterwards, and boots the installer anew."""
    key = stage.host_key(server)
    playing = stage.start(server)
    stage.lab.until(lambda: "partitioning" in stage.console(server))
    stage.restart_emulator()
    run = playing.finish()
    assert run.code == 0, run.output
    assert stage.host_key(server) not in ("", key)


@pytest.mark.exhaustive
def test_the_power_fails_while_it_installs(stage: Stage, server: Vps) -> None:
    """A server that is off is not always one whose installer is done."""
    playing = stage.start(server, hostup_reinstall_ssh_timeout=20)
    stage.lab.until(lambda: "partitioning" in stage.console(server))
    with stage.emulator.lock:
        stage.machines.stop(server)
    run = playing.finish()
    assert run.code != 0
    assert report(run)["phase"] == "proof"
    assert stage.drives(server) == []


@pytest.mark.exhaustive
def test_one_of_many_fails(stage: Stage, old_disk: Path) -> None:
    servers = [stage.add_server(name, old_disk) for name in ("web-01", "web-02", "web-03")]
    keys = [stage.boot(vps) for vps in servers]
    hosts = stage.hosts(*servers)
    hosts["web-02"]["hostup_reinstall_iso_url"] = f"{stage.lab.source}/hangs.iso"
    hosts["web-02"]["hostup_reinstall_install_timeout"] = 30
    run = stage.lab.play("hostup.cloud.reinstall", hosts=hosts, args=FLEET)
    assert run.code != 0
    assert [report(run, vps.name)["outcome"] for vps in servers] == ["reinstalled", "failed", "reinstalled"]
    assert report(run, "web-02")["phase"] == "install"
    for vps, key in zip(servers, keys, strict=True):
        assert vps.name == "web-02" or stage.host_key(vps) not in ("", key)
    assert stage.lab.orders() == 2  # one for each ISO


@pytest.mark.exhaustive
def test_again_after_an_interruption(stage: Stage, server: Vps) -> None:
    key = stage.host_key(server)
    playing = stage.start(server)
    stage.lab.until(lambda: stage.lab.calls.matching("POST", "/restart$"))
    playing.kill()
    playing.stop()
    assert stage.drives(server) != []
    run = stage.reinstall(server)
    assert run.code == 0, run.output
    assert stage.host_key(server) not in ("", key)
    assert stage.drives(server) == []
