# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One task for many VPSs: several at once, one result for each, and no failure stops the others."""

from __future__ import annotations

import threading
import typing as t
from dataclasses import dataclass, field

from ansible_collections.hostup.cloud.plugins.module_utils import _clock
from ansible_collections.hostup.cloud.plugins.module_utils._client import MOST_CONNECTIONS, Client
from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError

MOST_UNANSWERED = 8  # VPSs in a row for which the API gave no answer at all: then it is down
MOST_REASONS = 5  # that the message quotes, each once with those that have it
LINE_SHARE = 0.1  # of the VPSs, between two lines that tell the progress …
LINE_SECONDS = (3.0, 30.0)  # … which come no more and no less often than this

Result = dict[str, t.Any]


@dataclass(frozen=True)
class Rest:
    """What is left to do for a VPS when all the others have come as far, and its result as it is until then."""

    so_far: Result
    go_on: t.Callable[[], Result]


Work = t.Callable[[str], t.Union[Result, Rest]]  # for one VPS


@dataclass
class Fleet:
    """The VPSs of one task, by their IDs. ``nothing`` is the result for one of which nothing is known."""

    client: Client
    vps_ids: list[str]
    work: Work
    nothing: Result
    results: dict[str, Result] = field(default_factory=dict)
    _rests: dict[str, Rest] = field(default_factory=dict)
    _hopeless: str = ""
    _unanswered: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> Result:
        """Work on all of them, and sum up. One VPS is never worked on twice at a time."""
        lines = _Lines(self.client.say, len(self.vps_ids))
        self._in_threads(self.vps_ids, lambda vps_id: self._take(vps_id, lambda: self.work(vps_id)), lines)
        rests = sorted(self._rests, key=self.vps_ids.index)
        # the first one alone: when it is the library that has to change, the others need only look
        for group in (rests[:1], rests[1:]):
            self._in_threads(group, lambda vps_id: self._take(vps_id, self._rests[vps_id].go_on), lines)
        return summary([self.results[vps_id] for vps_id in self.vps_ids], with_diff="diff" in self.nothing)

    def _take(self, vps_id: str, work: t.Callable[[], Result | Rest]) -> None:
        """Work on one, unless there is no hope, and keep its result."""
        hopeless = self._hopeless
        is_late = not hopeless and self.client.deadline.left() <= 0
        if is_late:
            hopeless = f"the {self.client.deadline.seconds:.0f} s that this task may take were over."
        if hopeless:
            error = HostUpError(f"Not tried: {hopeless}", timed_out=is_late)
            error.so_far = self._rests[vps_id].so_far if vps_id in self._rests else {}
            self._fail(vps_id, error)
            return
        try:
            result = work()
        except HostUpError as error:
            self._fail(vps_id, error)
            with self._lock:
                self._unanswered = self._unanswered + 1 if error.transient and error.problem.status is None else 0
                if error.problem.status == 401 or self._unanswered >= MOST_UNANSWERED:
                    self._hopeless = self._hopeless or error.msg
            return
        with self._lock:
            self._unanswered = 0
        if isinstance(result, Rest):
            self._rests[vps_id] = result
        else:
            self.results[vps_id] = {**result, "failed": False, "msg": ""}

    def _fail(self, vps_id: str, error: HostUpError) -> None:
        self.results[vps_id] = {**self.nothing, "vps_id": vps_id, **error.as_result()}

    def _in_threads(self, vps_ids: list[str], take: t.Callable[[str], None], lines: _Lines) -> None:
        waiting = iter(vps_ids)
        crashes: list[BaseException] = []

        def work() -> None:
            try:
                while not crashes:
                    with self._lock:
                        vps_id = next(waiting, None)
                    if vps_id is None:
                        return
                    take(vps_id)
                    with self._lock:
                        lines.tell(self.results)
            except BaseException as crash:  # noqa: BLE001 - raised again below
                crashes.append(crash)

        threads = [threading.Thread(target=work, daemon=True) for _vps_id in vps_ids[:MOST_CONNECTIONS]]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():
                    thread.join(0.5)  # a join without an end would make Ctrl-C wait for it
        except BaseException as interruption:
            crashes.append(interruption)  # the threads are to take no more
            raise
        if crashes:
            raise crashes[0]


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
        result.update(failed=True, msg=msg, error=failed[0]["error"])
        if any(one.get("timed_out") for one in failed):
            result["timed_out"] = True
    return result
