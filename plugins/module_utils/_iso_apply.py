# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Doing: reads the ISO state of a VPS and applies a plan, each write confirmed by a re-read."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace
from itertools import chain
from urllib.parse import quote

from ansible_collections.hostup.cloud.plugins.module_utils import _clock
from ansible_collections.hostup.cloud.plugins.module_utils._client import Answer, Client, unexpected_shape
from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError
from ansible_collections.hostup.cloud.plugins.module_utils._iso import (
    ATTACH_DRIVE,
    DELETE,
    DOWNLOAD,
    MOUNT,
    NO_DRIVE,
    UNMOUNT,
    Media,
    Plan,
    Step,
    Wish,
    drives_to_attach,
    find_iso,
    is_done,
    parse_media,
)
from ansible_collections.hostup.cloud.plugins.module_utils._jobs import (
    COMPLETED,
    FAILED,
    FORGOTTEN,
    Job,
    look_at,
    parse_job,
    progress_lines,
    wait_for,
)
from ansible_collections.hostup.cloud.plugins.module_utils._library import Turn, turn_to_download
from ansible_collections.hostup.cloud.plugins.module_utils._vps import vps_path
from ansible_collections.hostup.cloud.plugins.module_utils._write import (
    CONFIRM_SCHEDULE,
    NOW,
    UNKNOWN_SCHEDULE,
    confirm,
    patiently,
    re_read,
    write_once,
)


@dataclass
class Progress:
    """What has happened so far; a failure shows it too."""

    wish: Wish
    vps_id: str | None = None
    before: Media | None = None
    media: Media = field(default_factory=lambda: Media((), (), ()))
    read_at: float = 0.0  # seconds since the epoch, just before the first read
    actions: list[str] = field(default_factory=list)
    job: Job | None = None


def read_media(client: Client, vps_id: str) -> Media:
    """The one read that holds everything. Raises HostUpError."""
    path = f"{vps_path(vps_id)}/iso"
    body = client.get(path).body
    try:
        return parse_media(body)
    except ValueError as error:
        raise unexpected_shape("GET", path, str(error)) from None


@dataclass
class Applier:
    """Applies a plan to one VPS. ``find_url`` tells what the API is to download from, when it comes to that."""

    client: Client
    vps_id: str
    wish: Wish
    find_url: t.Callable[[], str]
    progress: Progress

    def apply(self, plan: Plan, *, look_first: bool = False, more_follows: bool = False) -> None:
        """Do the steps in order. Raises HostUpError; ``progress`` then tells how far it came.

        ``look_first``: others may have done them since the state was read. ``more_follows``: these are not the last.
        """
        for step in plan:
            if not (look_first and self._shows(step, NOW)):
                self._perform(step, is_last=step is plan[-1] and not more_follows)
        for step in drives_to_attach(self.progress.media, self.wish, plan):
            self._perform(step, is_last=True)

    def _perform(self, step: Step, is_last: bool) -> None:
        """Write, wait for the job, and re-read until the outcome shows."""
        if step.action == MOUNT and step.iso_id is None:
            iso = find_iso(self.progress.media, self.wish)
            step = replace(step, iso_id=iso.id if iso else None)
        wait = self.wish.wait or not is_last
        try:
            if step.action == DOWNLOAD:
                self._download(step, wait)
            else:
                answer = self._write_or_attach_first(step)
                self._see_through(step, parse_job(answer.body), wait)
        except HostUpError as error:
            error.msg = f"Could not {self._describe(step)}. {error.msg}"
            raise

    def _download(self, step: Step, wait: bool) -> None:
        """Download, unless another task has done so, or has left a job that does."""
        # a signature in the query may be another one for each run
        source, wait_for_turn = (str(self.wish.url).partition("?")[0], self.wish.decompress), wait
        while True:
            since = self.progress.read_at
            with turn_to_download(self.client, str(self.wish.name), source, since, wait=wait_for_turn) as turn:
                if turn.is_there and self._shows(step, CONFIRM_SCHEDULE):
                    return
                job = self._job_left_behind(step, turn)
                if job or turn.is_ours:
                    self._order(step, job, turn, wait)
                    return
            # what another task has noted is not so any more
            self.progress.read_at, wait_for_turn = _clock.now(), True

    def _order(self, step: Step, job: Job | None, turn: Turn, wait: bool) -> None:
        """Order the download, unless there is a job that does it, and see it through."""
        try:
            if job is None:
                job = parse_job(self._write_once(step).body)
                turn.ordered(job)
            if self._see_through(step, job, wait):
                turn.done()
        except HostUpError as error:
            self._tell_of_download(error, turn)
            raise

    def _job_left_behind(self, step: Step, turn: Turn) -> Job | None:
        """The job of a task that was ended before its download, if it still leads to the ISO."""
        if turn.job is None:
            return None
        try:
            job = look_at(self.client, turn.job)
        except HostUpError as error:
            if error.transient or error.timed_out or error.problem.status == 401:
                error.msg += " To have it forgotten, delete the folder hostup in ~/.cache or in $XDG_CACHE_HOME."
                raise
            job = replace(turn.job, status=FORGOTTEN)  # this answer will not become another one
        if job.status == FAILED:
            if turn.is_ours:
                turn.failed()
        elif not job.finished or self._shows(step, CONFIRM_SCHEDULE):
            return job
        return None

    def _tell_of_download(self, error: HostUpError, turn: Turn) -> None:
        """Note a failure, or tell what becomes of a download that goes on."""
        job = self.progress.job
        if job and job.status == FAILED:
            turn.failed()
        elif job and turn.job and turn.is_kept and not job.finished:
            error.msg += " The next run takes it up where it is then."
        elif error.outcome_unknown or (job and job.status != COMPLETED):
            turn.failed(for_all=True)
            error.msg += (
                " The download may still be running. Look for the ISO with hostup_vps_iso_info "
                "before running this again, or it may be ordered a second time."
            )

    def _write_or_attach_first(self, step: Step) -> Answer:
        """Whether a slot without a drive can be mounted on is not documented: try, and attach a drive if refused."""
        try:
            return self._write_once(step)
        except HostUpError as refusal:
            if step.action != MOUNT or refusal.problem.status not in (400, 404, 409, 422) or refusal.outcome_unknown:
                raise
            if self.progress.media.drive(step.device or "") != NO_DRIVE:
                raise
            try:
                self._perform(Step(ATTACH_DRIVE, step.device), is_last=False)
            except HostUpError:
                raise refusal from None
            return self._write_once(step)

    def _write_once(self, step: Step) -> Answer:
        """Make one write happen. A download is sent again once at most: a second one may run beside the first."""
        answer, was_lost = write_once(
            self.client,
            send=lambda: self._write(step),
            settle=lambda: self._shows(step, UNKNOWN_SCHEDULE),
            resends=1 if step.action == DOWNLOAD else self.client.retries,
        )
        # those two say that it was so already
        if was_lost or (step.action, answer.status) not in ((DOWNLOAD, 200), (DELETE, 404)):
            self.progress.actions.append(step.action)
        return answer

    def _write(self, step: Step) -> Answer:
        iso_path = f"{vps_path(self.vps_id)}/iso"
        if step.action == DELETE:
            try:
                return self.client.delete(f"{iso_path}/{quote(str(step.iso_id), safe='')}")
            except HostUpError as error:
                if error.problem.status == 404:  # gone is what was wanted
                    return Answer(404, {})
                raise
        if step.action == DOWNLOAD:
            body = {"url": self.find_url(), "filename": self.wish.name, "decompress": self.wish.decompress}
            return self.client.post(f"{iso_path}/actions/from-url", body)
        action = {MOUNT: "mount", UNMOUNT: "unmount", ATTACH_DRIVE: "attach-empty"}[step.action]
        iso = {"isoId": step.iso_id} if step.action == MOUNT else {}
        return self.client.post(f"{iso_path}/actions/{action}", {**iso, "device": step.device})

    def _see_through(self, step: Step, job: Job | None, wait: bool) -> bool:
        """Wait for the job, if there is one, and for the outcome. Without ``wait``, returns whether it has ended."""
        schedule: t.Iterable[float] = CONFIRM_SCHEDULE
        if job is not None:
            self.progress.job = job
            if not (job.finished or wait):
                return False
            job = self._wait_for(step, job)
            if not job.finished:  # nobody can be asked how it goes
                schedule = chain(CONFIRM_SCHEDULE, patiently(sum(CONFIRM_SCHEDULE)))
        self._confirm(step, schedule)
        return True

    def _wait_for(self, step: Step, job: Job) -> Job:
        lines = progress_lines(str(self.wish.name), self.client.say) if step.action == DOWNLOAD else None

        def keep(latest: Job, elapsed: float) -> None:
            self.progress.job = latest
            if lines:
                lines(latest, elapsed)
            if latest.status == FAILED and self.progress.actions[-1:] == [step.action]:
                self.progress.actions.pop()  # it did not happen after all

        self.progress.job = wait_for(self.client, job, keep)
        return self.progress.job

    def _confirm(self, step: Step, schedule: t.Iterable[float]) -> None:
        if not is_done(self.progress.media, step, self.wish):
            confirm(self.client, lambda: self._look(step), schedule, "ISO read")

    def _shows(self, step: Step, schedule: t.Iterable[float]) -> bool:
        """Re-read until the outcome of the step shows, a bounded number of times, at least once."""
        return re_read(self.client, lambda: self._look(step), schedule)

    def _look(self, step: Step) -> bool:
        self.progress.media = read_media(self.client, self.vps_id)
        return is_done(self.progress.media, step, self.wish)

    def _describe(self, step: Step) -> str:
        label = self.progress.media.label(step.iso_id)
        return {
            DOWNLOAD: f"download {self.wish.name}",
            MOUNT: f"mount {label} on {step.device}",
            UNMOUNT: f"unmount {label} from {step.device}",
            ATTACH_DRIVE: f"attach an empty drive at {step.device}",
            DELETE: f"delete {label}",
        }[step.action]
