# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Doing: reads the power state of a VPS, waits for what goes on, sends one action and sees it through."""

from __future__ import annotations

import typing as t
from contextlib import suppress
from dataclasses import dataclass, field, replace

from ansible_collections.hostup.cloud.plugins.module_utils import _clock
from ansible_collections.hostup.cloud.plugins.module_utils._client import Client, unexpected_shape
from ansible_collections.hostup.cloud.plugins.module_utils._documents import Document, Gate, check_gate
from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError
from ansible_collections.hostup.cloud.plugins.module_utils._jobs import (
    COMPLETED,
    FAILED,
    LINE_SECONDS,
    Job,
    parse_job,
    progress_lines,
    wait_for,
)
from ansible_collections.hostup.cloud.plugins.module_utils._power import (
    LEADS_TO,
    RESET,
    RESTART,
    SHUTDOWN,
    START,
    STOP,
    STOPPED,
    TARGETS,
    Status,
    Wish,
    did_nothing,
    gate_of,
    has_begun,
    make_plan,
    settled,
)
from ansible_collections.hostup.cloud.plugins.module_utils._vps import parse_power, read_power, unwrapped, vps_path
from ansible_collections.hostup.cloud.plugins.module_utils._write import (
    CONFIRM_SCHEDULE,
    UNKNOWN_SCHEDULE,
    confirm,
    patiently,
    re_read,
    write_once,
)

_VERBS = {START: "start", SHUTDOWN: "shut down", STOP: "stop", RESTART: "restart", RESET: "reset"}
_FORCE_WOULD = {SHUTDOWN: "cut its power", RESTART: "reset it"}


@dataclass
class PowerProgress:
    """What has happened so far; a failure shows it too. ``before`` is what the action found."""

    vps_id: str | None = None
    before: Status | None = None
    status: Status = field(default_factory=lambda: Status(None))
    actions: list[str] = field(default_factory=list)
    job: Job | None = None


def parse_status(body: Document, at: float) -> Status:
    """Read the answer of ``GET /api/v2/vps/{id}/status``. Raises ValueError for one that has no power state."""
    document, power = unwrapped(body), parse_power(body)
    if "powerState" not in document:
        raise ValueError("there is no powerState")
    return Status(power.state, power.uptime, bool(document.get("pendingTasks")), at)


def read_status(client: Client, vps_id: str) -> Status:
    """The live state. Raises HostUpError."""
    path, at = f"{vps_path(vps_id)}/status", _clock.monotonic()
    body = client.get(path).body
    try:
        return parse_status(body, at)
    except ValueError as error:
        raise unexpected_shape("GET", path, str(error)) from None


@dataclass
class PowerApplier:
    """Brings one VPS to the wished state. A failure leaves in ``progress`` how far it came."""

    client: Client
    vps_id: str
    wish: Wish
    progress: PowerProgress
    _has_begun: bool = False  # as far as a read has shown
    _is_blind: bool = False  # no read can tell whether it has happened

    def foretell(self) -> None:
        """Read, and say what would be done. What is going on is not waited for. Raises HostUpError."""
        state = self._read_first().state
        action = make_plan(state, self.wish)
        start = settled(state, self.wish) if self.wish.wait else state
        if action and start == state:  # else the gates will be others by then
            self._check_gate(action)
        self.progress.before = replace(self.progress.status, state=start)
        self.progress.status = replace(self.progress.status, state=TARGETS[action] if action else start)
        self.progress.actions = [action] if action else []

    def apply(self) -> None:
        """Read, wait for what is going on, and act if need be. Raises HostUpError."""
        state = self._read_first().state
        action = make_plan(state, self.wish)
        if settled(state, self.wish) != state and self.wish.wait:
            self._wait_for_the_end_of(state)
            action = make_plan(self.progress.status.state, self.wish)
        if action:
            self._check_gate(action)
            self._perform(action)

    def _read_first(self) -> Status:
        self.progress.before = self._read()
        return self.progress.before

    def _read(self) -> Status:
        self.progress.status = read_status(self.client, self.vps_id)
        return self.progress.status

    def _check_gate(self, action: str) -> None:
        gate = Gate(True)

        def is_of_now() -> bool:
            """A closed gate may be that of a state which the VPS has left: the two reads are stale by themselves."""
            nonlocal gate
            power = read_power(self.client, self.vps_id, action)
            gate = gate_of(power.gates, action)
            return gate.allowed or power.state in (None, self.progress.status.state)

        re_read(self.client, is_of_now, CONFIRM_SCHEDULE)
        check_gate(gate, action, f"the action {action}")

    def _wait_for_the_end_of(self, state: str | None) -> None:
        self.client.say(f"waiting while {self.vps_id} is {state}")

        def is_over() -> bool:
            state = self._read_first().state
            return settled(state, self.wish) == state

        if not re_read(self.client, is_over, patiently()):
            raise HostUpError(
                f"The VPS is still {self.progress.status.state} after the {self.client.deadline.seconds:.0f} s of "
                "wait_timeout. Nothing was changed.",
                timed_out=True,
            )

    def _perform(self, action: str) -> None:
        """Send the action, and see it through."""
        try:
            answer, _was_lost = write_once(
                self.client,
                send=lambda: self.client.post(f"{vps_path(self.vps_id)}/actions/{action}", {}),
                settle=lambda: self._settle(action),
                resends=1 if action == RESTART else self.client.retries,
            )
            self.progress.actions.append(action)
            self._see_through(action, parse_job(answer.body))
        except HostUpError as error:
            error.msg = f"Could not {_VERBS[action]} the VPS. {error.msg}{self._advice(action, error)}"
            raise

    def _settle(self, action: str) -> bool | None:
        """Whether an action of unknown outcome has happened; ``None`` when nobody can tell."""
        if re_read(self.client, lambda: self._look(action), UNKNOWN_SCHEDULE):
            return True
        self._is_blind = not did_nothing(action, self._before, self.progress.status)
        return None if self._is_blind else False

    def _see_through(self, action: str, job: Job | None) -> None:
        """Wait for the job, if there is one, and for the outcome."""
        self.progress.job = job
        if job and (job.finished or self.wish.wait):
            try:
                job = self._wait_for(action, job)
            except HostUpError as error:
                if self._came_true_all_the_same(action, error):
                    return
                raise
        if self.wish.wait:
            # where there is no word that it is done, a VPS that runs could be one that still has to go down
            is_told = job is not None and job.status == COMPLETED
            needs_proof = action == RESTART and not is_told and self._before.uptime is not None
            schedule = self._schedule(action, is_told, is_open=job is not None and not job.finished)
            confirm(self.client, lambda: self._is_done(action, needs_proof), schedule, "status read")

    def _wait_for(self, action: str, job: Job) -> Job:
        lines = progress_lines(f"{action} of {self.vps_id}", self.client.say)

        def keep(latest: Job, elapsed: float) -> None:
            self.progress.job = latest
            if elapsed >= LINE_SECONDS:  # most take a few seconds only, and there may be many VPSs
                lines(latest, elapsed)

        self.progress.job = wait_for(self.client, job, keep)
        return self.progress.job

    def _came_true_all_the_same(self, action: str, error: HostUpError) -> bool:
        """Have a read judge a job that has failed, or does not end."""
        has_failed = self._job_has_failed()
        if has_failed or error.timed_out:
            with suppress(HostUpError):  # the first error is the one to tell
                if self._is_done(action, needs_proof=True):
                    return True
        if has_failed and self.progress.status.state == self._before.state:
            self.progress.actions.pop()  # nothing came of it
        return False

    def _job_has_failed(self) -> bool:
        return self.progress.job is not None and self.progress.job.status == FAILED

    def _schedule(self, action: str, is_told: bool, is_open: bool) -> t.Iterator[float]:
        """Reads are stale for a while only; guests, transitions and jobs that nobody can ask for take their time.

        A VPS that is off when it is told to have restarted has switched itself off: it will not run any more.
        """
        yield from CONFIRM_SCHEDULE
        state = self.progress.status.state
        has_switched_itself_off = action == RESTART and is_told and state == STOPPED
        if is_open or state in LEADS_TO or (action in _FORCE_WOULD and not has_switched_itself_off):
            yield from patiently(sum(CONFIRM_SCHEDULE))

    def _look(self, action: str) -> bool:
        """Read, and tell whether anything since the action was sent has shown that it was taken."""
        self._has_begun |= has_begun(action, self._before, self._read())
        return self._has_begun

    def _is_done(self, action: str, needs_proof: bool) -> bool:
        has_proof = self._look(action)
        return self.progress.status.state == TARGETS[action] and (has_proof or not needs_proof)

    @property
    def _before(self) -> Status:
        return self.progress.before or self.progress.status

    def _advice(self, action: str, error: HostUpError) -> str:
        """What the user can do about a failure."""
        if self._is_blind:
            return (
                " Nobody can see whether it has happened, so it was not sent again. Look at the console of the VPS; "
                "to run the task again may do it a second time."
            )
        has_waited = self._job_has_failed() or (error.timed_out and bool(self.progress.actions))
        if action in _FORCE_WOULD and has_waited and self.progress.status.state != STOPPED:
            return (
                f" The guest may not react to being asked. Nothing was forced; force=true would {_FORCE_WOULD[action]}."
            )
        return ""
