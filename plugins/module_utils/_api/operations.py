# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One write, from sending to proof: its outcome is classified, an unknown one settled by re-reads, its job followed,
and the result confirmed. What writes differ in is data: an `Operation`.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.hostup.cloud.plugins.module_utils import _clock
from ansible_collections.hostup.cloud.plugins.module_utils._api.client import Answer, Client
from ansible_collections.hostup.cloud.plugins.module_utils._api.jobs import (
    Job,
    Reporter,
    parse_job,
    poll_delay,
    wait_for,
)
from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError

# Seconds before each re-read. Reads may be stale: about 15 s after a write that the API has confirmed …
CONFIRM_SCHEDULE = (0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 4.5)
# … and up to 10 s after one whose outcome is unknown, before it is sent again.
UNKNOWN_SCHEDULE = (0.0, 0.5, 1.0, 2.0, 3.0, 3.5)

Schedule = t.Iterable[float]


@dataclass
class Record:
    """What the writes of one task on one VPS came to; a failure shows it too. The job is the latest one."""

    actions: list[str] = field(default_factory=list)
    actions_unknown: list[str] = field(default_factory=list)
    job: Job | None = None


@dataclass(frozen=True)
class Operation:
    """What is particular to one write.

    ``send`` sends it; the status ``was_so`` says that nothing had to be done. ``look`` reads anew, and tells whether it
    shows that the write has happened; ``did_nothing`` then, after looks in vain, whether it surely has not, so that it
    may be sent again, ``resends`` times. ``is_done`` reads anew, and tells whether all of it is done; ``schedule`` when
    to look for that, once the API has taken the write, `None` for not at all.
    Of a job that has failed, or does not end, ``came_true`` tells whether it is done all the same, and
    ``came_to_nothing`` whether nothing has changed.
    """

    action: str
    send: t.Callable[[], Answer]
    look: t.Callable[[], bool]
    is_done: t.Callable[[], bool]
    schedule: t.Callable[[], Schedule | None]
    read: str  # what `is_done` reads, for messages
    resends: int
    report: Reporter
    was_so: int | None = None
    did_nothing: t.Callable[[], bool] = lambda: True
    came_true: t.Callable[[], bool] = lambda: False
    came_to_nothing: t.Callable[[], bool] = lambda: True


def patiently(waited: float = 0.0) -> t.Iterator[float]:
    """A schedule without end for what takes its time, as jobs are polled. ``waited`` is in seconds."""
    while True:
        delay = poll_delay(waited, None)
        waited += delay
        yield delay


def write(client: Client, operation: Operation, record: Record) -> Job | None:
    """Send a write until it has happened. Returns its job, where the answer names one.

    Raises HostUpError when it has not happened, and when nobody knows: ``outcome_unknown`` then, and
    ``record.actions_unknown``.
    """
    answer, lost = _send(client, operation, record)
    if lost or answer.status != operation.was_so:
        record.actions.append(operation.action)
    return parse_job(answer.body)


def _send(client: Client, operation: Operation, record: Record) -> tuple[Answer, int]:
    """The answer, and how many before it were lost."""
    lost = 0
    while True:
        try:
            return operation.send(), lost
        except HostUpError as error:
            lost += error.outcome_unknown
            if not lost:
                raise
            has_happened = _settle(client, operation, record, error)
            if has_happened:
                return Answer(200, {}), lost
            is_late = client.deadline.is_over
            if has_happened is None or not error.outcome_unknown or lost > operation.resends or is_late:
                error.timed_out = is_late
                if has_happened is None or error.outcome_unknown:
                    record.actions_unknown.append(operation.action)
                raise


def _settle(client: Client, operation: Operation, record: Record, error: HostUpError) -> bool | None:
    """Whether a write of unknown outcome has happened; ``None`` where no read can tell. Raises the write's error."""
    try:
        if re_read(client, operation.look, UNKNOWN_SCHEDULE):
            return True
    except HostUpError as fault:
        record.actions_unknown.append(operation.action)
        error.outcome_unknown = True
        error.timed_out = fault.timed_out
        raise error.add(after=f"Nor could it be looked up whether that was done after all: {fault.msg}") from None
    return False if operation.did_nothing() else None


def see_through(client: Client, operation: Operation, record: Record, job: Job | None, *, wait: bool) -> None:
    """Wait for the job of a write, if it has one, and for the outcome. Raises HostUpError.

    Without ``wait``, only a job that has ended is looked into.
    """
    if job is not None:
        record.job = job
        if not (job.finished or wait):
            return
        try:
            job = _follow(client, operation, record, job)
        except HostUpError as error:
            if (record.job.has_failed or error.timed_out) and operation.came_true():
                return
            is_last = record.actions[-1:] == [operation.action]  # and not that of a job that was taken up
            if record.job.has_failed and is_last and operation.came_to_nothing():
                record.actions.pop()
            raise
    schedule = operation.schedule()
    if schedule is not None:
        _confirm(client, operation, schedule, job)


def _follow(client: Client, operation: Operation, record: Record, job: Job) -> Job:
    def keep(latest: Job, elapsed: float) -> None:
        record.job = latest
        operation.report(latest, elapsed)

    return wait_for(client, job, keep)


def _confirm(client: Client, operation: Operation, schedule: Schedule, job: Job | None) -> None:
    started = _clock.monotonic()
    try:
        shows = re_read(client, operation.is_done, schedule)
    except HostUpError as fault:
        raise fault.add(before="The API took the request, but whether it is done could not be looked up.") from None
    if not shows:
        word = f"{job.label} ended as {job.status}, " if job and job.is_over else "The API took the request, "
        raise HostUpError(
            f"{word}but its {operation.read} did not show the outcome within "
            f"{_clock.monotonic() - started:.0f} s. The next run goes on from what it finds.",
            timed_out=client.deadline.is_over,
        )


def re_read(client: Client, look: t.Callable[[], bool], schedule: Schedule) -> bool:
    """Look until it shows, as long as schedule and deadline allow, at least once."""
    for delay in schedule:
        client.pause(delay)
        if look():
            return True
        if client.deadline.is_over:
            break
    return False
