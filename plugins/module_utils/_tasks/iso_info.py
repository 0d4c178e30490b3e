# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The task of ``hostup_vps_iso_info``."""

from __future__ import annotations

from ansible_collections.hostup.cloud.plugins.module_utils._api.client import Client
from ansible_collections.hostup.cloud.plugins.module_utils._api.vps import check_id
from ansible_collections.hostup.cloud.plugins.module_utils._iso.boot import judge_boot
from ansible_collections.hostup.cloud.plugins.module_utils._iso.read import read_media, with_boot_order
from ansible_collections.hostup.cloud.plugins.module_utils._iso.state import matching_isos
from ansible_collections.hostup.cloud.plugins.module_utils._tasks import options
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.fleet import Result
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.task import Params, Task, on_selected, refuse_empty


def _show(client: Client, vps_id: str, params: Params) -> Result:
    media = with_boot_order(client, vps_id, read_media(client, vps_id))
    available, mounted = list(media.available), list(media.mounted)
    if params["name"] is not None or params["iso_id"] is not None:
        available = matching_isos(media, params["name"], params["iso_id"])
        wanted = {params["iso_id"], *(iso.id for iso in available)} - {None}
        mounted = [mount for mount in mounted if mount.iso_id in wanted]
    return {
        "changed": False,
        "vps_id": vps_id,
        "available": [iso._asdict() for iso in available],
        "mounted": [mount._asdict() for mount in mounted],
        "boot_order": media.boot_order.order if media.boot_order else None,
        "boot_devices": media.boot_order.available_devices if media.boot_order else None,
        **judge_boot(media, [mount.device for mount in media.users_mounts if mount in mounted])._asdict(),
        "available_devices": [slot._asdict() for slot in media.slots],
        "actions": {"can_mount": media.can_mount._asdict(), "can_upload": media.can_upload._asdict()},
    }


def _check(params: Params) -> None:
    refuse_empty(params, "name", "iso_id")
    if params["iso_id"] is not None:
        check_id("iso_id", params["iso_id"])


VPS_ISO_INFO: Task[None] = Task(
    spec={
        "argument_spec": {
            **options.CONNECTION,
            **options.VPS,
            **options.FLEET,
            "name": {"type": "str", "aliases": ["filename"]},
            "iso_id": {"type": "str"},
        },
        "mutually_exclusive": [options.ANY_VPS, ("name", "iso_id")],
        "required_one_of": [options.ANY_VPS],
    },
    check=_check,
    unknown={"changed": False, "vps_id": None},
    work=lambda client, params, _wish, context: on_selected(
        client, params, context, lambda vps_id: _show(client, vps_id, params)
    ),
)
