# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The task of ``hostup_vps_reinstall``."""

from __future__ import annotations

import ipaddress
import typing as t
from dataclasses import replace

from ansible_collections.hostup.cloud.plugins.module_utils._api.client import Client
from ansible_collections.hostup.cloud.plugins.module_utils._api.vps import list_vpses, read_vpses
from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError
from ansible_collections.hostup.cloud.plugins.module_utils._interruption import Interrupted, interruptible
from ansible_collections.hostup.cloud.plugins.module_utils._iso.source import Sources
from ansible_collections.hostup.cloud.plugins.module_utils._reinstall.apply import (
    Reinstaller,
    ReinstallProgress,
    read_target,
)
from ansible_collections.hostup.cloud.plugins.module_utils._reinstall.plan import (
    AFTER_MOUNT,
    CHECK,
    DELAY,
    FOLLOWS,
    GIVEN,
    IGNORE,
    NONE,
    POWER_OFF,
    ReinstallWish,
    Target,
)
from ansible_collections.hostup.cloud.plugins.module_utils._sharing.downloads import Downloads
from ansible_collections.hostup.cloud.plugins.module_utils._sharing.reinstalls import Reinstalls
from ansible_collections.hostup.cloud.plugins.module_utils._ssh.keys import check_address, check_keys
from ansible_collections.hostup.cloud.plugins.module_utils._tasks import options
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.fleet import Result
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.iso import (
    ISO,
    ONE_ISO,
    check_iso,
    downloads_of,
    secrets_of_url,
    source_length,
    url_finder,
)
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.task import (
    Context,
    Params,
    Task,
    on_selected,
    telling,
)

LOOK_SECONDS = 5.0  # for a source that only has to be told of
TIMEOUTS = {"download_timeout": 3600, "shutdown_timeout": 300, "install_timeout": 3600}


def _wish(params: Params) -> ReinstallWish:
    """Check what can be checked without the API. Raises HostUpError."""
    until, delay = params["until"], params["delay"]
    is_one = params["vps_ids"] is None
    # lines, too: that is what a text area of AWX has
    confirm = tuple(name.strip() for text in params["confirm"] for name in text.splitlines() if name.strip())
    lacks_delay = until == DELAY and (delay or 0) < 1
    is_unended = until == NONE and params["proof"] == FOLLOWS
    is_idle = until == NONE and not params["start"]
    is_blank = params["proof"] != GIVEN and not any(params[option] for option in ("name", "iso_id", "url"))
    is_pointless = params["again"] and params["proof"] != FOLLOWS
    complaints = {
        "until=delay needs delay, the seconds that the installer surely does not exceed.": lacks_delay,
        f"delay is for until=delay; with until={until} it would change nothing.": until != DELAY and delay is not None,
        "start=false is for what is done after the installer; with until=none it changes nothing.": is_idle,
        "again=true is for proof=follows; otherwise an installation is always done again.": is_pointless,
        "proof=follows is for what ends here; with until=none the installer still runs.": is_unended,
        "one of name, iso_id and url is needed: which ISO is it?": is_blank,
        "confirm is empty: expected the name of the VPS whose data may be lost. Nothing was done.": not confirm,
        "expect_ip is one address: use it with a single VPS.": params["expect_ip"] is not None and not is_one,
        "ssh_host is that of one VPS: use it with a single one.": params["ssh_host"] is not None and not is_one,
        **{f"{name} must be at least 1 second, not {params[name]}.": params[name] < 1 for name in TIMEOUTS},
    }
    for complaint, is_so in complaints.items():
        if is_so:
            raise HostUpError(complaint)
    if params["ssh_host"] is not None:
        check_address(params["ssh_host"], params["ssh_port"])
    return ReinstallWish(
        iso=check_iso({**params, "keep_drive": False}),
        confirm=confirm,
        expect_ip=None if params["expect_ip"] is None else _address(params["expect_ip"]),
        boot_order=params["boot_order"],
        force=params["force"],
        until=params["until"],
        delay=params["delay"] or 0.0,
        keep_drive=params["keep_drive"],
        start=params["start"],
        host_keys=None if params["host_keys"] is None else check_keys("host_keys", params["host_keys"]),
        ssh_host=params["ssh_host"],
        ssh_port=params["ssh_port"],
        proof=params["proof"],
        again=params["again"],
        **{name: params[name] for name in TIMEOUTS},
    )


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        raise HostUpError(f"expect_ip: {text!r} is not an IP address.") from None


def _work(client: Client, params: Params, wish: ReinstallWish, context: Context) -> Result:
    is_needed = wish.iso.refresh or params["resolve_redirects"]
    sources = Sources(client.timeout if is_needed else LOOK_SECONDS)
    find_url = url_finder(client, sources, params, wish.iso, context)
    length = None if wish.proof == GIVEN else source_length(sources, params, wish.iso)
    wish = wish._replace(iso=replace(wish.iso, length=length))
    find_target = _targets(client, params, wish)

    def source(of: Client) -> tuple[Downloads, t.Callable[[], str]]:
        return downloads_of(of), find_url

    def on_vps(vps_id: str) -> Result:
        progress, reinstalls = ReinstallProgress(vps_id), Reinstalls(client.notes, client.origin)
        reinstaller = Reinstaller(client, vps_id, wish, find_target, source, reinstalls, progress, context.run_command)
        with telling(lambda: _result(progress, length)):
            try:
                if wish.proof == GIVEN:
                    reinstaller.settle(only_look=context.check_mode)
                elif context.check_mode:
                    reinstaller.foresee()
                else:
                    reinstaller.reinstall()
            except Interrupted as name:
                raise _failure(HostUpError(f"Interrupted by {name} in the phase {progress.phase}."), progress) from None
            except HostUpError as error:
                raise _failure(error, progress) from None
        return _result(progress, length)

    with interruptible(at_once=params["vps_ids"] is None):
        try:
            return on_selected(client, params, context, on_vps)
        except Interrupted as name:
            raise HostUpError(f"Interrupted by {name}, before anything was done.") from None


def _failure(error: HostUpError, progress: ReinstallProgress) -> HostUpError:
    """The error, with what has become of the ISO since."""
    return error.add(after=" ".join(progress.aftermath))


def _targets(client: Client, params: Params, wish: ReinstallWish) -> t.Callable[[str], Target]:
    """Looks a VPS up. Who has its name counts only where that is what confirms it: one list, for a fleet one in all."""
    by_name = [vps_id for vps_id in params["vps_ids"] or () if vps_id not in wish.confirm]
    inventory = list_vpses(client) if by_name else []

    def find(vps_id: str) -> Target:
        target = read_target(client, vps_id)
        if vps_id in wish.confirm or target.name not in wish.confirm:
            return target
        items = inventory or read_vpses(client, {"vps_id": None, "vps_name": target.name, "vps_ip": None})
        names = [str(item["name"] or "").casefold() for item in items if item["id"] != vps_id]
        return target._replace(namesakes=1 + names.count(target.name.casefold()))

    return find


def _result(progress: ReinstallProgress, length: int | None = None) -> Result:
    before, after = progress.before, progress.status
    return {
        "changed": bool(progress.actions),
        "vps_id": progress.vps_id,
        "vps_name": progress.target.name if progress.target else None,
        "outcome": progress.outcome,
        "phase": progress.phase,
        "seconds": progress.seconds,
        "actions": progress.actions,
        "actions_unknown": progress.actions_unknown,
        "iso": progress.iso._asdict() if progress.iso else None,
        "source_size_gb": None if length is None else length / 1e9,
        "device": progress.device,
        **progress.boot._asdict(),
        "power_state": after.state,
        "stopped_at": progress.stopped_at,
        "job": progress.job.as_result() if progress.job else None,
        "host_keys": progress.host_keys,
        "account": progress.account,
        "warnings": progress.warnings,
        "diff": _diff(progress) if before else {},
    }


def _diff(progress: ReinstallProgress) -> dict[str, t.Any]:
    is_wiped = {"restart", "reset", "start"} & set(progress.actions)
    iso = progress.iso.label if progress.iso else "the ISO"
    disks = ("as it is", f"installed anew from {iso}" if is_wiped else "as it is")
    states = (progress.before.state if progress.before else None, progress.status.state)
    before, after = ({"power_state": state, "disk": disk} for state, disk in zip(states, disks))
    return {"before": before, "after": after}


VPS_REINSTALL: Task[ReinstallWish] = Task(
    spec={
        "argument_spec": {
            **options.CONNECTION,
            **options.VPS,
            **options.FLEET,
            **ISO,
            "confirm": {"type": "list", "elements": "str", "required": True},
            "expect_ip": {"type": "str"},
            "boot_order": {"type": "str", "default": CHECK, "choices": [CHECK, AFTER_MOUNT, IGNORE]},
            "force": {"type": "bool", "default": False},
            "until": {"type": "str", "default": POWER_OFF, "choices": [POWER_OFF, DELAY, NONE]},
            "delay": {"type": "int"},
            "start": {"type": "bool", "default": True},
            "host_keys": {"type": "list", "elements": "str", "no_log": False},
            "ssh_host": {"type": "str"},
            "ssh_port": {"type": "int", "default": 22},
            "proof": {"type": "str", "default": NONE, "choices": [NONE, FOLLOWS, GIVEN]},
            "again": {"type": "bool", "default": False},
            **{name: {"type": "int", "default": seconds} for name, seconds in TIMEOUTS.items()},
        },
        "mutually_exclusive": [options.ANY_VPS, *ONE_ISO],
        "required_one_of": [options.ANY_VPS],
    },
    check=_wish,
    unknown=_result(ReinstallProgress()),
    work=_work,
    secrets=secrets_of_url,
)
