# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tasks: what each module does, from validated parameters to a result. Both shells run these, and nothing else."""

from __future__ import annotations

import json
import typing as t
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass

from ansible.module_utils.common.parameters import remove_values, sanitize_keys

from ansible_collections.hostup.cloud.plugins.module_utils import _clock, _iso, _options, _power, _url
from ansible_collections.hostup.cloud.plugins.module_utils._client import Client, Connection
from ansible_collections.hostup.cloud.plugins.module_utils._clock import Deadline
from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError
from ansible_collections.hostup.cloud.plugins.module_utils._fleet import Fleet, Rest, Result, summary
from ansible_collections.hostup.cloud.plugins.module_utils._iso_apply import Applier, Progress, read_media
from ansible_collections.hostup.cloud.plugins.module_utils._power_apply import PowerApplier, PowerProgress
from ansible_collections.hostup.cloud.plugins.module_utils._vps import (
    POWER_ACTIONS,
    check_id,
    check_vps_ids,
    find_vps,
    read_power,
    read_vpses,
    selection,
)

INFO_DEADLINE = 3600.0  # seconds; bounds the wait for a rate limit where there is no wait_timeout

Params = t.Mapping[str, t.Any]
Lines = t.Callable[[str], None]


@dataclass(frozen=True)
class Context:
    """How a task is run. ``secrets`` is added to when more of them become known.

    ``nothing`` is the task's result when nothing is known yet.
    """

    check_mode: bool
    secrets: set[str]
    nothing: Result


@dataclass(frozen=True)
class Task:
    """A module's argument spec and its work.

    ``check`` raises HostUpError for what can be seen to be wrong without the API, and returns the wish.
    ``nothing`` is the result when nothing is known yet.
    """

    spec: dict[str, t.Any]
    check: t.Callable[[Params], t.Any]
    nothing: Result
    work: t.Callable[[Client, Params, t.Any, Context], Result]

    def run(self, params: Params, check_mode: bool, say: Lines) -> Result:
        """The result, or the failed result. No secret is in it, whatever the API has echoed.

        ``say`` is given lines that tell how it goes.
        """
        secrets = secrets_of(params)
        warnings: list[str] = []
        try:
            result = self._run(params, Context(check_mode, secrets, self.nothing), say, warnings.append)
        except HostUpError as error:
            is_fleet = params.get("vps_ids") is not None
            found = summary([], with_diff="diff" in self.nothing) if is_fleet else self.nothing
            result = {"changed": False, **found, **error.as_result()}
        if warnings:
            result["warnings"] = warnings
        return _masked(result, secrets, params["api_key"])

    def _run(self, params: Params, context: Context, say: Lines, warn: Lines) -> Result:
        wish = self.check(params)
        deadline = Deadline(params.get("wait_timeout", INFO_DEADLINE))
        with closing(Client(Connection.from_params(params), deadline, say, warn)) as client:
            return self.work(client, params, wish, context)


def on_vps(
    work: t.Callable[[Client, str, Params, t.Any, Context], Result | Rest],
) -> t.Callable[[Client, Params, t.Any, Context], Result]:
    """What is to be done to the selected VPS, or to each of a fleet, which ``work`` is given by their IDs."""

    def on_selected(client: Client, params: Params, wish: t.Any, context: Context) -> Result:
        def on_one(vps_id: str) -> Result | Rest:
            return work(client, vps_id, params, wish, context)

        vps_ids = check_vps_ids(params["vps_ids"])
        if vps_ids is not None:
            return Fleet(client, vps_ids, on_one, context.nothing).run()
        result = on_one(find_vps(client, params))
        return result.go_on() if isinstance(result, Rest) else result

    return on_selected


def _masked(result: Result, secrets: set[str], api_key: str | None) -> Result:
    """The result without secrets. To mask takes long for a fleet, so see first whether there is anything to mask."""
    text = json.dumps(result, ensure_ascii=False)
    if any(json.dumps(secret, ensure_ascii=False)[1:-1] in text for secret in secrets):
        result = sanitize_keys(remove_values(result, secrets), {api_key} if api_key else set())
    return result


def secrets_of(params: Params) -> set[str]:
    """What must never be shown of a task's parameters, valid or not."""
    secrets = {params["api_key"]} if params.get("api_key") else set()
    return secrets | (_url.url_secrets(params["url"], params.get("name")) if params.get("url") else set())


# --- hostup_vps_iso --------------------------------------------------------------------------------------------------


def _manage_iso(client: Client, vps_id: str, params: Params, wish: _iso.Wish, context: Context) -> Result | Rest:
    progress = Progress(wish, vps_id)

    def find_url() -> str:
        if not params["resolve_redirects"]:
            return str(wish.url)
        url = client.end_of(str(wish.url))
        context.secrets.update(_url.url_secrets(url, wish.name))
        return url

    with _telling(lambda: _iso_result(progress)):
        progress.read_at = _clock.now()
        before = progress.before = progress.media = read_media(client, vps_id)
        plan = _iso.make_plan(before, wish)
        if context.check_mode:
            if any(step.action == _iso.DOWNLOAD for step in plan):
                find_url()  # to foresee that it leads nowhere
            progress.media = _iso.project(before, plan, wish)
            progress.actions = [step.action for step in plan]
            return _iso_result(progress)
        applier = Applier(client, vps_id, wish, find_url, progress)
        deletes = tuple(step for step in plan if step.action == _iso.DELETE)
        applier.apply(plan[: len(plan) - len(deletes)], more_follows=bool(deletes))
        if not deletes:
            return _iso_result(progress)

    def delete() -> Result:
        """Comes after the unmounts on all VPSs: the API refuses to delete what is mounted."""
        with _telling(lambda: _iso_result(progress)):
            applier.apply(deletes, look_first=params["vps_ids"] is not None)
        return _iso_result(progress)

    return Rest(_iso_result(progress), delete)


@contextmanager
def _telling(result: t.Callable[[], Result]) -> t.Iterator[None]:
    """Have a failure tell what is known so far."""
    try:
        yield
    except HostUpError as error:
        error.so_far = result()
        raise


def _check_iso(params: Params, *names: str) -> None:
    """An empty text, as an undefined variable leaves it, is no choice, and must not pass for none."""
    for name in names:
        if params[name] is not None and not params[name].strip():
            raise HostUpError(f"{name} is empty: leave it out, or say which ISO is meant.")
    if params["iso_id"] is not None:
        check_id("iso_id", params["iso_id"])


def _refuse_no_time(params: Params) -> None:
    if params["wait_timeout"] < 1:
        raise HostUpError(f"wait_timeout must be at least 1 second, not {params['wait_timeout']}.")


def _wish(params: Params) -> _iso.Wish:
    """Check what can be checked without the API. Raises HostUpError."""
    _refuse_no_time(params)
    _check_iso(params, "iso_id")
    url, name = params["url"], params["name"]
    if url is not None:
        _url.check_url(url)
        name = _url.file_name(url, params["decompress"]) if name is None else name
    if name is not None:
        _url.check_file_name(name)
    return _iso.Wish(
        state=params["state"],
        name=name,
        iso_id=params["iso_id"],
        url=url,
        decompress=params["decompress"],
        device=params["device"],
        keep_drive=params["keep_drive"],
        replace=params["on_conflict"] == "replace",
        wait=params["wait"],
    )


def _iso_result(progress: Progress) -> Result:
    wish, before, after = progress.wish, progress.before, progress.media
    return {
        "changed": bool(progress.actions),
        "vps_id": progress.vps_id,
        **_iso.as_result(after, wish),
        "job": progress.job.as_result() if progress.job else None,
        "actions": progress.actions,
        "diff": {"before": _iso.as_diff(before, wish), "after": _iso.as_diff(after, wish)} if before else {},
    }


VPS_ISO = Task(
    spec={
        "argument_spec": {
            **_options.CONNECTION,
            **_options.VPS,
            **_options.FLEET,
            "state": {"type": "str", "default": "present", "choices": ["present", "mounted", "unmounted", "absent"]},
            "name": {"type": "str", "aliases": ["filename"]},
            "iso_id": {"type": "str"},
            "url": {"type": "str"},
            "decompress": {"type": "str", "default": "none", "choices": ["none", *_url.SUFFIXES]},
            "resolve_redirects": {"type": "bool", "default": False},
            "device": {"type": "str", "choices": list(_iso.DEVICES)},
            "keep_drive": {"type": "bool", "default": False},
            "on_conflict": {"type": "str", "default": "replace", "choices": ["replace", "fail"]},
            "wait": {"type": "bool", "default": True},
            "wait_timeout": {"type": "int", "default": 3600},
        },
        "mutually_exclusive": [_options.ANY_VPS, ("name", "iso_id"), ("url", "iso_id")],
        "required_one_of": [_options.ANY_VPS],
        "required_if": [
            ("state", state, ("name", "iso_id", "url"), True) for state in ("present", "mounted", "absent")
        ],
    },
    check=_wish,
    nothing=_iso_result(Progress(_iso.Wish("present"))),
    work=on_vps(_manage_iso),
)


# --- hostup_vps_iso_info ---------------------------------------------------------------------------------------------


def _show_iso(client: Client, vps_id: str, params: Params, _wish: None, _context: Context) -> Result:
    media = read_media(client, vps_id)
    available, mounted = list(media.available), list(media.mounted)
    if params["name"] is not None or params["iso_id"] is not None:
        available = _iso.matching_isos(media, params["name"], params["iso_id"])
        wanted = {params["iso_id"], *(iso.id for iso in available)} - {None}
        mounted = [mount for mount in mounted if mount.iso_id in wanted]
    return {
        "changed": False,
        "vps_id": vps_id,
        "available": [asdict(iso) for iso in available],
        "mounted": [asdict(mount) for mount in mounted],
        "boot_order": asdict(media.boot_order) if media.boot_order else None,
        "available_devices": [asdict(slot) for slot in media.slots],
        "actions": {"can_mount": asdict(media.can_mount), "can_upload": asdict(media.can_upload)},
    }


VPS_ISO_INFO = Task(
    spec={
        "argument_spec": {
            **_options.CONNECTION,
            **_options.VPS,
            **_options.FLEET,
            "name": {"type": "str", "aliases": ["filename"]},
            "iso_id": {"type": "str"},
        },
        "mutually_exclusive": [_options.ANY_VPS, ("name", "iso_id")],
        "required_one_of": [_options.ANY_VPS],
    },
    check=lambda params: _check_iso(params, "name", "iso_id"),
    nothing={"changed": False, "vps_id": None},
    work=on_vps(_show_iso),
)


# --- hostup_vps_info -------------------------------------------------------------------------------------------------


def _show_vps(client: Client, params: Params, _wish: t.Any, context: Context) -> Result:
    items = read_vpses(client, params)
    if not params["details"]:
        return {"changed": False, "vps": items}

    def read(vps_id: str) -> Result:
        power = read_power(client, vps_id)
        gates = {f"can_{action}": power.gates.get(action) for action in POWER_ACTIONS}
        actions = {name: asdict(gate) if gate else None for name, gate in gates.items()}
        return {"changed": False, "vps_id": vps_id, "power_state": power.state, "actions": actions}

    result = Fleet(client, [item["id"] for item in items], read, context.nothing).run()
    vps = []
    for item, details in zip(items, result.pop("results")):
        power_state = details.get("power_state") or item["power_state"]
        told = {name: details[name] for name in ("failed", "msg")}
        vps.append({**item, "power_state": power_state, "actions": details.get("actions"), **told})
    return {**result, "vps": vps}


VPS_INFO = Task(
    spec={
        "argument_spec": {
            **_options.CONNECTION,
            **_options.VPS,
            "details": {"type": "bool", "default": False},
        },
        "mutually_exclusive": [_options.ONE_VPS],
    },
    check=selection,
    nothing={"changed": False},
    work=_show_vps,
)


# --- hostup_vps_power ------------------------------------------------------------------------------------------------


def _manage_power(client: Client, vps_id: str, _params: Params, wish: _power.Wish, context: Context) -> Result:
    progress = PowerProgress(vps_id)
    applier = PowerApplier(client, vps_id, wish, progress)
    with _telling(lambda: _power_result(progress)):
        if context.check_mode:
            applier.foretell()
        else:
            applier.apply()
    return _power_result(progress)


def _power_wish(params: Params) -> _power.Wish:
    _refuse_no_time(params)
    return _power.Wish(params["state"], params["force"], params["wait"])


def _power_result(progress: PowerProgress) -> Result:
    before, after = progress.before, progress.status
    return {
        "changed": bool(progress.actions),
        "vps_id": progress.vps_id,
        "power_state": after.state,
        "job": progress.job.as_result() if progress.job else None,
        "actions": progress.actions,
        "diff": {"before": {"power_state": before.state}, "after": {"power_state": after.state}} if before else {},
    }


VPS_POWER = Task(
    spec={
        "argument_spec": {
            **_options.CONNECTION,
            **_options.VPS,
            **_options.FLEET,
            "state": {"type": "str", "required": True, "choices": ["started", "stopped", "restarted"]},
            "force": {"type": "bool", "default": False},
            "wait": {"type": "bool", "default": True},
            "wait_timeout": {"type": "int", "default": 300},
        },
        "mutually_exclusive": [_options.ANY_VPS],
        "required_one_of": [_options.ANY_VPS],
    },
    check=_power_wish,
    nothing=_power_result(PowerProgress()),
    work=on_vps(_manage_power),
)
