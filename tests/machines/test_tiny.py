# SPDX-License-Identifier: GPL-3.0-or-later
"""The tiny ISOs: what each of them does to a machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import media as package
from media.tiny import boot_sector

if TYPE_CHECKING:
    from .conftest import Room


def test_installer_powers_off(room: Room) -> None:
    room.insert("poweroff")
    room.boot("ide2", "scsi0")
    room.expect("INSTALLER", "INSTALLED")
    room.until(room.is_off)
    room.boot("scsi0", "ide2")
    room.expect("SYSTEM UP")


def test_installer_reboots_into_itself_until_the_boot_order_is_changed(room: Room) -> None:
    room.insert("reboot")
    room.boot("ide2", "scsi0")
    room.expect("INSTALLER", "INSTALLED", "INSTALLER", "INSTALLED")
    room.machines.stop(room.vps)
    room.console()
    room.boot("scsi0", "ide2")
    room.expect("SYSTEM UP")


def test_installer_hangs(room: Room) -> None:
    room.insert("hang")
    room.boot("ide2", "scsi0")
    room.expect("INSTALLER", "INSTALLED")
    room.machines.press_power_button(room.vps)
    room.machines.reset(room.vps)
    room.expect("INSTALLER", "INSTALLED")


def test_live_iso_leaves_the_disk_alone(room: Room) -> None:
    room.insert("live")
    room.boot("ide2", "scsi0")
    room.expect("LIVE")
    room.machines.press_power_button(room.vps)
    room.expect("POWER BUTTON")
    room.until(room.is_off)
    with (room.machines.folder_of(room.vps) / "disk.raw").open("rb") as disk:
        assert not any(disk.read(512))


def test_installer_that_cannot_write_says_so(room: Room) -> None:
    room.insert("poweroff")
    room.boot("ide2")
    room.expect("INSTALLER", "INSTALLATION FAILED")


def test_marker_that_does_not_fit() -> None:
    room = 446 - len(boot_sector("").rstrip(b"\x55\xaa\0"))
    assert len(boot_sector("x" * (room - 1))) == 512
    with pytest.raises(ValueError, match="characters too long"):
        boot_sector("x" * 446)


@pytest.mark.parametrize(
    ("arguments", "markers"),
    [
        ([], [b"SYSTEM UP", b"INSTALLED"]),
        (["--marker", "web-07 is up", "--after", "reboot"], [b"web-07 is up", b"INSTALLED"]),
        (["--live"], [b"SYSTEM UP"]),
    ],
)
def test_command(arguments: list[str], markers: list[bytes], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "media.tiny", "tiny.iso", *arguments]
    tests = Path(package.__file__).parents[1]
    subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(tests)}, check=True)
    iso = (tmp_path / "tiny.iso").read_bytes()
    assert [marker for marker in (b"SYSTEM UP", b"web-07 is up", b"INSTALLED") if marker in iso] == markers
    assert len(iso) < 100_000
