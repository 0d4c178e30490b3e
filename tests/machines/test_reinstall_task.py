# SPDX-License-Identifier: GPL-3.0-or-later
"""`hostup_vps_reinstall` on real machines, which it installs from a tiny ISO: two at once, and one that hangs."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hostup_emulator.model import Vps
from support.lab import Lab, Run

if TYPE_CHECKING:
    from .conftest import Room

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def lab(room: Room, source: str, tmp_path: Path) -> Iterator[Lab]:
    """A laboratory with two VPSs that run, with nothing on their disks, and boot from their CD/DVD drives first."""
    home = tmp_path / "home"
    home.mkdir()
    laboratory = Lab(room.emulator, source, home)
    laboratory.owner.vpses.clear()  # the laboratory's own VPS would boot from its disk first
    for name in ("web-01", "web-02"):
        vps = laboratory.world.add_vps(laboratory.owner, name, boot_order=["ide2", "scsi0"])
        room.machines.start(vps)
    yield laboratory
    for playing in laboratory.playing:
        playing.stop()


def reinstall(lab: Lab, iso: str, **options: Any) -> Run:
    """Reinstall both in one task. Nothing on their disks could heed a power button."""
    ids, names = [vps.id for vps in lab.owner.vpses], [vps.name for vps in lab.owner.vpses]
    given = {"vps_ids": ids, "confirm": names, "url": f"{lab.source}/{iso}", "force": True, **options}
    return lab.play([{"name": "reinstall", "hostup.cloud.hostup_vps_reinstall": given}])


def console(room: Room, vps: Vps) -> str:
    """What a machine has written to its serial port."""
    return (room.machines.folder_of(vps) / "console.log").read_text(errors="replace")


def is_up(room: Room, vps: Vps) -> bool:
    """Whether the system on its disk has said so."""
    return "SYSTEM UP" in console(room, vps)


def test_two_at_once(room: Room, lab: Lab) -> None:
    run = reinstall(lab, "poweroff.iso")
    assert run.code == 0, run.output
    assert lab.orders() == 1
    for vps, entry in zip(lab.owner.vpses, run.of("reinstall")["results"], strict=True):
        assert entry["outcome"] == "reinstalled"
        assert entry["actions"] in (
            ["mount", "reset", "unmount", "start"],
            ["download", "mount", "reset", "unmount", "start"],
        )
        assert vps.mounts() == []
    for vps in lab.owner.vpses:
        room.until(functools.partial(is_up, room, vps))
        assert console(room, vps).count("INSTALLED") == 1


@pytest.mark.exhaustive
def test_installers_that_hang(room: Room, lab: Lab) -> None:
    run = reinstall(lab, "hang.iso", install_timeout=10)
    for vps, entry in zip(lab.owner.vpses, run.of("reinstall")["results"], strict=True):
        assert "still running after the 10 s of install_timeout" in entry["msg"]
        assert "hang.iso was taken out of ide2." in entry["msg"]
        assert vps.mounts() == [] and "INSTALLED" in console(room, vps)
