# SPDX-License-Identifier: GPL-3.0-or-later
"""The task that shows VPSs: what it selects, what it costs, and that one VPS hides no other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.hostup.cloud.plugins.module_utils._tasks.info import VPS_INFO
from hostup_emulator.world import Switches

if TYPE_CHECKING:
    from support.site import Site

GATES = {"can_start", "can_shutdown", "can_stop", "can_restart", "can_reset"}


def run(site: Site, **options: Any) -> dict[str, Any]:
    """Validate the options and run the task, as the shells do."""
    return site.run(VPS_INFO, **{"api_retries": 0, **options})


def ids(result: dict[str, Any]) -> list[str]:
    """The IDs that a result lists."""
    return [vps["id"] for vps in result["vps"]]


def test_all(site: Site) -> None:
    others = [site.world.add_vps(site.owner, f"vm-{number}").id for number in range(250)]
    site.world.add_vps(site.world.add_owner("bob"), "db-01")
    result = run(site)
    assert result == {"changed": False, "vps": result["vps"]}
    assert ids(result) == [site.vps.id, *others]
    assert [call.query["limit"] for call in site.calls] == ["100"] * 3


def test_one_by_its_id(site: Site) -> None:
    site.vps.tags = ["web"]
    [vps] = run(site, vps_id=site.vps.id)["vps"]
    assert (vps["id"], vps["name"], vps["primary_ip"], vps["tags"]) == (site.vps.id, "web-01", "192.0.2.1", ["web"])
    assert site.sent() == [site.vps.id]
    assert run(site)["vps"] == [vps]


@pytest.mark.parametrize("envelope", ["data", "vps"])
def test_a_wrapped_answer(site: Site, envelope: str) -> None:
    site.fault("wrong_shape", body={envelope: {"id": "vps_1", "name": "web-02"}})
    assert run(site, vps_id="vps_1")["vps"][0]["name"] == "web-02"


def test_all_of_one_name(site: Site) -> None:
    twin = site.world.add_vps(site.owner, "Web-01")
    site.world.add_vps(site.owner, "web-010")
    assert ids(run(site, vps_name="WEB-01")) == [site.vps.id, twin.id]
    assert ids(run(site, vps_ip="192.0.2.1")) == [site.vps.id]


@pytest.mark.parametrize("selection", [{"vps_id": "vps_1"}, {"vps_name": "web-02"}, {"vps_ip": "192.0.2.9"}])
@pytest.mark.parametrize("details", [False, True])
def test_none(site: Site, selection: dict[str, str], details: bool) -> None:
    result = run(site, details=details, **selection)
    assert (result["vps"], result.get("failed")) == ([], None)
    assert len(site.calls) == 1


@pytest.mark.parametrize(
    ("switch", "is_failure"), [("forbidden", True), ("vps_not_found", False)], ids=["forbidden", "not-found"]
)
def test_somebody_elses(site: Site, switch: str, is_failure: bool) -> None:
    site.owner.switches = Switches(foreign_vps=switch)
    foreign = site.world.add_vps(site.world.add_owner("bob"), "db-01")
    result = run(site, vps_id=foreign.id)
    assert result.get("failed", False) is is_failure
    assert ("vps" in result) is not is_failure


@pytest.mark.parametrize(("code", "is_failure"), [("vps_not_found", False), ("not_found", False), ("", True)])
def test_only_what_the_api_says_of_a_vps_is_an_empty_list(site: Site, code: str, is_failure: bool) -> None:
    """And not a path that is not there."""
    site.fault("problem", status=404, body={"code": code})
    result = run(site, vps_id=site.vps.id)
    assert (result.get("failed", False), result.get("vps")) == (is_failure, None if is_failure else [])


@pytest.mark.parametrize(
    ("selection", "says"),
    [
        ({"vps_id": " "}, "vps_id is empty"),
        ({"vps_name": ""}, "vps_name is empty"),
        ({"vps_ip": "web-01"}, "not an IP address"),
    ],
)
def test_what_can_select_nothing(site: Site, selection: dict[str, str], says: str) -> None:
    result = run(site, **selection)
    assert result["failed"]
    assert says in result["msg"]
    assert site.calls == []


def test_details(site: Site) -> None:
    [plain] = run(site)["vps"]
    result = run(site, details=True)
    [vps] = result["vps"]
    assert vps.keys() == plain.keys() | {"actions", "failed", "msg"}
    assert (vps["failed"], vps["msg"]) == (False, "")
    assert vps["actions"].keys() == GATES
    assert vps["actions"]["can_stop"] == {"allowed": True, "reason": None, "code": None}
    assert vps["actions"]["can_start"]["allowed"] is False
    assert site.sent()[1:] == ["vps", "details"]


def test_details_that_are_not_told(site: Site) -> None:
    site.fault("wrong_shape", path="/details$", body={"actions": {"canStart": {"allowed": True}}})
    [vps] = run(site, details=True)["vps"]
    assert vps["power_state"] == "running"
    assert vps["actions"] == {**dict.fromkeys(GATES), "can_start": {"allowed": True, "reason": None, "code": None}}


@pytest.mark.parametrize(("place", "reads"), [("status", 2), ("vps", 3)])
def test_gates_may_be_told_elsewhere(site: Site, place: str, reads: int) -> None:
    site.switches.gates_at = place
    [vps] = run(site, details=True)["vps"]
    assert vps["actions"]["can_start"]["allowed"] is False and vps["power_state"] == "running"
    assert len(site.calls) == 1 + reads


def test_details_have_the_live_power_state(site: Site) -> None:
    site.fault("wrong_shape", path="/details$", body={"powerState": "stopping"})
    assert run(site, details=True)["vps"][0]["power_state"] == "stopping"


def test_one_failure_hides_no_other(site: Site) -> None:
    others = [site.world.add_vps(site.owner, f"vm-{number}").id for number in range(40)]
    site.fault("problem", path=f"/{others[7]}/details$", status=500, times=None)
    result = run(site, details=True)
    assert result["failed"]
    assert result["msg"].startswith(f"1 of 41 VPSs failed. {others[7]}: ")
    assert result["error"]["status"] == 500
    assert "results" not in result
    assert ids(result) == [site.vps.id, *others]
    failures = [vps for vps in result["vps"] if vps["failed"]]
    assert [(vps["id"], vps["name"], vps["power_state"], vps["actions"]) for vps in failures] == [
        (others[7], "vm-7", "running", None)
    ]
    assert "HTTP 500" in failures[0]["msg"]
    assert all(vps["actions"].keys() == GATES for vps in result["vps"] if not vps["failed"])
    assert len(site.calls) == 1 + 41


def test_an_unknown_key(site: Site) -> None:
    result = run(site, api_key="wrong", details=True)
    assert (result["failed"], result["error"]["status"]) == (True, 401)
    assert "Check api_key" in result["msg"]


def test_the_key_is_masked(site: Site) -> None:
    site.vps.tags = [site.key]
    result = run(site)
    assert site.key not in json.dumps(result)
    assert ids(result) == [site.vps.id]
