# SPDX-License-Identifier: GPL-3.0-or-later
"""The back end in which every VPS is a real machine: a QEMU process without acceleration, driven over QMP."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from qemu.qmp import ExecInterruptedError, QMPClient, QMPError, StateError

from .model import DEVICES, Drive

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

    from .model import Vps

T = TypeVar("T")

PROGRAM = "qemu-system-x86_64"
DISK = "scsi0"
PATIENCE = 30.0

# The kernel kills a machine when the thread that has started it ends, for whatever reason. The shell makes sure that
# this has not come about before the kernel was told.
LEASH = ("setpriv", "--pdeathsig", "KILL", "sh", "-c", 'test "$PPID" = "$0" && exec "$@"')


@dataclass(frozen=True)
class _Machine:
    """A machine that was on when it was last looked at."""

    process: subprocess.Popen[bytes]
    monitor: QMPClient
    started_at: float


class QemuMachines:
    """Machines with one disk, four CD/DVD drives and a screen.

    Each has a folder, named like the ID of its VPS: with the disk, with `console.log`, to which goes whatever the guest
    writes to its first serial port, and with `qemu.log`, in which QEMU complains. An ISO that `find_file` does not find
    is blank. A guest can read its VPS's name as the serial number of the machine. With `ssh_port`, that port of the
    VPS's primary address leads to port 22 of the guest, if that begins with 127; there is no other network.
    """

    def __init__(
        self,
        folder: Path,
        find_file: Callable[[Vps, str], Path | None],
        *,
        ssh_port: int | None = None,
        disk_mb: int = 1024,
        memory_mb: int = 256,
    ) -> None:
        if missing := [program for program in (PROGRAM, LEASH[0]) if not shutil.which(program)]:
            raise FileNotFoundError(f"The machines need {' and '.join(missing)}.")
        self._folder = folder.resolve()
        self._find_file = find_file
        self._ssh_port = ssh_port
        self._disk_mb = disk_mb
        self._memory_mb = memory_mb
        self._machines: dict[str, _Machine] = {}
        self._loop = asyncio.new_event_loop()
        # It starts the machines and so must outlive them, which those who call do not.
        self._thread = threading.Thread(target=self._loop.run_forever, name="machines", daemon=True)
        self._thread.start()

    def power_state(self, vps: Vps) -> str:
        """On as long as there is a process."""
        return "running" if self._machine(vps) else "stopped"

    def uptime(self, vps: Vps) -> int:
        """Counts while there is a process."""
        machine = self._machine(vps)
        return int(time.monotonic() - machine.started_at) if machine else 0

    def was_read(self, vps: Vps) -> None:
        """A machine does not notice."""

    def start(self, vps: Vps) -> None:
        """Start a process, unless there is one."""
        if self._machine(vps) is None:
            self._switch_on(vps)

    def press_power_button(self, vps: Vps) -> None:
        """The guest hears of it through ACPI."""
        self._tell(vps, "system_powerdown")

    def stop(self, vps: Vps) -> None:
        """Kill the process."""
        if machine := self._machine(vps):
            self._switch_off(vps, machine)

    def reset(self, vps: Vps) -> None:
        """The process stays."""
        self._tell(vps, "system_reset")

    def refit(self, vps: Vps) -> None:
        """Change what differs. A machine that is off is fitted when it starts."""
        self._at(vps, lambda monitor: self._refit(monitor, vps))

    def screenshot(self, vps: Vps) -> bytes | None:
        """What QEMU would show in a window."""
        file = self.folder_of(vps) / "screen.png"
        shown = self._tell(vps, "screendump", filename=str(file), format="png")
        return file.read_bytes() if shown else None

    def close(self) -> None:
        """Kill all processes. The VPSs keep their power states, so that other machines can take over from here."""
        for machine in self._machines.values():
            self._wait_for(_end(machine))
        self._machines.clear()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def folder_of(self, vps: Vps) -> Path:
        """Where the files of a VPS are."""
        return self._folder / quote(vps.id, safe="")

    def inserted(self, vps: Vps) -> dict[str, str]:
        """The files in the drives of a machine that is on, as QEMU tells them."""
        return self._at(vps, _inserted) or {}

    def _machine(self, vps: Vps) -> _Machine | None:
        """Return the machine if it is on. One that is said to be on, and has never been looked at, is started now."""
        machine = self._machines.get(vps.id)
        if machine is None:
            return self._switch_on(vps) if vps.power_state == "running" else None
        if machine.process.poll() is None:
            return machine
        self._switch_off(vps, machine)
        return None

    def _switch_on(self, vps: Vps) -> _Machine:
        vps.power_state = "stopped"  # unless this succeeds
        machine = self._machines[vps.id] = self._wait_for(self._start(vps))
        vps.power_state = "running"
        return machine

    def _switch_off(self, vps: Vps, machine: _Machine) -> None:
        vps.power_state = "stopped"
        del self._machines[vps.id]
        self._wait_for(_end(machine))

    def _tell(self, vps: Vps, command: str, **arguments: object) -> bool:
        """Give a command to a machine; return whether it was on."""
        return self._at(vps, lambda monitor: monitor.execute(command, arguments)) is not None

    def _at(self, vps: Vps, work: Callable[[QMPClient], Coroutine[Any, Any, T]]) -> T | None:
        """Do something at a machine's monitor, if it is on."""
        machine = self._machine(vps)
        if machine is None:
            return None
        try:
            return self._wait_for(work(machine.monitor))
        except (ExecInterruptedError, StateError):  # it has just ended
            return None

    def _wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    async def _start(self, vps: Vps) -> _Machine:
        folder = self.folder_of(vps)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "disk.raw").open("ab") as disk:
            if not disk.tell():
                disk.truncate(self._disk_mb * 2**20)
        ours, theirs = socket.socketpair()
        with theirs, (folder / "qemu.log").open("wb") as log:
            process = subprocess.Popen(
                [*LEASH, str(os.getpid()), *self._command(vps, theirs.fileno())],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[theirs.fileno()],
            )
        machine = _Machine(process, QMPClient(), time.monotonic())
        try:
            await machine.monitor.connect(ours)
            await self._refit(machine.monitor, vps)
            # A boot order counts from the next reset.
            await machine.monitor.execute("system_reset")
            await machine.monitor.execute("cont")
        except QMPError as error:
            await _end(machine)
            reason = (folder / "qemu.log").read_text(errors="replace").strip() or str(error)
            raise RuntimeError(f"The machine of {vps.name} does not start: {reason}") from error
        return machine

    def _command(self, vps: Vps, monitor: int) -> list[str]:
        """Return the command of a machine that waits to be fitted and told to go on."""
        escaped_name = vps.name.replace(",", ",,")
        disk = {"driver": "raw", "node-name": "disk", "file": {"driver": "file", "filename": "disk.raw"}}
        devices: list[dict[str, object]] = [
            {"driver": "VGA"},
            {"driver": "virtio-scsi-pci", "id": "scsi"},
            {"driver": "scsi-hd", "bus": "scsi.0", "drive": "disk", "id": DISK},
            *(
                {"driver": "ide-cd", "bus": f"ide.{number // 2}", "unit": number % 2, "id": device}
                for number, device in enumerate(DEVICES)
            ),
        ]
        network = []
        if self._ssh_port and vps.primary_ip and vps.primary_ip.startswith("127."):
            forward = f"tcp:{vps.primary_ip}:{self._ssh_port}-:22"
            network = ["-netdev", f"user,id=net0,restrict=on,hostfwd={forward}"]
            devices.append({"driver": "virtio-net-pci", "netdev": "net0", "romfile": ""})
        return [
            *(PROGRAM, "-no-user-config", "-nodefaults", "-S"),
            *("-machine", "pc", "-accel", "tcg", "-cpu", "max", "-m", str(self._memory_mb), "-display", "none"),
            *("-chardev", f"socket,id=monitor,fd={monitor}", "-mon", "monitor,mode=control"),
            *("-chardev", "file,id=console,path=console.log,append=on", "-serial", "chardev:console"),
            *("-smbios", f"type=1,serial={escaped_name}"),
            *("-boot", "strict=on"),  # from nothing but the boot order
            *("-blockdev", json.dumps(disk)),
            *network,
            *(word for device in devices for word in ("-device", json.dumps(device))),
        ]

    async def _refit(self, monitor: QMPClient, vps: Vps) -> None:
        inserted = await _inserted(monitor)
        # By force: a guest locks the drive that it uses.
        for device in DEVICES:
            file = self._medium(vps, vps.drives.get(device, Drive.slot()))
            if file is None and device in inserted:
                await monitor.execute("eject", {"id": device, "force": True})
            elif file is not None and inserted.get(device) != str(file):
                change = {"id": device, "filename": str(file), "format": "raw", "force": True}
                await monitor.execute("blockdev-change-medium", change)
        # No two devices may have the same index, not even for a moment.
        for device, index in self._boot_indexes(vps):
            where = {"path": f"/machine/peripheral/{device}", "property": "bootindex"}
            await monitor.execute("qom-set", {**where, "value": index})

    def _boot_indexes(self, vps: Vps) -> Iterator[tuple[str, int]]:
        """Yield what each device's boot index becomes, first no device's and then those in the boot order."""
        bootable = (DISK, *DEVICES)
        yield from ((device, -1) for device in bootable)
        order = bootable if vps.boot_order is None else [device for device in vps.boot_order if device in bootable]
        yield from ((device, index) for index, device in enumerate(order))

    def _medium(self, vps: Vps, drive: Drive) -> Path | None:
        """Return the file that stands for what is in a drive."""
        if drive.free:
            return None
        if drive.iso_id and (found := self._find_file(vps, drive.iso_id)):
            return found.resolve()
        blank = self._folder / "blank" / f"{quote(drive.iso_id or 'unnamed', safe='')}.iso"
        if not blank.exists():
            blank.parent.mkdir(parents=True, exist_ok=True)
            blank.write_bytes(bytes(2048))
        return blank


async def _inserted(monitor: QMPClient) -> dict[str, str]:
    """Return which drives hold which files."""
    blocks: Any = await monitor.execute("query-block")
    return {block["qdev"]: block["inserted"]["file"] for block in blocks if block["removable"] and "inserted" in block}


async def _end(machine: _Machine) -> None:
    """Kill a machine, if it has not ended by itself, and leave nothing of it behind."""
    machine.process.kill()
    machine.process.wait()
    with suppress(EOFError, OSError):
        await machine.monitor.disconnect()
