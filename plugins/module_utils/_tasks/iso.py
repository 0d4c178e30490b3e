# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The task of ``hostup_vps_iso``."""

from __future__ import annotations

import typing as t
from contextlib import suppress
from dataclasses import replace

from ansible_collections.hostup.cloud.plugins.module_utils._api.client import Client
from ansible_collections.hostup.cloud.plugins.module_utils._api.vps import check_id
from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError
from ansible_collections.hostup.cloud.plugins.module_utils._iso.apply import IsoApplier, IsoProgress
from ansible_collections.hostup.cloud.plugins.module_utils._iso.boot import Boot, judge_boot
from ansible_collections.hostup.cloud.plugins.module_utils._iso.plan import (
    DELETE,
    DOWNLOAD,
    IsoWish,
    find_iso,
    project,
    writes,
)
from ansible_collections.hostup.cloud.plugins.module_utils._iso.read import with_boot_order
from ansible_collections.hostup.cloud.plugins.module_utils._iso.source import Sources
from ansible_collections.hostup.cloud.plugins.module_utils._iso.state import DEVICES, EMPTY, Media, matching_isos
from ansible_collections.hostup.cloud.plugins.module_utils._iso.url import (
    SUFFIXES,
    check_file_name,
    check_url,
    file_name,
    mask_url,
    tell_packed,
    url_secrets,
)
from ansible_collections.hostup.cloud.plugins.module_utils._sharing.downloads import Downloads
from ansible_collections.hostup.cloud.plugins.module_utils._sharing.reinstalls import Reinstalls
from ansible_collections.hostup.cloud.plugins.module_utils._tasks import options
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.fleet import Deferred, Result
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.task import (
    Context,
    Params,
    Task,
    on_selected,
    refuse_empty,
    refuse_no_time,
    telling,
)

ISO: dict[str, dict[str, t.Any]] = {
    "name": {"type": "str", "aliases": ["filename"]},
    "iso_id": {"type": "str"},
    "url": {"type": "str"},
    "job_id": {"type": "str"},
    "decompress": {"type": "str", "default": "none", "choices": ["none", *SUFFIXES]},
    "resolve_redirects": {"type": "bool", "default": False},
    "refresh": {"type": "bool", "default": False},
    "device": {"type": "str", "choices": list(DEVICES)},
    "keep_drive": {"type": "bool", "default": False},
    "on_conflict": {"type": "str", "default": "replace", "choices": ["replace", "fail"]},
}
ONE_ISO = (("name", "iso_id"), ("url", "iso_id"), ("job_id", "iso_id"))  # mutually exclusive


def _wish(params: Params) -> IsoWish:
    refuse_no_time(params)
    return check_iso(params)


def check_iso(params: Params) -> IsoWish:
    """Check what can be checked of an ISO without the API. Raises HostUpError."""
    refuse_empty(params, "iso_id")
    url, name, job_id = params["url"], params["name"], params["job_id"]
    if url is not None:
        check_url(url)
        name = file_name(url, params["decompress"]) if name is None else name
    if name is not None:
        check_file_name(name)
    for option in ("iso_id", "job_id"):
        if params[option] is not None:
            check_id(option, params[option])
    state, wait = params.get("state", "mounted"), params.get("wait", True)
    if job_id is not None and (not job_id.strip() or name is None or state not in ("present", "mounted")):
        raise HostUpError(
            "job_id is the ID of a job that downloads an ISO: use it with state=present or state=mounted, and with the "
            "name or the url of that ISO."
        )
    is_plain = url is not None and job_id is None and params["decompress"] == "none"
    if params["refresh"] and not (is_plain and state in ("present", "mounted")):
        raise HostUpError(
            "refresh compares the length of the file at url with that of the ISO in the library: use it with url and "
            "state=present or state=mounted, without job_id and decompress."
        )
    return IsoWish(
        state=state,
        name=name,
        iso_id=params["iso_id"],
        url=url,
        refresh=params["refresh"],
        job_id=job_id,
        decompress=params["decompress"],
        device=params["device"],
        keep_drive=params["keep_drive"],
        replace=params["on_conflict"] == "replace",
        wait=wait,
    )


def secrets_of_url(params: Params) -> set[str]:
    """What must never be shown of a URL."""
    return url_secrets(params["url"], params.get("name")) if params.get("url") else set()


def _work(client: Client, params: Params, wish: IsoWish, context: Context) -> Result:
    sources = Sources(client.timeout)
    find_url = url_finder(client, sources, params, wish, context)
    if wish.refresh:
        wish = replace(wish, length=source_length(sources, params, wish))
    downloads = downloads_of(client)
    reinstalls = Reinstalls(client.notes, client.origin)

    def on_vps(vps_id: str) -> Result | Deferred:
        progress = IsoProgress(wish, vps_id)
        applier = IsoApplier(client, vps_id, wish, downloads, find_url, progress)

        def act(defer: str | None = None) -> Result | Deferred:
            with telling(lambda: _result(progress)):
                if context.check_mode:
                    _foresee(applier, find_url)
                elif applier.apply(defer):
                    return Deferred(_result(progress), act)
                else:
                    _note_what_is_out(reinstalls, progress)
                _tell_of_twins(client, progress)
                if progress.record.actions and wish.state == "mounted":  # what is already so costs one request
                    progress.media = with_boot_order(client, vps_id, progress.media)
            return _result(progress)

        # a deletion comes after the unmounts on all VPSs: the API refuses to delete what is mounted
        return act(DELETE if params["vps_ids"] is not None else None)

    return on_selected(client, params, context, on_vps)


def url_finder(
    client: Client, sources: Sources, params: Params, wish: IsoWish, context: Context
) -> t.Callable[[], str]:
    """Tells what the API is to download from; warns of what will be of no use."""
    warning = tell_packed(wish.url) if wish.url and wish.decompress == "none" else ""
    warnings = [warning] if warning else []

    def find_url() -> str:
        with suppress(IndexError):  # another VPS's thread has told it
            client.warn(warnings.pop())
        if not params["resolve_redirects"]:
            return str(wish.url)
        url = sources.find(str(wish.url)).url
        context.secrets.update(url_secrets(url, wish.name))
        return url

    return find_url


def source_length(sources: Sources, params: Params, wish: IsoWish) -> int | None:
    """How many bytes the source has now, where an ISO can be compared with that. Raises HostUpError for a refresh."""
    if wish.url is None or wish.decompress != "none":
        return None
    try:
        url, length = sources.find(wish.url)
    except HostUpError:
        if wish.refresh:
            raise
        return None
    if wish.refresh and url != wish.url and not params["resolve_redirects"]:  # or the old one would be gone for nothing
        raise HostUpError(
            f"refresh: {mask_url(wish.url)} redirects, which HostUp does not follow: nothing would be downloaded. "
            "Set resolve_redirects=true, or give the URL where the redirects end. Nothing was deleted."
        )
    if length is None and wish.refresh:
        raise HostUpError(
            f"refresh: {mask_url(wish.url)} does not tell how long it is. To have it downloaded anew, delete the ISO "
            "with state=absent first, or give the new file another name."
        )
    return length


def downloads_of(client: Client) -> Downloads:
    """The downloads that this client orders or waits for."""
    return Downloads(client.notes, (client.origin, client.api_key), client.deadline, client.pause, client.say_once)


def _note_what_is_out(reinstalls: Reinstalls, progress: IsoProgress) -> None:
    """What an interrupted reinstallation may have left in a drive is not there any more."""
    vps_id = str(progress.vps_id)
    note = reinstalls.left_behind(vps_id)
    if note and note.is_mounted and not progress.media.mounts_of(note.iso_id):
        reinstalls.keep(vps_id, note.without_iso())


def _tell_of_twins(client: Client, progress: IsoProgress) -> None:
    """Warn of files of the wished name that only take space."""
    twins = matching_isos(progress.media, progress.wish.name, None)
    if len(twins) > 1 and progress.wish.state in ("present", "mounted"):
        ids = ", ".join(str(iso.id) for iso in twins)
        client.warn(
            f"{len(twins)} ISOs in the library have the name {progress.wish.name}: {ids}. One of them is enough; "
            "delete others with state=absent and iso_id."
        )


def _foresee(applier: IsoApplier, find_url: t.Callable[[], str]) -> None:
    progress, plan = applier.progress, applier.foresee()
    if any(step.action == DOWNLOAD for step in plan):
        find_url()  # to foresee that it leads nowhere
    progress.media = project(progress.media, plan, progress.wish)
    progress.record.actions = writes(plan)


def _result(progress: IsoProgress) -> Result:
    wish, before, after, record = progress.wish, progress.before, progress.media, progress.record
    foreseen = progress.foreseen or after
    return {
        "changed": bool(record.actions),
        "vps_id": progress.vps_id,
        **_state(after, wish),
        "job": record.job.as_result() if record.job else None,
        "actions": record.actions,
        "actions_unknown": record.actions_unknown,
        "diff": {"before": _diff_side(before, wish), "after": _diff_side(foreseen, wish)} if before else {},
    }


def _state(media: Media, wish: IsoWish) -> dict[str, t.Any]:
    """The state part of the return values."""
    iso = None
    with suppress(HostUpError):  # several that differ are none
        iso = find_iso(media, wish)
    iso = iso if iso in media.available else None
    held = media.mounts_of(iso.id if iso else wish.iso_id) if iso or wish.iso_id else []
    device = next((mount.device for mount in held if wish.device in (None, mount.device)), None)
    return {
        "iso": iso._asdict() if iso else None,
        "iso_name": (iso and iso.name) or wish.name,
        "device": device,
        "mounts": [
            {"device": mount.device, "iso_id": mount.iso_id, "is_cloud_init": mount.is_cloud_init}
            for mount in media.mounted
            if mount.mounted
        ],
        "boot_order": media.boot_order.order if media.boot_order else None,
        **(judge_boot(media, [device]) if device and wish.state == "mounted" else Boot(None, None))._asdict(),
    }


def _diff_side(media: Media, wish: IsoWish) -> dict[str, t.Any]:
    """One side of the diff: is it in the library, and what do the drives hold."""
    side: dict[str, t.Any] = {}
    if wish.name is not None or wish.iso_id is not None:
        side["in_library"] = bool(matching_isos(media, wish.name, wish.iso_id))
    devices = {slot.device for slot in media.slots} | {mount.device for mount in media.users_mounts}
    side["drives"] = []
    for device in sorted(name for name in devices if name):
        mount, drive = media.mount_of(device), media.drive(device)
        if mount:
            side["drives"].append(f"{device}: {media.label(mount.iso_id)}")
        elif drive == EMPTY:
            side["drives"].append(f"{device}: empty")
    return side


VPS_ISO: Task[IsoWish] = Task(
    spec={
        "argument_spec": {
            **options.CONNECTION,
            **options.VPS,
            **options.FLEET,
            **ISO,
            "state": {"type": "str", "default": "present", "choices": ["present", "mounted", "unmounted", "absent"]},
            "wait": {"type": "bool", "default": True},
            "wait_timeout": {"type": "int", "default": 3600},
        },
        "mutually_exclusive": [options.ANY_VPS, *ONE_ISO],
        "required_one_of": [options.ANY_VPS],
        "required_if": [
            ("state", state, ("name", "iso_id", "url"), True) for state in ("present", "mounted", "absent")
        ],
    },
    check=_wish,
    unknown=_result(IsoProgress(IsoWish("present"))),
    work=_work,
    secrets=secrets_of_url,
)
