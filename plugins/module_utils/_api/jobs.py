# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Jobs: every answer shape read into one, when to poll, and the waiter."""

from __future__ import annotations

import random
import typing as t
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from urllib.parse import quote, urlsplit

from ansible_collections.hostup.cloud.plugins.module_utils import _clock
from ansible_collections.hostup.cloud.plugins.module_utils._api.client import Client
from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError, Problem

COMPLETED, FAILED = "completed", "failed"
# What the waiter says when the API does not know the job any more.
FORGOTTEN = "forgotten"
# Words for a job that nothing more will come of. The contract has the first only.
FAILURES = (FAILED, "cancelled", "canceled", "aborted", "error", "expired", "rejected", "timed_out", "timeout")

SHORTEST_POLL = 2.0  # seconds
SHORTEST_PAUSE = 1.0  # seconds, whatever Retry-After says
ELAPSED_SHARE = 0.1  # of the time elapsed, without progress reports
AIM_SHARE = 0.9  # of the time that the progress predicts
TRUST_SHARE = 0.5  # of the time elapsed: how far ahead a prediction is believed
POLL_JITTER = 0.1
LINE_POINTS = 10.0  # percent between two lines that tell the progress …
LINE_SECONDS = 30.0  # … or seconds

_REASON_KEYS = ("message", "detail", "reason", "progressMessage")
_NO_REASON_KEYS = ("id", "jobId", "type", "status", "state", "device", "pollUrl")


@dataclass(frozen=True)
class Job:
    """An operation as far as its latest answer tells. ``progress`` is in percent.

    ``is_over``: it goes on no more, whatever its status means. ``poll_again``: the seconds after which the API wants to
    be polled again, where it says so.
    """

    id: str | None
    status: str
    progress: float | None = None
    poll_url: str | None = None
    reason: str | None = None
    is_over: bool = False
    poll_again: float | None = None

    @property
    def has_completed(self) -> bool:
        """Whether the API says that it is done."""
        return self.status == COMPLETED

    @property
    def has_failed(self) -> bool:
        """Whether nothing more will come of it."""
        return self.status in FAILURES

    @property
    def finished(self) -> bool:
        """Whether polling ends here."""
        return self.has_completed or self.has_failed or self.is_over or self.status == FORGOTTEN

    @property
    def label(self) -> str:
        """How a sentence about it begins."""
        return f"Job {self.id}" if self.id else "The job"

    def as_result(self) -> dict[str, t.Any]:
        """The ``job`` return value."""
        return {key: value for key, value in asdict(self).items() if key in ("id", "status", "progress")}


# Told at the start of a wait and after every poll: the job, and the seconds since the start.
Reporter = t.Callable[[Job, float], None]


def parse_job(body: t.Mapping[str, t.Any], known: Job | None = None) -> Job | None:
    """Read a flat, an operation or a legacy answer (contract, "Polling"). ``None``: it speaks of no job.

    ``known`` is the job as it was before: a poll's answer need not repeat its ID and ``pollUrl``.
    """
    inner = _job_document(body)
    if inner is None:
        return None
    return Job(
        id=_string(inner.get("jobId")) or (known.id if known else None),
        status=_status(inner),
        progress=_progress(inner),
        poll_url=_string(inner.get("pollUrl")) or (known.poll_url if known else None),
        reason=_reason(inner) or _reason(body),
        is_over=bool(inner.get("finishedAt")) or (inner.get("isRunning") is False and inner.get("isWaiting") is False),
    )


def _job_document(body: t.Mapping[str, t.Any]) -> t.Mapping[str, t.Any] | None:
    for candidate in (body.get("operation"), body, body.get("data")):
        if isinstance(candidate, dict) and any(key in candidate for key in ("status", "state", "jobId")):
            return candidate
    return None


def _string(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _status(inner: t.Mapping[str, t.Any]) -> str:
    word = _string(inner.get("status")) or _string(inner.get("state")) or "unknown"
    if inner.get("isFailed") is True:
        return word if word in FAILURES else FAILED
    return COMPLETED if inner.get("isCompleted") is True else word


def _progress(inner: t.Mapping[str, t.Any]) -> float | None:
    details = inner.get("progressDetails")
    candidates = (inner.get("progress"), details.get("percentage") if isinstance(details, dict) else None)
    for value in candidates:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return min(100.0, max(0.0, float(value)))
    return None


def _reason(document: object) -> str | None:
    """Why a job failed. No document gives it a place, so look where answers are known to carry words."""
    if not isinstance(document, dict):
        return _string(document)
    result, data = document.get("result"), document.get("data")
    places = [
        document.get("error"),
        data.get("error") if isinstance(data, dict) else None,
        *(document.get(key) for key in _REASON_KEYS),
        *(result, data, document.get("progressDetails")),
    ]
    words = result.items() if isinstance(result, dict) else ()
    others = (value for name, value in words if name not in _NO_REASON_KEYS)
    return next(filter(None, map(_reason, places)), None) or next(filter(None, map(_string, others)), None)


def poll_delay(elapsed: float, progress: float | None) -> float:
    """Seconds until the next poll, before jitter.

    Without information a tenth of the time elapsed, so that the delay stays in proportion to the job.
    With progress, 90 % of the time that is left if it goes on like this, but not blindly far ahead.
    """
    delay = elapsed * ELAPSED_SHARE
    if progress:
        predicted = elapsed * (100.0 - progress) / progress
        delay = min(predicted * AIM_SHARE, elapsed * TRUST_SHARE)
    return max(SHORTEST_POLL, delay)


def poll_path(origin: str, job: Job) -> str | None:
    """Where to poll: ``pollUrl`` at our origin, else the job route; ``None`` when the job has no name either."""
    if job.poll_url:
        scheme = origin.partition(":")[0]
        with suppress(ValueError):
            target = urlsplit(job.poll_url, scheme)  # not joined: dot segments are for the client to refuse
            if f"{target.scheme}://{target.netloc}" in (origin, f"{scheme}://"):
                return "/" + target.path.lstrip("/") + (f"?{target.query}" if target.query else "")
    return f"/api/jobs/{quote(job.id, safe='', errors='replace')}" if job.id else None


def look_at(client: Client, job: Job) -> Job:
    """The job as it is now; forgotten where there is nothing to poll, or the API does not know it any more."""
    path = poll_path(client.origin, job)
    if path is None:
        return replace(job, status=FORGOTTEN)
    try:
        answer = client.get(path)
    except HostUpError as error:
        if error.problem.status == 404:
            return replace(job, status=FORGOTTEN)
        error.add(after=f"{job.label} goes on at HostUp; it was {job.status} when it was last heard of.")
        raise
    return replace(parse_job(answer.body, job) or replace(job, status="unknown"), poll_again=answer.retry_after)


def wait_for(client: Client, job: Job, report: Reporter) -> Job:
    """Poll until the job has ended, is forgotten, or has no name to ask for: then only a re-read can tell.

    A poll that gets no answer, or a 5xx, says nothing of the job: it goes on until the client's deadline.
    Raises HostUpError when the job has failed, with the API's words, and when the deadline has passed.
    """
    started = _clock.monotonic()
    fault: HostUpError | None = None
    is_told = False
    report(job, 0.0)
    while not job.finished and poll_path(client.origin, job):
        if client.deadline.is_over:
            raise _timed_out(client, job, fault)
        pause = poll_delay(_clock.monotonic() - started, job.progress) if job.poll_again is None else job.poll_again
        client.pause(max(pause, SHORTEST_PAUSE) * random.uniform(1.0, 1.0 + POLL_JITTER))
        try:
            job, fault = look_at(client, job), None
        except HostUpError as error:
            if not error.transient:
                raise
            if not is_told:
                client.say(f"{job.label} cannot be asked how it goes, and is asked again: {error.msg}")
            fault, is_told = error, True
            continue
        report(job, _clock.monotonic() - started)
    if job.has_failed:
        word = "failed" if job.status == FAILED else f"ended as {job.status}"
        raise HostUpError(
            f"{job.label} {word}: {job.reason or 'the API gives no reason'}",
            Problem(title="job failed", detail=job.reason, path=poll_path(client.origin, job)),
        )
    return job


def progress_lines(subject: str, say: t.Callable[[str], None]) -> Reporter:
    """A reporter that says a line at the start, then one per ten points or half a minute."""
    shown: tuple[float, float] | None = None

    def report(job: Job, elapsed: float) -> None:
        nonlocal shown
        points = job.progress or 0.0
        if shown and points - shown[0] < LINE_POINTS and elapsed - shown[1] < LINE_SECONDS:
            return
        shown = (points, elapsed)
        state = job.status if job.progress is None else f"{points:.0f} %"
        say(f"{subject}: {state}, {elapsed:.0f} s")

    return report


def _timed_out(client: Client, job: Job, fault: HostUpError | None) -> HostUpError:
    progress = "" if job.progress is None else f" at {job.progress:.0f} %"
    error = HostUpError(
        f"{job.label} is still {job.status}{progress} after the {client.deadline}. It goes on at HostUp.",
        fault.problem if fault else None,
        timed_out=True,
    )
    return error.add(after=f"The last poll failed: {fault.msg}") if fault else error
