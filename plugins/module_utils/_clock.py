# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Time. Nothing else here imports ``time``, so that a test has one place to take it in hand. All times are seconds."""

from __future__ import annotations

import time

# sockets go by the real time, also where a test holds the other in its hand
from time import monotonic as socket_time

from ansible_collections.hostup.cloud.plugins.module_utils import _interruption

__all__ = ["Deadline", "monotonic", "now", "sleep", "socket_time"]


def now() -> float:
    """The time of day, since the epoch; what files and other processes understand. It may be set back."""
    return time.time()


def monotonic() -> float:
    """A time that nobody sets, for measuring how long something takes."""
    return time.monotonic()


def sleep(seconds: float) -> None:
    """Wait; no time at all where ``seconds`` is negative. Raises Interrupted in a task that heeds it."""
    if not _interruption.is_watched():
        time.sleep(max(0.0, seconds))
        return
    end = monotonic() + seconds
    while (left := end - monotonic()) > 0.0:
        _interruption.check()
        time.sleep(min(left, _interruption.NOTICED_WITHIN))


class Deadline:
    """A monotonic end of all waiting of one task, or of a part of it. ``option`` is what the user sets it with."""

    def __init__(self, seconds: float, option: str = "wait_timeout") -> None:
        self.seconds = seconds
        self.option = option
        self._end = monotonic() + seconds

    def __str__(self) -> str:
        return f"{self.seconds:.0f} s of {self.option}"

    def left(self) -> float:
        """Seconds left, negative when it has passed."""
        return self._end - monotonic()

    @property
    def is_over(self) -> bool:
        """Whether it has passed."""
        return self.left() <= 0.0
