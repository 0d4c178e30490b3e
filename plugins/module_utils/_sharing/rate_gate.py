# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rate gate as pure functions: who may send when, once the API has refused somebody for its rate limit.

Everybody who uses one key at one origin goes by one `RateGate`. Nobody waits until the API refuses a request, or says
that nothing remains. The gate is then closed for as long as the API asks for. Afterwards requests need permissions, a
gap apart: the time that a request took on the average since the refusal before this one. What could not be sent during
a long pause is made up for at first, for an API that counts in windows has begun a new one. Then the pace grows, slowly
and ever faster, and so the gate finds out that the limit is higher or gone: 24 seconds after it opened nobody waits any
more, unless the API has refused another request.

All times are seconds of one clock that the caller chooses. ``docs/decisions/rate-gate.md`` says which row of the
simulation each number is there for.
"""

from __future__ import annotations

import typing as t

LONGEST_PAUSE = 900.0  # seconds; no answer and no file can close the gate for longer
FIRST_GAP = 0.08  # seconds between permissions, while nothing is known of the limit
LONGEST_GAP = 10.0  # seconds
CATCH_UP = 10.0  # times the pace, while what could not be sent during a pause is made up for
ROUNDED = 2.0  # seconds of a pause that tell nothing: they may be rounding, and the client's own jitter
DOUBLED = 8.0  # seconds after opening when the pace has doubled; after twice as many it is 2**4, after thrice 2**9
RECOVERED = 3 * DOUBLED  # seconds after opening when the gate no longer counts
LARGEST = 1e12  # no time and no count is larger


class RateGate(t.NamedTuple):
    """Closed until a time; then permissions are due ``gap`` seconds apart at first, or at once when it is 0.

    ``granted`` requests went through since the refusal at ``closed_at``.
    """

    closed_until: float = 0.0
    closed_at: float = 0.0
    granted: int = 0
    gap: float = 0.0
    next_permission: float = 0.0

    def is_open(self, now: float) -> bool:
        """Whether nobody needs to wait, or to count."""
        return not self.gap or now > self.closed_until + RECOVERED


class Permission(t.NamedTuple):
    """When to send, as long as the gate is not closed anew."""

    at: float
    closed_until: float


def ask_permission(gate: RateGate, now: float) -> tuple[RateGate, Permission]:
    """Ask when to send."""
    due = max(now, gate.closed_until, gate.next_permission)
    if not gate.is_open(due):
        since = due - gate.closed_until
        saved = gate.closed_until - gate.closed_at - ROUNDED
        pace = CATCH_UP if since * CATCH_UP < saved else 2 ** (since / DOUBLED) ** 2
        gate = gate._replace(next_permission=due + gate.gap / pace)
    return gate, Permission(due, gate.closed_until)


def still_holds(gate: RateGate, permission: Permission) -> bool:
    """Whether to go by a permission: closing the gate makes all of them void."""
    return permission.closed_until == gate.closed_until


def went_through(
    gate: RateGate, now: float, sent_at: float, used_up_for: float | None = None, limit: int | None = None
) -> RateGate:
    """The gate after a request that was not refused; the API may say that no other remains for so many seconds."""
    if gate.gap and sent_at >= gate.closed_until:
        gate = gate._replace(granted=gate.granted + 1)
    return gate if used_up_for is None else refused(gate, now, sent_at, used_up_for, limit)


def refused(gate: RateGate, now: float, sent_at: float, pause: float, limit: int | None = None) -> RateGate:
    """The gate after a refusal that asks to come back in ``pause`` seconds, or when nothing remains until then.

    ``limit``: requests per window, as far as the API tells.
    """
    pause = min(max(pause, 0.0), LONGEST_PAUSE)
    until = now + pause
    if sent_at < gate.closed_until:  # sent before the gate was closed: it tells nothing new of the gap
        return gate if until <= gate.closed_until else gate._replace(closed_until=until, next_permission=until)
    if gate.is_open(now):
        gap = pause / limit if limit and pause > ROUNDED else FIRST_GAP
    elif gate.granted:
        gap = (now - gate.closed_at) / gate.granted
    else:  # the pause was too short: it grows until something goes through
        until = max(until, now + min((now - gate.closed_at) / 2, LONGEST_GAP))
        return gate._replace(closed_until=until, next_permission=until)
    return RateGate(until, now, 0, min(gap, LONGEST_GAP), until)


def dump_rate_gate(gate: RateGate) -> list[float]:
    """The gate as JSON."""
    return list(gate)


def parse_rate_gate(document: object, now: float) -> RateGate:
    """Read what `dump_rate_gate` has written; an open gate for everything that it cannot have written.

    Nor can it have written what would make anybody wait for long; the clock may have been set back since.
    """
    if not isinstance(document, list) or len(document) != len(RateGate._fields):
        return RateGate()
    if not all(type(number) in (int, float) and 0 <= number <= LARGEST for number in document):
        return RateGate()
    closed_until, closed_at, granted, gap, next_permission = (float(number) for number in document)
    bounds = (
        (closed_until, now + LONGEST_PAUSE),
        (closed_at, now),
        (gap, LONGEST_GAP),
        (next_permission, max(now, closed_until) + RECOVERED + LONGEST_GAP),
    )
    if any(number > bound for number, bound in bounds):
        return RateGate()
    return RateGate(closed_until, closed_at, int(granted), gap, next_permission)
