# SPDX-License-Identifier: GPL-3.0-or-later
"""Power in the world that only keeps books: states, gates, jobs, and guests that do not listen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hostup_emulator.world import Answer, Drive, Gate, JobFaults

if TYPE_CHECKING:
    from hostup_emulator.model import JsonValue

    from .conftest import Lab


def act(lab: Lab, action: str, key: str | None = None, **body: JsonValue) -> Answer:
    return lab.ask("POST", f"/api/v2/vps/{lab.vps.id}/actions/{action}", body, key=key)


def state(lab: Lab) -> str | None:
    told: str | None = lab.ask("GET", f"/api/v2/vps/{lab.vps.id}/status").body["powerState"]
    return told


def job_status(lab: Lab, answer: Answer) -> tuple[str, str]:
    job = lab.world.jobs[answer.body["operation"]["jobId"]]
    return job.status, job.reason


def boot_from_iso(lab: Lab) -> None:
    lab.vps.drives["ide2"] = Drive.holding(lab.iso.id)
    lab.world.set_boot_order(lab.vps, ["ide2", "scsi0"])


@pytest.mark.parametrize(
    ("before", "action", "during", "after"),
    [
        ("stopped", "start", "starting", "running"),
        ("paused", "start", "starting", "running"),
        ("running", "shutdown", "stopping", "stopped"),
        ("running", "stop", "stopping", "stopped"),
        ("running", "restart", "stopping", "running"),
        ("running", "reset", "running", "running"),
    ],
)
def test_each_action(lab: Lab, before: str, action: str, during: str, after: str) -> None:
    lab.vps.power_state = before
    answer = act(lab, action)
    assert answer.status == 202
    assert state(lab) == during
    assert lab.ask("GET", "/api/v2/vps").body["data"][0]["powerState"] == during
    lab.now += 1
    assert state(lab) == after
    assert job_status(lab, answer) == ("completed", "")


def test_a_restart_is_off_and_on_again_and_a_reset_is_not(lab: Lab) -> None:
    status = f"/api/v2/vps/{lab.vps.id}/status"
    lab.vps.started_at = lab.now - 100
    act(lab, "reset")
    lab.now += 1
    assert lab.ask("GET", status).body["uptime"] == 101
    act(lab, "restart")
    lab.now += 1
    assert lab.ask("GET", status).body["uptime"] == 0


@pytest.mark.parametrize(
    ("power_state", "closed"),
    [
        ("running", {"canStart"}),
        ("stopped", {"canShutdown", "canStop", "canRestart", "canReset"}),
        ("paused", set()),
        (None, set()),
    ],
)
def test_gates_follow_the_state(lab: Lab, power_state: str | None, closed: set[str]) -> None:
    lab.vps.power_state = power_state
    actions = lab.ask("GET", f"/api/v2/vps/{lab.vps.id}/details").body["actions"]
    assert {name for name, gate in actions.items() if not gate["allowed"]} == closed
    for name in closed:
        assert act(lab, name.removeprefix("can").lower()).status == 409


@pytest.mark.parametrize("place", ["details", "status", "vps"])
def test_gates_are_told_in_one_place(lab: Lab, place: str) -> None:
    lab.switches.gates_at = place
    paths = {"vps": "", "details": "/details", "status": "/status"}
    bodies = {name: lab.ask("GET", f"/api/v2/vps/{lab.vps.id}{tail}").body for name, tail in paths.items()}
    assert [name for name, body in bodies.items() if "actions" in body] == [place]
    assert bodies[place]["actions"]["canStart"]["code"] == "vps_running"


def test_a_gate_can_be_closed_by_hand(lab: Lab) -> None:
    lab.vps.gates["reset"] = Gate(False, "An order is pending.", "pending_order")
    answer = act(lab, "reset")
    assert (answer.status, answer.body["code"]) == (409, "pending_order")
    assert lab.ask("GET", f"/api/v2/vps/{lab.vps.id}/details").body["actions"]["canReset"]["code"] == "pending_order"


def test_power_has_a_scope_of_its_own(lab: Lab) -> None:
    writer = lab.world.add_key(lab.owner, scopes=["read:vm", "write:vm", "write:storage"])
    assert act(lab, "stop", key=writer).status == 403
    assert act(lab, "stop", key=lab.world.add_key(lab.owner, scopes=["power:vm"])).status == 202


def test_a_guest_that_does_not_listen(lab: Lab) -> None:
    lab.switches.ignores_power_button, lab.switches.shutdown_timeout = True, 60
    answer = act(lab, "shutdown")
    lab.now += 59
    assert state(lab) == "stopping"
    lab.now += 1
    assert state(lab) == "running"
    assert job_status(lab, answer) == ("failed", "The guest did not shut down within 60 s.")
    answer = act(lab, "restart", force=True)
    lab.now += 60
    assert job_status(lab, answer)[0] == "in_progress"
    assert state(lab) == "running"
    assert job_status(lab, answer)[0] == "completed"
    assert lab.vps.started_at == lab.now


def test_only_force_goes_past_a_pending_action(lab: Lab) -> None:
    lab.switches.ignores_power_button = True
    waiting = act(lab, "shutdown")
    refused = act(lab, "restart")
    assert (refused.status, refused.body["code"]) == (409, "vps_not_ready")
    act(lab, "stop")
    lab.now += 1
    assert state(lab) == "stopped"
    assert job_status(lab, waiting) == ("failed", "Overtaken by stop.")


@pytest.mark.parametrize("faults", [JobFaults(fails="No node has room."), JobFaults(hangs=True)])
def test_jobs_that_go_wrong_change_nothing(lab: Lab, faults: JobFaults) -> None:
    lab.switches.job = faults
    act(lab, "shutdown")
    lab.now += 600
    assert lab.world.machines.power_state(lab.vps) == "running"
    assert state(lab) == ("running" if faults.fails else "stopping")


def test_stale_reads(lab: Lab) -> None:
    lab.switches.stale_power_reads = 2
    act(lab, "stop")
    lab.now += 1
    assert [state(lab) for _read in range(3)] == ["running", "running", "stopped"]


def test_an_installer_powers_off(lab: Lab) -> None:
    lab.switches.installer_seconds = 30
    boot_from_iso(lab)
    act(lab, "reset")
    lab.now += 30
    assert state(lab) == "running"  # the reset itself took a moment
    lab.now += 30
    assert state(lab) == "stopped"


def test_an_installer_powers_off_after_so_many_reads(lab: Lab) -> None:
    lab.switches.installer_reads, lab.switches.job_seconds = 2, 0
    boot_from_iso(lab)
    for _boot in range(2):
        act(lab, "reset" if state(lab) == "running" else "start")
        lab.now += 600
        assert [state(lab) for _read in range(4)] == ["running", "running", "stopped", "stopped"]
    lab.world.set_boot_order(lab.vps, ["scsi0", "ide2"])
    act(lab, "start")
    assert {state(lab) for _read in range(9)} == {"running"}


def test_an_installer_that_is_reset_begins_anew_and_a_disk_has_none(lab: Lab) -> None:
    lab.switches.installer_seconds, lab.switches.job_seconds = 30, 0
    boot_from_iso(lab)
    act(lab, "reset")
    lab.now += 20
    act(lab, "reset")
    lab.now += 20
    assert state(lab) == "running"
    lab.world.set_boot_order(lab.vps, ["scsi0", "ide2"])
    act(lab, "reset")
    lab.now += 600
    assert state(lab) == "running"


def test_an_empty_drive_is_passed_over(lab: Lab) -> None:
    lab.vps.boot_order = ["ide2", "ide3", "scsi0"]
    assert not lab.vps.boots_from_cd()
    lab.vps.drives["ide3"] = Drive.holding(lab.iso.id)
    assert lab.vps.boots_from_cd()


def test_force_is_true_or_false(lab: Lab) -> None:
    assert act(lab, "restart", force="yes").body["errors"][0]["pointer"] == "/force"
