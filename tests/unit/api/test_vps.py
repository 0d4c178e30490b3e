# SPDX-License-Identifier: GPL-3.0-or-later
"""Selecting a VPS by ID, name or address, and reading what the API tells of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.hostup.cloud.plugins.module_utils._api.documents import Gate
from ansible_collections.hostup.cloud.plugins.module_utils._api.vps import (
    Power,
    check_vps_ids,
    find_vps,
    list_vpses,
    parse_power,
    vps_item,
    vps_path,
)
from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError

if TYPE_CHECKING:
    from support.site import Site


def find(site: Site, **selection: str) -> str:
    return find_vps(site.client(), {"vps_id": None, "vps_name": None, "vps_ip": None, **selection})


def test_an_id_costs_no_request(site: Site) -> None:
    assert find(site, vps_id="vps_1") == "vps_1"
    assert len(site.calls) == 0


@pytest.mark.parametrize("vps_id", ["", " "])
def test_an_empty_id(site: Site, vps_id: str) -> None:
    with pytest.raises(HostUpError, match="vps_id is empty"):
        find(site, vps_id=vps_id)


@pytest.mark.parametrize("vps_id", [".", "..", "../jobs", "a/./b", "a\\..", "%2e%2E", "..%2Fjobs"])
def test_an_id_that_leads_elsewhere(site: Site, vps_id: str) -> None:
    with pytest.raises(HostUpError, match=r"vps_id: .* cannot be an ID"):
        find(site, vps_id=vps_id)
    with pytest.raises(HostUpError, match=r"vps_ids\[1\]: .* cannot be an ID"):
        check_vps_ids(["vps_1", vps_id])
    assert site.calls == []


def test_an_id_may_hold_dots(site: Site) -> None:
    assert find(site, vps_id="a..b") == "a..b"
    assert find(site, vps_id="...") == "..."


def test_an_id_cannot_leave_its_place_in_the_path() -> None:
    assert vps_path("a/b?c#d") == "/api/v2/vps/a%2Fb%3Fc%23d"


@pytest.mark.parametrize(
    ("selection", "query"),
    [
        ({"vps_name": "web-01"}, {"name": "web-01"}),
        ({"vps_name": "WEB-01"}, {"name": "WEB-01"}),
        ({"vps_ip": "192.0.2.1"}, {"primaryIp": "192.0.2.1"}),
        ({"vps_ip": " 192.0.2.1 "}, {"primaryIp": "192.0.2.1"}),
    ],
)
def test_one_filtered_request(site: Site, selection: dict[str, str], query: dict[str, str]) -> None:
    site.world.add_vps(site.owner, "web-010", "192.0.2.10")
    assert find(site, **selection) == site.vps.id
    assert [call.query for call in site.calls] == [{"limit": "100", **query}]


def test_ipv6(site: Site) -> None:
    vps = site.world.add_vps(site.owner, "six", "2001:db8::1")
    assert find(site, vps_ip="2001:DB8:0::1") == vps.id


def test_a_server_that_does_not_filter(site: Site) -> None:
    """A VPS that was not asked for is never taken."""
    others: list[dict[str, Any]] = [{"id": "vps_1", "name": "web", "primaryIp": None}, {"id": None, "name": "web-01"}]
    site.fault("wrong_shape", path="/api/v2/vps$", body={"data": others}, times=None)
    for selection in ({"vps_name": "web-01"}, {"vps_ip": "192.0.2.1"}):
        with pytest.raises(HostUpError, match="has no VPS"):
            find(site, **selection)


@pytest.mark.parametrize("selection", [{"vps_name": "web"}, {"vps_ip": "192.0.2.2"}])
def test_none(site: Site, selection: dict[str, str]) -> None:
    [(option, wanted)] = selection.items()
    with pytest.raises(HostUpError, match=f"{option}: .* has no VPS with the .*'{wanted}'"):
        find(site, **selection)


def test_several_are_listed(site: Site) -> None:
    twin = site.world.add_vps(site.owner, "Web-01", None)
    with pytest.raises(HostUpError, match="matches 2 VPSs") as caught:
        find(site, vps_name="web-01")
    assert f"{site.vps.id} (web-01, 192.0.2.1), {twin.id} (Web-01, None)" in caught.value.msg


@pytest.mark.parametrize("vps_ip", ["web-01", "192.0.2", "192.0.2.1/24"])
def test_not_an_address(site: Site, vps_ip: str) -> None:
    with pytest.raises(HostUpError, match="is not an IP address"):
        find(site, vps_ip=vps_ip)
    assert len(site.calls) == 0


@pytest.mark.parametrize("option", ["vps_id", "vps_name", "vps_ip"])
def test_empty_is_no_vps(site: Site, option: str) -> None:
    """An unnamed VPS must not be found by an empty name either."""
    site.vps.name = ""
    with pytest.raises(HostUpError, match=f"{option} is empty"):
        find_vps(site.client(), {"vps_id": None, "vps_name": None, "vps_ip": None, option: ""})
    assert site.calls == []


# --- reading

DOCUMENT: dict[str, Any] = {
    "id": "vps_1",
    "name": "web-01",
    "primaryIp": "192.0.2.1",
    "serviceStatus": "active",
    "powerState": "running",
    "operatingSystem": {"displayName": "Debian 13", "family": "debian", "version": "13", "variant": "minimal"},
    "billing": {"amount": 49.5, "currencyCode": "SEK", "billingCycle": "monthly", "isPayg": True},
    "resources": {"cpuCores": 2, "memoryGb": 4, "storageGb": 50},
    "tags": ["web", "prod"],
    "pinned": True,
}
ITEM: dict[str, Any] = {
    "id": "vps_1",
    "name": "web-01",
    "primary_ip": "192.0.2.1",
    "service_status": "active",
    "power_state": "running",
    "operating_system": {"display_name": "Debian 13", "family": "debian", "version": "13", "variant": "minimal"},
    "billing": {"amount": 49.5, "currency_code": "SEK", "billing_cycle": "monthly", "is_payg": True},
    "resources": {"cpu_cores": 2, "memory_gb": 4, "storage_gb": 50},
    "tags": ["web", "prod"],
}


def test_an_item() -> None:
    assert vps_item("/", DOCUMENT) == ITEM


@pytest.mark.parametrize("document", [{"id": "vps_1"}, {**dict.fromkeys(DOCUMENT), "id": "vps_1"}])
def test_what_is_not_told_is_null(document: dict[str, Any]) -> None:
    assert vps_item("/", document) == {**dict.fromkeys(ITEM), "id": "vps_1", "tags": []}


def test_parts_that_are_not_told_are_null() -> None:
    item = vps_item("/", {"id": "vps_1", "operatingSystem": {}, "billing": {"amount": "49"}, "tags": [None, "", "x"]})
    assert item["operating_system"] == dict.fromkeys(ITEM["operating_system"])
    assert item["billing"] == dict.fromkeys(ITEM["billing"])
    assert item["tags"] == ["x"]


@pytest.mark.parametrize("vps_id", [None, "", 7])
def test_a_vps_without_an_id(vps_id: Any) -> None:
    with pytest.raises(HostUpError, match=r"GET /somewhere .* unexpected shape: a VPS has no id"):
        vps_item("/somewhere", {**DOCUMENT, "id": vps_id})


GATES = {
    "canStart": {"allowed": False, "reason": "It is running.", "code": "already_running"},
    "canStop": {"allowed": True, "reason": None},
    "canReset": None,
}
DETAILS: dict[str, Any] = {"powerState": "running", "uptime": 77, "actions": GATES}
POWER = Power("running", 77, {"start": Gate(False, "It is running.", "already_running"), "stop": Gate(True)})


@pytest.mark.parametrize(
    "body",
    [
        DETAILS,
        {"data": DETAILS},
        {"vps": DETAILS},
        {"success": True, "data": {"vps": DETAILS}},
        {"vps": {"powerState": "running", "uptime": 77}, "actions": GATES},
        {**DETAILS, "data": None, "vps": "vps_1"},
    ],
)
def test_power_lies_flat_or_wrapped(body: dict[str, Any]) -> None:
    assert parse_power(body) == POWER


@pytest.mark.parametrize("body", [{}, {"powerState": None, "uptime": None, "actions": None}, {"uptime": "1 d"}])
def test_power_that_is_not_told(body: dict[str, Any]) -> None:
    assert parse_power(body) == Power(None, None, {})


def test_all_vpses_each_once(site: Site) -> None:
    """A VPS that moves to the next page while the list is read is told twice."""
    pages = [{"data": [{"id": "vps_1"}, {"id": "vps_2"}], "nextCursor": "x"}, {"data": [{"id": "vps_2"}]}]
    for page in pages:
        site.fault("wrong_shape", path="/api/v2/vps$", body=page)
    assert [item["id"] for item in list_vpses(site.client())] == ["vps_1", "vps_2"]
