# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The task of ``hostup_vps_info``."""

from __future__ import annotations

from ansible_collections.hostup.cloud.plugins.module_utils._api.client import Client
from ansible_collections.hostup.cloud.plugins.module_utils._api.vps import (
    ONE_VPS,
    POWER_ACTIONS,
    read_power,
    read_vpses,
    selection,
)
from ansible_collections.hostup.cloud.plugins.module_utils._tasks import options
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.fleet import Fleet, Result
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.task import Context, Params, Task, tell_what_is_left


def _show(client: Client, params: Params, _wish: str | None, context: Context) -> Result:
    items = read_vpses(client, params)
    tell_what_is_left(client, [item["id"] for item in items])
    if not params["details"]:
        return {"changed": False, "vps": items}

    def read(vps_id: str) -> Result:
        power = read_power(client, vps_id)
        gates = {f"can_{action}": power.gates.get(action) for action in POWER_ACTIONS}
        actions = {name: gate._asdict() if gate else None for name, gate in gates.items()}
        return {"changed": False, "vps_id": vps_id, "power_state": power.state, "actions": actions}

    result = Fleet(client, [item["id"] for item in items], read, context.unknown).run()
    vps = []
    for item, details in zip(items, result.pop("results")):
        power_state = details.get("power_state") or item["power_state"]
        told = {name: details[name] for name in ("failed", "msg")}
        vps.append({**item, "power_state": power_state, "actions": details.get("actions"), **told})
    return {**result, "vps": vps}


VPS_INFO: Task[str | None] = Task(
    spec={
        "argument_spec": {
            **options.CONNECTION,
            **options.VPS,
            "details": {"type": "bool", "default": False},
        },
        "mutually_exclusive": [ONE_VPS],
    },
    check=selection,
    unknown={"changed": False},
    work=_show,
)
