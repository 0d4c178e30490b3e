# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SIGINT and SIGTERM for a task that must not leave things as they are: its threads get to clean up.

Nothing here does anything but in `interruptible`.
"""

from __future__ import annotations

import signal
import threading
import typing as t
from contextlib import contextmanager

NOTICED_WITHIN = 0.5  # seconds, by a thread that sleeps


class _Watch:
    """What is known in this process: signals are its own, not an object's."""

    is_armed = False
    received = ""  # the signal's name


_shield = threading.local()


class Interrupted(BaseException):
    """Somebody wants the task to end; like KeyboardInterrupt, it is no failure that a task deals with."""


@contextmanager
def interruptible(*, at_once: bool) -> t.Iterator[None]:
    """Have the first signal raise Interrupted: ``at_once`` in this thread, else wherever a thread next checks.

    Signals only come to the main thread; in any other one nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, _frame: object) -> None:
        is_first = not _Watch.received
        _Watch.received = _Watch.received or signal.Signals(number).name
        if is_first and at_once:
            check()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    _Watch.is_armed = True
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _Watch.is_armed, _Watch.received = False, ""


@contextmanager
def shielded() -> t.Iterator[None]:
    """What this thread does in here is done to its end, as long as no other signal kills it."""
    _shield.is_up = True
    try:
        yield
    finally:
        _shield.is_up = False


def is_watched() -> bool:
    """Whether a sleep has to look up now and then."""
    return _Watch.is_armed


def check() -> None:
    """Raise Interrupted when the task is to end."""
    if _Watch.received and not getattr(_shield, "is_up", False):
        raise Interrupted(_Watch.received)
