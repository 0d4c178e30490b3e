# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs, and the three shapes in which a poll has been seen to answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from .model import JSON, Owner
    from .switches import JobFaults


@dataclass(eq=False)
class Job:
    """Work that goes on after the answer."""

    id: str
    owner: Owner
    kind: str
    faults: JobFaults
    created_at: float
    effect: Callable[[], JSON] = dict
    is_ready: Callable[[], bool] = lambda: True
    due_at: float = 0.0
    filename: str = ""
    status: str = "queued"
    bytes_done: int = 0
    bytes_total: int | None = None
    reason: str = ""
    result: JSON | None = None
    finished_at: float | None = None
    polls_since_end: int = 0

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen."""
        return self.finished_at is not None

    @property
    def shown_status(self) -> str:
        """The status as the API tells it."""
        told = self.faults.status_word
        return self.status if self.finished or told is None else told

    @property
    def progress(self) -> int | None:
        """How far it is, in per cent, where that can be known."""
        if self.status == "completed":
            return 100
        return 100 * self.bytes_done // self.bytes_total if self.bytes_total else None

    def operation(self, poll_url: str | None) -> JSON:
        """Return it as the answer to a write shows it."""
        return {"status": self.shown_status, "jobId": self.id, "pollUrl": poll_url, "result": self.result}


def poll_answer(job: Job, shape: str, *, operation: JSON, progress: int | None, envelope: JSON, times: JSON) -> JSON:
    """Return the answer to a poll, with the reason of a failure where the job's faults want it."""
    answer: JSON
    holder: JSON
    if shape == "flat":
        holder = {"status": job.shown_status, "data": {"jobId": job.id, "type": job.kind}}
        answer = holder
        if progress is not None:
            holder["progress"] = progress
    elif shape == "operation":
        holder = operation
        answer = {"operation": operation}
        if progress is not None:
            holder["progress"] = progress
    else:
        holder = {
            "jobId": job.id,
            "type": job.kind,
            "state": job.shown_status,
            "status": job.shown_status,
            "progress": progress,
            "progressDetails": {
                "percentage": progress,
                "message": None,
                "current": job.bytes_done,
                "total": job.bytes_total,
            },
            "progressMessage": None,
            "result": job.result,
            "isCompleted": job.status == "completed",
            "isFailed": job.status == "failed",
            "isRunning": job.status == "in_progress",
            "isWaiting": job.status == "queued",
            **times,
        }
        answer = {"success": True, **envelope, "data": holder}
    if job.reason:
        *parents, last = job.faults.reason_at.split(".")
        for name in parents:
            holder[name] = holder.get(name) or {}
            holder = holder[name]
        holder[last] = job.reason
    return answer
