# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Doing: reads the power state of a VPS, waits for what goes on, sends one action and sees it through."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from ansible_collections.hostup.cloud.plugins.module_utils._api.client import Client
from ansible_collections.hostup.cloud.plugins.module_utils._api.documents import Gate, check_gate
from ansible_collections.hostup.cloud.plugins.module_utils._api.jobs import (
    LINE_SECONDS,
    Job,
    Reporter,
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
from ansible_collections.hostup.cloud.plugins.module_utils._api.vps import read_power, vps_path
from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError
from ansible_collections.hostup.cloud.plugins.module_utils._power.plan import (
    LEADS_TO,
    RESET,
    RESTART,
    SHUTDOWN,
    START,
    STOP,
    TARGETS,
    PowerWish,
    did_nothing,
    gate_of,
    has_begun,
    make_plan,
    settled,
)
from ansible_collections.hostup.cloud.plugins.module_utils._power.read import read_status
from ansible_collections.hostup.cloud.plugins.module_utils._power.state import STOPPED, Status

_VERBS = {START: "start", SHUTDOWN: "shut down", STOP: "stop", RESTART: "restart", RESET: "reset"}
_FORCE_WOULD = {SHUTDOWN: "cut its power", RESTART: "reset it"}


@dataclass
class PowerProgress:
    """What has happened so far; a failure shows it too. ``before`` is what the action found."""

    vps_id: str | None = None
    before: Status | None = None
    status: Status = field(default_factory=lambda: Status(None))
    foreseen: Status | None = None  # what an action leads to that is not waited for
    record: Record = field(default_factory=Record)


@dataclass
class PowerApplier:
    """Brings one VPS to the wished state. A failure leaves in ``progress`` how far it came.

    With ``trusts_job``, a restart whose job has completed is not looked at again: the caller will.
    """

    client: Client
    vps_id: str
    wish: PowerWish
    progress: PowerProgress
    trusts_job: bool = False
    _has_begun: bool = False  # as far as a read has shown

    def foresee(self) -> None:
        """Read, and say what would be done. What is going on is not waited for. Raises HostUpError."""
        state = self._read_first().state
        action = make_plan(state, self.wish)
        start = settled(state, self.wish) if self.wish.wait else state
        if action and start == state:  # else the gates will be others by then
            self._check_gate(action)
        self.progress.before = self.progress.status._replace(state=start)
        self.progress.status = self.progress.status._replace(state=TARGETS[action] if action else start)
        self.progress.record.actions = [action] if action else []

    def apply(self) -> None:
        """Read, wait for what is going on, and act if need be. Raises HostUpError."""
        state = self._read_first().state
        action = make_plan(state, self.wish)
        if settled(state, self.wish) != state and self.wish.wait:
            self._wait_for_the_end_of(state)
            action = make_plan(self.progress.status.state, self.wish)
        if action:
            self._check_gate(action)
            self.perform(action)

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
                f"The VPS is still {self.progress.status.state} after the {self.client.deadline}. Nothing was changed.",
                timed_out=True,
            )

    def perform(self, action: str) -> None:
        """Send the action, and see it through. Raises HostUpError."""
        operation = self._operation(action)
        try:
            job = write(self.client, operation, self.progress.record)
            see_through(self.client, operation, self.progress.record, job, wait=self.wish.wait)
            if not self.wish.wait:
                self.progress.foreseen = self.progress.status._replace(state=TARGETS[action])
        except HostUpError as error:
            raise error.add(before=f"Could not {_VERBS[action]} the VPS.", after=self._advice(action, error)) from None

    def _operation(self, action: str) -> Operation:
        return Operation(
            action=action,
            send=lambda: self.client.post(f"{vps_path(self.vps_id)}/actions/{action}", {}),
            look=lambda: self._look(action),
            is_done=lambda: self._is_done(action),
            schedule=lambda: self._schedule(action) if self._is_to_be_seen(action) else None,
            read="status read",
            resends=1 if action == RESTART else self.client.retries,
            report=self._reporter(action),
            did_nothing=lambda: did_nothing(action, self._before, self.progress.status),
            came_true=lambda: self._came_true_all_the_same(action),
            came_to_nothing=lambda: self.progress.status.state == self._before.state,
        )

    def _reporter(self, action: str) -> Reporter:
        lines = progress_lines(f"{action} of {self.vps_id}", self.client.say)

        def report(latest: Job, elapsed: float) -> None:
            if elapsed >= LINE_SECONDS:  # most take a few seconds only, and there may be many VPSs
                lines(latest, elapsed)

        return report

    def _came_true_all_the_same(self, action: str) -> bool:
        with suppress(HostUpError):  # the job's error is the one to tell
            return self._is_done(action, needs_proof=True)
        return False

    @property
    def _is_told(self) -> bool:
        """Whether the API has said that it is done."""
        job = self.progress.record.job
        return job is not None and job.has_completed

    def _is_to_be_seen(self, action: str) -> bool:
        is_trusted = self.trusts_job and self._is_told and action in (RESTART, RESET)
        return self.wish.wait and not is_trusted

    def _needs_proof(self, action: str) -> bool:
        """Where there is no word that it is done, a VPS that runs could be one that still has to go down."""
        has_uptime = self._before.uptime is not None or self.progress.status.uptime is not None
        return action == RESTART and not self._is_told and has_uptime

    def _schedule(self, action: str) -> Schedule:
        """Reads are stale for a while only; guests, transitions and jobs that nobody can ask for take their time.

        A VPS that is off when it is told to have restarted has switched itself off: it will not run any more.
        """
        yield from CONFIRM_SCHEDULE
        state, job = self.progress.status.state, self.progress.record.job
        is_open = job is not None and not job.finished
        has_switched_itself_off = action == RESTART and self._is_told and state == STOPPED
        if is_open or state in LEADS_TO or (action in _FORCE_WOULD and not has_switched_itself_off):
            yield from patiently(sum(CONFIRM_SCHEDULE))

    def _look(self, action: str) -> bool:
        """Read, and tell whether anything since the action was sent has shown that it was taken."""
        self._has_begun |= has_begun(action, self._before, self._read())
        return self._has_begun

    def _is_done(self, action: str, *, needs_proof: bool = False) -> bool:
        has_proof = self._look(action)
        needs_proof = needs_proof or self._needs_proof(action)
        return self.progress.status.state == TARGETS[action] and (has_proof or not needs_proof)

    @property
    def _before(self) -> Status:
        return self.progress.before or self.progress.status

    def _advice(self, action: str, error: HostUpError) -> str:
        """What the user can do about a failure."""
        record = self.progress.record
        if record.actions_unknown and not did_nothing(action, self._before, self.progress.status):
            return (
                "Nobody can see whether it has happened, so it was not sent again. Look at the console of the VPS; "
                "to run the task again may do it a second time."
            )
        has_failed = record.job is not None and record.job.has_failed
        has_waited = has_failed or (error.timed_out and bool(record.actions))
        if action in _FORCE_WOULD and has_waited and self.progress.status.state != STOPPED:
            return (
                f"The guest may not react to being asked. Nothing was forced; force=true would {_FORCE_WOULD[action]}."
            )
        return ""
