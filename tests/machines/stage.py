# SPDX-License-Identifier: GPL-3.0-or-later
"""A stage for the role `hostup_reinstall`: servers that are real machines with an old Linux on them, and installers."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from hostup_emulator.downloads import Downloads
from hostup_emulator.model import Drive, Vps
from hostup_emulator.qemu import QemuMachines
from hostup_emulator.server import Emulator
from hostup_emulator.world import World
from media.linux import build_linux
from support.lab import Lab, Playing, Run

INSTALLERS: dict[str, dict[str, Any]] = {
    "installer.iso": {},
    "leaves-the-disk.iso": {"leave_disk": True},
    "hangs.iso": {"after": "hang"},
    "reboots.iso": {"after": "reboot"},
}

# So many seconds for a boot or an installation; they take a few on an idle machine.
PATIENCE = 300

# Only the servers, of all that the inventory of a laboratory has.
FLEET = ("-e", "hostup_hosts=fleet")


@dataclass(frozen=True)
class Media:
    """What the servers are installed from, and what opens them afterwards."""

    folder: Path
    private_key: Path


def make_media(folder: Path) -> Media:
    """Build the installers, with a new SSH key in them. Raises MediaError."""
    key = folder / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "tests", "-f", key], check=True)
    served = folder / "served"
    served.mkdir()
    for name, options in INSTALLERS.items():
        build_linux(served / name, ssh_key=key.with_suffix(".pub").read_text().strip(), **options)
    return Media(served, key)


class Stage:
    """An emulator with servers on real machines, and Ansible."""

    def __init__(self, folder: Path, media: Media, source: str) -> None:
        self.ssh_port = free_port()
        self._folder = folder
        self._media = media
        self._world = World()
        self.machines, self.emulator = self._begin(0)
        home = folder / "home"
        home.mkdir()
        self.lab = Lab(self.emulator, source, home)
        self.lab.owner.vpses.clear()  # the laboratory's own VPS is no server

    def _begin(self, port: int) -> tuple[QemuMachines, Emulator]:
        downloads = Downloads(self._folder / "library")
        machines = QemuMachines(self._folder / "machines", downloads.find, disk_mb=2048, ssh_port=self.ssh_port)
        self._world.machines = machines
        return machines, Emulator(self._world, port=port, control=True, downloads=downloads).start()

    def restart_emulator(self) -> None:
        """End the emulator and all machines at once, and begin again at the same address."""
        before = self.emulator
        before.stop()
        self.machines, self.emulator = self._begin(int(before.url.rpartition(":")[2]))
        self.emulator.calls, self.lab.emulator = before.calls, self.emulator

    def add_server(self, name: str, disk: Path | None = None) -> Vps:
        """Add a server that is off, with a copy of a disk or an empty one, and that boots from a CD/DVD first."""
        number = len(self.lab.owner.vpses) + 1
        vps = self.lab.world.add_vps(self.lab.owner, name, f"127.0.3.{number}", boot_order=["ide2", "scsi0"])
        vps.power_state = "stopped"
        if disk:
            folder = self.machines.folder_of(vps)
            folder.mkdir(parents=True)
            # cp keeps the holes
            subprocess.run(["cp", "--sparse=always", disk, folder / "disk.raw"], check=True)
        return vps

    def boot(self, vps: Vps) -> str:
        """Start a server and return its host key, once it answers."""
        self.machines.start(vps)
        return self.lab.until(lambda: self.host_key(vps), PATIENCE)

    def host_key(self, vps: Vps) -> str:
        """The SSH host key with which a server answers now, if it does."""
        # of one type: QEMU's network does not take several connections at the same time
        command = ["ssh-keyscan", "-T", "3", "-t", "ed25519", "-p", str(self.ssh_port), str(vps.primary_ip)]
        said = subprocess.run(command, check=False, capture_output=True, text=True).stdout.split()
        return said[2] if len(said) > 2 else ""

    def hosts(self, *servers: Vps, **more: Any) -> dict[str, dict[str, Any]]:
        """The servers as an inventory has them, with what the role has to know."""
        known = self.lab.folder / ".ssh" / "known_hosts"
        return {
            vps.name: {
                "hostup_vps_id": vps.id,
                "ansible_host": vps.primary_ip,
                "ansible_port": self.ssh_port,
                "ansible_user": "root",
                "ansible_ssh_private_key_file": str(self._media.private_key),
                # ssh asks the system where home is, and not the environment
                "ansible_ssh_common_args": f"-o UserKnownHostsFile={known} -o ControlPath=none",
                "hostup_reinstall_iso_url": f"{self.lab.source}/installer.iso",
                "hostup_reinstall_confirm": vps.name,
                "hostup_reinstall_connection": "raw",
                "hostup_reinstall_install_timeout": PATIENCE,
                "hostup_reinstall_ssh_timeout": PATIENCE,
                **more,
            }
            for vps in servers
        }

    def start(self, *servers: Vps, args: tuple[str, ...] = (), **more: Any) -> Playing:
        """Begin to reinstall servers with the playbook of the collection."""
        return self.lab.start("hostup.cloud.reinstall", hosts=self.hosts(*servers, **more), args=[*FLEET, *args])

    def reinstall(self, *servers: Vps, args: tuple[str, ...] = (), **more: Any) -> Run:
        """Reinstall servers with the playbook of the collection."""
        return self.start(*servers, args=args, **more).finish()

    def console(self, vps: Vps) -> str:
        """What a server has written to its serial port."""
        log = self.machines.folder_of(vps) / "console.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def ssh(self, vps: Vps, command: str) -> str:
        """What a command says on a server."""
        options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
        where = ["-p", str(self.ssh_port), f"root@{vps.primary_ip}"]
        ssh = ["ssh", "-F", "none", "-o", "BatchMode=yes", "-i", str(self._media.private_key), *options, *where]
        done = subprocess.run([*ssh, command], check=True, capture_output=True, text=True, timeout=60)
        return done.stdout.strip()

    def drives(self, vps: Vps) -> list[str]:
        """The ISOs in a server's drives, as the API has them and as a machine that is on has them."""
        told = [vps.owner.library[mount.iso_id or ""].name or "" for mount in vps.mounts()]
        return told + [Path(file).name for file in self.machines.inserted(vps).values()]


@contextmanager
def set_up(folder: Path, media: Media, source: str) -> Iterator[Stage]:
    """Build a stage. At the end, its emulator must not have crashed."""
    stage = Stage(folder, media, source)
    try:
        yield stage
    finally:
        for playing in stage.lab.playing:
            playing.stop()
        stage.emulator.stop()
    assert stage.emulator.crashes == []


def install_once(folder: Path, media: Media) -> Path:
    """Install a server without Ansible, and return its disk: an old system to begin with."""
    with set_up(folder, media, source="") as stage:
        vps = stage.add_server("old")
        iso = stage.lab.world.add_iso(stage.lab.owner, "installer.iso")
        library = stage.emulator.downloads.path(stage.lab.owner.name, "installer.iso")
        library.parent.mkdir(parents=True)
        shutil.copy(media.folder / "installer.iso", library)
        vps.drives["ide2"] = Drive.holding(iso.id)
        stage.machines.start(vps)
        stage.lab.until(lambda: stage.machines.power_state(vps) == "stopped", PATIENCE)
        return stage.machines.folder_of(vps) / "disk.raw"


@contextmanager
def photographed(stage: Stage, vps: Vps, folder: Path) -> Iterator[None]:
    """Keep a picture of each thing that a server's screen shows, from the control route."""
    folder.mkdir(parents=True, exist_ok=True)
    ended = threading.Event()

    session = requests.Session()
    session.trust_env = False

    def take() -> None:
        seen: set[bytes] = set()
        while not ended.wait(0.25):
            with suppress(requests.RequestException):
                answer = session.get(f"{stage.emulator.url}/control/screenshot?vps={vps.id}", timeout=10)
                if answer.ok and answer.content not in seen:
                    seen.add(answer.content)
                    (folder / f"{vps.name}-{len(seen):03}.png").write_bytes(answer.content)

    thread = threading.Thread(target=take)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        session.close()


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
