# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for the rate limit: what one task hears of it, the others know; and nobody waits for nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.hostup.cloud.plugins.module_utils._clock import Deadline
from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError
from ansible_collections.hostup.cloud.plugins.module_utils._sharing import notes as _notes
from ansible_collections.hostup.cloud.plugins.module_utils._sharing import pacing as _pacing
from ansible_collections.hostup.cloud.plugins.module_utils._sharing.notes import Notes, name_of
from ansible_collections.hostup.cloud.plugins.module_utils._sharing.pacing import Pace
from ansible_collections.hostup.cloud.plugins.module_utils._sharing.rate_gate import (
    LONGEST_PAUSE,
    RateGate,
    dump_rate_gate,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.site import Clock, Site

ORIGIN, KEY = "https://cloud.hostup.se", "secret-key-of-ann"
NAME = name_of("gate", ORIGIN, KEY)
SLACK = 1.15  # of a pause, and a little more: what waiters may be late


class Asker:
    """One task."""

    def __init__(self, clock: Clock, origin: str = ORIGIN, key: str = KEY, seconds: float = 3600.0) -> None:
        self.clock = clock
        self.said: list[str] = []
        self.warned: list[str] = []
        self.pace = Pace(Notes(self.warned.append), origin, key, Deadline(seconds), self.said.append)

    def waits(self) -> float:
        """The seconds until this task may send."""
        begin = self.clock.now
        self.pace.wait()
        return self.clock.now - begin

    def is_refused(self, pause: float = 60.0) -> None:
        self.pace.refused(self.clock.time(), pause, None)


@pytest.fixture(autouse=True)
def _forgetful() -> Iterator[None]:
    """What one test has left in memory is not for the next."""
    _notes._memory.clear()
    yield
    _notes._memory.clear()


@pytest.fixture
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for long looks less often, or the fake clock would be slow."""
    monkeypatch.setattr(_pacing, "LOOK_AGAIN", 60.0)


def put_gate(gate: RateGate) -> None:
    Notes(pytest.fail).change(NAME, lambda _note: (dump_rate_gate(gate), None))


def at_wait(clock: Clock, number: int, do: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Do something during a wait."""
    sleep = clock.sleep

    def hooked(seconds: float) -> None:
        sleep(seconds)
        if len(clock.waits) == number:
            do()

    monkeypatch.setattr(clock, "sleep", hooked)


def refusals(site: Site) -> int:
    return len([call for call in site.calls if call.status == 429])


def read(site: Site, seconds: float = 3600.0, times: int = 1, **options: Any) -> float:
    """Read some times with a client of its own; return the seconds that it took."""
    begin = site.clock.now
    client = site.client(seconds, **options)
    for _time in range(times):
        assert client.get(site.iso_path).status == 200
    return site.clock.now - begin


# --- who waits


def test_an_open_gate_costs_nothing(clock: Clock, cache: Path) -> None:
    asker = Asker(clock)
    for _time in range(50):
        sent_at = asker.pace.wait()
        asker.pace.went_through(sent_at, None, None)
    assert clock.waits == [] and asker.said == [] and asker.warned == []
    assert [path.stat().st_size for path in cache.iterdir()] == [0], "nothing is written"


def test_an_open_gate_costs_a_client_nothing(site: Site, cache: Path) -> None:
    assert read(site, times=10) == 0
    assert site.clock.waits == [] and len(site.calls) == 10
    assert [path.stat().st_size for path in cache.iterdir()] == [0]


def test_who_hears_a_refusal_tells_the_others(clock: Clock) -> None:
    Asker(clock).is_refused(60)
    for asker in (Asker(clock), Asker(clock)):
        waited = asker.waits()
        assert waited <= 60 * SLACK and asker.warned == []
    assert 60 <= clock.now - 1_800_000_000 <= 60 * SLACK


def test_who_is_waiting_hears_of_a_longer_pause(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    Asker(clock).is_refused(20)
    at_wait(clock, 5, lambda: Asker(clock).is_refused(100), monkeypatch)
    assert 100 <= Asker(clock).waits() <= 20 + 100 * SLACK


@pytest.mark.parametrize(
    ("origin", "key"), [(ORIGIN, "key-of-bob"), ("https://api.example.com", KEY), ("", ORIGIN + KEY)]
)
def test_other_keys_and_origins_do_not_wait(clock: Clock, origin: str, key: str) -> None:
    Asker(clock).is_refused()
    assert Asker(clock, origin, key).waits() == 0


def test_other_users_do_not_wait(clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Asker(clock).is_refused()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert Asker(clock).waits() == 0


def test_who_was_not_refused_makes_nobody_wait(clock: Clock) -> None:
    asker = Asker(clock)
    asker.pace.went_through(clock.time(), None, 100)
    assert Asker(clock).waits() == 0


def test_nothing_remains(clock: Clock) -> None:
    Asker(clock).pace.went_through(clock.time(), 42.0, 100)
    assert 42 <= Asker(clock).waits() <= 42 * SLACK


def test_no_secret_is_written(clock: Clock, cache: Path) -> None:
    Asker(clock).is_refused()
    [path] = cache.iterdir()
    assert path.name == NAME and path.stat().st_mode & 0o777 == 0o600
    shown = path.name + path.read_text()
    assert KEY not in shown and "hostup.se" not in shown


def test_two_clients_share_a_refusal(site: Site) -> None:
    site.fault("problem", status=429, headers={"Retry-After": "40"})
    with ThreadPoolExecutor() as pool:
        first = pool.submit(read, site)
        while not site.said:
            assert not first.done()
        read(site)
        first.result(30)
    assert refusals(site) == 1
    assert all(call.at - site.calls[0].at >= 40 for call in site.calls[1:])


def test_a_write_waits_for_what_a_read_was_told(site: Site) -> None:
    site.fault("problem", "GET", status=429, headers={"Retry-After": "40"})
    read(site)
    site.calls.clear()
    site.fault("problem", "GET", status=429, headers={"Retry-After": "40"})
    with pytest.raises(HostUpError, match="after the end"):
        read(site, seconds=20)
    site.client().post(f"{site.iso_path}/actions/unmount", {"device": "ide2"})
    assert site.calls[-1].at - site.calls[0].at >= 40


def test_other_clients_are_not_concerned(site: Site) -> None:
    key = site.world.add_key(site.owner)
    site.fault("problem", status=429, headers={"Retry-After": "40"})
    with pytest.raises(HostUpError):
        read(site, seconds=20)
    assert read(site, api_key=key) == 0


# --- the deadline


def test_a_wait_beyond_the_deadline_fails_at_once(clock: Clock) -> None:
    Asker(clock).is_refused(60)
    asker = Asker(clock, seconds=30)
    with pytest.raises(HostUpError, match=r"rate limit is used up.* 60 s, after the end of the 30 s") as caught:
        asker.pace.wait()
    assert caught.value.timed_out and caught.value.problem.title == "rate limit"
    assert clock.waits == [] and KEY not in caught.value.msg


def test_the_deadline_is_the_whole_tasks(clock: Clock) -> None:
    """Time that has gone before counts too."""
    asker = Asker(clock, seconds=90)
    clock.now += 50
    Asker(clock).is_refused(60)
    with pytest.raises(HostUpError, match="rate limit"):
        asker.pace.wait()


def test_a_client_fails_at_once_for_what_another_was_told(site: Site) -> None:
    site.fault("problem", status=429, headers={"Retry-After": "60"}, times=None)
    for _time in range(3):
        with pytest.raises(HostUpError, match="30 s that this task may take") as caught:
            read(site, seconds=30)
        assert caught.value.timed_out
    assert site.clock.waits == []
    assert len(site.calls) == 1, "who gives up for the refusal tells of it all the same"


@pytest.mark.parametrize("headers", [{"Retry-After": "5"}, {"Retry-After": "0"}, {}])
def test_a_server_that_always_refuses(site: Site, headers: dict[str, str]) -> None:
    site.fault("problem", status=429, headers=headers, times=None)
    begin = site.clock.now
    with pytest.raises(HostUpError, match=r"429|rate limit") as caught:
        read(site, seconds=120)
    assert caught.value.timed_out and "120 s that this task may take" in caught.value.msg
    assert site.clock.now - begin <= 121
    assert 1 < len(site.calls) < 40


# --- what is told


def test_a_wait_is_told_once(clock: Clock) -> None:
    asker = Asker(clock)
    for _time in range(3):
        asker.is_refused(60)
        asker.waits()
    assert asker.said == ["waiting 60 s for the API's rate limit"]


def test_a_short_wait_is_not_told(clock: Clock) -> None:
    asker = Asker(clock)
    asker.is_refused(1)
    asker.waits()
    assert asker.said == [] and len(clock.waits) > 0
    asker.is_refused(30)
    asker.waits()
    assert len(asker.said) == 1, "a longer one is, later on"


def test_a_client_tells_its_wait(site: Site) -> None:
    site.fault("problem", status=429, headers={"Retry-After": "38"}, times=2)
    read(site)
    [line] = site.said
    assert line in {f"waiting {seconds} s for the API's rate limit" for seconds in (38, 39)}


# --- clocks and files that tell nonsense


@pytest.mark.parametrize("jump", [0.5, 30.0, 3600.0, 1e7, -0.5, -30.0, -600.0, -3600.0, -1e7])
def test_a_clock_that_jumps(clock: Clock, monkeypatch: pytest.MonkeyPatch, jump: float) -> None:
    Asker(clock).is_refused(60)

    def set_clock() -> None:
        clock.jumped = jump

    at_wait(clock, 3, set_clock, monkeypatch)
    assert Asker(clock).waits() <= 60 * SLACK
    assert Asker(clock).waits() <= 60 * SLACK, "nor do those who come later"


@pytest.mark.parametrize("there", [3600.0, -3600.0])
def test_a_clock_that_jumps_there_and_back(clock: Clock, monkeypatch: pytest.MonkeyPatch, there: float) -> None:
    asker, other = Asker(clock), Asker(clock)

    def refused_meanwhile() -> None:
        clock.jumped = there
        other.is_refused(60)

    def back() -> None:
        clock.jumped = 0.0

    asker.is_refused(60)
    at_wait(clock, 3, refused_meanwhile, monkeypatch)
    at_wait(clock, 6, back, monkeypatch)
    assert asker.waits() <= 2 * 60 * SLACK
    assert Asker(clock).waits() <= 60 * SLACK


def test_a_gate_from_the_future_stops_nobody(clock: Clock) -> None:
    put_gate(RateGate(closed_until=clock.now + LONGEST_PAUSE + 1, closed_at=clock.now, gap=0.1))
    asker = Asker(clock)
    assert asker.waits() == 0 and asker.warned == []


@pytest.mark.parametrize(
    "gate",
    [
        RateGate(closed_until=1_800_000_060, closed_at=1_800_000_030),
        RateGate(gap=0.1, next_permission=1_800_003_600),
        RateGate(gap=1e6),
    ],
)
def test_what_no_gate_can_be_stops_nobody(clock: Clock, gate: RateGate) -> None:
    put_gate(gate)
    assert Asker(clock).waits() == 0


@pytest.mark.usefixtures("_patient")
def test_the_worst_that_a_file_can_do(clock: Clock) -> None:
    put_gate(RateGate(clock.now + LONGEST_PAUSE, clock.now, 0, 10.0, clock.now + LONGEST_PAUSE + 30))
    assert Asker(clock).waits() <= LONGEST_PAUSE + 60 + 90
    assert Asker(clock).waits() == 0


@pytest.mark.parametrize("content", [b"", b"hello", b'{"version": 1, "note": "x"}', b'{"version": 1, "note": [1e999]}'])
def test_a_file_that_cannot_be_read_stops_nobody(clock: Clock, cache: Path, content: bytes) -> None:
    asker = Asker(clock)
    (cache / NAME).write_bytes(content)
    assert asker.waits() == 0
    asker.is_refused(60)
    assert 60 <= Asker(clock).waits() <= 60 * SLACK
    assert asker.warned == []


def test_a_file_of_a_newer_version(clock: Clock, cache: Path) -> None:
    asker = Asker(clock)
    content = b'{"version": 2, "closed": true}'
    (cache / NAME).write_bytes(content)
    assert asker.waits() == 0
    asker.is_refused(60)
    assert 60 <= asker.waits() <= 60 * SLACK, "a process goes on with what it hears itself"
    assert (cache / NAME).read_bytes() == content
    assert len(asker.warned) == 1


def test_without_a_folder_a_client_waits_for_itself(site: Site, cache: Path) -> None:
    cache.write_bytes(b"")
    site.switches.rate_limit = 3
    assert 120 <= read(site, times=8) <= 120 * SLACK + 5
    assert len(site.warned) == 1 and refusals(site) <= 3


# --- what the API says


def test_nothing_remains_after_a_success(site: Site) -> None:
    site.switches.rate_limit, site.switches.rate_headers = 2, True
    assert read(site, times=2) == 0
    assert 58 <= read(site) <= 60 * SLACK
    assert refusals(site) == 0


def test_no_refusal_where_every_answer_tells_what_remains(site: Site) -> None:
    site.switches.rate_limit, site.switches.rate_headers = 5, True
    for _time in range(4):
        read(site, times=5)
    assert refusals(site) == 0
    assert 175 <= site.clock.now - site.calls[0].at <= 4 * 60 * SLACK


@pytest.mark.parametrize("seconds", ["1000000000", "9" * 400, "901"])
@pytest.mark.usefixtures("_patient")
def test_an_absurd_pause_is_cut(site: Site, seconds: str) -> None:
    site.fault("problem", status=429, headers={"Retry-After": seconds})
    assert LONGEST_PAUSE <= read(site) <= LONGEST_PAUSE * 1.05
    assert len(site.calls) == 2


@pytest.mark.parametrize("date", ["Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT", "tomorrow", "-5"])
@pytest.mark.usefixtures("_patient")
def test_odd_dates(site: Site, date: str) -> None:
    site.fault("problem", status=429, headers={"Retry-After": date})
    assert 0 < read(site) <= LONGEST_PAUSE * 1.05


@pytest.mark.parametrize("kind", ["window", "bucket"])
@pytest.mark.parametrize(("says", "latest"), [("seconds", 1.2), ("date", 1.2), ("reset", 1.2), ("nothing", 2.5)])
def test_every_way_to_tell_when_to_come_back(site: Site, kind: str, says: str, latest: float) -> None:
    site.switches.rate_limit, site.switches.rate_kind, site.switches.rate_says = 5, kind, says
    floor = 120 if kind == "window" else 84
    assert floor <= read(site, times=12, api_retries=0) <= floor * latest + 15
    assert refusals(site) <= (30 if says == "nothing" else 8)


def test_a_clock_of_the_server_that_is_wrong(site: Site) -> None:
    """What counts is how the date to come back compares with the server's own."""
    headers = {"Retry-After": "Mon, 01 Jan 2001 00:00:30 GMT", "Date": "Mon, 01 Jan 2001 00:00:00 GMT"}
    site.fault("problem", status=429, headers=headers)
    assert 30 <= read(site) <= 30 * SLACK


# --- many at once


def test_many_threads_share_a_limit(site: Site) -> None:
    site.switches.rate_limit, site.switches.rate_window = 10, 30.0
    client = site.client(1e8, api_retries=0)
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _number: client.get(site.iso_path).status, range(24)))
    assert answers == [200] * 24
    assert refusals(site) <= 24
    assert len(site.said) <= 12
