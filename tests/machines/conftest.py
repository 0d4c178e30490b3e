# SPDX-License-Identifier: GPL-3.0-or-later
"""A world whose VPSs are real machines, and tiny ISOs to boot them from."""

from __future__ import annotations

import functools
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from hostup_emulator.downloads import Downloads
from hostup_emulator.model import Drive, Vps
from hostup_emulator.qemu import PROGRAM, QemuMachines
from hostup_emulator.server import Emulator
from hostup_emulator.world import World
from media.debian import MediaError
from media.tiny import AFTER, write_installer_iso, write_live_iso
from support.lab import QuietFiles, do_without, serve

from .stage import Media, Stage, install_once, make_media, set_up


@pytest.fixture(scope="session", autouse=True)
def _qemu() -> None:
    """Without QEMU there is nothing to test here."""
    if not shutil.which(PROGRAM):
        do_without(f"{PROGRAM} is not installed")


@pytest.fixture(scope="session")
def isos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny ISOs: `live.iso`, and one named after each thing that may follow an installation."""
    folder = tmp_path_factory.mktemp("isos")
    for after in AFTER:
        write_installer_iso(folder / f"{after}.iso", after=after)
    write_live_iso(folder / "live.iso", "LIVE")
    return folder


@pytest.fixture(scope="session")
def source(isos: Path) -> Iterator[str]:
    """Where the tiny ISOs can be downloaded from."""
    yield from serve(functools.partial(QuietFiles, directory=str(isos)))


class Room:
    """An emulator with one VPS, switched off, on real machines. Its library has the tiny ISOs, with their names as IDs,
    and nobody has downloaded those."""

    def __init__(self, emulator: Emulator, machines: QemuMachines, isos: Path) -> None:
        self.emulator = emulator
        self.world = emulator.world
        self.machines = machines
        self.owner = self.world.add_owner("ann")
        self.vps = self.world.add_vps(self.owner, "web-01")
        self.vps.power_state = "stopped"
        self.world.switches.job_seconds = 0.01
        for path in isos.glob("*.iso"):
            self.world.add_iso(self.owner, path.name, iso_id=path.stem)
        self._read_so_far = 0
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Bearer {self.world.add_key(self.owner)}"

    @staticmethod
    def until(condition: Callable[[], object]) -> None:
        """Wait until something is so."""
        give_up = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < give_up, "this never happens"
            time.sleep(0.005)

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> requests.Response:
        """Send a request about the VPS."""
        url = f"{self.emulator.url}/api/v2/vps/{self.vps.id}{path}"
        answer = self._session.request(method, url, json=body, timeout=30)
        assert answer.ok, answer.text
        return answer

    def power(self, action: str) -> None:
        """Call one of the power actions, and wait until it is done."""
        operation = self.call("POST", f"/actions/{action}").json()["operation"]
        self.until(lambda: self.world.jobs[operation["jobId"]].finished)
        assert self.world.jobs[operation["jobId"]].status == "completed"

    def insert(self, iso_id: str | None, device: str = "ide2") -> None:
        """Put an ISO into a drive, or empty it, without asking the API."""
        self.vps.drives[device] = Drive.holding(iso_id) if iso_id else Drive.empty()
        self.machines.refit(self.vps)

    def boot(self, *order: Any) -> None:
        """Start the machine with this boot order."""
        self.world.set_boot_order(self.vps, order)
        self.machines.start(self.vps)

    def is_off(self) -> bool:
        """Whether the machine is."""
        return self.machines.power_state(self.vps) == "stopped"

    def console(self) -> str:
        """What the machine has written to its console since this was last looked at."""
        log = self.machines.folder_of(self.vps) / "console.log"
        text = log.read_text() if log.exists() else ""
        new, self._read_so_far = text[self._read_so_far :], len(text)
        return new

    def expect(self, *lines: str) -> None:
        """Wait for these lines on the console, and for nothing else."""
        wanted, seen = "".join(f"{line}\n" for line in lines), ""

        def has_come() -> bool:
            nonlocal seen
            seen += self.console()
            return len(seen) >= len(wanted)

        self.until(has_come)
        assert seen == wanted

    def screen(self) -> list[str]:
        """What stands on the screen, from the memory of the graphics card in text mode."""
        file = self.machines.folder_of(self.vps) / "text.bin"
        self.machines._tell(self.vps, "pmemsave", val=0xB8000, size=80 * 25 * 2, filename=str(file))
        text = file.read_bytes()[::2].decode("cp437")
        rows = (text[start : start + 80].strip(" \0") for start in range(0, len(text), 80))
        return [row for row in rows if row]

    def add_vps(self, name: str, *, power_state: str = "stopped", **more: Any) -> Vps:
        """Add another VPS."""
        vps = self.world.add_vps(self.owner, name, **more)
        vps.power_state = power_state
        return vps


@pytest.fixture
def room(isos: Path, tmp_path: Path) -> Iterator[Room]:
    """A fresh world. At the end, its emulator must not have crashed."""
    downloads = Downloads(tmp_path / "library")

    def find(vps: Vps, iso_id: str) -> Path | None:
        ours = isos / f"{iso_id}.iso"
        return ours if ours.exists() else downloads.find(vps, iso_id)

    machines = QemuMachines(tmp_path / "machines", find)
    with Emulator(World(machines=machines), control=True, downloads=downloads) as emulator:
        yield Room(emulator, machines, isos)
    assert emulator.crashes == []


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Media:
    """The Linux installers, where they can be built."""
    try:
        return make_media(tmp_path_factory.mktemp("media"))
    except MediaError as error:
        do_without(str(error))


@pytest.fixture(scope="session")
def linux_source(media: Media) -> Iterator[str]:
    """Where they can be downloaded from."""
    yield from serve(functools.partial(QuietFiles, directory=str(media.folder)))


@pytest.fixture(scope="session")
def old_disk(media: Media, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A disk with a Linux that somebody has installed before."""
    return install_once(tmp_path_factory.mktemp("old"), media)


@pytest.fixture
def stage(media: Media, linux_source: str, tmp_path: Path) -> Iterator[Stage]:
    """Real machines, the Linux installers, and Ansible."""
    with set_up(tmp_path, media, linux_source) as found:
        yield found
