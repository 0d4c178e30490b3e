# SPDX-License-Identifier: GPL-3.0-or-later
"""`hostup_vps_info` in every shell."""

from __future__ import annotations

from typing import Any

import pytest

from hostup_emulator.model import Vps
from support.lab import SHELLS, SLOW_SHELLS_LAST, Lab

GATES = {"can_start", "can_shutdown", "can_stop", "can_restart", "can_reset"}


def info_task(shell: str = "controller", /, **options: Any) -> dict[str, Any]:
    """A task called `info`."""
    return {"name": "info", "hostup.cloud.hostup_vps_info": options, **SHELLS[shell]}


def info(lab: Lab, shell: str = "controller", /, **options: Any) -> dict[str, Any]:
    """Run it once and return its result."""
    return lab.play([info_task(shell, **options)]).of("info")


def furnish(lab: Lab) -> Vps:
    """Have one VPS of which all is known, and add one that is switched off and of which little is known."""
    lab.vps.operating_system = {"displayName": "Debian 13", "family": "debian", "version": "13", "variant": None}
    lab.vps.tags = ["web", "prod"]
    other = lab.world.add_vps(lab.owner, "db-01")
    other.power_state = "stopped"
    return other


@pytest.mark.smoke
@SLOW_SHELLS_LAST
def test_all_with_details(lab: Lab, shell: str) -> None:
    other = furnish(lab)
    result = info(lab, shell, details=True)
    assert (result["changed"], result["failed"]) == (False, False)
    web, db = result["vps"]
    actions = web.pop("actions")
    assert web == {
        "id": lab.vps.id,
        "name": "web-01",
        "primary_ip": "192.0.2.10",
        "service_status": "active",
        "power_state": "running",
        "operating_system": {"display_name": "Debian 13", "family": "debian", "version": "13", "variant": None},
        "billing": {"amount": 49.0, "currency_code": "SEK", "billing_cycle": "monthly", "is_payg": False},
        "resources": {"cpu_cores": 2, "memory_gb": 4, "storage_gb": 50},
        "tags": ["web", "prod"],
        "failed": False,
        "msg": "",
    }
    assert (db["id"], db["primary_ip"], db["power_state"], db["operating_system"]) == (other.id, None, "stopped", None)
    assert actions.keys() == db["actions"].keys() == GATES
    assert (actions["can_start"]["allowed"], db["actions"]["can_start"]["allowed"]) == (False, True)
    assert actions["can_start"]["reason"]
    paths = [call.path for call in lab.calls]
    assert paths[0] == "/api/v2/vps"
    assert sorted(paths[1:]) == sorted(f"/api/v2/vps/{vps.id}/details" for vps in (lab.vps, other))


@SLOW_SHELLS_LAST
def test_what_is_selected(lab: Lab, shell: str) -> None:
    foreign = lab.world.add_vps(lab.world.add_owner("bob"), "web-01", "192.0.2.10")
    twin = lab.world.add_vps(lab.owner, "Web-01", "192.0.2.11")
    wanted = {
        "id": ({"vps_id": twin.id}, [twin.id]),
        "name": ({"vps_name": "WEB-01"}, [lab.vps.id, twin.id]),
        "ip": ({"vps_ip": "192.0.2.10"}, [lab.vps.id]),
        "unknown-id": ({"vps_id": "vps_1"}, []),
        "unknown-name": ({"vps_name": "web"}, []),
        "unknown-ip": ({"vps_ip": "192.0.2.99"}, []),
    }
    tasks = [{**info_task(shell, **options), "name": name} for name, (options, _found) in wanted.items()]
    tasks += [
        {**info_task(shell, **options), "name": name, "ignore_errors": True}
        for name, options in {"foreign": {"vps_id": foreign.id}, "two": {"vps_id": "x", "vps_name": "x"}}.items()
    ]
    run = lab.play(tasks)
    found = {name: [vps["id"] for vps in run.of(name)["vps"]] for name in wanted}
    assert found == {name: ids for name, (_options, ids) in wanted.items()}
    assert (run.of("foreign")["failed"], run.of("foreign")["error"]["status"]) == (True, 403)
    assert "mutually exclusive: vps_id|vps_name|vps_ip" in run.of("two")["msg"]
    assert len(lab.calls) == len(wanted) + 1


@SLOW_SHELLS_LAST
def test_details_that_cannot_be_read(lab: Lab, shell: str) -> None:
    other = furnish(lab)
    lab.faults.add("problem", "GET", f"/{other.id}/details$", status=409, code="conflict", times=None)
    result = info(lab, shell, details=True)
    assert (result["failed"], result["error"]["status"]) == (True, 409)
    assert result["msg"].startswith(f"1 of 2 VPSs failed. {other.id}: ")
    assert [(vps["name"], vps["failed"], bool(vps["actions"])) for vps in result["vps"]] == [
        ("web-01", False, True),
        ("db-01", True, False),
    ]


def test_check_mode_shows_the_same(lab: Lab) -> None:
    furnish(lab)
    tasks = [info_task(details=True)]
    assert lab.play(tasks, args=["--check"]).of("info")["vps"] == lab.play(tasks).of("info")["vps"]


def test_a_thousand_cost_ten_requests(lab: Lab) -> None:
    lab.add_fleet(999)
    assert len(info(lab)["vps"]) == 1000
    assert len(lab.calls) == 10
