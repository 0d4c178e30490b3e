# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""VPSs: finding them by ID, name or primary address, and what the API's documents say of them."""

from __future__ import annotations

import ipaddress
import typing as t
from urllib.parse import quote

from ansible_collections.hostup.cloud.plugins.module_utils._api.client import Client, leads_elsewhere, unexpected_shape
from ansible_collections.hostup.cloud.plugins.module_utils._api.documents import (
    Document,
    Gate,
    flag,
    number,
    parse_gate,
    part,
    text,
)
from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError

VPS_PATH = "/api/v2/vps"
ONE_VPS = ("vps_id", "vps_name", "vps_ip")  # the options that select one
POWER_ACTIONS = ("start", "shutdown", "stop", "restart", "reset")


def vps_path(vps_id: str) -> str:
    """The path of one VPS."""
    return f"{VPS_PATH}/{quote(vps_id, safe='')}"


# --- finding ---------------------------------------------------------------------------------------------------------


def check_vps_ids(vps_ids: list[str] | None) -> list[str] | None:
    """The IDs of a fleet, each once; ``None`` where one VPS is selected. Raises HostUpError for what can be none."""
    if vps_ids is None:
        return None
    for place, vps_id in enumerate(vps_ids):
        if not vps_id.strip():
            raise HostUpError(f"vps_ids[{place}] is empty: expected the ID of a VPS, such as vps_01hxa3b4c5d6.")
        check_id(f"vps_ids[{place}]", vps_id)
    return list(dict.fromkeys(vps_ids))


def check_id(option: str, value: str) -> None:
    """Raise HostUpError for an ID that would lead elsewhere in a path."""
    if leads_elsewhere(value):
        raise HostUpError(
            f"{option}: {value!r} cannot be an ID: expected one such as vps_01hxa3b4c5d6 or iso_01hxa3b4c5d6."
        )


def selection(params: t.Mapping[str, t.Any]) -> str | None:
    """Which option selects one VPS, ``None`` for none. Raises HostUpError for one that can select nothing."""
    option = next((name for name in ONE_VPS if params[name] is not None), None)
    if option and not params[option].strip():
        raise HostUpError(f"{option} is empty: expected what names one VPS, such as an ID like vps_01hxa3b4c5d6.")
    if option == "vps_id":
        check_id(option, params[option])
    if option == "vps_ip" and not _address(params["vps_ip"]):
        raise HostUpError(f"vps_ip: {params['vps_ip']!r} is not an IP address.")
    return option


def find_vps(client: Client, params: t.Mapping[str, t.Any]) -> str:
    """The ID of the selected VPS. An ID costs no request, a name or an address one filtered list.

    Raises HostUpError for no match or several, with what was found.
    """
    option = str(selection(params))
    if option == "vps_id":
        return str(params["vps_id"])
    found = matching_vpses(client, option, params[option])
    if len(found) == 1:
        return str(found[0]["id"])
    if not found:
        raise HostUpError(
            f"{option}: this API key's owner has no VPS with the "
            f"{'name' if option == 'vps_name' else 'primary address'} {params[option]!r}. "
            "hostup.cloud.hostup_vps_info lists them."
        )
    listed = ", ".join(f"{vps['id']} ({vps.get('name')}, {vps.get('primaryIp')})" for vps in found)
    raise HostUpError(
        f"{option}: {params[option]!r} matches {len(found)} VPSs: {listed}. Select one of them with vps_id."
    )


def matching_vpses(client: Client, option: str, value: str) -> list[Document]:
    """The VPSs of this name or this primary address. Raises HostUpError."""
    # the list and its filter have the same names
    field, spelling = ("name", str.casefold) if option == "vps_name" else ("primaryIp", _address)
    wanted = spelling(value)
    return [
        vps
        for vps in client.pages(VPS_PATH, {field: wanted if option == "vps_ip" else value})
        if text(vps, "id") and spelling(str(vps.get(field) or "")) == wanted
    ]


def _address(value: str) -> str:
    """The one spelling of an IP address; empty for anything else."""
    try:
        return str(ipaddress.ip_address(value.strip()))
    except ValueError:
        return ""


# --- reading ---------------------------------------------------------------------------------------------------------


class Power(t.NamedTuple):
    """The power of one VPS. ``uptime`` is in seconds. The gates are by `POWER_ACTIONS`, those that the API tells."""

    state: str | None
    uptime: float | None
    gates: dict[str, Gate]


def list_vpses(client: Client) -> list[dict[str, t.Any]]:
    """All VPSs, each once, as `vps_item` has them. Raises HostUpError."""
    items = [vps_item(VPS_PATH, document) for document in client.pages(VPS_PATH, {})]
    return list({item["id"]: item for item in items}.values())  # one may move to the next page while that is read


def read_vpses(client: Client, params: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    """The selected VPSs, or all where none is selected. Raises HostUpError, but not where there is no such VPS."""
    option = selection(params)
    if option is None:
        return list_vpses(client)
    if option != "vps_id":
        return [vps_item(VPS_PATH, document) for document in matching_vpses(client, option, params[option])]
    path = vps_path(params["vps_id"])
    try:
        return [vps_item(path, unwrapped(client.get(path).body))]
    except HostUpError as error:
        if error.problem.code in ("vps_not_found", "not_found"):
            return []
        raise


def read_power(client: Client, vps_id: str, action: str | None = None) -> Power:
    """The power state and the gates: that of ``action``, else those of whichever are told. Raises HostUpError.

    The API's documents disagree on the read that tells them (contract, "Power"), so that the likeliest comes first.
    """
    reads: list[Power] = []
    for place in ("/details", "/status", ""):
        reads.append(parse_power(client.get(vps_path(vps_id) + place).body))
        if action in reads[-1].gates or (action is None and reads[-1].gates):
            return reads[-1]
    return reads[0]


def unwrapped(body: Document) -> Document:
    """The document of one VPS, which may lie under ``data``, ``vps`` or both. What is beside it is kept."""
    for key in ("data", "vps"):
        body = {**body, **(part(body, key) or {})}
    return body


def parse_power(body: Document) -> Power:
    """Read the answer of ``GET /api/v2/vps/{id}/details`` or ``…/status``."""
    document = unwrapped(body)
    actions = part(document, "actions") or {}
    gates = {action: parse_gate(actions, f"can{action.capitalize()}") for action in POWER_ACTIONS}
    return Power(
        state=text(document, "powerState"),
        uptime=number(document, "uptime"),
        gates={action: gate for action, gate in gates.items() if gate is not None},
    )


def vps_item(path: str, document: Document) -> dict[str, t.Any]:
    """A VPS as `hostup_vps_info` and the inventory show it. Raises HostUpError for one without an ID.

    ``path`` is where the document comes from.
    """
    vps_id, tags = text(document, "id"), document.get("tags")
    if vps_id is None:
        raise unexpected_shape("GET", path, "a VPS has no id")
    return {
        "id": vps_id,
        "name": text(document, "name"),
        "primary_ip": text(document, "primaryIp"),
        "service_status": text(document, "serviceStatus"),
        "power_state": text(document, "powerState"),
        "operating_system": _fields(part(document, "operatingSystem"), _SYSTEM),
        "billing": _fields(part(document, "billing"), _BILLING),
        "resources": _fields(part(document, "resources"), _RESOURCES),
        "tags": [tag for tag in tags if isinstance(tag, str) and tag] if isinstance(tags, list) else [],
    }


_Readers = dict[str, tuple[str, t.Callable[[Document, str], t.Any]]]
_SYSTEM: _Readers = {
    "display_name": ("displayName", text),
    "family": ("family", text),
    "version": ("version", text),
    "variant": ("variant", text),
}
_BILLING: _Readers = {
    "amount": ("amount", number),
    "currency_code": ("currencyCode", text),
    "billing_cycle": ("billingCycle", text),
    "is_payg": ("isPayg", flag),
}
_RESOURCES: _Readers = {
    "cpu_cores": ("cpuCores", number),
    "memory_gb": ("memoryGb", number),
    "storage_gb": ("storageGb", number),
}


def _fields(document: Document | None, readers: _Readers) -> dict[str, t.Any] | None:
    return {name: read(document, key) for name, (key, read) in readers.items()} if document is not None else None
