# SPDX-License-Identifier: GPL-3.0-or-later
"""Simulates fleets under a rate limit, in virtual time: with the gate that is shipped, or retrying as others do."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from ansible_collections.hostup.cloud.plugins.module_utils._sharing import rate_gate
from ansible_collections.hostup.cloud.plugins.module_utils._sharing.rate_gate import RateGate

SLACK = 1e-6  # seconds; who comes back when told to must not be refused for a rounding error
LONGEST_BACKOFF = 30.0  # as in _client
LOOK_AGAIN = 1.25  # seconds between looks at the gate, as in `pacing` on the average

T = TypeVar("T")

# Sleeps: until when; with a gate, or until it is found closed anew.
_Steps = Generator[tuple[float, "_Shared | None"], None, T]


@dataclass(frozen=True)
class Limit:
    """What the API allows, ``limit`` requests in ``window`` seconds, and what it tells.

    ``burst``: what a bucket of tokens holds; ``None`` for fixed windows, each of which begins with the first request
    after the one before. ``tells``: what a 429 says, ``Retry-After`` in whole seconds ("seconds"), the exact time of
    the reset ("reset") or "nothing". ``on_success``: successes have the three rate headers, too. At ``lifted_at`` the
    limit goes.
    """

    limit: int = 100
    window: float = 60.0
    burst: int | None = None
    tells: str = "seconds"
    on_success: bool = False
    lifted_at: float = math.inf

    def floor(self, requests: int) -> float:
        """When the last of so many requests can go through at the soonest, counted from the first.

        In fixed windows, that is when the first window begins that has room for it; with a bucket, when the token for
        it drops in: (requests - burst) / limit * window.
        """
        if self.burst is None:
            return (math.ceil(requests / self.limit) - 1) * self.window
        return max(0, requests - self.burst) / self.limit * self.window


@dataclass(frozen=True)
class Peer:
    """How others retry: ``tries`` in all, and ``first * factor**n`` seconds, at most ``longest``, after try n (from 0).

    ``jitter``: a random part of that, instead of all of it. What the 429 tells is not read.
    """

    tries: int
    first: float = 1.0
    factor: float = 2.0
    longest: float = 60.0
    jitter: bool = False


PEERS = {
    "gives up at once": Peer(1),
    "5 tries, 1 s apart": Peer(5, factor=1.0),
    "5 tries, exponential back-off": Peer(5, longest=12.0),
    "5 tries, exponential back-off with jitter": Peer(5, jitter=True),
    "10 tries, exponential back-off with jitter": Peer(10, jitter=True),
}


@dataclass(frozen=True)
class Outcome:
    """What became of a fleet; times are in seconds."""

    hosts: int
    lost: int
    requests: int  # needed, polls included, refused ones not
    refusals: int
    refusals_per_host: float
    seconds: float  # until the last host was done or lost
    floor: float  # Limit.floor; at least what a host takes that is never refused
    over_floor: float  # seconds / floor
    median: float  # of what the hosts took that were not lost
    p95: float
    p95_over_median: float


def simulate(
    hosts: int = 1000,
    *,
    limit: Limit | None = None,
    forks: int = 50,
    requests: int = 3,
    polls: int = 0,
    poll_every: float = 2.0,
    gates: int = 1,
    peer: Peer | None = None,
    latency: float = 0.1,
    start_every: float = 0.02,
    deadline: float = 3600.0,
    seed: int = 0,
) -> Outcome:
    """Let a fleet do its work, and tell what became of it.

    A host sends ``requests`` requests, one after the other, and after each of them ``polls`` polls, ``poll_every``
    seconds after the last answer. ``forks`` workers do one host at a time; the controller needs ``start_every``
    seconds to start one. Answers take ``latency`` seconds, give or take half of it; the API counts halfway.

    The workers share ``gates`` gates evenly: 1 as the processes of one user do, ``forks`` as where they share no file.
    With a ``peer`` there is no gate. A host is lost when its next try would come more than ``deadline`` seconds after
    its start, or when a peer has no tries left. One seed, one outcome.
    """
    fleet = _Fleet(limit or Limit(), latency, random.Random(seed))
    shares = [_Shared() for _gate_number in range(gates)]
    starts = iter([start_every * host for host in range(hosts)])
    waits = [wait for _request in range(requests) for wait in (0.0, *[poll_every] * polls)]
    for worker in range(min(forks, hosts)):
        send = _Retry(fleet, peer) if peer else _Pace(fleet, shares[worker % gates])
        fleet.start(_work(fleet, send, starts, waits, deadline))
    fleet.run()
    took = sorted(fleet.durations) or [math.nan]
    median, p95 = took[len(took) // 2], took[int(len(took) * 0.95)]
    floor = max(fleet.limit.floor(hosts * len(waits)), sum(waits) + len(waits) * latency)
    return Outcome(
        hosts=hosts,
        lost=hosts - len(fleet.durations),
        requests=hosts * len(waits),
        refusals=fleet.refusals,
        refusals_per_host=fleet.refusals / hosts,
        seconds=fleet.now,
        floor=floor,
        over_floor=fleet.now / floor,
        median=median,
        p95=p95,
        p95_over_median=p95 / median,
    )


def recovery(limit: Limit, *, forks: int, latency: float = 0.1, seed: int = 0) -> tuple[float, float]:
    """How soon a busy fleet is back to half the pace of an unlimited API, once ``limit`` was lifted.

    In seconds since the gate opened for the last time, and in requests. The pace is that of the next 20 requests.
    """
    fleet = _Fleet(limit, latency, random.Random(seed))
    shared = _Shared()
    for _worker in range(forks):
        fleet.start(_work(fleet, _Pace(fleet, shared), itertools.repeat(0.0), [0.0], math.inf))
    fleet.run(limit.lifted_at + 100.0)
    unlimited = latency / forks
    opened = max(limit.lifted_at, shared.gate.closed_until)
    free = [at - opened for at in fleet.free]
    for number, (first, last) in enumerate(zip(free, free[20:], strict=False)):
        if last - first <= 2 * 20 * unlimited:
            return first, number
    return math.inf, math.inf


@dataclass
class _Shared:
    """A gate, and the workers that sleep with a permission of it."""

    gate: RateGate = field(default_factory=RateGate)
    sleepers: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class _Answer:
    is_refusal: bool
    used_up_for: float | None
    pause: float
    limit: int | None


class _Fleet:
    """The API's bookkeeping, and an agenda of who goes on when."""

    def __init__(self, limit: Limit, latency: float, random: random.Random) -> None:
        self.limit = limit
        self.random = random
        self.now = 0.0
        self.refusals = 0
        self.durations: list[float] = []
        self.free: list[float] = []  # when requests were counted after the limit had gone
        self._latency = latency
        self._left = float(limit.burst or 0)  # tokens, or what is left of the window
        self._since = -math.inf  # when the window began, or the last token was counted
        self._workers: list[_Steps[None]] = []
        self._agenda: list[tuple[float, int, int]] = []
        self._due: list[tuple[float, int, int]] = []
        self._entries = 0

    def start(self, steps: _Steps[None]) -> None:
        """Let a worker begin."""
        self._workers.append(steps)
        self._due.append((0.0, 0, 0))
        self._wake(len(self._workers) - 1, 0.0)

    def run(self, end: float = math.inf) -> None:
        """Go on until there is nothing left to do."""
        while self._agenda and self.now < end:
            entry = heapq.heappop(self._agenda)
            at, _order, worker = entry
            if self._due[worker] is not entry:
                continue  # it was woken earlier
            self.now = at
            sleep = next(self._workers[worker], None)
            if sleep:
                until, shared = sleep
                if shared:
                    shared.sleepers.add(worker)
                self._wake(worker, until)

    def _wake(self, worker: int, at: float) -> None:
        self._entries += 1
        self._due[worker] = entry = (at, self._entries, worker)
        heapq.heappush(self._agenda, entry)

    def tell(self, shared: _Shared) -> None:
        """Wake those who sleep with permissions that are void now, when they next look."""
        for worker in sorted(shared.sleepers):
            look = self.now + self.random.uniform(0.0, LOOK_AGAIN)
            if look < self._due[worker][0]:
                self._wake(worker, look)
        shared.sleepers.clear()

    def send(self) -> _Steps[_Answer]:
        """A request and its answer."""
        latency = self._latency * self.random.uniform(0.5, 1.5)
        yield self.now + latency / 2, None
        answer = self._count()
        yield self.now + latency / 2, None
        return answer

    def _count(self) -> _Answer:
        """Count a request as the API does, and tell what the API tells."""
        if self.now >= self.limit.lifted_at:
            self.free.append(self.now)
            return _Answer(False, None, 0.0, None)
        limit, each = self.limit, self.limit.window / self.limit.limit
        if limit.burst is None:
            if self.now + SLACK >= self._since + limit.window:
                self._since, self._left = self.now, float(limit.limit)
        else:
            refill = (self.now - self._since) / each
            self._since, self._left = self.now, min(float(limit.burst), self._left + refill)
        is_refusal = self._left < 1.0 - SLACK
        self._left -= not is_refusal
        self.refusals += is_refusal
        left = math.floor(self._left + SLACK)
        if limit.burst is None:
            reset = self._since + limit.window - self.now
        else:
            reset = each * ((limit.burst if left else 1) - self._left)
        pause = {"seconds": float(math.ceil(reset - SLACK)), "reset": reset, "nothing": 0.0}[limit.tells]
        used_up_for = reset if limit.on_success and not left else None
        return _Answer(is_refusal, used_up_for, pause, None if limit.tells == "nothing" else limit.limit)


def _work(
    fleet: _Fleet, send: _Retry | _Pace, starts: Iterator[float], waits: list[float], deadline: float
) -> _Steps[None]:
    """What a worker does: one host after the other."""
    for start in starts:
        yield max(start, fleet.now), None
        started = fleet.now
        for wait in waits:
            yield fleet.now + wait, None
            if not (yield from send.request(started + deadline)):
                break
        else:
            fleet.durations.append(fleet.now - started)


@dataclass
class _Retry:
    """Sends as a peer does."""

    fleet: _Fleet
    peer: Peer

    def request(self, give_up_at: float) -> _Steps[bool]:
        """Send until it goes through; returns whether it did."""
        for tries in range(self.peer.tries):
            answer = yield from self.fleet.send()
            if not answer.is_refusal:
                return True
            delay = min(self.peer.first * self.peer.factor**tries, self.peer.longest)
            delay *= self.fleet.random.random() if self.peer.jitter else 1.0
            if tries + 1 == self.peer.tries or self.fleet.now + delay > give_up_at:
                break
            yield self.fleet.now + delay, None
        return False


@dataclass
class _Pace:
    """Sends by the gate, as client and pacing do."""

    fleet: _Fleet
    shared: _Shared

    def request(self, give_up_at: float) -> _Steps[bool]:
        """Send until it goes through; returns whether it did."""
        fleet, shared = self.fleet, self.shared
        refusals = 0
        while True:
            shared.gate, permission = rate_gate.ask_permission(shared.gate, fleet.now)
            if permission.at > give_up_at:
                return False
            if permission.at > fleet.now:
                yield permission.at, shared
            if not rate_gate.still_holds(shared.gate, permission):
                continue
            sent_at = fleet.now
            answer = yield from fleet.send()
            before = shared.gate
            if answer.is_refusal:
                backoff = min(0.5 * 2.0**refusals, LONGEST_BACKOFF)
                pause = max(answer.pause, backoff) + fleet.random.uniform(0.0, backoff / 2)
                refusals += 1
                shared.gate = rate_gate.refused(before, fleet.now, sent_at, pause, answer.limit)
            else:
                shared.gate = rate_gate.went_through(before, fleet.now, sent_at, answer.used_up_for, answer.limit)
            if shared.gate.closed_until != before.closed_until:
                fleet.tell(shared)
            if not answer.is_refusal:
                return True
