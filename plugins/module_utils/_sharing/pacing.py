# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waits for the rate limit: the gate of `rate_gate`, shared by all tasks that use one key at one origin."""

from __future__ import annotations

import random
import typing as t

from ansible_collections.hostup.cloud.plugins.module_utils import _clock
from ansible_collections.hostup.cloud.plugins.module_utils._clock import Deadline
from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError, Problem
from ansible_collections.hostup.cloud.plugins.module_utils._sharing.notes import Notes, name_of
from ansible_collections.hostup.cloud.plugins.module_utils._sharing.rate_gate import (
    Permission,
    RateGate,
    ask_permission,
    dump_rate_gate,
    parse_rate_gate,
    refused,
    still_holds,
    went_through,
)

LOOK_AGAIN = 1.0  # seconds between looks at the gate, which somebody may have closed
WORTH_TELLING = 2.0  # seconds


class Pace:
    """When this task may send. ``say`` is told once that there is a wait."""

    def __init__(
        self, notes: Notes, origin: str, api_key: str, deadline: Deadline, say: t.Callable[[str], None]
    ) -> None:
        self._notes = notes
        self._name = name_of("gate", origin, api_key)
        self._deadline = deadline
        self._say: t.Callable[[str], None] | None = say
        self._gate = RateGate()

    def wait(self) -> float:
        """Wait until a request may be sent, and return the time. Raises HostUpError when the deadline comes first."""
        while not self._wait_for(self._ask_permission()):
            pass
        return _clock.now()

    def went_through(self, sent_at: float, used_up_for: float | None, limit: int | None) -> None:
        """Note a request that was not refused, and that no more remain for so many seconds."""
        if used_up_for is not None or not self._gate.is_open(sent_at):
            self._change(lambda gate, now: went_through(gate, now, sent_at, used_up_for, limit))

    def refused(self, sent_at: float, pause: float, limit: int | None) -> None:
        """Note a refusal that asks to come back in ``pause`` seconds."""
        self._change(lambda gate, now: refused(gate, now, sent_at, pause, limit))

    def _ask_permission(self) -> Permission:
        permission = Permission(0.0, 0.0)

        def take(gate: RateGate, now: float) -> RateGate:
            nonlocal permission
            gate, permission = ask_permission(gate, now)
            return gate

        self._change(take)
        return permission

    def _wait_for(self, permission: Permission) -> bool:
        """Wait until a permission is due, by a clock that nobody sets. Returns whether it still holds."""
        due = _clock.monotonic() + permission.at - _clock.now()
        while True:
            left = due - _clock.monotonic()
            if left <= 0.0:
                return True
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
            if not still_holds(self._change(lambda gate, _now: gate), permission):
                return False

    def _change(self, step: t.Callable[[RateGate, float], RateGate]) -> RateGate:
        def work(note: t.Any) -> tuple[t.Any, RateGate]:
            now = _clock.now()
            before = parse_rate_gate(note, now)
            after = step(before, now)
            return (note if after == before else dump_rate_gate(after)), after

        self._gate = self._notes.change(self._name, work)
        return self._gate
