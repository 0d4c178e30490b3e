# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rate gate as pure functions: who may send when, once the API has refused somebody for its rate limit.

Everybody who uses one key at one origin goes by one `RateGate`. Nobody waits until the API refuses a request, or says
that nothing remains. The gate is then closed for as long as the API asks for, and afterwards requests need permissions,
which are a gap apart. The gap is measured: how many requests went through from one refusal to the next. It shrinks with
every success, and so finds out when the limit is higher. After a pause permissions come faster at first, the longer the
pause: an API that counts in windows begins a new one, an API that counts in tokens has saved them up. What is not used
for a while is forgotten.

All times are seconds of one clock that the caller chooses. The numbers were chosen by simulation, see
``tests/benchmarks/fleet_sim.py``.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace

LONGEST_PAUSE = 900.0  # seconds; no answer and no file can close the gate for longer
LONGEST_GUESS = 30.0  # seconds for which the gate is closed on its own account, where pauses turn out too short
ROUNDED = 2.0  # seconds; a pause up to that may be a fraction of a second that was rounded up, and tells no gap
SAME_WAVE = 1.0  # seconds by which refusals that belong together may differ: some are rounded
FIRST_GAP = 0.1  # seconds between permissions, while nothing is known of the limit
SHORTEST_GAP = 0.005  # seconds; less than that is no gap at all
LONGEST_GAP = 10.0
SHRINK = 0.99  # of the gap, with every success
GROWTH = 3  # times the gap at most by one refusal: it may be that few requests went through because few were made
CATCH_UP = 8.0  # times as fast at most, while what could not be sent during a pause is made up for
HORIZON = 30.0  # seconds ahead for which permissions are given out; what killed tasks hold is lost for no longer
FORGET = 120.0  # seconds after the last permission
POLL_PATIENCE = 20.0  # seconds that a poll lets other requests go first
POLLS_OF_BUDGET = 3  # polls take one in so many of a budget that is known
LARGEST = 1e12  # no time and no count is larger


@dataclass(frozen=True)
class RateGate:
    """Closed until a time; then permissions are due ``gap`` seconds apart, or at once when it is 0.

    ``granted`` requests went through since the refusal at ``closed_at``. Permissions are due faster while there are
    ``saved`` seconds to make up for. Polls are ``poll_gap`` seconds apart.
    """

    closed_until: float = 0.0
    closed_at: float = 0.0
    granted: int = 0
    gap: float = 0.0
    saved: float = 0.0
    next_permission: float = 0.0
    poll_gap: float = 0.0
    next_poll: float = 0.0


@dataclass(frozen=True)
class Permission:
    """When to send, as long as the gate is not closed anew; without ``is_valid``, when to ask again."""

    at: float
    closed_until: float
    is_valid: bool = True


@dataclass(frozen=True)
class Budget:
    """What the API's headers tell of a window: its size, what is left of it, and the seconds until it ends."""

    limit: int
    remaining: int
    ends_in: float


def ask_permission(
    gate: RateGate, now: float, spread: float, poll_waited: float | None = None
) -> tuple[RateGate, Permission]:
    """Ask when to send. ``spread`` is a random number from 0 to 1.

    ``poll_waited``: the request is a poll, and has waited for so many seconds. Polls give way to real work.
    """
    if now > max(gate.closed_until, gate.next_permission) + FORGET:
        gate = replace(gate, gap=0.0, granted=0, saved=0.0)
    opens = max(now, gate.closed_until)
    backlog = max(0.0, gate.next_permission - opens)
    if poll_waited is not None:
        if now < gate.next_poll:
            return gate, _ask_again(gate, gate.next_poll + gate.poll_gap * spread)
        if backlog and poll_waited < POLL_PATIENCE:
            return gate, _ask_again(gate, opens + min(backlog, POLL_PATIENCE / 4) * (1 + spread))
        if gate.poll_gap:
            gate = replace(gate, next_poll=now + gate.poll_gap)
    if not gate.gap:
        return gate, Permission(opens, gate.closed_until)
    if backlog > HORIZON:
        return gate, _ask_again(gate, opens + HORIZON * (1 + spread) / 2)
    due = opens + backlog
    gap = gate.gap / min(CATCH_UP, 1.0 + gate.saved)
    saved = max(0.0, gate.saved - (gate.gap - gap))
    return replace(gate, next_permission=due + gap, saved=saved), Permission(due, gate.closed_until)


def _ask_again(gate: RateGate, at: float) -> Permission:
    return Permission(at, gate.closed_until, is_valid=False)


def still_holds(gate: RateGate, permission: Permission) -> bool:
    """Whether to go by a permission: closing the gate makes all of them void."""
    return permission.closed_until == gate.closed_until


def went_through(gate: RateGate, now: float, sent_at: float, budget: Budget | None = None) -> RateGate:
    """The gate after a request that was not refused."""
    if gate.gap and sent_at >= gate.closed_until:
        gap = gate.gap
        if budget is None or budget.remaining * gap > budget.ends_in:  # else all that remains will be used anyway
            gap *= SHRINK
        gate = replace(gate, gap=gap if gap > SHORTEST_GAP else 0.0, granted=gate.granted + 1)
    if budget is None:
        return gate
    is_ample = budget.remaining * POLLS_OF_BUDGET > budget.limit * (POLLS_OF_BUDGET - 1)
    poll_gap = 0.0 if is_ample else POLLS_OF_BUDGET * budget.ends_in / max(1, budget.remaining)
    gate = replace(gate, poll_gap=min(poll_gap, LONGEST_GAP))
    if budget.remaining > 0 or (gate.gap and budget.ends_in <= SAME_WAVE):  # permissions will hardly come sooner
        return gate
    return refused(gate, now, sent_at, budget.ends_in, budget.limit)


def refused(gate: RateGate, now: float, sent_at: float, pause: float, limit: int | None = None) -> RateGate:
    """The gate after a refusal that asks to come back in ``pause`` seconds, or when nothing remains until then."""
    pause = min(max(pause, 0.0), LONGEST_PAUSE)
    until = now + pause
    if sent_at < gate.closed_until:  # sent before the gate was closed: nothing new
        if until <= gate.closed_until + SAME_WAVE:
            return gate
        return replace(gate, closed_until=until, next_permission=until)
    if gate.gap and not gate.granted:  # the pause was too short
        until = max(until, now + min((now - gate.closed_at) / 2, LONGEST_GUESS))
        return replace(gate, closed_until=until, next_permission=until, saved=until - gate.closed_at)
    if gate.gap:
        gap = min((now - gate.closed_at) / gate.granted, max(gate.gap * GROWTH, FIRST_GAP))
    else:
        gap = pause / limit if limit and pause > ROUNDED else FIRST_GAP
    gap = min(max(gap, SHORTEST_GAP * 2), LONGEST_GAP)
    return RateGate(until, now, 0, gap, pause, until, gate.poll_gap, gate.next_poll)


def dump_rate_gate(gate: RateGate) -> list[float]:
    """The gate as JSON."""
    return list(astuple(gate))


def parse_rate_gate(document: object, now: float) -> RateGate:
    """Read what `dump_rate_gate` has written; an open gate for everything that it cannot have written.

    Nor can it have written what would make anybody wait for long; the clock may have been set back since.
    """
    if not isinstance(document, list) or len(document) != len(astuple(RateGate())):
        return RateGate()
    if not all(type(number) in (int, float) and 0 <= number <= LARGEST for number in document):
        return RateGate()
    numbers = [float(number) for number in document]
    gate = RateGate(numbers[0], numbers[1], int(numbers[2]), *numbers[3:])
    bounds = (
        (gate.closed_until, now + LONGEST_PAUSE),
        (gate.closed_at, now),
        (gate.gap, LONGEST_GAP),
        (gate.next_permission, max(now, gate.closed_until) + HORIZON + LONGEST_GAP),
        (gate.poll_gap, LONGEST_GAP),
        (gate.next_poll, now + LONGEST_GAP),
    )
    return gate if all(number <= bound for number, bound in bounds) else RateGate()
