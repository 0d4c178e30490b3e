# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pure core of the ISO modules: the ISO read as state, (state, wish) to a plan, and what the plan will change.

Nothing here talks to the network or knows Ansible. Source of the shapes: contract, ``GET /api/v2/vps/{id}/iso``.
"""

from __future__ import annotations

import typing as t
from dataclasses import asdict, dataclass, field, replace

from ansible_collections.hostup.cloud.plugins.module_utils._documents import Gate, check_gate, parse_gate, text
from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError

DEVICES = ("ide0", "ide1", "ide2", "ide3")

DOWNLOAD, UNMOUNT, MOUNT, ATTACH_DRIVE, DELETE = "download", "unmount", "mount", "attach_drive", "delete"

# What a device can be to us.
MISSING, CLOUD_INIT, LOADED, BUSY, EMPTY, NO_DRIVE = "missing", "cloud-init", "loaded", "busy", "empty", "no drive"


@dataclass(frozen=True)
class Iso:
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


@dataclass(frozen=True)
class Mount:
    """An entry of ``mounted[]``. ``mounted`` is false for a drive without media."""

    device: str | None
    iso_id: str | None
    mounted: bool
    is_cloud_init: bool

    @property
    def is_users(self) -> bool:
        """Whether it holds media that this collection may take out."""
        return self.mounted and not self.is_cloud_init


@dataclass(frozen=True)
class Slot:
    """An entry of ``availableDevices[]``."""

    device: str | None
    type: str | None
    description: str | None
    in_use: bool


@dataclass(frozen=True)
class BootOrder:
    """``order`` lists device names, ``devices`` their labels."""

    order: list[str]
    devices: dict[str, str]
    available_devices: list[dict[str, str | None]]


@dataclass(frozen=True)
class Media:
    """The ISO state of one VPS, as one read tells it."""

    available: tuple[Iso, ...]
    mounted: tuple[Mount, ...]
    slots: tuple[Slot, ...]
    boot_order: BootOrder | None = None
    can_mount: Gate = field(default_factory=lambda: Gate(True))
    can_upload: Gate = field(default_factory=lambda: Gate(True))

    def mount_of(self, device: str) -> Mount | None:
        """The user's media in ``device``."""
        return next((mount for mount in self.mounted if mount.device == device and mount.is_users), None)

    def mounts_of(self, iso_id: str | None) -> list[Mount]:
        """Where an ISO is mounted, cloud-init drives left out."""
        return [mount for mount in self.mounted if mount.is_users and mount.iso_id == iso_id]

    def label(self, iso_id: str | None) -> str:
        """What people call the media with this ID."""
        return next((iso.label for iso in self.available if iso.id == iso_id), iso_id or "unnamed media")

    def drive(self, device: str) -> str:
        """What ``device`` is to us, one of the constants above."""
        entries = [mount for mount in self.mounted if mount.device == device]
        slot = next((slot for slot in self.slots if slot.device == device), None)
        if any(mount.is_cloud_init for mount in entries):
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


@dataclass(frozen=True)
class Wish:
    """What the user asked for. ``url`` has been checked, ``name`` derived."""

    state: str
    name: str | None = None
    iso_id: str | None = None
    url: str | None = None
    decompress: str = "none"
    device: str | None = None
    keep_drive: bool = False
    replace: bool = True
    wait: bool = True


@dataclass(frozen=True)
class Step:
    """One write. ``iso_id`` is ``None`` for what is still to be downloaded, and for media that has no ID."""

    action: str
    device: str | None = None
    iso_id: str | None = None


Plan = tuple[Step, ...]


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
    order, devices, bootable = item.get("order"), item.get("devices"), item.get("availableDevices")
    return BootOrder(
        order=[str(device) for device in order] if isinstance(order, list) else [],
        devices={str(name): str(label) for name, label in devices.items()} if isinstance(devices, dict) else {},
        available_devices=[
            {key: text(device, key) for key in ("id", "name", "type")}
            for device in (bootable if isinstance(bootable, list) else [])
            if isinstance(device, dict)
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


def find_iso(media: Media, wish: Wish) -> Iso | None:
    """The wished ISO; ``None`` when it is not there. Raises HostUpError when the name fits several.

    An ID that is only seen in a drive counts: the API lets such media be unmounted and deleted by it.
    """
    found = matching_isos(media, wish.name, wish.iso_id)
    _refuse_several(wish, found)
    if not found and wish.iso_id is not None and media.mounts_of(wish.iso_id):
        return Iso(wish.iso_id, None)
    return found[0] if found else None


def _refuse_several(wish: Wish, found: list[Iso]) -> None:
    if len(found) > 1:
        ids = ", ".join(str(iso.id) for iso in found)
        raise HostUpError(f"{wish.name!r} is the name of {len(found)} ISOs in the library: {ids}. Choose with iso_id.")


# --- deciding --------------------------------------------------------------------------------------------------------


def make_plan(media: Media, wish: Wish) -> Plan:
    """The writes that lead from the state read to the wish, in order; empty when it is so already.

    Raises HostUpError when that is not possible or not allowed: before any write, in check mode too.
    """
    plan = _PLANNERS[wish.state](media, wish)
    _check_gates(media, plan)
    if not wish.wait and len(plan) > 1 and plan[0].action == DOWNLOAD:
        raise HostUpError(
            f"wait=false with state=mounted: {wish.name} is not in the library yet and would have to be downloaded "
            "before it can be mounted. Let the task wait, or use state=present now and state=mounted later."
        )
    return plan


def _plan_present(media: Media, wish: Wish) -> Plan:
    if find_iso(media, wish) in media.available:
        return ()
    if wish.url:
        return (Step(DOWNLOAD),)
    names = ", ".join(sorted(iso.label for iso in media.available)) or "nothing"
    wanted = f"with the ID {wish.iso_id}" if wish.iso_id is not None else f"named {wish.name!r}"
    raise HostUpError(
        f"There is no ISO {wanted} in the library, and no url to download it from. The library holds: {names}."
    )


def _plan_mounted(media: Media, wish: Wish) -> Plan:
    iso = find_iso(media, wish)
    if iso and any(wish.device in (None, mount.device) for mount in media.mounts_of(iso.id)):
        return ()
    download = _plan_present(media, wish)
    device = wish.device or _choose_drive(media)
    drive, holder = media.drive(device), media.mount_of(device)
    if drive in (MISSING, CLOUD_INIT, BUSY):
        raise HostUpError(f"{device} cannot be mounted on: {_WHY_NOT[drive]}. The drives: {media.describe_drives()}.")
    if holder and not wish.replace:
        raise HostUpError(
            f"{device} holds {media.label(holder.iso_id)}, and on_conflict=fail forbids to replace it. "
            f"The drives: {media.describe_drives()}."
        )
    unmount = (Step(UNMOUNT, device, holder.iso_id),) if holder else ()
    return (*download, *unmount, Step(MOUNT, device, iso.id if iso else None))


_WHY_NOT = {
    MISSING: "the VPS has no such drive",
    CLOUD_INIT: "it is the cloud-init drive, which is never touched",
    BUSY: "it is in use by something that the API does not name",
}


def _choose_drive(media: Media) -> str:
    """A free drive, one that needs no new hardware first; else the only one that holds another ISO."""
    devices = sorted(slot.device for slot in media.slots if slot.device)
    for wanted in (EMPTY, NO_DRIVE):
        for device in devices:
            if media.drive(device) == wanted:
                return device
    loaded = sorted(mount.device for mount in media.mounted if mount.is_users and mount.device)
    if len(loaded) == 1:
        return loaded[0]
    raise HostUpError(
        f"No CD/DVD drive is free, and {'several hold' if loaded else 'none holds'} an ISO that could be replaced. "
        f"The drives: {media.describe_drives()}. Name one with device, or unmount one first."
    )


def _plan_unmounted(media: Media, wish: Wish) -> Plan:
    if wish.device and media.drive(wish.device) == CLOUD_INIT:
        raise HostUpError(f"{wish.device} is the cloud-init drive, which is never touched.")
    candidates = [mount for mount in media.mounted if mount.is_users and wish.device in (None, mount.device)]
    if wish.name is not None or wish.iso_id is not None:
        iso = find_iso(media, wish)
        candidates = [mount for mount in candidates if iso and mount.iso_id == iso.id]
    plan = _unmounts(media, candidates)
    return (*plan, *drives_to_attach(project(media, plan, wish), wish, plan))


def drives_to_attach(media: Media, wish: Wish, unmounted: Plan) -> Plan:
    """For ``keep_drive``: the drives to bring back, of those asked for or just emptied, judged by ``media``."""
    if not wish.keep_drive or wish.state != "unmounted":
        return ()
    devices = [wish.device] if wish.device else [step.device for step in unmounted if step.device]
    for device in devices:
        if media.drive(device) == BUSY:
            raise HostUpError(f"{device} cannot become an empty drive: {_WHY_NOT[BUSY]}.")
    return tuple(Step(ATTACH_DRIVE, device) for device in devices if media.drive(device) in (MISSING, NO_DRIVE))


def _plan_absent(media: Media, wish: Wish) -> Plan:
    if wish.name is not None:
        # or the next run would delete the file that is only displayed under this name
        _refuse_several(wish, [iso for iso in media.available if wish.name in (iso.name, iso.display_name)])
    iso = find_iso(media, wish)
    if iso is None:
        return ()
    if any(mount.is_cloud_init and mount.iso_id == iso.id for mount in media.mounted):
        raise HostUpError(f"{iso.label} is the medium of the cloud-init drive, which is never touched.")
    return (*_unmounts(media, media.mounts_of(iso.id)), Step(DELETE, iso_id=iso.id))


def _unmounts(media: Media, mounts: list[Mount]) -> Plan:
    nameless = next((mount for mount in mounts if mount.device is None), None)
    if nameless:
        raise HostUpError(
            f"{media.label(nameless.iso_id)} is in a drive that the API gives no name for, so it cannot be unmounted."
        )
    return tuple(Step(UNMOUNT, mount.device, mount.iso_id) for mount in mounts)


_PLANNERS: dict[str, t.Callable[[Media, Wish], Plan]] = {
    "present": _plan_present,
    "mounted": _plan_mounted,
    "unmounted": _plan_unmounted,
    "absent": _plan_absent,
}


def _check_gates(media: Media, plan: Plan) -> None:
    gates = {DOWNLOAD: ("a download", media.can_upload), MOUNT: ("a mount", media.can_mount)}
    for step in plan:
        what, gate = gates.get(step.action, ("", Gate(True)))
        check_gate(gate, step.action, what)


# --- foreseeing and checking -----------------------------------------------------------------------------------------


def project(media: Media, plan: Plan, wish: Wish) -> Media:
    """The state as it will be after the plan, as far as that can be known."""
    for step in plan:
        media = _project_step(media, step, wish)
    return media


def _project_step(media: Media, step: Step, wish: Wish) -> Media:
    if step.action == DOWNLOAD:
        return replace(media, available=(*media.available, Iso(None, wish.name)))
    if step.action == DELETE:
        return replace(media, available=tuple(iso for iso in media.available if iso.id != step.iso_id))
    others = tuple(mount for mount in media.mounted if mount.device != step.device)
    entry = Mount(step.device, step.iso_id, step.action == MOUNT, False)
    return replace(media, mounted=(*others, entry))


def is_done(media: Media, step: Step, wish: Wish) -> bool:
    """Whether a re-read shows the outcome of a step."""
    if step.action == DOWNLOAD:
        return bool(matching_isos(media, wish.name, wish.iso_id))
    if step.action == DELETE:
        return all(iso.id != step.iso_id for iso in media.available)
    drive, mount = media.drive(step.device or ""), media.mount_of(step.device or "")
    if step.action == MOUNT:
        return mount is not None and mount.iso_id == step.iso_id
    if step.action == ATTACH_DRIVE:
        return drive == EMPTY
    return mount is None or mount.iso_id != step.iso_id


# --- telling ---------------------------------------------------------------------------------------------------------


def as_result(media: Media, wish: Wish) -> dict[str, t.Any]:
    """The state part of the return values."""
    found = matching_isos(media, wish.name, wish.iso_id)
    iso = found[0] if len(found) == 1 else None
    held = media.mounts_of(iso.id if iso else wish.iso_id) if iso or wish.iso_id else []
    return {
        "iso": asdict(iso) if iso else None,
        "device": next((mount.device for mount in held if wish.device in (None, mount.device)), None),
        "mounts": [
            {"device": mount.device, "iso_id": mount.iso_id, "is_cloud_init": mount.is_cloud_init}
            for mount in media.mounted
            if mount.mounted
        ],
        "boot_order": media.boot_order.order if media.boot_order else None,
    }


def as_diff(media: Media, wish: Wish) -> dict[str, t.Any]:
    """One side of the diff: is it in the library, and what do the drives hold."""
    side: dict[str, t.Any] = {}
    if wish.name is not None or wish.iso_id is not None:
        side["in_library"] = bool(matching_isos(media, wish.name, wish.iso_id))
    devices = {slot.device for slot in media.slots} | {mount.device for mount in media.mounted if mount.is_users}
    side["drives"] = []
    for device in sorted(name for name in devices if name):
        mount, drive = media.mount_of(device), media.drive(device)
        if mount:
            side["drives"].append(f"{device}: {media.label(mount.iso_id)}")
        elif drive == EMPTY:
            side["drives"].append(f"{device}: empty")
    return side
