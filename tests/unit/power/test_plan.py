# SPDX-License-Identifier: GPL-3.0-or-later
"""The pure core of power: every wish in every state, and what reads say of an action that was sent."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.hostup.cloud.plugins.module_utils._api.documents import Gate, check_gate
from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError
from ansible_collections.hostup.cloud.plugins.module_utils._power import plan as _power
from ansible_collections.hostup.cloud.plugins.module_utils._power.plan import PowerWish as Wish
from ansible_collections.hostup.cloud.plugins.module_utils._power.read import parse_status
from ansible_collections.hostup.cloud.plugins.module_utils._power.state import Status

# The wishes in the order of the columns below; where force makes no difference, it is not listed.
WISHES = {
    "started": Wish("started"),
    "stopped": Wish("stopped"),
    "stopped by force": Wish("stopped", force=True),
    "restarted": Wish("restarted"),
    "restarted by force": Wish("restarted", force=True),
}
# What each wish takes in each state, and whether the end of the state is waited for first.
TABLE: dict[str | None, tuple[str | None, ...]] = {
    "running": (None, "shutdown", "stop", "restart", "reset"),
    "stopped": ("start", None, None, "start", "start"),
    "starting": ("wait", "wait, shutdown", "wait, stop", "wait, restart", "wait, reset"),
    "provisioning": ("wait", "wait, shutdown", "wait, stop", "wait, restart", "wait, reset"),
    "stopping": ("wait, start", "wait", "stop", "wait, start", "reset"),
    "paused": ("start", "shutdown", "stop", "restart", "reset"),
    "error": ("start", "shutdown", "stop", "restart", "reset"),
    "unknown": ("start", "shutdown", "stop", "restart", "reset"),
    "a word of tomorrow": ("start", "shutdown", "stop", "restart", "reset"),
    None: ("start", "shutdown", "stop", "restart", "reset"),
}
CASES = [
    pytest.param(state, wish, outcome, id=f"{state}-{name}")
    for state, outcomes in TABLE.items()
    for (name, wish), outcome in zip(WISHES.items(), outcomes, strict=True)
]


@pytest.mark.parametrize(("state", "wish", "outcome"), CASES)
def test_plan(state: str | None, wish: Wish, outcome: str | None) -> None:
    waits = ["wait"] if _power.settled(state, wish) != state else []
    action = _power.make_plan(state, wish)
    assert (", ".join([*waits, *([action] if action else [])]) or None) == outcome


@pytest.mark.parametrize("wish", WISHES.values(), ids=WISHES.keys())
@pytest.mark.parametrize("state", TABLE)
def test_plan_leads_to_the_wish(state: str | None, wish: Wish) -> None:
    action = _power.make_plan(state, wish)
    end = _power.TARGETS[action] if action else _power.settled(state, wish)
    assert end == ("stopped" if wish.state == "stopped" else "running")


@pytest.mark.parametrize(("state", "wish", "outcome"), CASES)
def test_without_wait_nothing_is_waited_for(state: str | None, wish: Wish, outcome: str | None) -> None:
    hasty = Wish(wish.state, wish.force, wait=False)
    if outcome and outcome.startswith("wait, "):
        with pytest.raises(HostUpError, match=f"The VPS is {state}, and the action {outcome[6:]} has to wait"):
            _power.make_plan(state, hasty)
    else:
        assert _power.make_plan(state, hasty) == _power.make_plan(state, wish)


@pytest.mark.parametrize("state", TABLE)
def test_force_has_no_effect_on_started(state: str | None) -> None:
    calm, forced = Wish("started"), Wish("started", force=True)
    assert _power.make_plan(state, forced) == _power.make_plan(state, calm)
    assert _power.settled(state, forced) == _power.settled(state, calm)


# --- gates


@pytest.mark.parametrize(
    ("gates", "allowed"), [({}, True), ({"start": Gate(False)}, False), ({"stop": Gate(False)}, True)]
)
def test_gates(gates: dict[str, Gate], allowed: bool) -> None:
    assert _power.gate_of(gates, "start").allowed is allowed


def test_a_closed_gate() -> None:
    with pytest.raises(
        HostUpError, match=r"allow a start on this VPS now: Unpaid \(code unpaid\)\. Nothing"
    ) as refusal:
        check_gate(Gate(False, "Unpaid", "unpaid"), "start", "a start")
    problem = refusal.value.problem
    assert (problem.code, problem.detail, problem.title) == ("unpaid", "Unpaid", "start not allowed")


def test_a_closed_gate_without_a_reason() -> None:
    with pytest.raises(HostUpError, match=r"now: it gives no reason\. Nothing"):
        check_gate(Gate(False), "start", "a start")


# --- reading

FLAT = {"powerState": "running", "uptime": 17, "usage": {}, "pendingTasks": []}


@pytest.mark.parametrize("body", [FLAT, {"data": FLAT}, {"vps": FLAT}, {"data": {"vps": FLAT}}])
def test_status_in_any_envelope(body: dict[str, Any]) -> None:
    assert parse_status(body, 5.0) == Status("running", 17, False, 5.0)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"powerState": None}, Status(None, 17)),
        ({"powerState": 7}, Status(None, 17)),
        ({"uptime": None}, Status("running", None)),
        ({"uptime": "17"}, Status("running", None)),
        ({"pendingTasks": ["restart"]}, Status("running", 17, True)),
        ({"pendingTasks": 1}, Status("running", 17, True)),
        ({"pendingTasks": None}, Status("running", 17)),
    ],
)
def test_odd_fields(changes: dict[str, Any], status: Status) -> None:
    assert parse_status({**FLAT, **changes}, 0.0) == status


@pytest.mark.parametrize("body", [{}, {"data": []}, {"status": "running"}])
def test_no_status_at_all(body: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no powerState"):
        parse_status(body, 0.0)


# --- what reads say of an action

BEFORE = Status("running", 100, at=50.0)
OFF = Status("stopped", 0, at=50.0)


@pytest.mark.parametrize(
    ("action", "before", "now", "begun"),
    [
        ("start", OFF, Status("stopped", 0), False),
        ("start", OFF, Status("starting", 0), True),
        ("start", OFF, Status("running", 1), True),
        ("start", OFF, Status("unknown"), False),
        ("shutdown", BEFORE, Status("running", 130), False),
        ("shutdown", BEFORE, Status("running", 3), False),
        ("shutdown", BEFORE, Status("stopping", 103), True),
        ("shutdown", BEFORE, Status("stopped", 0), True),
        ("shutdown", BEFORE, Status(None), False),
        ("stop", Status("stopping", 100), Status("stopping", 103), False),
        ("stop", Status("stopping", 100), Status("stopped", 0), True),
        ("restart", BEFORE, Status("stopped", 0), True),
        ("restart", BEFORE, Status("starting", 0), True),
        ("restart", BEFORE, Status("running", 4), True),
        ("restart", BEFORE, Status("running", 100), False),  # stale
        ("restart", BEFORE, Status("running", None), False),
        ("restart", Status("running"), Status("running", 4), False),
        ("restart", Status("paused", 100), Status("paused", 0), False),
        ("restart", Status("paused", 100), Status("running", 130), True),
        ("reset", BEFORE, Status("running", 4), False),
        ("reset", BEFORE, Status("starting", 4), True),
        ("reset", Status("error"), Status("running", 4), True),
    ],
)
def test_has_begun(action: str, before: Status, now: Status, begun: bool) -> None:
    assert _power.has_begun(action, before, now) is begun


@pytest.mark.parametrize(
    ("action", "before", "now", "nothing"),
    [
        ("start", OFF, OFF, True),
        ("shutdown", BEFORE, BEFORE, True),
        ("stop", BEFORE, BEFORE, True),
        ("restart", BEFORE, Status("running", 110, at=60.0), True),
        ("restart", BEFORE, Status("running", 108, at=60.0), True),
        ("restart", BEFORE, Status("running", 107, at=60.0), False),  # stale, or restarted
        ("restart", BEFORE, Status("running", 110, True, 60.0), False),
        ("restart", BEFORE, Status("running", None, at=60.0), False),
        ("restart", Status("running", None, at=50.0), Status("running", 110, at=60.0), False),
        ("restart", Status("running", 2, at=50.0), Status("running", 12, at=60.0), False),  # too young to tell
        ("restart", Status("running", 3, at=50.0), Status("running", 13, at=60.0), True),
        ("reset", BEFORE, Status("running", 110, at=60.0), False),
    ],
)
def test_did_nothing(action: str, before: Status, now: Status, nothing: bool) -> None:
    assert _power.did_nothing(action, before, now) is nothing
