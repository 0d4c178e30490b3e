# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory's names: of hosts and of groups."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.hostup.cloud.plugins.inventory.hostup_vps import group_names, host_names


def item(vps_id: str = "vps_1", name: str | None = None, **more: Any) -> dict[str, Any]:
    """A VPS of which little is known."""
    nothing = dict.fromkeys(("power_state", "service_status", "operating_system"))
    return {"id": vps_id, "name": name, **nothing, "tags": [], **more}


@pytest.mark.parametrize("name", ["web-01", "web.example.com", "WEB_1", "1", "größe"])
def test_a_host_has_the_name_of_the_vps(name: str) -> None:
    assert host_names([item("vps_1", name), item("vps_2", "other")]) == {"vps_1": name, "vps_2": "other"}


@pytest.mark.parametrize(
    "name",
    [
        None,
        "",
        " ",
        "web 01",
        "web:01",
        "web[1:3]",
        "!web",
        "~web",
        "-web",
        "web*",
        "web\n",
        "a,b",
        "{{ 7 * 7 }}",
        "all",
        "ungrouped",
        "hostup",
        "localhost",
        "127.0.0.1",
    ],
)
def test_a_name_that_cannot_be_a_host_name(name: str | None) -> None:
    assert host_names([item("vps_1", name), item("vps_2", "other")]) == {"vps_1": "vps_1", "vps_2": "other"}


def test_a_name_that_several_have() -> None:
    items = [item("vps_1", "web"), item("vps_2", "Web"), item("vps_3", "db"), item("vps_4", "VPS_3"), item("vps_5")]
    assert host_names(items) == {"vps_1": "vps_1", "vps_2": "vps_2", "vps_3": "db", "vps_4": "vps_4", "vps_5": "vps_5"}


def test_vpses_without_names_leave_a_name_alone() -> None:
    assert host_names([item("vps_1"), item("vps_2"), item("vps_3", "None")])["vps_3"] == "None"


def test_a_vps_that_is_named_after_its_id() -> None:
    assert host_names([item("vps_1", "vps_1")]) == {"vps_1": "vps_1"}


def test_groups() -> None:
    system = {"family": "Alma Linux"}
    known = item(
        power_state="running", service_status="active", operating_system=system, tags=["Prod", "a-b", "{{ x }}"]
    )
    assert group_names(known) == [
        "hostup_power_running",
        "hostup_status_active",
        "hostup_os_alma_linux",
        "hostup_tag_prod",
        "hostup_tag_a_b",
        "hostup_tag____x___",
    ]


@pytest.mark.parametrize("system", [None, {"family": None}])
def test_groups_of_what_is_not_known(system: Any) -> None:
    assert group_names(item(operating_system=system)) == [
        "hostup_power_unknown",
        "hostup_status_unknown",
        "hostup_os_unknown",
    ]
