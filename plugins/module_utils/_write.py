# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes one write happen: re-reads decide what an unknown outcome was, and go on until a known one shows."""

from __future__ import annotations

import typing as t

from ansible_collections.hostup.cloud.plugins.module_utils import _clock
from ansible_collections.hostup.cloud.plugins.module_utils._client import Answer, Client
from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError
from ansible_collections.hostup.cloud.plugins.module_utils._jobs import poll_delay

# Seconds before each re-read. Reads may be stale: about 15 s after a write that the API has confirmed …
CONFIRM_SCHEDULE = (0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 4.5)
# … and up to 10 s after one whose outcome is unknown, before it is sent again.
UNKNOWN_SCHEDULE = (0.0, 0.5, 1.0, 2.0, 3.0, 3.5)
NOW = (0.0,)


def patiently(waited: float = 0.0) -> t.Iterator[float]:
    """A schedule without end for what takes its time, as jobs are polled. ``waited`` is in seconds."""
    while True:
        delay = poll_delay(waited, None)
        waited += delay
        yield delay


def write_once(
    client: Client, send: t.Callable[[], Answer], settle: t.Callable[[], bool | None], resends: int
) -> tuple[Answer, bool]:
    """Send a write until it has happened. Returns the answer, and whether one before it was lost.

    ``settle`` is asked after an unknown outcome: whether the write has happened; ``None`` when nobody can tell, and
    it must not be sent again. Raises HostUpError when it has not happened, or after ``resends``.
    """
    lost = 0
    while True:
        try:
            return send(), lost > 0
        except HostUpError as error:
            lost += error.outcome_unknown
            if not lost:
                raise
            has_happened = settle()
            if has_happened:
                return Answer(200, {}), True
            is_late = client.deadline.left() <= 0
            if has_happened is None or not error.outcome_unknown or lost > resends or is_late:
                error.timed_out = is_late
                raise


def re_read(client: Client, look: t.Callable[[], bool], schedule: t.Iterable[float]) -> bool:
    """Look until it shows, as long as schedule and deadline allow, at least once."""
    for delay in schedule:
        _clock.sleep(min(delay, client.deadline.left()))
        if look():
            return True
        if client.deadline.left() <= 0:
            break
    return False


def confirm(client: Client, look: t.Callable[[], bool], schedule: t.Iterable[float], read: str) -> None:
    """The same, after a write that the API has taken. Raises HostUpError, which names the read, if it never shows."""
    started = _clock.monotonic()
    if not re_read(client, look, schedule):
        raise HostUpError(
            f"The API took the request, but its {read} did not show the outcome within "
            f"{_clock.monotonic() - started:.0f} s. The next run goes on from what it finds.",
            timed_out=client.deadline.left() <= 0,
        )
