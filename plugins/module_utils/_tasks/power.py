# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The task of ``hostup_vps_power``."""

from __future__ import annotations

from ansible_collections.hostup.cloud.plugins.module_utils._api.client import Client
from ansible_collections.hostup.cloud.plugins.module_utils._power.apply import PowerApplier, PowerProgress
from ansible_collections.hostup.cloud.plugins.module_utils._power.plan import PowerWish
from ansible_collections.hostup.cloud.plugins.module_utils._sharing.reinstalls import Reinstalls
from ansible_collections.hostup.cloud.plugins.module_utils._tasks import options
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.fleet import Result
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.task import (
    Context,
    Params,
    Task,
    on_selected,
    refuse_no_time,
    telling,
)


def _wish(params: Params) -> PowerWish:
    refuse_no_time(params)
    return PowerWish(params["state"], params["force"], params["wait"])


def _work(client: Client, params: Params, wish: PowerWish, context: Context) -> Result:
    reinstalls = Reinstalls(client.notes, client.origin)

    def on_vps(vps_id: str) -> Result:
        progress = PowerProgress(vps_id)
        applier = PowerApplier(client, vps_id, wish, progress)
        with telling(lambda: _result(progress)):
            if context.check_mode:
                applier.foresee()
            else:
                applier.apply()
                _note_what_is_over(reinstalls, progress)
        return _result(progress)

    return on_selected(client, params, context, on_vps)


def _note_what_is_over(reinstalls: Reinstalls, progress: PowerProgress) -> None:
    """What an interrupted reinstallation has booted does not run any more, nor again if its ISO is out."""
    note = reinstalls.left_behind(str(progress.vps_id)) if progress.record.actions else None
    if note and not note.is_mounted:
        reinstalls.keep(str(progress.vps_id), None)


def _result(progress: PowerProgress) -> Result:
    before, after, record = progress.before, progress.status, progress.record
    foreseen = progress.foreseen or after
    return {
        "changed": bool(record.actions),
        "vps_id": progress.vps_id,
        "power_state": after.state,
        "job": record.job.as_result() if record.job else None,
        "actions": record.actions,
        "actions_unknown": record.actions_unknown,
        "diff": {"before": {"power_state": before.state}, "after": {"power_state": foreseen.state}} if before else {},
    }


VPS_POWER: Task[PowerWish] = Task(
    spec={
        "argument_spec": {
            **options.CONNECTION,
            **options.VPS,
            **options.FLEET,
            "state": {"type": "str", "required": True, "choices": ["started", "stopped", "restarted"]},
            "force": {"type": "bool", "default": False},
            "wait": {"type": "bool", "default": True},
            "wait_timeout": {"type": "int", "default": 300},
        },
        "mutually_exclusive": [options.ANY_VPS],
        "required_one_of": [options.ANY_VPS],
    },
    check=_wish,
    unknown=_result(PowerProgress()),
    work=_work,
)
