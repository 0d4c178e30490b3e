# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One task for many VPSs: several at once, one result for each, and no failure stops the others."""

from __future__ import annotations

import contextlib
import threading
import typing as t
from collections import deque
from dataclasses import dataclass, field

from ansible_collections.hostup.cloud.plugins.module_utils import _clock
from ansible_collections.hostup.cloud.plugins.module_utils._api.client import Client
from ansible_collections.hostup.cloud.plugins.module_utils._api.transport import MOST_CONNECTIONS
from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError

MOST_UNANSWERED = 8  # VPSs in a row for which the API gave no answer at all: then it is down
MOST_REASONS = 5  # that the message quotes, each once with those that have it
LINE_SHARE = 0.1  # of the VPSs, between two lines that tell the progress …
LINE_SECONDS = (3.0, 30.0)  # … which come no more and no less often than this

Result = dict[str, t.Any]


class Deferred(t.NamedTuple):
    """What is left to do for a VPS when all the others have come as far, and its result as it is until then."""

    so_far: Result
    go_on: t.Callable[[], t.Any]


Work = t.Callable[[str], t.Union[Result, Deferred]]  # for one VPS


@dataclass
class Fleet:
    """The VPSs of one task, by their IDs. ``unknown`` is the result for one of which nothing is known."""

    client: Client
    vps_ids: list[str]
    work: Work
    unknown: Result
    results: dict[str, Result] = field(default_factory=dict)
    _deferred: dict[str, Deferred] = field(default_factory=dict)
    _gave_up: str = ""  # why no more VPSs are tried
    _unanswered: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> Result:
        """Work on all of them, and sum up. One VPS is never worked on twice at a time."""
        lines = _Lines(self.client.say, len(self.vps_ids))
        self._on_each(self.vps_ids, self.work, lines)
        deferred = sorted(self._deferred, key=self.vps_ids.index)
        # the first one alone: when it is the library that has to change, the others need only look
        for group in (deferred[:1], deferred[1:]):
            self._on_each(group, lambda vps_id: self._deferred[vps_id].go_on(), lines)
        return summary([self.results[vps_id] for vps_id in self.vps_ids], with_diff="diff" in self.unknown)

    def _on_each(self, vps_ids: list[str], work: Work, lines: _Lines) -> None:
        def take(vps_id: str) -> None:
            self._take(vps_id, work)
            with self._lock:
                lines.tell(self.results)

        crew = _Crew(vps_ids, take)
        self.client.idle = crew.idle
        try:
            crew.run()
        finally:
            self.client.idle = contextlib.nullcontext

    def _take(self, vps_id: str, work: Work) -> None:
        """Work on one, unless no more are tried, and keep its result."""
        reason = self._gave_up
        is_late = not reason and self.client.deadline.is_over
        if is_late:
            reason = f"the {self.client.deadline.seconds:.0f} s that this task may take were over."
        if reason:
            error = HostUpError(f"Not tried: {reason}", timed_out=is_late)
            error.so_far = self._deferred[vps_id].so_far if vps_id in self._deferred else {}
            self._fail(vps_id, error)
            return
        try:
            result = work(vps_id)
        except HostUpError as error:
            self._fail(vps_id, error)
            with self._lock:
                self._unanswered = self._unanswered + 1 if error.transient and error.problem.status is None else 0
                if error.problem.status == 401 or self._unanswered >= MOST_UNANSWERED:
                    self._gave_up = self._gave_up or error.msg
            return
        with self._lock:
            self._unanswered = 0
        if isinstance(result, Deferred):
            self._deferred[vps_id] = result
        else:
            self.results[vps_id] = {**result, "failed": False, "msg": ""}

    def _fail(self, vps_id: str, error: HostUpError) -> None:
        self.results[vps_id] = {**self.unknown, "vps_id": vps_id, **error.as_result()}


class _Crew:
    """Threads that take one VPS after the other. So many at a time may send; one that waits lets another go ahead."""

    def __init__(self, vps_ids: list[str], take: t.Callable[[str], None]) -> None:
        self._queue = deque(vps_ids)
        self._take = take
        self._slots = threading.Semaphore(MOST_CONNECTIONS)
        self._threads: list[threading.Thread] = []
        self._crashes: list[BaseException] = []

    def run(self) -> None:
        """Have all of them taken. Raises what a thread has raised."""
        try:
            for _vps_id in list(self._queue)[:MOST_CONNECTIONS]:
                self._start()
            for thread in self._threads:  # more come while some wait
                while thread.is_alive():
                    thread.join(0.5)  # a join without an end would make Ctrl-C wait for it
        except BaseException as interruption:
            self._crashes.append(interruption)  # the threads are to take no more
            raise
        if self._crashes:
            raise self._crashes[0]

    @contextlib.contextmanager
    def idle(self) -> t.Iterator[None]:
        """What a thread waits in."""
        self._slots.release()
        try:
            if self._queue:
                with contextlib.suppress(RuntimeError):  # no more threads can be had: then those go on that there are
                    self._start()
            yield
        finally:
            self._slots.acquire()

    def _start(self) -> None:
        thread = threading.Thread(target=self._work, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _work(self) -> None:
        try:
            while not self._crashes:
                with self._slots:
                    try:
                        vps_id = self._queue.popleft()
                    except IndexError:
                        return
                    self._take(vps_id)
        except BaseException as crash:  # noqa: BLE001 - raised again by `run`
            self._crashes.append(crash)


class _Lines:
    """Lines that tell how many VPSs are done."""

    def __init__(self, say: t.Callable[[str], None], total: int) -> None:
        self._say = say
        self._total = total
        self._started = self._said_at = _clock.monotonic()
        self._said = 0

    def tell(self, results: t.Mapping[str, Result]) -> None:
        now, done = _clock.monotonic(), len(results)
        soonest, latest = LINE_SECONDS
        is_worth_it = done - self._said >= self._total * LINE_SHARE or now - self._said_at >= latest
        if done == self._said or not is_worth_it or now - self._said_at < soonest:
            return
        self._said, self._said_at = done, now
        failed = sum(result["failed"] for result in list(results.values()))
        failures = f", {failed} of them failed" if failed else ""
        self._say(f"{done} of {self._total} VPSs done{failures}, {now - self._started:.0f} s")


def summary(results: list[Result], *, with_diff: bool) -> Result:
    """The result of the whole task. The message counts and names what failed."""
    result: Result = {
        "changed": any(one["changed"] for one in results),
        "results": results,
    }
    if with_diff:
        result["diff"] = [
            {"before_header": one["vps_id"], "after_header": one["vps_id"], **one["diff"]}
            for one in results
            if one.get("diff") and one["diff"]["before"] != one["diff"]["after"]
        ]
    failed = [one for one in results if one["failed"]]
    if failed:
        whose: dict[str, list[str]] = {}
        for one in failed:
            whose.setdefault(one["msg"], []).append(str(one["vps_id"]))
        reasons = [f" {', '.join(vps_ids)}: {reason}" for reason, vps_ids in whose.items()]
        others = [", ".join(vps_ids) for vps_ids in list(whose.values())[MOST_REASONS:]]
        msg = f"{len(failed)} of {len(results)} VPSs failed." + "".join(reasons[:MOST_REASONS])
        msg += f" And (see results): {', '.join(others)}." if others else ""
        result.update(failed=True, msg=msg)
        with_fields = [one for one in failed if "error" in one]
        if with_fields:
            result["error"] = with_fields[0]["error"]
        if any(one.get("timed_out") for one in failed):
            result["timed_out"] = True
    return result
