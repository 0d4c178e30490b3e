# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose turn it is to download: of all tasks that want a file in an owner's library, one orders it, the others wait.

They wait for a lock, not for the API. Beside the lock lies a note of how the last download went, with the job that a
task may have left running: whoever comes next takes that job up, instead of ordering the file again.
"""

from __future__ import annotations

import random
import typing as t
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

from ansible_collections.hostup.cloud.plugins.module_utils import _clock
from ansible_collections.hostup.cloud.plugins.module_utils._client import Client
from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError
from ansible_collections.hostup.cloud.plugins.module_utils._jobs import Job
from ansible_collections.hostup.cloud.plugins.module_utils._shared import MEMORY, name_of

JOB_MEMORY = MEMORY  # seconds for which a job may be taken up
MOST_FRUITLESS = 3  # downloads by others that fail while a task waits for its turn
LOOK_AGAIN = 0.5  # seconds between looks at the lock


@dataclass(frozen=True)
class Past:
    """The note: a job that may still run, when it was ordered, and from where; when a download ended; how many failed.

    Times are seconds since the epoch, ``source`` is a hash.
    """

    job_id: str | None = None
    poll_url: str | None = None
    ordered_at: float = 0.0
    source: str | None = None
    done_at: float = 0.0
    fruitless: int = 0


def parse_past(note: object, now: float) -> Past:
    """Read a note. What cannot be one, or speaks of the future, counts for nothing."""
    known = note if isinstance(note, dict) else {}
    kinds: dict[str, tuple[type, ...]] = {
        "job_id": (str,), "poll_url": (str,), "source": (str,),
        "ordered_at": (int, float), "done_at": (int, float), "fruitless": (int,),
    }  # fmt: skip
    values = {name: known[name] for name, kind in kinds.items() if type(known.get(name)) in kind}
    past = Past(**values)
    # a clock that was set back must not lose a job, but nor can it tell that a download is done
    is_possible = 0.0 <= past.ordered_at <= now + JOB_MEMORY and 0.0 <= past.done_at <= now + 1.0
    return past if is_possible else Past()


class Turn:
    """What a task whose turn it is has to know, and where it says how its download goes.

    ``is_there``: somebody has downloaded it since. ``fruitless``: how many downloads in a row have failed.
    ``is_ours``: nobody else may order now. ``is_kept``: what is noted outlasts this process.
    """

    def __init__(
        self, past: Past, source: str, since: float, save: t.Callable[[Past], None], *, is_ours: bool, is_kept: bool
    ) -> None:
        self.is_there = past.done_at > since
        self.fruitless = past.fruitless
        self.is_ours = is_ours
        self.is_kept = is_kept
        self._past = past
        self._source = source
        self._save = save

    @property
    def job(self) -> Job | None:
        """The job that another task has left running, if it is of the same source and young."""
        past = self._past
        is_young = _clock.now() - past.ordered_at < JOB_MEMORY
        if past.job_id is None or past.source != self._source or not is_young:
            return None
        return Job(past.job_id, "unknown", poll_url=past.poll_url)

    def ordered(self, job: Job | None) -> None:
        """Note the job, so that it is not lost with this task."""
        if job and job.id:
            past = replace(self._past, job_id=job.id, poll_url=job.poll_url, source=self._source)
            self._keep(replace(past, ordered_at=_clock.now()))

    def done(self) -> None:
        """Note that the file is in the library."""
        self._keep(Past(done_at=_clock.now()))

    def failed(self, *, for_all: bool = False) -> None:
        """Note that the job has failed; ``for_all`` when those who wait should not try, either."""
        self._keep(Past(fruitless=self._past.fruitless + (MOST_FRUITLESS if for_all else 1)))

    def _keep(self, past: Past) -> None:
        self._past = past
        self._save(past)


@contextmanager
def turn_to_download(
    client: Client, name: str, source: tuple[str, ...], since: float, *, wait: bool
) -> t.Iterator[Turn]:
    """Wait until it is this task's turn to download the file ``name``, or until there is nothing left to download.

    ``since``: the time at which the library was last seen without it. Without ``wait``, somebody else's running job
    ends the waiting too. Raises HostUpError when the deadline passes, or when others try again and again in vain.
    """
    path = (client.origin, client.api_key, name)
    note_name, lock_name = name_of("download", *path), name_of("library", *path)
    wanted = name_of("source", *source)

    def save(past: Past) -> None:
        client.shared.change(note_name, lambda _note: (asdict(past), None))

    def look(*, is_ours: bool = False) -> Turn:
        past = parse_past(client.shared.read(note_name), _clock.now())
        return Turn(past, wanted, since, save, is_ours=is_ours, is_kept=client.shared.is_kept(note_name))

    turn = look()
    first_failures = client.first_failures.setdefault(note_name, turn.fruitless)
    let_go = client.shared.try_to_hold(lock_name)
    if let_go is None and wait:
        client.say_once(f"waiting for a download of {name} that is under way")
    while let_go is None:
        if turn.is_there or (turn.job and not wait):
            yield turn
            return
        _refuse_hopeless(turn, first_failures, name)
        if client.deadline.left() <= 0:
            raise HostUpError(
                f"Another task is still downloading {name} after the {client.deadline.seconds:.0f} s of wait_timeout.",
                timed_out=True,
            )
        _clock.sleep(min(LOOK_AGAIN * random.uniform(0.5, 1.0), client.deadline.left()))
        turn = look()
        if not turn.is_there:
            let_go = client.shared.try_to_hold(lock_name)
    try:
        turn = look(is_ours=True)
        if not turn.job:
            _refuse_hopeless(turn, first_failures, name)
        yield turn
    finally:
        let_go()


def _refuse_hopeless(turn: Turn, first_failures: int, name: str) -> None:
    if turn.fruitless - first_failures >= MOST_FRUITLESS:
        raise HostUpError(
            f"Downloads of {name} have failed, or got no answer, while this one waited for its turn. "
            "The messages of those that ordered them say more."
        )
