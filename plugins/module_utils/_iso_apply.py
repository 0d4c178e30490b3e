# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Doing: reads the ISO state of a VPS and applies a plan, each write confirmed by a re-read."""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass, field, replace
from urllib.parse import quote

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
from ansible_collections.hostup.cloud.plugins.module_utils._jobs import COMPLETED, FAILED, Job, parse_job, wait_for
from ansible_collections.hostup.cloud.plugins.module_utils._vps import vps_path

# Told while a download runs: the ISO's name, the job, and the seconds since the start.
DownloadReporter = t.Callable[[str, Job, float], None]

# Seconds before each re-read. Reads may be stale: about 15 s after a write that the API has confirmed …
CONFIRM_SCHEDULE = (0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 4.5)
# … and up to 10 s after one whose outcome is unknown, before it is sent again.
UNKNOWN_SCHEDULE = (0.0, 0.5, 1.0, 2.0, 3.0, 3.5)


@dataclass
class Progress:
    """What has happened so far; a failure shows it too."""

    wish: Wish
    vps_id: str | None = None
    before: Media | None = None
    media: Media = field(default_factory=lambda: Media((), (), ()))
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
    """Applies a plan to one VPS. ``url`` is what the API is told to download from."""

    client: Client
    vps_id: str
    wish: Wish
    url: str | None
    report: DownloadReporter
    progress: Progress

    def apply(self, plan: Plan) -> None:
        """Do the steps in order. Raises HostUpError; ``progress`` then tells how far it came."""
        for step in plan:
            self._perform(step, is_last=step is plan[-1])
        for step in drives_to_attach(self.progress.media, self.wish, plan):
            self._perform(step, is_last=True)

    def _perform(self, step: Step, is_last: bool) -> None:
        """Write, wait for the job, and re-read until the outcome shows."""
        if step.action == MOUNT and step.iso_id is None:
            iso = find_iso(self.progress.media, self.wish)
            step = replace(step, iso_id=iso.id if iso else None)
        try:
            answer = self._write_or_attach_first(step)
            job = self._follow(step, answer, wait=self.wish.wait or not is_last)
            if job is None or job.finished:
                self._confirm(step)
        except HostUpError as error:
            error.msg = f"Could not {self._describe(step)}. {error.msg}"
            job = self.progress.job
            if step.action == DOWNLOAD and job and job.status not in (COMPLETED, FAILED):
                error.msg += (
                    " The download may still be running. Look for the ISO with hostup_vps_iso_info "
                    "before running this again, or it may be ordered a second time."
                )
            raise

    def _write_or_attach_first(self, step: Step) -> Answer:
        """Whether a slot without a drive can be mounted on is not documented: try, and attach a drive if refused."""
        try:
            return self._write_once(step)
        except HostUpError as refusal:
            if step.action != MOUNT or refusal.problem.status not in (400, 404, 409, 422):
                raise
            if self.progress.media.drive(step.device or "") != NO_DRIVE:
                raise
            try:
                self._perform(Step(ATTACH_DRIVE, step.device), is_last=False)
            except HostUpError:
                raise refusal from None
            return self._write_once(step)

    def _write_once(self, step: Step) -> Answer:
        """Make one write happen. When its outcome is unknown, a re-read decides whether it is sent again.

        A download is sent again once at most: a second one may run beside the first.
        """
        resends = 1 if step.action == DOWNLOAD else self.client.retries
        lost = 0
        answer: Answer | None = None
        while answer is None:
            try:
                answer = self._write(step)
            except HostUpError as error:
                lost += error.outcome_unknown
                if not lost:
                    raise
                if self._shows(step, UNKNOWN_SCHEDULE):
                    answer = Answer(200, {})
                elif not error.outcome_unknown or lost > resends or self.client.deadline.left() <= 0:
                    error.timed_out = self.client.deadline.left() <= 0
                    raise
        if lost or (step.action, answer.status) not in ((DOWNLOAD, 200), (DELETE, 404)):  # those say: it was so already
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
        action, body = {
            DOWNLOAD: (
                "from-url",
                {"url": self.url, "filename": self.wish.name, "decompress": self.wish.decompress},
            ),
            MOUNT: ("mount", {"isoId": step.iso_id, "device": step.device}),
            UNMOUNT: ("unmount", {"device": step.device}),
            ATTACH_DRIVE: ("attach-empty", {"device": step.device}),
        }[step.action]
        return self.client.post(f"{iso_path}/actions/{action}", t.cast("dict[str, t.Any]", body))

    def _follow(self, step: Step, answer: Answer, wait: bool) -> Job | None:
        """Wait for the job that the answer speaks of, if any."""
        job = parse_job(answer.body)
        if job is None:
            return None
        self.progress.job = job
        if not wait and not job.finished:
            return job

        def keep(latest: Job, elapsed: float) -> None:
            self.progress.job = latest
            if step.action == DOWNLOAD:
                self.report(str(self.wish.name), latest, elapsed)

        try:
            self.progress.job = wait_for(self.client, job, keep)
        finally:
            if self.progress.job.status == FAILED and self.progress.actions[-1:] == [step.action]:
                self.progress.actions.pop()  # it did not happen after all
        return self.progress.job

    def _confirm(self, step: Step) -> None:
        started = time.monotonic()
        if is_done(self.progress.media, step, self.wish) or self._shows(step, CONFIRM_SCHEDULE):
            return
        raise HostUpError(
            "The API took the request, but its ISO read did not show the outcome within "
            f"{time.monotonic() - started:.0f} s. The next run goes on from what it finds.",
            timed_out=self.client.deadline.left() <= 0,
        )

    def _shows(self, step: Step, schedule: t.Sequence[float]) -> bool:
        """Re-read until the outcome of the step shows, a bounded number of times, at least once."""
        for delay in schedule:
            time.sleep(max(0.0, min(delay, self.client.deadline.left())))
            self.progress.media = read_media(self.client, self.vps_id)
            if is_done(self.progress.media, step, self.wish):
                return True
            if self.client.deadline.left() <= 0:
                break
        return False

    def _describe(self, step: Step) -> str:
        label = self.progress.media.label(step.iso_id)
        return {
            DOWNLOAD: f"download {self.wish.name}",
            MOUNT: f"mount {label} on {step.device}",
            UNMOUNT: f"unmount {label} from {step.device}",
            ATTACH_DRIVE: f"attach an empty drive at {step.device}",
            DELETE: f"delete {label}",
        }[step.action]
