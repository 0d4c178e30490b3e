# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waits for the rate limit: the gate of ``_gate``, shared by all tasks that use one key at one origin."""

from __future__ import annotations

import random
import typing as t

from ansible_collections.hostup.cloud.plugins.module_utils import _clock
from ansible_collections.hostup.cloud.plugins.module_utils._clock import Deadline
from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError, Problem
from ansible_collections.hostup.cloud.plugins.module_utils._gate import (
    Budget,
    Gate,
    Ticket,
    close,
    dump_gate,
    parse_gate,
    still_holds,
    take_ticket,
    went_through,
)
from ansible_collections.hostup.cloud.plugins.module_utils._shared import Shared, name_of

LOOK_AGAIN = 1.0  # seconds between looks at the gate, which somebody may have closed
WORTH_TELLING = 2.0  # seconds


class Pace:
    """When this task may send. ``say`` is told once that there is a wait."""

    def __init__(
        self, shared: Shared, origin: str, api_key: str, deadline: Deadline, say: t.Callable[[str], None]
    ) -> None:
        self._shared = shared
        self._name = name_of("gate", origin, api_key)
        self._deadline = deadline
        self._say: t.Callable[[str], None] | None = say
        self._gate = Gate()

    def wait(self, *, is_poll: bool = False) -> float:
        """Wait until a request may be sent, and return the time. Raises HostUpError when the deadline comes first."""
        asked = _clock.monotonic()
        while True:
            waited = _clock.monotonic() - asked if is_poll else None
            ticket = self._take_ticket(waited)
            if self._wait_for(ticket):
                return _clock.now()

    def went_through(self, sent_at: float, budget: Budget | None) -> None:
        """Note a request that was not refused."""
        if self._gate.gap or budget:
            self._change(lambda gate, now: went_through(gate, now, sent_at, budget))

    def close(self, sent_at: float, pause: float, limit: int | None) -> None:
        """Note a refusal that asks to come back in ``pause`` seconds."""
        self._change(lambda gate, now: close(gate, now, sent_at, pause, limit))

    def _take_ticket(self, waited: float | None) -> Ticket:
        ticket = Ticket(0.0, 0.0)

        def take(gate: Gate, now: float) -> Gate:
            nonlocal ticket
            gate, ticket = take_ticket(gate, now, random.random(), waited)
            return gate

        self._change(take)
        return ticket

    def _wait_for(self, ticket: Ticket) -> bool:
        """Wait until a ticket is due, by a clock that nobody sets. Returns whether it is still good for a request."""
        due = _clock.monotonic() + ticket.at - _clock.now()
        while True:
            left = due - _clock.monotonic()
            if left <= 0.0:
                return ticket.is_valid
            if left > self._deadline.left():
                raise HostUpError(
                    f"The API's rate limit is used up: the next request may be sent in {left:.0f} s, "
                    f"after the end of the {self._deadline.seconds:.0f} s that this task may take.",
                    Problem(title="rate limit"),
                    timed_out=True,
                )
            if left >= WORTH_TELLING:
                say, self._say = self._say, None  # taken first: other threads may come here too
                if say:
                    say(f"waiting {left:.0f} s for the API's rate limit")
            _clock.sleep(min(left, LOOK_AGAIN * random.uniform(1.0, 1.5)))
            if not still_holds(self._change(lambda gate, _now: gate), ticket):
                return False

    def _change(self, step: t.Callable[[Gate, float], Gate]) -> Gate:
        def work(note: t.Any) -> tuple[t.Any, Gate]:
            now = _clock.now()
            before = parse_gate(note, now)
            after = step(before, now)
            return (note if after == before else dump_gate(after)), after

        self._gate = self._shared.change(self._name, work)
        return self._gate
