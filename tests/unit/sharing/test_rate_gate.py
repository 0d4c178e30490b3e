# SPDX-License-Identifier: GPL-3.0-or-later
"""The rate gate: each of its promises, and what becomes of simulated fleets that go by it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from ansible_collections.hostup.cloud.plugins.module_utils._sharing.rate_gate import (
    CATCH_UP,
    DOUBLED,
    FIRST_GAP,
    LONGEST_GAP,
    LONGEST_PAUSE,
    RECOVERED,
    Permission,
    RateGate,
    ask_permission,
    dump_rate_gate,
    parse_rate_gate,
    refused,
    still_holds,
    went_through,
)
from benchmarks.fleet_sim import PEERS, Limit, recovery, simulate

NOW = 1_800_000_000.0
PAUSE = 30.0
CLOSED = refused(RateGate(), NOW, NOW - 0.1, PAUSE)
OPEN_AT = NOW + PAUSE
PACED = CLOSED._replace(closed_at=OPEN_AT - 1.0)  # with nothing to make up for


def permissions(gate: RateGate, now: float, number: int) -> tuple[RateGate, list[Permission]]:
    """Take some permissions one after the other."""
    taken = []
    for _time in range(number):
        gate, permission = ask_permission(gate, now)
        taken.append(permission)
    return gate, taken


def gaps(taken: list[Permission]) -> list[float]:
    return [after.at - before.at for before, after in pairwise(taken)]


def succeed(gate: RateGate, now: float, times: int) -> RateGate:
    for _time in range(times):
        gate = went_through(gate, now, now)
    return gate


def test_an_open_gate_lets_everybody_through_at_once_and_is_not_changed() -> None:
    assert RateGate().is_open(NOW)
    assert ask_permission(RateGate(), NOW) == (RateGate(), Permission(NOW, 0.0))
    assert went_through(RateGate(), NOW, NOW - 0.1) == RateGate()


def test_nobody_sends_before_the_pause_is_over() -> None:
    assert CLOSED.closed_until == OPEN_AT and not CLOSED.is_open(NOW)
    _gate, taken = permissions(CLOSED, NOW, 5)
    assert all(permission.at >= OPEN_AT for permission in taken)


def test_permissions_are_due_in_order_and_a_gap_apart() -> None:
    _gate, taken = permissions(PACED, NOW, 10)
    assert taken[0].at == OPEN_AT
    assert gaps(taken) == pytest.approx([FIRST_GAP] * 9, rel=0.01)
    _gate, taken = permissions(PACED, OPEN_AT + DOUBLED, 2)  # nobody has waited meanwhile
    assert taken[0].at == OPEN_AT + DOUBLED
    assert gaps(taken) == pytest.approx([FIRST_GAP / 2])


def test_what_could_not_be_sent_during_a_pause_is_made_up_for() -> None:
    """Faster at first, at the usual pace then; and never more of it than the pause was long."""
    gate = CLOSED._replace(gap=0.3)
    _gate, taken = permissions(gate, NOW, 120)
    assert gaps(taken)[:80] == pytest.approx([0.3 / CATCH_UP] * 80, rel=1e-3)
    assert gaps(taken)[100:] == pytest.approx([0.3] * 19, rel=0.5)
    assert all(permission.at >= NOW + number * gate.gap for number, permission in enumerate(taken[:100]))


def test_the_pace_grows_slowly_at_first_and_ever_faster() -> None:
    gate, taken = permissions(PACED._replace(gap=1.0), OPEN_AT, 500)
    assert gaps(taken) == sorted(gaps(taken), reverse=True)
    assert sum(permission.at < OPEN_AT + DOUBLED for permission in taken) < 15, "0.7 of them go by the gap alone"
    assert gate.is_open(OPEN_AT + RECOVERED + 0.1) and not gate.is_open(OPEN_AT + RECOVERED - 0.1)


@pytest.mark.parametrize("gap", [0.05, FIRST_GAP, 1.0, LONGEST_GAP])
def test_half_a_minute_after_opening_nobody_waits(gap: float) -> None:
    """Not for those either who hold a permission and were killed."""
    gate, taken = permissions(PACED._replace(gap=gap), OPEN_AT, 5000)
    assert taken[-1].at <= OPEN_AT + RECOVERED + gap
    for at in (OPEN_AT + RECOVERED + gap, OPEN_AT + 3600.0):
        assert ask_permission(gate, at) == (gate, Permission(at, OPEN_AT))


def test_closing_makes_all_permissions_void() -> None:
    gate, taken = permissions(PACED, NOW, 3)
    assert all(still_holds(gate, permission) for permission in taken)
    gate = refused(succeed(gate, OPEN_AT, 1), OPEN_AT + 1.0, OPEN_AT + 0.9, 5.0)
    assert not any(still_holds(gate, permission) for permission in taken)
    _gate, permission = ask_permission(gate, OPEN_AT + 1.0)
    assert permission.at == gate.closed_until == OPEN_AT + 6.0


def test_a_wave_of_refusals_counts_once() -> None:
    gate, (permission,) = permissions(CLOSED, NOW, 1)
    for seconds in (0.01, 0.2, 0.9):
        assert refused(gate, NOW + seconds, NOW - 0.05, PAUSE - seconds) == gate
    longer = refused(gate, NOW + 0.1, NOW - 0.05, PAUSE + 2.0)
    assert longer.closed_until == pytest.approx(OPEN_AT + 2.1)
    assert (longer.gap, longer.closed_at) == (gate.gap, gate.closed_at)
    assert not still_holds(longer, permission)


def test_the_gap_is_measured_from_one_refusal_to_the_next() -> None:
    assert CLOSED.gap == FIRST_GAP
    gate = succeed(refused(RateGate(), NOW, NOW, 20.0), NOW + 40.0, 80)
    gate = went_through(gate, NOW + 40.0, NOW + 19.9)  # sent before the gate opened: not counted
    gate = refused(gate, NOW + 40.0, NOW + 39.9, 10.0)
    assert gate == RateGate(NOW + 50.0, NOW + 40.0, 0, 0.5, NOW + 50.0)


@pytest.mark.parametrize(
    ("pause", "limit", "gap"),
    [
        (30.0, None, FIRST_GAP),
        (30.0, 100, 0.3),
        (1.0, 100, FIRST_GAP),  # rounded up: it tells nothing
        (900.0, 1, LONGEST_GAP),
        (30.0, 0, FIRST_GAP),
    ],
)
def test_first_gap(pause: float, limit: int | None, gap: float) -> None:
    assert refused(RateGate(), NOW, NOW, pause, limit).gap == pytest.approx(gap)


def test_what_was_measured_long_ago_is_forgotten() -> None:
    gate = succeed(CLOSED, OPEN_AT + 1.0, 3)._replace(gap=5.0)
    assert refused(gate, OPEN_AT + RECOVERED + 1.0, OPEN_AT + RECOVERED + 0.9, 1.0).gap == FIRST_GAP


def test_a_gap_is_bounded() -> None:
    gate = succeed(refused(RateGate(), NOW, NOW, 600.0), NOW + 600.0, 1)
    assert refused(gate, NOW + 601.0, NOW + 600.9, 600.0).gap == LONGEST_GAP


def test_a_pause_that_was_too_short_does_not_change_the_gap() -> None:
    gate = refused(CLOSED._replace(gap=0.7), OPEN_AT + 0.1, OPEN_AT, 100.0)
    assert gate == RateGate(OPEN_AT + 100.1, NOW, 0, 0.7, OPEN_AT + 100.1)


def test_pauses_grow_while_nothing_goes_through() -> None:
    """Where the API does not tell how long to wait; the gap is not to blame."""
    gate, now, pauses = refused(RateGate(), NOW, NOW, 1.0), NOW + 1.0, []
    for _time in range(8):
        gate = refused(gate, now + 0.1, now, 1.0)
        pauses.append(gate.closed_until - now - 0.1)
        now = gate.closed_until
    assert pauses == sorted(pauses)
    assert pauses[-1] == pytest.approx(LONGEST_GAP)
    assert gate.gap == FIRST_GAP


def test_nothing_remaining_closes_until_the_reset() -> None:
    gate = went_through(RateGate(), NOW, NOW - 0.1, 30.0)
    assert gate.closed_until == NOW + 30.0
    assert went_through(gate, NOW + 0.1, NOW - 0.1, 29.9) == gate


@pytest.mark.parametrize("pause", [1e9, math.inf])
def test_absurd_pauses_are_bounded(pause: float) -> None:
    assert refused(RateGate(), NOW, NOW, pause).closed_until == NOW + LONGEST_PAUSE
    assert refused(CLOSED, NOW, NOW - 1.0, pause).closed_until == NOW + LONGEST_PAUSE
    assert refused(CLOSED, OPEN_AT, OPEN_AT, pause).closed_until == OPEN_AT + LONGEST_PAUSE
    assert went_through(RateGate(), NOW, NOW, pause).closed_until == NOW + LONGEST_PAUSE


@pytest.mark.parametrize("pause", [0.0, -30.0])
def test_no_pause_or_a_time_that_has_passed(pause: float) -> None:
    assert refused(RateGate(), NOW, NOW, pause).closed_until == NOW


BUSY = permissions(succeed(refused(RateGate(), NOW - 40.0, NOW - 40.1, 30.0), NOW, 7), NOW, 9)[0]


@pytest.mark.parametrize("gate", [RateGate(), CLOSED, PACED, BUSY, refused(BUSY, NOW, NOW, LONGEST_PAUSE)])
def test_round_trip(gate: RateGate) -> None:
    document = json.loads(json.dumps(dump_rate_gate(gate)))
    assert parse_rate_gate(document, OPEN_AT) == gate
    assert parse_rate_gate(document, OPEN_AT + 1e6) == gate


def test_whole_numbers_will_do() -> None:
    """Other writers of JSON drop a fraction of nothing."""
    assert parse_rate_gate([int(number) for number in dump_rate_gate(CLOSED)], NOW) == CLOSED._replace(gap=0.0)


@pytest.mark.parametrize(
    "document",
    [
        None,
        True,
        7,
        "gate",
        {},
        {"closed_until": NOW},
        [],
        dump_rate_gate(BUSY)[:-1],
        [*dump_rate_gate(BUSY), 0.0],
        [[]] * 5,
    ],
)
def test_other_documents_are_an_open_gate(document: object) -> None:
    assert parse_rate_gate(document, NOW) == RateGate()


@pytest.mark.parametrize("position", range(len(dump_rate_gate(RateGate()))))
@pytest.mark.parametrize(
    "value", [None, True, False, "1", [], {}, math.nan, math.inf, -math.inf, -1, -0.5, 1e300, 10**400]
)
def test_garbage_is_an_open_gate(position: int, value: Any) -> None:
    document: list[Any] = dump_rate_gate(BUSY)
    document[position] = value
    assert parse_rate_gate(document, NOW) == RateGate()


def test_garbage_is_still_valid_json_for_python() -> None:
    document = json.loads(json.dumps([math.nan, *dump_rate_gate(BUSY)[1:]]))
    assert parse_rate_gate(document, NOW) == RateGate()


@pytest.mark.parametrize(
    "changes",
    [
        {"closed_until": NOW + LONGEST_PAUSE + 1.0},
        {"closed_at": NOW + 1.0},
        {"next_permission": NOW + RECOVERED + LONGEST_GAP + 1.0},
        {"gap": LONGEST_GAP + 1.0},
    ],
)
def test_what_would_make_anybody_wait_for_long_is_an_open_gate(changes: dict[str, Any]) -> None:
    assert parse_rate_gate(dump_rate_gate(BUSY._replace(**changes)), NOW) == RateGate()


@pytest.mark.parametrize("seconds", [60.0, 3600.0, 1e8])
def test_a_clock_that_was_set_back(seconds: float) -> None:
    assert parse_rate_gate(dump_rate_gate(BUSY), NOW - seconds) == RateGate()


def test_no_file_makes_anybody_wait_for_long() -> None:
    longest = LONGEST_PAUSE + RECOVERED + LONGEST_GAP
    worst = RateGate(NOW + LONGEST_PAUSE, NOW, 0, LONGEST_GAP, NOW + longest)
    gate = parse_rate_gate(dump_rate_gate(worst), NOW)
    assert gate == worst
    assert ask_permission(gate, NOW)[1].at == NOW + longest


# Simulated fleets: the limits of the design's table.

window = Limit()
bucket = Limit(burst=100)
small_bucket = Limit(burst=10)
every_limit = pytest.mark.parametrize("limit", [window, bucket, small_bucket], ids=["window", "bucket", "small bucket"])
every_seed = pytest.mark.parametrize("seed", range(3))


@every_seed
@every_limit
@pytest.mark.parametrize("tells", ["seconds", "reset"])
def test_a_thousand_hosts(limit: Limit, tells: str, seed: int) -> None:
    outcome = simulate(1000, forks=50, limit=replace(limit, tells=tells), seed=seed)
    assert outcome.lost == 0
    assert outcome.refusals_per_host <= 0.3
    assert outcome.over_floor <= 1.05
    assert outcome.p95_over_median < 3


@every_seed
@every_limit
@pytest.mark.parametrize("hosts", [60, 300])
@pytest.mark.parametrize(("number", "seconds"), [(120, 10.0), (100, 60.0)])
def test_many_hosts_at_once(hosts: int, number: int, seconds: float, limit: Limit, seed: int) -> None:
    limit = replace(limit, limit=number, window=seconds)
    outcome = simulate(hosts, forks=60, limit=limit, seed=seed)
    assert outcome.lost == 0
    assert outcome.refusals_per_host <= 0.5
    assert outcome.over_floor <= 1.2


@every_seed
@pytest.mark.parametrize("hosts", [60, 300])
def test_as_many_forks_as_hosts_in_six_windows(hosts: int, seed: int) -> None:
    """What `make bench` does with real plays: the sixth window is not full, and must not be needed whole."""
    limit = Limit(math.ceil(hosts * 3 / 5.6), 10.0)
    outcome = simulate(hosts, forks=hosts, limit=limit, latency=0.03, start_every=0.04, seed=seed)
    assert outcome.over_floor <= 1.2


@every_limit
@pytest.mark.parametrize("forks", [1, 5, 50])
@pytest.mark.parametrize(("number", "seconds"), [(1, 60.0), (6, 60.0), (60, 60.0), (100, 60.0), (33, 10.0)])
def test_a_limit_that_was_lifted(limit: Limit, forks: int, number: int, seconds: float) -> None:
    """Back to half the pace of an unlimited API within half a minute, or 20 requests."""
    limit = replace(limit, limit=number, window=seconds, lifted_at=131.0)
    after, requests = recovery(limit, forks=forks)
    assert after <= 30.0 or requests <= 20


@every_seed
@every_limit
def test_headers_on_successes_leave_hardly_a_refusal(limit: Limit, seed: int) -> None:
    """But for the first wave, which is under way when the API first says that nothing remains."""
    outcome = simulate(1000, forks=50, limit=replace(limit, on_success=True), seed=seed)
    assert outcome.lost == 0
    assert outcome.refusals_per_host <= 0.03
    assert outcome.over_floor <= 1.05


@every_limit
def test_refusals_that_tell_nothing(limit: Limit) -> None:
    outcome = simulate(1000, forks=50, limit=replace(limit, tells="nothing"))
    assert outcome.lost == 0
    assert outcome.refusals_per_host <= 0.5
    assert outcome.over_floor <= 1.55


@every_seed
@every_limit
@pytest.mark.parametrize("tells", ["seconds", "nothing"])
@pytest.mark.parametrize("gates", [10, 50])
def test_workers_that_share_no_gate_lose_nobody(limit: Limit, tells: str, gates: int, seed: int) -> None:
    outcome = simulate(1000, forks=50, gates=gates, limit=replace(limit, tells=tells), seed=seed)
    assert outcome.lost == 0
    assert outcome.over_floor <= 1.2


@every_limit
def test_polls_among_real_work(limit: Limit) -> None:
    outcome = simulate(300, forks=50, polls=3, limit=replace(limit, on_success=True), deadline=7200.0)
    assert outcome.lost == 0
    assert outcome.refusals_per_host <= 0.2
    assert outcome.over_floor <= 1.2


@pytest.mark.parametrize("burst", [None, pytest.param(600, marks=pytest.mark.exhaustive)])
def test_ten_thousand_at_once(burst: int | None) -> None:
    limit = Limit(1200, 60.0, burst)
    outcome = simulate(10_000, forks=10_000, requests=1, limit=limit, start_every=0.0, deadline=36_000.0)
    assert outcome.lost == 0
    assert outcome.refusals_per_host <= 1.1  # they are all under way before the first is refused
    assert outcome.over_floor <= 1.1


@pytest.mark.parametrize("latency", [0.02, 0.5])
@every_limit
def test_quick_and_slow_answers(limit: Limit, latency: float) -> None:
    outcome = simulate(1000, forks=50, limit=limit, latency=latency)
    assert outcome.lost == 0
    assert outcome.refusals_per_host <= 0.5
    assert outcome.over_floor <= 1.2


def test_the_simulation_lets_peers_retry_as_they_do() -> None:
    """It does lose hosts, so that losing none means something."""
    lost = {name: simulate(1000, peer=peer).lost for name, peer in PEERS.items()}
    assert all(number > 300 for number in lost.values())
    assert lost["gives up at once"] > 950


def test_the_simulation_is_the_same_every_time() -> None:
    assert simulate(100, seed=3) == simulate(100, seed=3) != simulate(100, seed=4)


def test_a_deadline_that_is_too_short_loses_hosts() -> None:
    outcome = simulate(200, forks=200, deadline=60.0)
    assert 0 < outcome.lost < 200


def test_floors() -> None:
    assert window.floor(100) == 0.0
    assert window.floor(101) == window.floor(200) == 60.0
    assert bucket.floor(100) == 0.0
    assert bucket.floor(3000) == pytest.approx(1740.0)
    assert small_bucket.floor(110) == pytest.approx(60.0)
    assert simulate(10, limit=window).floor == pytest.approx(0.3)
