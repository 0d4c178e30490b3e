# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pure core: (ISO state, wish) to a plan, what the plan will change, and whether a step of it is done."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.hostup.cloud.plugins.module_utils._api.documents import Gate, check_gate
from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError
from ansible_collections.hostup.cloud.plugins.module_utils._iso.state import (
    BUSY,
    CLOUD_INIT,
    EMPTY,
    MISSING,
    NO_DRIVE,
    Iso,
    Media,
    Mount,
    matching_isos,
)

DOWNLOAD, UNMOUNT, MOUNT, ATTACH_DRIVE, DELETE = "download", "unmount", "mount", "attach_drive", "delete"
FOLLOW = "follow"  # a download that somebody else has ordered


@dataclass(frozen=True)
class IsoWish:
    """What the user asked for. ``url`` has been checked, ``name`` derived; ``job_id`` is that of a running download.

    ``length`` is that of the source in bytes, where it is known; with ``refresh`` an ISO of another one is replaced.
    """

    state: str
    name: str | None = None
    iso_id: str | None = None
    url: str | None = None
    length: int | None = None
    refresh: bool = False
    job_id: str | None = None
    decompress: str = "none"
    device: str | None = None
    keep_drive: bool = False
    replace: bool = True
    wait: bool = True


@dataclass(frozen=True)
class Step:
    """One thing to do, a write but for `FOLLOW`.

    ``iso_id`` is ``None`` for what is still to be downloaded, and for media that has no ID.
    """

    action: str
    device: str | None = None
    iso_id: str | None = None


Plan = tuple[Step, ...]


# --- finding ---------------------------------------------------------------------------------------------------------


def find_iso(media: Media, wish: IsoWish) -> Iso | None:
    """The wished ISO; ``None`` when it is not there. Raises HostUpError when the name fits several that differ.

    An ID that is only seen in a drive counts: the API lets such media be unmounted and deleted by it.
    """
    found = wished_isos(media, wish)
    if not found and wish.iso_id is not None and media.mounts_of(wish.iso_id):
        return Iso(wish.iso_id, None)

    def rank(iso: Iso) -> tuple[bool, str]:
        is_mounted = any(wish.device in (None, mount.device) for mount in media.mounts_of(iso.id))
        return not is_mounted, str(iso.id)  # IDs begin with their time

    return min(found, key=rank, default=None)


def wished_isos(media: Media, wish: IsoWish) -> list[Iso]:
    """The wished ISO, or several that are the same by all that the API tells, as two orders at once leave them.

    Raises HostUpError for several that differ, and for several of which one is to be deleted.
    """
    found = matching_isos(media, wish.name, wish.iso_id)
    kinds = {(iso.name, iso.size_gb, iso.format) for iso in found}
    if wish.state == "absent" or len(kinds) > 1 or any(iso.size_gb is None for iso in found):
        _refuse_several(wish, found)
    return found


def _refuse_several(wish: IsoWish, found: list[Iso]) -> None:
    if len(found) > 1:
        ids = ", ".join(str(iso.id) for iso in found)
        raise HostUpError(f"{wish.name!r} is the name of {len(found)} ISOs in the library: {ids}. Choose with iso_id.")


# --- deciding --------------------------------------------------------------------------------------------------------


def make_plan(media: Media, wish: IsoWish, done: Plan = ()) -> Plan:
    """The steps that lead from the state read to the wish, in order; empty when it is so already.

    ``done`` are the steps that this task has done before the read. Raises HostUpError when the wish is not possible or
    not allowed: before any write, in check mode too.
    """
    outdated = _plan_room(media, wish, done)
    plan = (*outdated, *_PLANNERS[wish.state](project(media, outdated, wish), wish, done))
    if not done:  # gates that close for what we do ourselves are for the API to open again, or to refuse
        _check_gates(media, plan)
    if not wish.wait and any(step.action in (DOWNLOAD, FOLLOW) for step in plan[:-1]):
        raise HostUpError(
            f"wait=false with state=mounted: {wish.name} is not in the library yet and would have to be downloaded "
            "before it can be mounted. Let the task wait, or use state=present now and state=mounted later."
        )
    return plan


def writes(plan: Plan) -> list[str]:
    """The actions of a plan that are writes."""
    return [step.action for step in plan if step.action != FOLLOW]


def _plan_room(media: Media, wish: IsoWish, done: Plan) -> Plan:
    """What takes away files that the source has outgrown, unless it was downloaded just now."""
    if not wish.refresh or any(step.action in (DOWNLOAD, FOLLOW) for step in done):
        return ()
    outdated = [iso for iso in wished_isos(media, wish) if not iso.may_be(wish.length)]
    return tuple(step for iso in outdated for step in _removal(media, iso))


def _plan_present(media: Media, wish: IsoWish, _done: Plan) -> Plan:
    if find_iso(media, wish) in media.available:
        return ()
    if wish.job_id:
        return (Step(FOLLOW),)
    if wish.url:
        return (Step(DOWNLOAD),)
    names = ", ".join(sorted(iso.label for iso in media.available)) or "nothing"
    wanted = f"with the ID {wish.iso_id}" if wish.iso_id is not None else f"named {wish.name!r}"
    raise HostUpError(
        f"There is no ISO {wanted} in the library, and no url to download it from. The library holds: {names}."
    )


def _plan_mounted(media: Media, wish: IsoWish, done: Plan) -> Plan:
    iso = find_iso(media, wish)
    if iso and any(wish.device in (None, mount.device) for mount in media.mounts_of(iso.id)):
        return ()
    download = _plan_present(media, wish, done)
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
    loaded = sorted(mount.device for mount in media.users_mounts if mount.device)
    if len(loaded) == 1:
        return loaded[0]
    raise HostUpError(
        f"No CD/DVD drive is free, and {'several hold' if loaded else 'none holds'} an ISO that could be replaced. "
        f"The drives: {media.describe_drives()}. Name one with device, or unmount one first."
    )


def _plan_unmounted(media: Media, wish: IsoWish, done: Plan) -> Plan:
    if wish.device and media.drive(wish.device) == CLOUD_INIT:
        raise HostUpError(f"{wish.device} is the cloud-init drive, which is never touched.")
    candidates = [mount for mount in media.users_mounts if wish.device in (None, mount.device)]
    if wish.name is not None or wish.iso_id is not None:
        wished = {wish.iso_id, *(iso.id for iso in wished_isos(media, wish))} - {None}
        candidates = [mount for mount in candidates if mount.iso_id in wished]
    plan = _unmounts(media, candidates)
    if not wish.keep_drive:
        return plan
    emptied = [step.device for step in (*done, *plan) if step.action == UNMOUNT and step.device]
    return (*plan, *_attachments(project(media, plan, wish), [wish.device] if wish.device else emptied))


def _attachments(media: Media, devices: list[str]) -> Plan:
    """What makes empty drives of those that are none."""
    for device in devices:
        if media.drive(device) == BUSY:
            raise HostUpError(f"{device} cannot become an empty drive: {_WHY_NOT[BUSY]}.")
    return tuple(Step(ATTACH_DRIVE, device) for device in devices if media.drive(device) in (MISSING, NO_DRIVE))


def _plan_absent(media: Media, wish: IsoWish, _done: Plan) -> Plan:
    if wish.name is not None:
        # or the next run would delete the file that is only displayed under this name
        _refuse_several(wish, [iso for iso in media.available if wish.name in (iso.name, iso.display_name)])
    iso = find_iso(media, wish)
    return _removal(media, iso) if iso else ()


def _removal(media: Media, iso: Iso) -> Plan:
    if any(mount.iso_id == iso.id and media.is_cloud_init(mount.device) for mount in media.mounted):
        raise HostUpError(f"{iso.label} is the medium of the cloud-init drive, which is never touched.")
    return (*_unmounts(media, media.mounts_of(iso.id)), Step(DELETE, iso_id=iso.id))


def _unmounts(media: Media, mounts: list[Mount]) -> Plan:
    nameless = next((mount for mount in mounts if mount.device is None), None)
    if nameless:
        raise HostUpError(
            f"{media.label(nameless.iso_id)} is in a drive that the API gives no name for, so it cannot be unmounted."
        )
    return tuple(Step(UNMOUNT, mount.device, mount.iso_id) for mount in mounts)


_PLANNERS: dict[str, t.Callable[[Media, IsoWish, Plan], Plan]] = {
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


def project(media: Media, plan: Plan, wish: IsoWish) -> Media:
    """The state as it will be after the plan, as far as that can be known."""
    for step in plan:
        media = _project_step(media, step, wish)
    return media


def _project_step(media: Media, step: Step, wish: IsoWish) -> Media:
    if step.action in (DOWNLOAD, FOLLOW):
        return media._replace(available=(*media.available, Iso(None, wish.name)))
    if step.action == DELETE:
        return media._replace(available=tuple(iso for iso in media.available if iso.id != step.iso_id))
    others = tuple(mount for mount in media.mounted if mount.device != step.device)
    entry = Mount(step.device, step.iso_id, step.action == MOUNT, False)
    return media._replace(mounted=(*others, entry))


def is_done(media: Media, step: Step, wish: IsoWish) -> bool:
    """Whether a re-read shows the outcome of a step."""
    if step.action in (DOWNLOAD, FOLLOW):
        return bool(matching_isos(media, wish.name, wish.iso_id))
    if step.action == DELETE:
        return all(iso.id != step.iso_id for iso in media.available)
    drive, mount = media.drive(step.device or ""), media.mount_of(step.device or "")
    if step.action == MOUNT:
        return mount is not None and mount.iso_id == step.iso_id
    if step.action == ATTACH_DRIVE:
        return drive == EMPTY
    return mount is None or mount.iso_id != step.iso_id
