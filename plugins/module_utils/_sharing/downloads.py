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
from ansible_collections.hostup.cloud.plugins.module_utils._clock import Deadline
from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError
from ansible_collections.hostup.cloud.plugins.module_utils._sharing.notes import MEMORY, Notes, name_of

JOB_MEMORY = MEMORY  # seconds for which a job may be taken up
MOST_FAILURES = 3  # downloads by others that fail while a task waits for its turn
LOOK_AGAIN = 0.5  # seconds between looks at the lock …
WAIT_TOGETHER = 32  # … of so many; more than that look no more often in all


@dataclass(frozen=True)
class DownloadNote:
    """A job that may still run, when it was ordered, and from where; when a download ended; how many have failed.

    Times are seconds since the epoch, ``source`` is a hash.
    """

    job_id: str | None = None
    poll_url: str | None = None
    ordered_at: float = 0.0
    source: str | None = None
    done_at: float = 0.0
    failures: int = 0


def parse_download_note(note: object, now: float) -> DownloadNote:
    """Read a note. What cannot be one, or speaks of the future, counts for nothing."""
    given = note if isinstance(note, dict) else {}
    kinds: dict[str, tuple[type, ...]] = {
        "job_id": (str,), "poll_url": (str,), "source": (str,),
        "ordered_at": (int, float), "done_at": (int, float), "failures": (int,),
    }  # fmt: skip
    values = {name: given[name] for name, kind in kinds.items() if type(given.get(name)) in kind}
    known = DownloadNote(**values)
    # a clock that was set back must not lose a job, but nor can it tell that a download is done
    is_possible = 0.0 <= known.ordered_at <= now + JOB_MEMORY and 0.0 <= known.done_at <= now + 1.0
    return known if is_possible else DownloadNote()


class Turn:
    """What a task whose turn it is has to know, and where it says how its download goes.

    ``is_there``: somebody has downloaded it since. ``failures``: how many downloads in a row have failed.
    ``is_ours``: nobody else may order now. ``is_kept``: what is noted outlasts this process.
    """

    def __init__(
        self,
        note: DownloadNote,
        source: str,
        since: float,
        save: t.Callable[[DownloadNote], None],
        *,
        is_ours: bool,
        is_kept: bool,
    ) -> None:
        self.is_there = note.done_at > since
        self.failures = note.failures
        self.is_ours = is_ours
        self.is_kept = is_kept
        self._note = note
        self._source = source
        self._save = save

    @property
    def job(self) -> tuple[str, str | None] | None:
        """ID and ``pollUrl`` of the job that another task has left running, if it is of the same source and young."""
        note = self._note
        is_young = _clock.now() - note.ordered_at < JOB_MEMORY
        return (note.job_id, note.poll_url) if note.job_id and note.source == self._source and is_young else None

    def ordered(self, job_id: str, poll_url: str | None) -> None:
        """Note the job, so that it is not lost with this task."""
        note = replace(self._note, job_id=job_id, poll_url=poll_url, source=self._source, ordered_at=_clock.now())
        self._keep(note)

    def done(self) -> None:
        """Note that the file is in the library."""
        self._keep(DownloadNote(done_at=_clock.now()))

    def failed(self, *, for_all: bool = False) -> None:
        """Note that the job has failed; ``for_all`` when those who wait should not try, either."""
        self._keep(DownloadNote(failures=self._note.failures + (MOST_FAILURES if for_all else 1)))

    def _keep(self, note: DownloadNote) -> None:
        self._note = note
        self._save(note)


class Downloads:
    """The downloads of one task, for all of its VPSs. ``owner``: origin and API key, whose library it is.

    ``pause`` waits for so many seconds, ``say_once`` tells what is waited for.
    """

    def __init__(
        self,
        notes: Notes,
        owner: tuple[str, str],
        deadline: Deadline,
        pause: t.Callable[[float], None],
        say_once: t.Callable[[str], None],
    ) -> None:
        self._notes = notes
        self._owner = owner
        self._deadline = deadline
        self._pause = pause
        self._say_once = say_once
        self._first_failures: dict[str, int] = {}  # how many had failed when this task came
        self._waiting = 0

    @contextmanager
    def turn(self, name: str, source: tuple[str, ...], since: float, *, wait: bool) -> t.Iterator[Turn]:
        """Wait until it is this task's turn to download the file ``name``, or until nothing is left to download.

        ``since``: the time at which the library was last seen without it. Without ``wait``, somebody else's running
        job ends the waiting too. Raises HostUpError when the deadline passes, or when others fail again and again.
        """
        note_name, lock_name = name_of("download", *self._owner, name), name_of("library", *self._owner, name)
        wanted = name_of("source", *source)

        def look(*, is_ours: bool = False) -> Turn:
            note = parse_download_note(self._notes.read(note_name), _clock.now())
            is_kept = self._notes.is_kept(note_name)
            return Turn(note, wanted, since, save, is_ours=is_ours, is_kept=is_kept)

        def save(note: DownloadNote) -> None:
            self._notes.change(note_name, lambda _note: (asdict(note), None))

        turn = look()
        self._first_failures.setdefault(note_name, turn.failures)
        release = self._notes.try_to_hold(lock_name)
        if release is None and wait:
            self._say_once(f"waiting for a download of {name} that is under way")
        while release is None:
            if turn.is_there or (turn.job and not wait):
                yield turn
                return
            self._refuse_after_failures(turn, note_name, name)
            if self._deadline.is_over:
                raise HostUpError(
                    f"Another task is still downloading {name} after the {self._deadline}.",
                    timed_out=True,
                )
            self._wait_a_moment()
            turn = look()
            if not turn.is_there:
                release = self._notes.try_to_hold(lock_name)
        try:
            turn = look(is_ours=True)
            if not turn.job:
                self._refuse_after_failures(turn, note_name, name)
            yield turn
        finally:
            release()

    def _wait_a_moment(self) -> None:
        self._waiting += 1
        self._pause(LOOK_AGAIN * random.uniform(0.5, 1.0) * max(1.0, self._waiting / WAIT_TOGETHER))
        self._waiting -= 1

    def _refuse_after_failures(self, turn: Turn, note_name: str, name: str) -> None:
        if turn.failures - self._first_failures[note_name] >= MOST_FAILURES:
            raise HostUpError(
                f"Downloads of {name} have failed, or got no answer, while this one waited for its turn. "
                "The messages of those that ordered them say more."
            )
