# SPDX-License-Identifier: GPL-3.0-or-later
"""An emulated account with a fleet, and the tasks that are measured on it."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme

from hostup_emulator.downloads import Downloads
from hostup_emulator.model import Drive
from hostup_emulator.server import Emulator
from hostup_emulator.world import World
from support.lab import ISO_BYTES, QuietFiles, serve

ISO = "ubuntu.iso"
CD_FIRST, DISK_FIRST = ("ide2", "scsi0"), ("scsi0", "ide2")
LATENCY = 0.005  # seconds an answer, where time is measured
THREADS = 32  # requests in flight at most, as MOST_CONNECTIONS in `_api/transport`
EVERY_ID = "{{ ansible_play_hosts_all | map('extract', hostvars, 'vps_id') | list }}"


@dataclass(frozen=True)
class Cloud:
    """A running emulator with one owner."""

    emulator: Emulator
    vps_ids: list[str]
    env: dict[str, str]
    ca_path: str | None

    def sent(self, method: str = ".*", path: str = ".*") -> int:
        """How many requests of a kind there were."""
        return len(self.emulator.calls.matching(method, path))

    def refused(self) -> int:
        """How many requests were answered with 429."""
        return sum(call.status == 429 for call in self.emulator.calls)

    def mounted(self) -> int:
        """On how many VPSs an ISO is mounted."""
        return sum(any(mount.iso_id for mount in vps.mounts()) for vps in self.emulator.world.vpses.values())


def task(**options: Any) -> dict[str, Any]:
    """One VPS a host: the ISO mounted."""
    return {"hostup.cloud.hostup_vps_iso": {"vps_id": "{{ vps_id }}", "name": ISO, "state": "mounted", **options}}


def list_task(**options: Any) -> dict[str, Any]:
    """The same for all VPSs at once."""
    return {
        "hostup.cloud.hostup_vps_iso": {"vps_ids": EVERY_ID, "name": ISO, "state": "mounted", **options},
        "run_once": True,
    }


def info_task(**options: Any) -> dict[str, Any]:
    """One VPS a host: what is mounted."""
    return {"hostup.cloud.hostup_vps_iso_info": {"vps_id": "{{ vps_id }}", **options}}


def stop_task() -> dict[str, Any]:
    """All VPSs at once: off."""
    return {"hostup.cloud.hostup_vps_power": {"vps_ids": EVERY_ID, "state": "stopped"}, "run_once": True}


def reinstall_task(**options: Any) -> dict[str, Any]:
    """One VPS a host, or those that are selected: reinstalled."""
    given = {"confirm": EVERY_ID, "name": ISO, **options}
    once = {"run_once": True} if "vps_ids" in given else {}
    return {"hostup.cloud.hostup_vps_reinstall": {**({} if once else {"vps_id": "{{ vps_id }}"}), **given}, **once}


def reinstall_role() -> dict[str, Any]:
    """The host's VPS, by the role; nobody answers there by SSH."""
    given = {"vps_id": "{{ vps_id }}", "confirm": EVERY_ID, "iso_name": ISO, "proof": "none", "connection": "none"}
    values = {f"hostup_reinstall_{name}": value for name, value in given.items()}
    return {"ansible.builtin.include_role": {"name": "hostup.cloud.hostup_reinstall"}, "vars": values}


@contextmanager
def cloud(
    scratch: Path,
    count: int,
    *,
    iso: bool = True,
    mounted: bool = False,
    tls: bool = False,
    latency: float = 0.0,
    download_seconds: float = 0.0,
    **switches: Any,
) -> Iterator[Cloud]:
    """Run an emulator with so many VPSs, the ISO in the library or not, mounted on all of them or not."""
    world = World()
    for name, value in {"latency": latency, **switches}.items():
        setattr(world.switches, name, value)
    owner = world.add_owner("bench")
    key = world.add_key(owner)
    found = world.add_iso(owner, ISO) if iso else None
    order = CD_FIRST if "installer_seconds" in switches else DISK_FIRST
    vpses = [world.add_vps(owner, f"vps-{number:04}", boot_order=order) for number in range(1, count + 1)]
    if mounted and found:
        for vps in vpses:
            vps.drives["ide2"] = Drive.holding(found.id)
    ca_path, context = _certificates(scratch) if tls else (None, None)
    library = scratch / "library"
    with ExitStack() as stack:
        stack.callback(_empty, library)
        emulator = stack.enter_context(
            Emulator(world, tls=context, downloads=Downloads(library, min_seconds=download_seconds))
        )
        env = {"HOSTUP_API_BASE": emulator.url, "HOSTUP_API_KEY": key}
        yield Cloud(emulator, [vps.id for vps in vpses], env, ca_path)
    if emulator.crashes:
        raise RuntimeError(emulator.crashes[0])


@contextmanager
def iso_source(scratch: Path) -> Iterator[str]:
    """Serve an ISO; yields its URL."""
    folder = scratch / "source"
    folder.mkdir(exist_ok=True)
    (folder / ISO).write_bytes(ISO_BYTES)
    with contextmanager(serve)(functools.partial(QuietFiles, directory=str(folder))) as origin:
        yield f"{origin}/{ISO}"


def _certificates(scratch: Path) -> tuple[str, ssl.SSLContext]:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(scratch / "ca.pem")
    return str(scratch / "ca.pem"), context


def _empty(folder: Path) -> None:
    for file in folder.rglob("*"):
        if file.is_file():
            file.unlink()
