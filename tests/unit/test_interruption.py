# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals: raised once, where a task waits, but not while it cleans up; outside of such tasks nothing changes."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

import pytest

from ansible_collections.hostup.cloud.plugins.module_utils import _clock
from ansible_collections.hostup.cloud.plugins.module_utils._interruption import (
    Interrupted,
    check,
    interruptible,
    is_watched,
    shielded,
)

NUMBERS = (signal.SIGINT, signal.SIGTERM)


def send(number: signal.Signals = signal.SIGTERM) -> None:
    """Send this process a signal."""
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", NUMBERS)
def test_raises_at_once_in_the_main_thread(number: signal.Signals) -> None:
    before = [signal.getsignal(each) for each in NUMBERS]
    with interruptible(at_once=True):
        assert is_watched()
        with pytest.raises(Interrupted, match=number.name):
            send(number)
    assert [signal.getsignal(each) for each in NUMBERS] == before
    assert not is_watched()
    check()


def test_is_told_to_each_thread_that_sleeps() -> None:
    ends: list[str] = []

    def work() -> None:
        try:
            _clock.sleep(60.0)
        except Interrupted as name:
            ends.append(str(name))

    with interruptible(at_once=False):
        threads = [threading.Thread(target=work) for _number in range(3)]
        for thread in threads:
            thread.start()
        send(signal.SIGINT)
        for thread in threads:
            thread.join(10.0)
        with pytest.raises(Interrupted):
            check()
    assert ends == ["SIGINT"] * 3


def test_lets_a_clean_up_come_to_its_end() -> None:
    with interruptible(at_once=True):
        with shielded():
            send()
            send(signal.SIGINT)
            _clock.sleep(0.01)
            check()
        with pytest.raises(Interrupted, match="SIGTERM"):
            check()


@pytest.mark.parametrize("act", [check, lambda: _clock.sleep(0.001)])
def test_changes_nothing_elsewhere(act: Callable[[], None]) -> None:
    seen: list[bool] = []

    def in_a_thread() -> None:
        with interruptible(at_once=True):
            seen.append(is_watched())

    thread = threading.Thread(target=in_a_thread)
    thread.start()
    thread.join()
    act()
    assert seen == [False]
