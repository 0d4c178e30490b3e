# SPDX-License-Identifier: GPL-3.0-or-later
"""The emulator as a command, with real machines: they go when it goes."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

import hostup_emulator as package

if TYPE_CHECKING:
    from .conftest import Room

COMMAND = [sys.executable, "-u", "-m", "hostup_emulator", "--backend", "qemu", "--port", "0", "--control"]
HOME = Path(package.__file__).parents[1]  # from where it can be started without being installed


def processes_in(folder: Path) -> list[int]:
    """The processes that work somewhere below a folder."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):  # it has ended meanwhile, or is not ours
            if folder in link.readlink().parents:
                found.append(int(link.parent.name))
    return found


@pytest.mark.usefixtures("heeded_sigint")
@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_machines_die_with_the_emulator(signal_number: signal.Signals, tmp_path: Path, room: Room) -> None:
    folder = tmp_path / "kept"
    arguments = ["--machines-dir", str(folder), "--vps", "a", "--vps", "b", "--memory-mb", "16", "--disk-mb", "8"]
    with subprocess.Popen([*COMMAND, *arguments], cwd=HOME, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        lines: list[str] = []
        while not lines or "Ctrl-C" not in lines[-1]:
            lines.append(process.stdout.readline())
        assert processes_in(folder) == []
        [base] = re.findall(r"export HOSTUP_API_BASE=(\S+)", "".join(lines))
        requests.get(f"{base}/control/world", timeout=30)
        assert len(processes_in(folder)) == 2
        process.send_signal(signal_number)
        process.wait(10)
    room.until(lambda: not processes_in(folder))
    disks = [disk.stat() for disk in folder.glob("*/disk.raw")]
    assert [disk.st_size for disk in disks] == [8 * 2**20] * 2
    assert all(disk.st_blocks * 512 < 2**20 for disk in disks)


def test_missing_qemu(tmp_path: Path) -> None:
    refused = subprocess.run(
        COMMAND, cwd=HOME, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1
    assert refused.stderr == "The machines need qemu-system-x86_64 and setpriv.\n"
