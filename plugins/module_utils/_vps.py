# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which VPS a task is about: by ID, name or primary address."""

from __future__ import annotations

import ipaddress
import typing as t
from urllib.parse import quote

from ansible_collections.hostup.cloud.plugins.module_utils._client import Client
from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError
from ansible_collections.hostup.cloud.plugins.module_utils._options import ONE_VPS

VPS_PATH = "/api/v2/vps"


def vps_path(vps_id: str) -> str:
    """The path of one VPS."""
    return f"{VPS_PATH}/{quote(vps_id, safe='')}"


def check_vps_ids(vps_ids: list[str] | None) -> list[str] | None:
    """The IDs of a fleet, each once; ``None`` where one VPS is selected. Raises HostUpError for one that is empty."""
    if vps_ids is None:
        return None
    for number, vps_id in enumerate(vps_ids):
        if not vps_id.strip():
            raise HostUpError(f"vps_ids[{number}] is empty: expected the ID of a VPS, such as vps_01hxa3b4c5d6.")
    return list(dict.fromkeys(vps_ids))


def find_vps(client: Client, params: t.Mapping[str, t.Any]) -> str:
    """The ID of the selected VPS. An ID costs no request, a name or an address one filtered list.

    Raises HostUpError for no match or several, with what was found.
    """
    option = next(name for name in ONE_VPS if params[name] is not None)
    if not params[option].strip():
        raise HostUpError(f"{option} is empty: expected what names one VPS, such as an ID like vps_01hxa3b4c5d6.")
    if option == "vps_id":
        return str(params["vps_id"])
    # the list and its filter have the same names
    field, spelling = ("name", str.casefold) if option == "vps_name" else ("primaryIp", _address)
    wanted = spelling(params[option])
    if not wanted:
        raise HostUpError(f"vps_ip: {params[option]!r} is not an IP address.")
    found = [
        vps
        for vps in client.pages(VPS_PATH, {field: wanted if option == "vps_ip" else params[option]})
        if isinstance(vps.get("id"), str) and spelling(str(vps.get(field) or "")) == wanted
    ]
    if len(found) == 1:
        return str(found[0]["id"])
    if not found:
        raise HostUpError(
            f"{option}: this API key's owner has no VPS with the "
            f"{'name' if option == 'vps_name' else 'primary address'} {params[option]!r}."
        )
    listed = ", ".join(f"{vps['id']} ({vps.get('name')}, {vps.get('primaryIp')})" for vps in found)
    raise HostUpError(
        f"{option}: {params[option]!r} matches {len(found)} VPSs: {listed}. Select one of them with vps_id."
    )


def _address(value: str) -> str:
    """The one spelling of an IP address; empty for anything else."""
    try:
        return str(ipaddress.ip_address(value.strip()))
    except ValueError:
        return ""
