# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ISO state of a VPS, as one read tells it. Source of the shapes: contract, ``GET /api/v2/vps/{id}/iso``."""

from __future__ import annotations

import typing as t

from ansible_collections.hostup.cloud.plugins.module_utils._api.documents import Gate, number, parse_gate, text

DEVICES = ("ide0", "ide1", "ide2", "ide3")

# What a device can be to us.
MISSING, CLOUD_INIT, LOADED, BUSY, EMPTY, NO_DRIVE = "missing", "cloud-init", "loaded", "busy", "empty", "no drive"


class Iso(t.NamedTuple):
    """One file of the owner's library. ``id`` is ``None`` only for a download that is predicted."""

    id: str | None
    name: str | None
    display_name: str | None = None
    size_gb: float | None = None
    format: str | None = None

    @property
    def label(self) -> str:
        """What people call it."""
        return self.name or self.display_name or str(self.id)

    def may_be(self, length: int | None) -> bool:
        """Whether a file of so many bytes may be this one, by the digits that the API tells; ``None`` may be any.

        Nothing public says whether a GB is 10^9 bytes or 2^30, or how it is rounded.
        """
        if length is None or self.size_gb is None:
            return True
        digits = f"{self.size_gb:.9f}".rstrip("0").partition(".")[2]  # a byte is the ninth
        return any(abs(length / unit - self.size_gb) < 10 ** -len(digits) for unit in (10**9, 2**30))


class Mount(t.NamedTuple):
    """An entry of ``mounted[]``. ``mounted`` is false for a drive without media."""

    device: str | None
    iso_id: str | None
    mounted: bool
    is_cloud_init: bool


class Slot(t.NamedTuple):
    """An entry of ``availableDevices[]``."""

    device: str | None
    type: str | None
    description: str | None
    in_use: bool


class BootOrder(t.NamedTuple):
    """``order`` lists device names."""

    order: list[str]
    available_devices: list[dict[str, str | None]]


class Media(t.NamedTuple):
    """The ISO state of one VPS, as one read tells it."""

    available: tuple[Iso, ...]
    mounted: tuple[Mount, ...]
    slots: tuple[Slot, ...]
    boot_order: BootOrder | None = None
    can_mount: Gate = Gate(True)
    can_upload: Gate = Gate(True)

    def is_cloud_init(self, device: str | None) -> bool:
        """Whether a drive is the cloud-init drive, whatever else it may be said to hold."""
        return any(mount.device == device and mount.is_cloud_init for mount in self.mounted)

    @property
    def users_mounts(self) -> list[Mount]:
        """The media that this collection may take out."""
        return [mount for mount in self.mounted if mount.mounted and not self.is_cloud_init(mount.device)]

    def mount_of(self, device: str) -> Mount | None:
        """The user's media in ``device``."""
        return next((mount for mount in self.users_mounts if mount.device == device), None)

    def mounts_of(self, iso_id: str | None) -> list[Mount]:
        """Where an ISO is mounted, cloud-init drives left out."""
        return [mount for mount in self.users_mounts if mount.iso_id == iso_id]

    def label(self, iso_id: str | None) -> str:
        """What people call the media with this ID."""
        return next((iso.label for iso in self.available if iso.id == iso_id), iso_id or "unnamed media")

    def drive(self, device: str) -> str:
        """What ``device`` is to us, one of the constants above."""
        entries = [mount for mount in self.mounted if mount.device == device]
        slot = next((slot for slot in self.slots if slot.device == device), None)
        if self.is_cloud_init(device):
            return CLOUD_INIT
        if any(mount.mounted for mount in entries):
            return LOADED
        if entries:
            return EMPTY
        if slot is None:
            return MISSING
        if slot.in_use:
            return BUSY
        return EMPTY if slot.type == "existing_cdrom" else NO_DRIVE

    def describe_drives(self) -> str:
        """All drives in one line, for messages."""
        names = {slot.device for slot in self.slots} | {mount.device for mount in self.mounted}
        words = []
        for device in sorted(name for name in names if name):
            mount = self.mount_of(device)
            words.append(f"{device}: {self.label(mount.iso_id) if mount else self.drive(device)}")
        return ", ".join(words) or "none"


# --- reading ---------------------------------------------------------------------------------------------------------


def parse_media(body: t.Mapping[str, t.Any]) -> Media:
    """Read the answer of the ISO read. Raises ValueError that says what is missing."""
    actions = body.get("actions")
    if not isinstance(actions, dict):
        raise ValueError("actions is not an object")
    boot_order = body.get("bootOrder")
    return Media(
        available=tuple(_parse_iso(item) for item in _objects(body, "available")),
        mounted=tuple(
            Mount(
                text(item, "device"),
                text(item, "isoId"),
                item.get("mounted") is True,
                item.get("isCloudInit") is True,
            )
            for item in _objects(body, "mounted")
        ),
        slots=tuple(
            Slot(text(item, "device"), text(item, "type"), text(item, "description"), item.get("inUse") is True)
            for item in _objects(body, "availableDevices")
        ),
        boot_order=_parse_boot_order(boot_order) if isinstance(boot_order, dict) else None,
        can_mount=_required_gate(actions, "canMount"),
        can_upload=_required_gate(actions, "canUpload"),
    )


def _objects(body: t.Mapping[str, t.Any], key: str) -> list[dict[str, t.Any]]:
    items = body.get(key)
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ValueError(f"{key} is not a list of objects")
    return items


def _parse_iso(item: t.Mapping[str, t.Any]) -> Iso:
    iso_id, size = text(item, "id"), item.get("sizeGb")
    if iso_id is None:
        raise ValueError("an entry of available has no id")
    return Iso(
        id=iso_id,
        name=text(item, "name"),
        display_name=text(item, "displayName"),
        size_gb=float(size) if isinstance(size, (int, float)) else None,
        format=text(item, "format"),
    )


def _parse_boot_order(item: t.Mapping[str, t.Any]) -> BootOrder:
    order, bootable = item.get("order"), item.get("availableDevices")
    return BootOrder(
        order=[str(device) for device in order] if isinstance(order, list) else [],
        available_devices=[
            {key: text(device, key) for key in ("id", "name", "type")}
            for device in (bootable if isinstance(bootable, list) else [])
            if isinstance(device, dict)
        ],
    )


def parse_storage(body: t.Mapping[str, t.Any]) -> BootOrder | None:
    """The boot order that the answer of ``GET /api/v2/vps/{id}/storage`` tells (contract); ``None`` for none."""
    disks = body.get("disks")
    devices = {
        name: disk
        for disk in (disks if isinstance(disks, list) else [])
        if isinstance(disk, dict) and (name := text(disk, "device"))
    }
    places = {name: place for name, disk in devices.items() if (place := number(disk, "bootOrder")) is not None}
    if not places:
        return None
    return BootOrder(
        order=sorted(places, key=lambda name: places[name]),
        available_devices=[
            {"id": name, "name": text(disk, "name"), "type": "cdrom" if disk.get("isCdrom") is True else "disk"}
            for name, disk in devices.items()
        ],
    )


def _required_gate(actions: t.Mapping[str, t.Any], name: str) -> Gate:
    gate = parse_gate(actions, name)
    if gate is None:
        raise ValueError(f"actions.{name} is not an object")
    return gate


# --- finding ---------------------------------------------------------------------------------------------------------


def matching_isos(media: Media, name: str | None, iso_id: str | None) -> list[Iso]:
    """The library's files with this ID, or with this name, or failing that with this display name."""
    if iso_id is not None:
        return [iso for iso in media.available if iso.id == iso_id]
    if name is None:
        return []
    return [iso for iso in media.available if iso.name == name] or [
        iso for iso in media.available if iso.display_name == name
    ]
