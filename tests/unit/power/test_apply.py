# SPDX-License-Identifier: GPL-3.0-or-later
"""Power over HTTP: what each wish costs, transitions, gates, jobs, guests that do not listen, unknown outcomes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.hostup.cloud.plugins.module_utils._api.operations import CONFIRM_SCHEDULE, UNKNOWN_SCHEDULE
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.power import VPS_POWER
from hostup_emulator.model import Drive, Gate

if TYPE_CHECKING:
    from support.site import Site

KEYS = {"changed", "vps_id", "power_state", "job", "actions", "actions_unknown", "diff"}

# For each action the wish that takes it, from the state in which the VPS is then.
WISHES: dict[str, tuple[str, dict[str, Any]]] = {
    "start": ("stopped", {"state": "started"}),
    "shutdown": ("running", {"state": "stopped"}),
    "stop": ("running", {"state": "stopped", "force": True}),
    "restart": ("running", {"state": "restarted"}),
    "reset": ("running", {"state": "restarted", "force": True}),
}
every_action = pytest.mark.parametrize("action", WISHES)
ENDS = {"start": "running", "shutdown": "stopped", "stop": "stopped", "restart": "running", "reset": "running"}


def power(site: Site, check_mode: bool = False, fails: bool = False, **options: Any) -> dict[str, Any]:
    """Run the task as the shells do; check what every result has to have."""
    result = site.run(VPS_POWER, check_mode, **{"vps_id": site.vps.id, **options})
    assert result.get("failed", False) is fails, result.get("msg")
    if "vps_ids" not in options:
        assert result.keys() - {"failed", "msg", "error", "timed_out"} == KEYS
        assert result["changed"] is bool(result["actions"])
    assert site.key not in json.dumps(result)
    return result


def act(site: Site, action: str, **options: Any) -> dict[str, Any]:
    """Put the VPS where the wish takes this action, and run the task."""
    site.vps.power_state, wish = WISHES[action]
    return power(site, **{**wish, **options})


def requests(site: Site) -> list[str]:
    """The last part of the path of each request, polls left out."""
    return [name for name in site.sent() if not name.startswith("job_")]


def status_is(site: Site, **fields: Any) -> None:
    """From now on, every status read tells this."""
    site.fault("wrong_shape", "GET", "/status$", body=fields, times=None)


# --- what goes well


@pytest.mark.parametrize(("state", "wish"), [("running", "started"), ("stopped", "stopped")])
@pytest.mark.parametrize("check_mode", [True, False])
@pytest.mark.parametrize("options", [{}, {"force": True}, {"wait": False}])
def test_converged(site: Site, state: str, wish: str, check_mode: bool, options: dict[str, Any]) -> None:
    site.vps.power_state = state
    assert power(site, check_mode, state=wish, **options) == {
        "changed": False,
        "vps_id": site.vps.id,
        "power_state": state,
        "job": None,
        "actions": [],
        "actions_unknown": [],
        "diff": {"before": {"power_state": state}, "after": {"power_state": state}},
    }
    assert requests(site) == ["status"]


@every_action
@pytest.mark.parametrize("shape", ["operation", "flat", "legacy"])
@pytest.mark.parametrize("seconds", [0.0, 40.0])
def test_one_write_one_job_one_read(site: Site, action: str, shape: str, seconds: float) -> None:
    site.switches.poll_shape, site.switches.job_seconds, site.switches.shutdown_seconds = shape, seconds, 0.0
    result = act(site, action)
    assert (result["actions"], result["power_state"], result["job"]["status"]) == ([action], ENDS[action], "completed")
    assert result["diff"]["before"] == {"power_state": WISHES[action][0]}
    assert site.vps.power_state == ENDS[action]
    assert requests(site) == ["status", "details", action, "status"]
    assert [call.body for call in site.calls.writes()] == [{}]
    assert all(f"{action} of {site.vps.id}: " in line for line in site.said)


def test_a_stopped_vps_is_started_instead_of_restarted(site: Site) -> None:
    site.vps.power_state = "stopped"
    assert power(site, state="restarted", force=True)["actions"] == ["start"]


@every_action
def test_check_mode_foretells(site: Site, action: str) -> None:
    foretold = act(site, action, check_mode=True)
    assert requests(site) == ["status", "details"]
    done = act(site, action)
    assert foretold == {**done, "job": None}


@pytest.mark.parametrize("state", ["paused", "error", "unknown", None])
@pytest.mark.parametrize("action", ["start", "shutdown", "stop", "restart"])
def test_odd_states_are_not_what_was_wished(site: Site, state: str | None, action: str) -> None:
    site.vps.power_state = state
    result = power(site, **WISHES[action][1])
    assert (result["actions"], result["power_state"]) == ([action], ENDS[action])
    assert result["diff"]["before"] == {"power_state": state}


def test_a_reset_that_leaves_a_vps_paused(site: Site) -> None:
    """As it does in the emulator."""
    site.vps.power_state = "paused"
    result = power(site, state="restarted", force=True, fails=True)
    assert "did not show the outcome within 15 s" in result["msg"]
    assert (result["actions"], result["power_state"]) == (["reset"], "paused")


def test_envelopes(site: Site) -> None:
    site.fault("wrong_shape", "GET", "/status$", body={"data": {"powerState": "stopped"}}, times=1)
    gates = {"canStart": {"allowed": False, "reason": "Not today.", "code": "closed"}}
    site.fault("wrong_shape", "GET", "/details$", body={"vps": {"powerState": "stopped", "actions": gates}}, times=1)
    result = power(site, state="started", fails=True)
    assert (result["error"]["code"], site.calls.writes()) == ("closed", [])


def test_gates_without_a_power_state_are_believed(site: Site) -> None:
    site.fault("wrong_shape", "GET", "/details$", body={"actions": {"canStop": {"allowed": False}}}, times=None)
    assert "it gives no reason. Nothing was changed." in act(site, "stop", fails=True)["msg"]
    assert requests(site) == ["status", "details"]


def test_details_without_gates(site: Site) -> None:
    site.fault("wrong_shape", "GET", "/details$", body={}, times=1)
    assert act(site, "stop")["actions"] == ["stop"]


def test_a_status_of_another_shape(site: Site) -> None:
    status_is(site, state="running")
    result = power(site, state="stopped", fails=True)
    assert "unexpected shape: there is no powerState" in result["msg"] and result["power_state"] is None
    assert (result["diff"], requests(site)) == ({}, ["status"])


# --- transitions


def begin(site: Site, action: str, seconds: float = 20.0) -> None:
    """Somebody else has just sent an action."""
    site.vps.power_state = WISHES[action][0]
    site.switches.job_seconds = site.switches.shutdown_seconds = seconds
    site.client().post(f"/api/v2/vps/{site.vps.id}/actions/{action}", {})
    site.switches.job_seconds = site.switches.shutdown_seconds = 0.0
    site.calls.clear()


@pytest.mark.parametrize(
    ("going_on", "wish", "actions", "state"),
    [
        ("start", "started", [], "running"),
        ("start", "stopped", ["shutdown"], "stopped"),
        ("start", "restarted", ["restart"], "running"),
        ("shutdown", "stopped", [], "stopped"),
        ("shutdown", "started", ["start"], "running"),
        ("shutdown", "restarted", ["start"], "running"),
        ("restart", "started", [], "running"),
    ],
)
def test_a_transition_is_waited_out(site: Site, going_on: str, wish: str, actions: list[str], state: str) -> None:
    begin(site, going_on)
    foretold = power(site, check_mode=True, state=wish)
    assert site.clock.waits == [] and requests(site) == ["status"]
    done = power(site, state=wish)
    assert (done["actions"], done["power_state"]) == (actions, state)
    assert site.said == [f"waiting while {site.vps.id} is {'starting' if going_on == 'start' else 'stopping'}"]
    if going_on != "restart":  # which comes back by itself, as nobody can foresee
        assert foretold == {**done, "job": None}


def test_rereads_become_rarer(site: Site) -> None:
    begin(site, "shutdown", 200.0)
    power(site, state="stopped")
    assert site.clock.waits == sorted(site.clock.waits) and 10 < len(site.clock.waits) < 40


def test_a_transition_without_end(site: Site) -> None:
    site.vps.power_state = "provisioning"
    result = power(site, state="started", wait_timeout=60, fails=True)
    assert result["timed_out"] and "still provisioning after the 60 s of wait_timeout" in result["msg"]
    assert (result["power_state"], result["actions"]) == ("provisioning", [])


@pytest.mark.parametrize(("going_on", "wish"), [("start", "started"), ("shutdown", "stopped")])
@pytest.mark.parametrize("check_mode", [True, False])
def test_without_wait_the_way_is_good_enough(site: Site, going_on: str, wish: str, check_mode: bool) -> None:
    begin(site, going_on)
    result = power(site, check_mode, state=wish, wait=False)
    state = "starting" if going_on == "start" else "stopping"
    assert (result["changed"], result["power_state"], requests(site)) == (False, state, ["status"])
    assert result["diff"]["before"] == result["diff"]["after"]


@pytest.mark.parametrize(("going_on", "wish"), [("start", "stopped"), ("shutdown", "started"), ("start", "restarted")])
@pytest.mark.parametrize("check_mode", [True, False])
def test_without_wait_the_other_way_is_an_error(site: Site, going_on: str, wish: str, check_mode: bool) -> None:
    begin(site, going_on)
    result = power(site, check_mode, state=wish, wait=False, fails=True)
    assert "wait=false forbids" in result["msg"] and requests(site) == ["status"]


@pytest.mark.parametrize(("wish", "action", "end"), [("stopped", "stop", "stopped"), ("restarted", "reset", "running")])
def test_force_does_not_wait_for_a_guest_that_is_stopping(site: Site, wish: str, action: str, end: str) -> None:
    begin(site, "shutdown", 1000.0)
    result = power(site, state=wish, force=True)
    assert (result["actions"], result["power_state"]) == ([action], end)
    assert result["diff"]["before"] == {"power_state": "stopping"}


# --- gates


@every_action
@pytest.mark.parametrize("check_mode", [True, False])
def test_a_closed_gate(site: Site, action: str, check_mode: bool) -> None:
    site.vps.gates[action] = Gate(False, "An order is pending.", "pending_order")
    result = act(site, action, check_mode=check_mode, fails=True)
    assert f"the action {action}" in result["msg"] and "An order is pending. (code pending_order)" in result["msg"]
    assert (result["error"]["code"], result["power_state"]) == ("pending_order", WISHES[action][0])
    assert requests(site) == ["status", "details"]


@every_action
@pytest.mark.parametrize(("place", "reads"), [("status", ["details", "status"]), ("vps", ["details", "status", "vps"])])
def test_a_closed_gate_elsewhere(site: Site, action: str, place: str, reads: list[str]) -> None:
    site.switches.gates_at = place
    site.vps.gates[action] = Gate(False, "An order is pending.", "pending_order")
    result = act(site, action, fails=True)
    assert "An order is pending. (code pending_order)" in result["msg"]
    assert requests(site) == ["status", *(site.vps.id if read == "vps" else read for read in reads)]


def test_the_gate_of_another_action_is_not_enough(site: Site) -> None:
    gates = {"canStart": {"allowed": False, "reason": "It is running."}}
    site.fault("wrong_shape", "GET", "/details$", body={"powerState": "running", "actions": gates}, times=None)
    site.switches.gates_at = "vps"
    site.vps.gates["stop"] = Gate(False, "An order is pending.")
    assert "An order is pending." in act(site, "stop", fails=True)["msg"]


def test_a_converged_state_asks_no_gate(site: Site) -> None:
    site.vps.gates["start"] = Gate(False)
    assert power(site, state="started")["changed"] is False


def test_a_closed_gate_of_the_state_before_is_read_again(site: Site) -> None:
    """The VPS was just stopped; the status shows it, the details do not yet."""
    site.vps.power_state = "stopped"
    gates = {"canStart": {"allowed": False, "reason": "The VPS is running.", "code": "vps_running"}}
    site.fault("wrong_shape", "GET", "/details$", body={"powerState": "running", "actions": gates}, times=2)
    assert power(site, state="started")["actions"] == ["start"]
    assert requests(site) == ["status", "details", "details", "details", "start", "status"]


# --- jobs, and guests that do not listen


def test_a_guest_that_takes_its_time(site: Site) -> None:
    site.switches.shutdown_seconds, site.switches.shutdown_timeout = 100.0, 1000.0
    assert act(site, "shutdown")["power_state"] == "stopped"
    start = f"shutdown of {site.vps.id}: "
    assert 3 <= len(site.said) <= 4 and all(line.startswith(start) for line in site.said)
    assert site.said[0].startswith(f"{start}in_progress, 3"), "quick ones are not talked about"


@pytest.mark.parametrize(("action", "would"), [("shutdown", "cut its power"), ("restart", "reset it")])
@pytest.mark.parametrize("ends", [True, False])
def test_a_guest_that_does_not_listen(site: Site, action: str, would: str, ends: bool) -> None:
    site.switches.ignores_power_button = True
    site.switches.shutdown_timeout = 60.0 if ends else 1000.0
    result = act(site, action, fails=True)
    assert result["msg"].startswith("Could not ")
    assert f"may not react to being asked. Nothing was forced; force=true would {would}." in result["msg"]
    assert site.sent("POST") == [action], "nothing is forced"
    if ends:
        assert "did not shut down within 60 s" in result["msg"] and "timed_out" not in result
        assert (result["actions"], result["job"]["status"], result["power_state"]) == ([], "failed", "running")
    else:
        assert result["timed_out"] and "It goes on at HostUp" in result["msg"]
        assert (result["actions"], result["power_state"]) == ([action], "stopping")


@every_action
def test_a_failed_job_that_no_read_can_judge(site: Site, action: str) -> None:
    failed_at_once(site, "no host for it")
    site.fault("problem", "GET", "/status$", status=403, after=1)
    result = act(site, action, fails=True)
    assert "Job job_1 failed: no host for it" in result["msg"] and result["actions"] == []


@every_action
def test_a_failed_job(site: Site, action: str) -> None:
    site.switches.job.fails = "the storage is away"
    result = act(site, action, fails=True)
    verb = {"shutdown": "shut down"}.get(action, action)
    assert result["msg"].startswith(f"Could not {verb} the VPS. Job ") and "the storage is away" in result["msg"]
    assert (result["actions"], result["error"]["title"]) == ([], "job failed")
    assert result["power_state"] == WISHES[action][0]
    assert ("force=true" in result["msg"]) is (action in ("shutdown", "restart"))


def failed_at_once(site: Site, reason: str) -> None:
    """The next action's job has failed when it is first heard of."""
    body = {"operation": {"status": "failed", "jobId": "job_1", "pollUrl": None, "error": reason}}
    site.fault("wrong_shape", "POST", status=200, body=body)


def test_a_job_that_fails_though_the_guest_obeys(site: Site) -> None:
    """It was late: the job had given up, and the read is what counts."""
    failed_at_once(site, "The guest did not shut down.")
    site.fault("wrong_shape", "GET", "/status$", body={"powerState": "stopped"}, after=1)
    result = act(site, "shutdown")
    assert (result["actions"], result["power_state"], result["job"]["status"]) == (["shutdown"], "stopped", "failed")


def test_a_job_that_fails_half_way(site: Site) -> None:
    failed_at_once(site, "cannot start it again")
    site.fault("wrong_shape", "GET", "/status$", body={"powerState": "stopped"}, after=1)
    result = act(site, "restart", fails=True)
    assert "cannot start it again" in result["msg"] and "force=true" not in result["msg"]
    assert (result["actions"], result["power_state"]) == (["restart"], "stopped"), "something did change"


@pytest.mark.parametrize("wait", [True, False])
def test_a_failure_in_the_first_answer(site: Site, wait: bool) -> None:
    failed_at_once(site, "no host for it")
    result = act(site, "start", wait=wait, fails=True)
    assert "Job job_1 failed: no host for it" in result["msg"] and result["actions"] == []


@every_action
@pytest.mark.parametrize("forgetting", [{"forget_after_polls": 0}, {"forget_after_seconds": 0.0}])
def test_a_forgotten_job_is_settled_by_a_reread(site: Site, action: str, forgetting: dict[str, Any]) -> None:
    vars(site.switches).update(forgetting)
    result = act(site, action)
    assert (result["actions"], result["power_state"]) == ([action], ENDS[action])
    assert result["job"]["status"] == "forgotten"


@every_action
def test_a_job_without_a_name_is_looked_for_patiently(site: Site, action: str) -> None:
    site.switches.names_jobs, site.switches.stale_power_reads = False, 3
    site.switches.job_seconds = site.switches.shutdown_seconds = 60.0
    site.switches.shutdown_timeout = 100.0
    result = act(site, action)
    assert (result["actions"], result["power_state"]) == ([action], ENDS[action])
    assert result["job"]["id"] is None and site.sent("POST") == [action]
    if action != "reset":  # which no read shows
        assert sum(site.clock.waits) >= 60.0 and site.world.power_state(site.vps) == ENDS[action]


def test_a_job_without_a_name_that_never_ends(site: Site) -> None:
    site.switches.names_jobs, site.switches.job.hangs = False, True
    site.fault("wrong_shape", "GET", "/status$", body={"powerState": "stopped"}, times=None)
    result = act(site, "start", wait_timeout=100, fails=True)
    assert result["timed_out"] and "did not show the outcome within 100 s" in result["msg"]


@every_action
@pytest.mark.parametrize("status", [200, 202])
def test_an_answer_without_a_job(site: Site, action: str, status: int) -> None:
    site.fault("wrong_shape", "POST", status=status, body={}, commit=True)
    site.switches.shutdown_seconds, site.switches.shutdown_timeout = 40.0, 1000.0
    result = act(site, action)
    assert (result["actions"], result["power_state"], result["job"]) == ([action], ENDS[action], None)
    assert site.world.power_state(site.vps) == ENDS[action]


@pytest.mark.parametrize(
    ("reads", "seen"),
    [
        (("running 1000", "running 1000", "running 1001", "running 2"), 4),
        (("running 1000", "running 1000", "unknown 0", "running 2"), 4),
        (("running 3", "running 3", "stopping 4", "running 5"), 4),  # young, but seen on its way
        (("running", "running"), 2),  # nothing more to see
        (("paused 1000", "paused 1000", "running 1003"), 3),
    ],
)
def test_a_restart_without_a_job_has_to_show(site: Site, reads: tuple[str, ...], seen: int) -> None:
    """For a VPS that runs may still have to go down."""
    site.fault("wrong_shape", "POST", status=202, body={}, commit=True)
    for read in reads:
        state, _blank, uptime = read.partition(" ")
        site.fault(
            "wrong_shape", "GET", "/status$", body={"powerState": state, "uptime": int(uptime) if uptime else None}
        )
    assert power(site, state="restarted")["power_state"] == "running"
    assert requests(site).count("status") == seen


@pytest.mark.parametrize("action", ["shutdown", "restart"])
def test_a_claim_to_be_completed_is_not_believed(site: Site, action: str) -> None:
    site.switches.job.claims_completed = True
    site.switches.shutdown_seconds = 40.0
    result = act(site, action)
    assert result["power_state"] == ENDS[action] == site.world.power_state(site.vps)
    assert sum(site.clock.waits) >= 40.0


def test_a_job_that_never_ends(site: Site) -> None:
    site.switches.job.hangs = True
    result = act(site, "start", wait_timeout=60, fails=True)
    assert result["timed_out"] and "force=true" not in result["msg"]
    assert (result["actions"], result["power_state"]) == (["start"], "starting")


def test_a_job_that_never_ends_though_it_is_done(site: Site) -> None:
    site.switches.job.hangs = True
    site.fault("wrong_shape", "GET", "/status$", body={"powerState": "running"}, after=1)
    result = act(site, "start", wait_timeout=60)
    assert result["job"]["status"] != "completed"


@every_action
def test_without_wait(site: Site, action: str) -> None:
    site.switches.job_seconds = 40.0
    result = act(site, action, wait=False)
    assert (result["actions"], result["power_state"]) == ([action], WISHES[action][0])
    assert result["job"]["status"] in ("queued", "in_progress")
    assert requests(site) == ["status", "details", action] and sum(site.clock.waits) == 0.0


# --- stale reads


@every_action
def test_stale_reads_are_read_again(site: Site, action: str) -> None:
    site.switches.stale_power_reads = 2
    result = act(site, action)
    assert (result["actions"], result["power_state"]) == ([action], ENDS[action])
    is_seen_at_once = WISHES[action][0] == ENDS[action]
    assert requests(site).count("status") == (2 if is_seen_at_once else 4)


def test_a_vps_that_has_switched_itself_off_again_is_not_waited_for(site: Site) -> None:
    """As an installer does that is done before anybody looks."""
    site.world.switches.installer_seconds = 0.0
    site.vps.drives["ide2"] = Drive.holding(site.iso.id)
    site.vps.boot_order = ["ide2", "scsi0"]
    result = act(site, "restart", fails=True)
    assert (result["power_state"], result["job"]["status"]) == ("stopped", "completed")
    assert "timed_out" not in result
    assert len(site.sent("GET", "/status$")) == 1 + len(CONFIRM_SCHEDULE)


@pytest.mark.parametrize(("action", "is_patient"), [("start", False), ("stop", False), ("shutdown", True)])
def test_what_never_shows_is_told(site: Site, action: str, is_patient: bool) -> None:
    """A guest that was asked may still be about to obey; where nobody has to, the reads are what is wrong."""
    site.switches.stale_power_reads = 1000
    result = act(site, action, fails=True)
    assert "its status read did not show the outcome within " in result["msg"]
    assert result.get("timed_out", False) is is_patient
    assert result["actions"] == [action], "what was done is told all the same"
    if not is_patient:
        assert "within 15 s" in result["msg"]
        assert requests(site).count("status") == 1 + len(CONFIRM_SCHEDULE)


def test_a_start_that_takes_long(site: Site) -> None:
    """Longer than stale reads would last, but on its way."""
    site.switches.job_seconds, site.switches.job.forgotten = 100.0, True
    assert act(site, "start")["power_state"] == "running"
    assert sum(site.clock.waits) > 90.0


# --- unknown outcomes

UNKNOWN = {
    "500": {"kind": "problem", "status": 500},
    "html 502": {"kind": "html"},
    "504": {"kind": "legacy", "status": 504},
    "409": {"kind": "problem", "status": 409, "code": "upstream_failed"},
    "edge": {"kind": "edge", "status": 522},
    "dropped": {"kind": "dropped"},
    "not json": {"kind": "not_json"},
}
every_unknown = pytest.mark.parametrize("fault", UNKNOWN.values(), ids=UNKNOWN.keys())


@pytest.mark.parametrize("action", ["start", "shutdown", "stop", "restart"])
@every_unknown
@pytest.mark.parametrize("seconds", [0.2, 30.0])
def test_what_happened_is_not_sent_again(site: Site, action: str, fault: dict[str, Any], seconds: float) -> None:
    site.fault(**fault, method="POST", commit=True)
    site.switches.shutdown_seconds = site.switches.job_seconds = seconds
    result = act(site, action)
    assert (result["actions"], result["power_state"]) == ([action], ENDS[action])
    assert site.sent("POST") == [action]
    assert site.world.power_state(site.vps) == ENDS[action], "and it is seen through"


@pytest.mark.parametrize("action", ["start", "shutdown", "stop", "restart"])
@every_unknown
def test_what_did_not_happen_is_sent_again(site: Site, action: str, fault: dict[str, Any]) -> None:
    site.fault(**fault, method="POST", commit=False)
    result = act(site, action)
    assert (result["actions"], result["power_state"]) == ([action], ENDS[action])
    assert site.sent("POST") == [action, action]
    first, second = (index for index, call in enumerate(site.calls) if call.method == "POST")
    assert second - first == 1 + len(UNKNOWN_SCHEDULE), "every re-read comes before the resend"


@pytest.mark.parametrize(("action", "sent"), [("start", 3), ("shutdown", 3), ("stop", 3), ("restart", 2)])
def test_resends_end(site: Site, action: str, sent: int) -> None:
    site.fault("problem", "POST", times=None)
    result = act(site, action, fails=True)
    assert result["error"]["status"] == 500 and "Nobody can see" not in result["msg"]
    assert (len(site.calls.writes()), result["actions"]) == (sent, [])


@every_unknown
@pytest.mark.parametrize("commit", [True, False])
def test_a_reset_is_never_sent_again(site: Site, fault: dict[str, Any], commit: bool) -> None:
    site.fault(**fault, method="POST", commit=commit)
    result = act(site, "reset", fails=True)
    assert "Nobody can see whether it has happened" in result["msg"] and "console" in result["msg"]
    assert (len(site.calls.writes()), result["actions"]) == (1, [])


@pytest.mark.parametrize(
    "fields",
    [
        {"powerState": "running"},
        {"powerState": "running", "uptime": 1000},
        {"powerState": "running", "uptime": None},
    ],
    ids=["no uptime", "an uptime that does not grow", "a null uptime"],
)
def test_a_restart_that_cannot_be_seen_is_not_sent_again(site: Site, fields: dict[str, Any]) -> None:
    status_is(site, **fields)
    site.fault("dropped", "POST")
    result = act(site, "restart", fails=True)
    assert "Nobody can see whether it has happened" in result["msg"]
    assert (len(site.calls.writes()), result["actions"]) == (1, [])


def test_a_restart_whose_guest_still_shows_as_running_is_not_sent_again(site: Site) -> None:
    """The uptime grows, but something is under way."""
    site.fault("dropped", "POST", commit=True)
    site.switches.shutdown_seconds = 1000.0
    uptime = int(site.clock.now - site.vps.started_at)
    for read, seconds in enumerate((0, 0, 0, 1, 3, 6, 10)):
        body = {"powerState": "running", "uptime": uptime + seconds, "pendingTasks": ["restart"] if read else []}
        site.fault("wrong_shape", "GET", "/status$", body=body)
    assert "Nobody can see" in act(site, "restart", fails=True)["msg"]
    assert site.sent("POST") == ["restart"]


def test_a_refusal_after_an_unknown_outcome_is_told(site: Site) -> None:
    site.fault("dropped", "POST")
    site.fault("problem", "POST", status=409, code="some_conflict")
    result = act(site, "stop", fails=True)
    assert (result["error"]["code"], result["actions"]) == ("some_conflict", [])
    assert site.sent("POST") == ["stop", "stop"]


def test_a_time_out_before_the_guest_was_asked(site: Site) -> None:
    site.fault("problem", "POST", status=429, headers={"Retry-After": "1000"})
    result = act(site, "shutdown", fails=True)
    assert result["timed_out"] and "force=true" not in result["msg"] and result["actions"] == []


def test_a_plain_refusal_is_told_at_once(site: Site) -> None:
    site.fault("problem", "POST", status=409, code="some_conflict", detail="Not now.")
    result = act(site, "shutdown", fails=True)
    assert result["error"]["code"] == "some_conflict" and "Not now" in result["msg"]
    assert "force=true" not in result["msg"] and requests(site) == ["status", "details", "shutdown"]


@every_action
def test_a_refusal_of_the_edge_is_told_at_once(site: Site, action: str) -> None:
    site.fault("edge", "POST")
    result = act(site, action, fails=True)
    assert "nothing was done" in result["msg"] and result["error"]["code"] == "1010" and result["actions"] == []
    assert result["error"]["extra"].keys() == {"server", "ray_id"}
    assert requests(site) == ["status", "details", action]


def test_a_key_without_the_scope(site: Site) -> None:
    key = site.world.add_key(site.owner, "key-that-only-reads", ["read:vm", "write:vm", "write:storage"])
    result = act(site, "stop", api_key=key, fails=True)
    assert "needs an API key with the scope power:vm," in result["msg"] and result["error"]["status"] == 403


# --- the list form


def test_fleet(site: Site) -> None:
    others = [site.world.add_vps(site.owner, f"web-{number}") for number in range(2, 6)]
    others[0].power_state = "stopped"
    others[1].gates["shutdown"] = Gate(False, "An order is pending.")
    vps_ids = [site.vps.id, *(vps.id for vps in others), "vps_gone"]
    result = power(site, vps_id=None, vps_ids=vps_ids, state="stopped", fails=True)
    assert [one["vps_id"] for one in result["results"]] == vps_ids
    assert [one["actions"] for one in result["results"]] == [["shutdown"], [], [], ["shutdown"], ["shutdown"], []]
    assert [one["vps_id"] for one in result["results"] if one["failed"]] == [others[1].id, "vps_gone"]
    assert all(one.keys() - {"failed", "msg", "error"} == KEYS for one in result["results"])
    assert result["changed"] and result["msg"].startswith("2 of 6 VPSs failed.")
    assert [diff["before_header"] for diff in result["diff"]] == [site.vps.id, others[2].id, others[3].id]


@pytest.mark.parametrize("options", [{"wait_timeout": 0}, {"vps_ids": [""], "vps_id": None}])
def test_what_can_be_seen_without_the_api(site: Site, options: dict[str, Any]) -> None:
    power(site, state="stopped", fails=True, **options)
    assert requests(site) == []
