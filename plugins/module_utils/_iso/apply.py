# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Doing: reads the ISO state of a VPS, does the plan's first step, and plans again on the read that confirms it."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field, replace
from itertools import chain
from urllib.parse import quote

from ansible_collections.hostup.cloud.plugins.module_utils import _clock
from ansible_collections.hostup.cloud.plugins.module_utils._api.client import Answer, Client
from ansible_collections.hostup.cloud.plugins.module_utils._api.jobs import (
    FORGOTTEN,
    Job,
    look_at,
    progress_lines,
)
from ansible_collections.hostup.cloud.plugins.module_utils._api.operations import (
    CONFIRM_SCHEDULE,
    Operation,
    Record,
    Schedule,
    patiently,
    re_read,
    see_through,
    write,
)
from ansible_collections.hostup.cloud.plugins.module_utils._api.vps import list_vpses, vps_path
from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError
from ansible_collections.hostup.cloud.plugins.module_utils._iso.plan import (
    ATTACH_DRIVE,
    DELETE,
    DOWNLOAD,
    FOLLOW,
    MOUNT,
    UNMOUNT,
    IsoWish,
    Plan,
    Step,
    is_done,
    make_plan,
    project,
)
from ansible_collections.hostup.cloud.plugins.module_utils._iso.read import read_media
from ansible_collections.hostup.cloud.plugins.module_utils._iso.state import NO_DRIVE, Media
from ansible_collections.hostup.cloud.plugins.module_utils._sharing.downloads import Downloads, Turn

UNDER_WAY = re.compile(r"download|progress|already|exist", re.IGNORECASE)
REDIRECT = re.compile("redirect", re.IGNORECASE)
MOST_STEPS = 12  # the longest way is four drives to empty and to attach again, and a file to delete


@dataclass
class IsoProgress:
    """What has happened so far; a failure shows it too."""

    wish: IsoWish
    vps_id: str | None = None
    before: Media | None = None
    media: Media = field(default_factory=lambda: Media((), (), ()))
    foreseen: Media | None = None  # what a job leads to that is not waited for
    read_at: float = 0.0  # seconds since the epoch, just before the first read
    record: Record = field(default_factory=Record)


@dataclass
class IsoApplier:
    """Brings one VPS to the wished state. ``find_url`` tells what the API is to download from, if it comes to that."""

    client: Client
    vps_id: str
    wish: IsoWish
    downloads: Downloads
    find_url: t.Callable[[], str]
    progress: IsoProgress

    def foresee(self) -> Plan:
        """Read, and plan. Raises HostUpError."""
        self.progress.read_at = _clock.now()
        self.progress.media = read_media(self.client, self.vps_id)
        self.progress.before = self.progress.before or self.progress.media
        return make_plan(self.progress.media, self.wish)

    def apply(self, defer: str | None = None) -> Plan:
        """Read, and do what `carry_out` does."""
        return self.carry_out(self.foresee(), defer)

    def carry_out(self, plan: Plan, defer: str | None = None) -> Plan:
        """Do steps until the plan is empty, or its first step is the action to ``defer``: that plan is left.

        ``plan`` is of the last read. Raises HostUpError; ``progress`` then tells how far it came.
        """
        done: tuple[Step, ...] = ()
        while plan and plan[0].action != defer:
            step = plan[0]
            if step in done or len(done) >= MOST_STEPS:
                raise HostUpError(
                    f"To {self._describe(step)} did not last: it has to be done again. Somebody else seems to work on "
                    f"the drives of this VPS, which are now: {self.progress.media.describe_drives()}."
                )
            step = self._do(step, wait=self.wish.wait or len(plan) > 1)
            if plan == (step,) and not self.wish.wait:
                if not is_done(self.progress.media, step, self.wish):
                    self.progress.foreseen = project(self.progress.media, plan, self.wish)
                return ()
            done = (*done, step)
            plan = make_plan(self.progress.media, self.wish, done)
        return plan

    def _do(self, step: Step, *, wait: bool) -> Step:
        """Do one step and see its outcome, with ``wait``. Returns it, or what had to be done first."""
        try:
            if step.action in (DOWNLOAD, FOLLOW):
                self._download(step, wait=wait)
            elif step.action == DELETE and self.wish.refresh:
                self._delete_outdated(step)
            else:
                self._perform(step, wait=wait)
        except HostUpError as error:
            error.add(before=f"Could not {self._describe(step)}.")
            if not self._may_need_a_drive(step, error):
                raise
            try:
                return self._do(Step(ATTACH_DRIVE, step.device), wait=True)
            except HostUpError:
                raise error from None
        return step

    def _perform(self, step: Step, *, wait: bool) -> None:
        operation, record = self._operation(step), self.progress.record
        see_through(self.client, operation, record, write(self.client, operation, record), wait=wait)

    def _may_need_a_drive(self, step: Step, refusal: HostUpError) -> bool:
        """Whether a slot without a drive can be mounted on is not documented: try, and attach a drive if refused."""
        is_refused = refusal.problem.status in (400, 404, 409, 422) and not refusal.outcome_unknown
        return step.action == MOUNT and is_refused and self.progress.media.drive(str(step.device)) == NO_DRIVE

    def _operation(self, step: Step) -> Operation:
        subject = str(self.wish.name)
        is_download = step.action in (DOWNLOAD, FOLLOW)
        return Operation(
            action=step.action,
            send=lambda: self._send(step),
            look=lambda: self._shows(step),
            is_done=lambda: self._shows(step),
            schedule=lambda: self._schedule(step),
            read="ISO read",
            # a second download may run beside the first
            resends=1 if is_download else self.client.retries,
            report=progress_lines(subject, self.client.say) if is_download else _in_silence,
            was_so={DOWNLOAD: 200, DELETE: 404}.get(step.action),
        )

    def _send(self, step: Step) -> Answer:
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

    def _shows(self, step: Step) -> bool:
        self.progress.media = read_media(self.client, self.vps_id)
        return is_done(self.progress.media, step, self.wish)

    def _schedule(self, step: Step) -> Schedule | None:
        if is_done(self.progress.media, step, self.wish):
            return None
        job = self.progress.record.job
        if job and not job.finished:  # nobody can be asked how it goes
            return chain(CONFIRM_SCHEDULE, patiently(sum(CONFIRM_SCHEDULE)))
        return CONFIRM_SCHEDULE

    # --- downloads: ordered once, whoever wants them -----------------------------------------------------------------

    def _download(self, step: Step, *, wait: bool) -> None:
        """Download, unless another task has done so, or has left a job that does."""
        wait_for_turn = wait
        while True:
            with self._turn(wait=wait_for_turn) as turn:
                if turn.is_there and self._comes_to_show(step):
                    return
                job = self._given_job(step) if self.wish.job_id else self._job_left_behind(step, turn)
                if job or turn.is_ours:
                    self._order(step, job, turn, wait=wait)
                    return
            # what another task has noted is not so any more
            self.progress.read_at, wait_for_turn = _clock.now(), True

    def _turn(self, *, wait: bool) -> t.ContextManager[Turn]:
        # a signature in the query may be another one for each run
        source = (str(self.wish.url).partition("?")[0], self.wish.decompress)
        return self.downloads.turn(str(self.wish.name), source, self.progress.read_at, wait=wait)

    def _delete_outdated(self, step: Step) -> None:
        """Delete what a newer file is to replace, unless another task has just done that."""
        with self._turn(wait=True):
            self.progress.media = read_media(self.client, self.vps_id)
            if step in make_plan(self.progress.media, self.wish):
                self._refuse_where_mounted(step)
                self._perform(step, wait=True)

    def _refuse_where_mounted(self, step: Step) -> None:
        """Raise HostUpError where another VPS has the ISO in a drive: that is not this task's to empty."""

        def is_used_by(vps_id: str) -> bool:
            media = read_media(self.client, vps_id)
            return any(mount.mounted and mount.iso_id == step.iso_id for mount in media.mounted)

        others = [item for item in list_vpses(self.client) if item["id"] != self.vps_id]
        users = sorted(item["name"] or item["id"] for item in others if is_used_by(item["id"]))
        if users:
            raise HostUpError(
                f"Its URL leads to another file now, but other VPSs have it mounted: {', '.join(users)}. Unmount it "
                "there first, or give the new file a name of its own."
            )

    def _comes_to_show(self, step: Step) -> bool:
        return re_read(self.client, lambda: self._shows(step), CONFIRM_SCHEDULE)

    def _order(self, step: Step, job: Job | None, turn: Turn, *, wait: bool) -> None:
        """Order the download, unless there is a job that does it, and see it through."""
        operation, record = self._operation(step), self.progress.record
        try:
            if job is None:
                try:
                    job = write(self.client, operation, record)
                except HostUpError as error:
                    if not _is_under_way(error):
                        raise
                    self._wait_for_somebody_elses(step, error, turn, wait=wait)
                    return
                if job and job.id:
                    turn.ordered(job.id, job.poll_url)
            see_through(self.client, operation, record, job, wait=wait)
            if is_done(self.progress.media, step, self.wish):
                turn.done()
        except HostUpError as error:
            self._tell_of_download(error, turn)
            raise

    def _wait_for_somebody_elses(self, step: Step, refusal: HostUpError, turn: Turn, *, wait: bool) -> None:
        """Wait for a download of which only the API knows, such as another job's in a container of its own."""
        if not wait:
            return
        self.client.say_once(f"waiting for {self.wish.name}, which somebody else is downloading")
        if re_read(self.client, lambda: self._shows(step), chain(CONFIRM_SCHEDULE, patiently(sum(CONFIRM_SCHEDULE)))):
            turn.done()
            return
        refusal.timed_out = True
        raise refusal.add(after=f"Nor was it in the library after the {self.client.deadline}.")

    def _given_job(self, step: Step) -> Job:
        """The job that the user has named. It is all there is: nothing else is ordered. Raises HostUpError."""
        job = look_at(self.client, Job(self.wish.job_id, "unknown"))
        if job.status == FORGOTTEN and not self._comes_to_show(step):
            raise HostUpError(
                f"job_id: the API does not know the job {self.wish.job_id}, and {self.wish.name} is not in the "
                "library. Leave job_id out, and give url, to order the download."
            )
        return job

    def _job_left_behind(self, step: Step, turn: Turn) -> Job | None:
        """The job of a task that was ended before its download, if it still leads to the ISO."""
        if turn.job is None:
            return None
        job_id, poll_url = turn.job
        known = Job(job_id, "unknown", poll_url=poll_url)
        try:
            job = look_at(self.client, known)
        except HostUpError as error:
            if error.transient or error.timed_out or error.problem.status == 401:
                raise error.add(
                    after="To have it forgotten, delete the folder hostup in ~/.cache or in $XDG_CACHE_HOME."
                ) from None
            job = replace(known, status=FORGOTTEN)  # this answer will not become another one
        if job.has_failed:
            if turn.is_ours:
                turn.failed()
        elif not job.finished or self._comes_to_show(step):
            return job
        return None

    def _tell_of_download(self, error: HostUpError, turn: Turn) -> None:
        """Note a failure, or tell what becomes of a download that goes on."""
        job = self.progress.record.job
        if REDIRECT.search(_words(error)):
            error.add(after="HostUp follows no redirects itself: set resolve_redirects: true.")
        if job and job.has_failed:
            turn.failed()
        elif job and not job.finished and (self.wish.job_id or (turn.job and turn.is_kept)):
            error.add(after="The next run takes it up where it is then.")
        elif error.outcome_unknown or (job and not job.has_completed):
            turn.failed(for_all=True)
            error.add(
                after="The download may still be running. Look for the ISO with hostup_vps_iso_info "
                "before running this again, or it may be ordered a second time."
            )

    def _describe(self, step: Step) -> str:
        label = self.progress.media.label(step.iso_id)
        return {
            DOWNLOAD: f"download {self.wish.name}",
            FOLLOW: f"wait for the download of {self.wish.name}",
            MOUNT: f"mount {label} on {step.device}",
            UNMOUNT: f"unmount {label} from {step.device}",
            ATTACH_DRIVE: f"attach an empty drive at {step.device}",
            DELETE: f"delete {label}",
        }[step.action]


def _is_under_way(refusal: HostUpError) -> bool:
    """Whether an order was refused because the same file is being downloaded. The code for that is not known."""
    return refusal.problem.status == 409 and not refusal.outcome_unknown and bool(UNDER_WAY.search(_words(refusal)))


def _words(error: HostUpError) -> str:
    """What the API itself says of a failure."""
    problem = error.problem
    return " ".join(filter(None, (problem.code, problem.title, problem.detail)))


def _in_silence(_job: Job, _elapsed: float) -> None:
    """Mounts and the like take a moment only."""
