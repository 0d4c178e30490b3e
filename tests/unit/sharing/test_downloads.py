# SPDX-License-Identifier: GPL-3.0-or-later
"""One download per file and owner: who orders it, who waits, and who takes over."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError
from ansible_collections.hostup.cloud.plugins.module_utils._iso.apply import IsoApplier, IsoProgress
from ansible_collections.hostup.cloud.plugins.module_utils._iso.plan import IsoWish, Plan
from ansible_collections.hostup.cloud.plugins.module_utils._sharing.downloads import (
    JOB_MEMORY,
    LOOK_AGAIN,
    MOST_FAILURES,
    DownloadNote,
    parse_download_note,
)
from ansible_collections.hostup.cloud.plugins.module_utils._sharing.notes import Notes, name_of
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.iso import VPS_ISO

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hostup_emulator.jobs import Job
    from support.site import Site, Web

NAME = "new.iso"
STARTS, WAITS = f"{NAME}: ", "waiting for"  # how lines begin
URL = "http://127.0.0.1:9/new.iso"
OTHER_URL = "http://127.0.0.1:9/other/new.iso"
LIBRARY_WORDS = ("new.iso", "127.0.0.1", "/other", "secret-key-of-ann")


@pytest.fixture
def site(site: Site) -> Site:
    """Downloads go on until a test ends them."""
    site.switches.job.hangs, site.switches.second_download = True, "again"
    return site


class Run:
    """One task that wants the file: a client and a library that was read."""

    def __init__(self, site: Site, url: str = URL, seconds: float = 3600.0, wait: bool = True, **options: Any) -> None:
        self.site, self.url = site, url
        self.client = site.client(seconds, **options)
        self.progress = IsoProgress(IsoWish("present", name=NAME, url=url, wait=wait), site.vps.id)
        self.downloads = site.downloads(self.client)
        self.plan = self._applier().foresee()
        self.asked_for_url = 0
        site.clock.now += 0.01  # no two things happen at the very same time

    def at_line(self, words: str, do: Callable[[], object]) -> Run:
        """Do something as soon as the task says a line with these words."""

        before, todo = self.client.say, [do]

        def say(line: str) -> None:
            before(line)
            if words in line and todo:
                todo.pop()()

        self.client.say = say
        return self

    def _applier(self, kind: type[IsoApplier] = IsoApplier) -> IsoApplier:
        progress = self.progress
        return kind(self.client, self.site.vps.id, progress.wish, self.downloads, self._find_url, progress)

    def go(self) -> IsoProgress:
        """What is left to do, after what has been read."""
        plan = self.plan

        class Planned(IsoApplier):
            """One that has read and planned already."""

            def foresee(self) -> Plan:
                """What was planned."""
                return plan

        self._applier(Planned).apply()
        return self.progress

    def refused(self) -> HostUpError:
        with pytest.raises(HostUpError) as caught:
            self.go()
        return caught.value

    def _find_url(self) -> str:
        self.asked_for_url += 1
        return self.url


def orders(site: Site) -> int:
    return len(site.sent("POST", "from-url"))


def polls(site: Site) -> int:
    return len(site.sent("GET", "/api/jobs/"))


def last_job(site: Site) -> Job:
    return list(site.world.jobs.values())[-1]


def finish(site: Site) -> None:
    """Let the last download that was ordered come to its end."""
    with site.emulator.lock:
        site.world.download_done(last_job(site).id, 5_000_000_000)


def fail(site: Site) -> None:
    with site.emulator.lock:
        site.world.download_failed(last_job(site).id, "no space left")


def note_name(site: Site) -> str:
    return name_of("download", site.emulator.url, site.key, NAME)


def noted(site: Site) -> DownloadNote:
    return parse_download_note(Notes(site.warned.append).read(note_name(site)), site.clock.time())


def put_note(site: Site, note: Any) -> None:
    Notes(site.warned.append).change(note_name(site), lambda _before: (note, None))


def hold(site: Site) -> Callable[[], None]:
    """Be the task that downloads."""
    release = Notes(site.warned.append).try_to_hold(name_of("library", site.emulator.url, site.key, NAME))
    assert release
    return release


def timed_out(site: Site, **options: Any) -> Job:
    """Have a task order the file and give up; return the job that it leaves behind."""
    error = Run(site, seconds=30, **options).refused()
    assert error.timed_out and orders(site) == 1
    site.calls.clear()
    return last_job(site)


# --- waiting for another


def test_one_downloads_and_the_other_waits(site: Site) -> None:
    other_waits = threading.Event()
    first = Run(site).at_line(STARTS, lambda: other_waits.wait(30))
    with ThreadPoolExecutor() as pool:
        going = pool.submit(first.go)
        while not orders(site):
            assert not going.done()
        second = Run(site).at_line(WAITS, lambda: finish(site)).at_line(WAITS, other_waits.set)
        assert second.go().record.actions == [] and second.progress.record.job is None
        assert going.result(30).record.actions == ["download"]
    assert orders(site) == 1 and second.asked_for_url == 0
    assert [iso.name for iso in second.progress.media.available].count(NAME) == 1
    assert len([line for line in site.said if line.startswith(WAITS) and NAME in line]) == 1


@pytest.mark.parametrize("in_memory", [False, True])
def test_many_threads_of_one_client(site: Site, cache: Path, in_memory: bool) -> None:
    """As the list form does it; also where no files can be used."""
    if in_memory:
        cache.write_bytes(b"")
    run = Run(site, seconds=1e8)
    since = run.progress.read_at
    downloads: list[int] = []

    def want(number: int) -> bool:
        with run.downloads.turn(NAME, (URL,), since, wait=True) as turn:
            if not turn.is_there:
                downloads.append(number)
                turn.done()
            return turn.is_there

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(want, range(30)))
    assert len(downloads) == 1 and answers.count(False) == 1
    assert len(site.warned) == in_memory


def test_waiting_costs_no_request(site: Site) -> None:
    release = hold(site)
    run = Run(site, seconds=20)
    site.calls.clear()
    assert run.refused().timed_out
    assert site.calls == []
    assert all(wait <= LOOK_AGAIN for wait in site.clock.waits)
    release()


def test_the_deadline_while_waiting(site: Site) -> None:
    release = hold(site)
    begin = site.clock.now
    error = Run(site, seconds=30).refused()
    assert error.timed_out and error.msg.startswith(f"Could not download {NAME}. Another task is still downloading")
    assert "after the 30 s of wait_timeout" in error.msg
    assert orders(site) == 0 and site.clock.now - begin <= 31
    release()


def test_who_waits_takes_over_from_one_that_vanishes(site: Site) -> None:
    """The lock is all that a killed task leaves: nobody has it any more."""
    release = hold(site)
    site.switches.job.hangs = False
    site.switches.job.fails = "so that it ends"
    run = Run(site).at_line(WAITS, release)
    assert "so that it ends" in run.refused().msg
    assert orders(site) == 1 and run.asked_for_url == 1


def test_who_waits_takes_up_the_job_of_one_that_vanishes(site: Site) -> None:
    timed_out(site)
    release = hold(site)
    run = Run(site).at_line(WAITS, release).at_line(STARTS, lambda: finish(site))
    assert run.go().record.actions == []
    assert orders(site) == 0 and noted(site).done_at > 0


def test_a_waiter_believes_only_a_reread(site: Site) -> None:
    """The note says that it is there, and it has been deleted since: it is ordered, when the lock is free."""
    release = hold(site)
    run = Run(site, seconds=60)
    run.at_line(WAITS, lambda: put_note(site, asdict(DownloadNote(done_at=site.clock.time() + 0.001))))
    assert "still downloading" in run.refused().msg and orders(site) == 0
    release()
    site.switches.job.hangs, site.switches.job.fails = False, "so that it ends"
    assert "so that it ends" in Run(site).refused().msg and orders(site) == 1


def test_a_job_that_has_failed_is_not_followed_by_an_order_beside_the_lock(site: Site) -> None:
    timed_out(site)
    fail(site)
    release = hold(site)
    assert Run(site, seconds=30, wait=False).refused().timed_out and orders(site) == 0
    release()


def test_others_that_fail_again_and_again(site: Site) -> None:
    release = hold(site)
    put_note(site, asdict(DownloadNote(failures=7)))
    run = Run(site).at_line(WAITS, lambda: put_note(site, asdict(DownloadNote(failures=7 + MOST_FAILURES))))
    error = run.refused()
    assert f"Downloads of {NAME} have failed" in error.msg and not error.timed_out
    assert orders(site) == 0
    release()


def test_one_that_fails_is_followed_by_another(site: Site) -> None:
    release = hold(site)
    site.switches.job.hangs, site.switches.job.fails = False, "so that it ends"
    run = (
        Run(site)
        .at_line(WAITS, lambda: put_note(site, asdict(DownloadNote(failures=MOST_FAILURES - 1))))
        .at_line(WAITS, release)
    )
    assert "so that it ends" in run.refused().msg
    assert orders(site) == 1


def test_old_failures_are_nothing_to_a_new_task(site: Site) -> None:
    put_note(site, asdict(DownloadNote(failures=100)))
    release = hold(site)
    assert "Another task is still downloading" in Run(site, seconds=5).refused().msg
    release()
    assert Run(site, wait=False).go().record.actions == ["download"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/never", URL])
def test_a_lock_is_for_one_name(site: Site, url: str) -> None:
    release = hold(site)
    client = site.client(5)
    with site.downloads(client).turn("other.iso", (url,), site.clock.time(), wait=True) as turn:
        assert not turn.is_there and turn.job is None
    release()


def test_a_lock_is_for_one_key(site: Site) -> None:
    release = hold(site)
    client = site.client(5, api_key=site.world.add_key(site.owner))
    with site.downloads(client).turn(NAME, (URL,), site.clock.time(), wait=True) as turn:
        assert not turn.is_there
    release()


def test_the_lock_is_release_of_however_it_ends(site: Site) -> None:
    for exception in (HostUpError("no"), ZeroDivisionError(), KeyboardInterrupt()):
        with (
            pytest.raises(type(exception)),
            site.downloads(site.client()).turn(NAME, (URL,), site.clock.time(), wait=True),
        ):
            raise exception
    hold(site)()


# --- without wait


def test_without_wait_the_running_job_is_told(site: Site) -> None:
    first = Run(site, wait=False).go()
    assert first.record.actions == ["download"] and first.record.job is not None
    second = Run(site, wait=False).go()
    assert second.record.actions == [] and second.record.job is not None
    assert (second.record.job.id, second.record.job.finished) == (first.record.job.id, False)
    assert orders(site) == 1 and site.clock.waits == []


def test_without_wait_nobody_waits_for_the_lock_of_a_job(site: Site) -> None:
    job = timed_out(site)
    release = hold(site)
    site.clock.waits.clear()
    progress = Run(site, wait=False).go()
    assert progress.record.job is not None and progress.record.job.id == job.id
    assert orders(site) == 0 and site.clock.waits == [] and WAITS not in str(site.said)
    release()


def test_without_wait_a_job_that_has_ended_is_told(site: Site) -> None:
    Run(site, wait=False).go()
    run = Run(site, wait=False)
    finish(site)
    progress = run.go()
    assert (
        progress.record.actions == [] and progress.record.job is not None and progress.record.job.status == "completed"
    )
    assert orders(site) == 1


# --- jobs left behind


def test_a_timeout_keeps_the_job_and_says_so(site: Site) -> None:
    run = Run(site, seconds=30)
    error = run.refused()
    assert error.timed_out and error.msg.endswith("The next run takes it up where it is then.")
    assert run.progress.record.actions == ["download"]
    past = noted(site)
    assert past.job_id == last_job(site).id and past.done_at == 0
    assert past.poll_url == f"/api/jobs/{past.job_id}"


@pytest.mark.parametrize("poll_url", ["relative", "absolute", "foreign", "missing"])
def test_a_job_is_taken_up(site: Site, poll_url: str) -> None:
    site.switches.poll_url = poll_url
    job = timed_out(site)
    run = Run(site).at_line(STARTS, lambda: finish(site))
    progress = run.go()
    assert progress.record.actions == [] and progress.record.job is not None
    assert (progress.record.job.id, progress.record.job.status) == (job.id, "completed")
    assert orders(site) == 0 and polls(site) > 0
    assert noted(site).job_id is None and noted(site).done_at > 0


def test_a_job_is_taken_up_again_and_again(site: Site) -> None:
    timed_out(site)
    for _time in range(3):
        error = Run(site, seconds=30).refused()
        assert error.timed_out and "The next run takes it up" in error.msg
    assert orders(site) == 0
    assert Run(site).at_line(STARTS, lambda: finish(site)).go().record.actions == []


@pytest.mark.parametrize(("age", "ordered"), [(JOB_MEMORY - 60, 0), (JOB_MEMORY + 1, 1)])
def test_an_old_job_is_not_taken_up(site: Site, age: float, ordered: int) -> None:
    timed_out(site)
    site.clock.now += age
    Run(site, wait=False).go()
    assert orders(site) == ordered
    assert polls(site) == 1 - ordered


def test_a_job_of_another_source_is_not_taken_up(site: Site) -> None:
    job = timed_out(site)
    progress = Run(site, url=OTHER_URL, wait=False).go()
    assert progress.record.job is not None and progress.record.job.id != job.id
    assert orders(site) == 1 and polls(site) == 0


def test_a_url_that_is_signed_anew_is_the_same_source(site: Site) -> None:
    job = timed_out(site, url=f"{URL}?expires=1&sig=one")
    progress = Run(site, url=f"{URL}?expires=2&sig=another", wait=False).go()
    assert progress.record.job is not None and progress.record.job.id == job.id
    assert orders(site) == 0


def test_another_compression_is_another_source(site: Site) -> None:
    timed_out(site)
    run = Run(site, wait=False)
    run.progress.wish = IsoWish("present", name=NAME, url=URL, decompress="gzip", wait=False)
    run.go()
    assert orders(site) == 1


def forget(site: Site) -> None:
    last_job(site).faults.forgotten = True


def complete_and_delete(site: Site) -> None:
    finish(site)
    site.owner.library.clear()


@pytest.mark.parametrize("meanwhile", [forget, fail, complete_and_delete])
def test_a_job_that_leads_nowhere_is_ordered_anew(site: Site, meanwhile: Callable[[Site], None]) -> None:
    job = timed_out(site)
    meanwhile(site)
    progress = Run(site, wait=False).go()
    assert progress.record.actions == ["download"] and progress.record.job is not None
    assert progress.record.job.id != job.id and orders(site) == 1
    assert noted(site).job_id == progress.record.job.id
    assert last_job(site).id == progress.record.job.id


def finish_and_forget(site: Site) -> None:
    finish(site)
    forget(site)


def test_a_job_that_has_failed_since_is_not_looked_for(site: Site) -> None:
    timed_out(site)
    fail(site)
    site.clock.waits.clear()
    Run(site, wait=False).go()
    assert site.clock.waits == [] and (polls(site), orders(site)) == (1, 1)


@pytest.mark.parametrize("meanwhile", [finish, finish_and_forget])
def test_a_job_that_has_led_to_the_file_is_enough(site: Site, meanwhile: Callable[[Site], None]) -> None:
    """It ends after the read, and before it is looked at."""
    timed_out(site)
    run = Run(site)
    meanwhile(site)
    assert run.go().record.actions == [] and orders(site) == 0
    assert noted(site).job_id is None


def test_a_job_that_is_forgotten_before_stale_reads_show_the_file(site: Site) -> None:
    timed_out(site)
    run = Run(site)
    site.switches.stale_reads = 3
    finish_and_forget(site)
    assert run.go().record.actions == [] and orders(site) == 0


def test_a_job_that_is_taken_up_and_fails(site: Site) -> None:
    timed_out(site)
    run = Run(site).at_line(STARTS, lambda: fail(site))
    error = run.refused()
    assert error.msg.endswith("failed: no space left")
    assert run.progress.record.actions == [] and orders(site) == 0
    assert noted(site) == DownloadNote(failures=1)


def test_a_failure_clears_the_job(site: Site) -> None:
    assert "no space left" in Run(site).at_line(STARTS, lambda: fail(site)).refused().msg
    assert noted(site) == DownloadNote(failures=1)
    site.calls.clear()
    assert Run(site, wait=False).go().record.actions == ["download"]
    assert polls(site) == 0


def test_failures_are_counted_until_one_succeeds(site: Site) -> None:
    for _time in range(2):
        Run(site).at_line(STARTS, lambda: fail(site)).refused()
    assert noted(site).failures == 2
    Run(site).at_line(STARTS, lambda: finish(site)).go()
    assert noted(site).failures == 0


def test_a_download_of_unknown_outcome_is_no_job(site: Site) -> None:
    site.fault("dropped", "POST", "from-url", times=None)
    error = Run(site).refused()
    assert error.outcome_unknown and "may still be running" in error.msg
    assert noted(site).job_id is None


def test_a_refused_order_is_noted_as_nothing(site: Site) -> None:
    site.fault("problem", "POST", "from-url", status=403)
    error = Run(site).refused()
    assert error.problem.status == 403 and "next run" not in error.msg
    assert noted(site) == DownloadNote()


@pytest.mark.parametrize("fault", [{"kind": "problem", "status": 500}, {"kind": "problem", "status": 401}])
def test_a_poll_that_may_be_answered_later_keeps_the_job(site: Site, fault: dict[str, Any]) -> None:
    timed_out(site)
    site.fault(**fault, method="GET", path="/api/jobs/", times=None)
    error = Run(site).refused()
    assert "goes on at HostUp" in error.msg and "To have it forgotten" in error.msg
    assert orders(site) == 0 and noted(site).job_id == last_job(site).id


@pytest.mark.parametrize(
    "fault",
    [{"kind": "problem", "status": status} for status in (400, 403, 404, 410)]
    + [{"kind": "html", "status": 200}, {"kind": "wrong_shape"}],
)
def test_a_job_that_cannot_be_polled_is_ordered_anew(site: Site, fault: dict[str, Any]) -> None:
    timed_out(site)
    site.fault(**fault, method="GET", path="/api/jobs/", times=None)
    Run(site, wait=False).go()
    assert orders(site) == 1


def test_an_order_without_an_answer_is_not_repeated_by_those_who_wait(site: Site) -> None:
    """It may be under way, and each of them would order it twice."""
    release = hold(site)
    first, second = Run(site), Run(site).at_line(WAITS, release)
    site.fault("dropped", "POST", "from-url", commit=True, times=None)
    with ThreadPoolExecutor() as pool:
        going = pool.submit(first.refused)
        told = [second.refused(), going.result(30)]
    assert orders(site) == 2, "one task, and its one resend"
    assert sum("may be ordered a second time" in error.msg for error in told) == 1
    assert sum("got no answer, while this one waited" in error.msg for error in told) == 1


def test_a_job_that_is_only_in_memory_is_not_said_to_be_taken_up(site: Site, cache: Path) -> None:
    cache.write_bytes(b"")
    error = Run(site, seconds=30).refused()
    assert "takes it up" not in error.msg and "may be ordered a second time" in error.msg


# --- notes that nobody of us has written

GARBAGE: dict[str, Any] = {
    "nothing": None,
    "a list": [1, 2],
    "a text": "job_1",
    "an empty one": {},
    "other names": {"job": "job_1", "at": 5},
    "other types": {"job_id": 5, "poll_url": [], "source": {}, "ordered_at": "now", "done_at": None, "failures": 1.5},
    "truths": {"ordered_at": True, "done_at": True, "failures": True},
    "an order of the far future": {"job_id": "job_1", "ordered_at": 1_800_100_000},
    "a future end": {"job_id": "job_1", "done_at": 1_800_003_600, "failures": 9},
    "no number": {"job_id": "job_1", "ordered_at": float("nan")},
    "no number and a future end": {"job_id": "job_1", "ordered_at": float("nan"), "done_at": 1e300},
    "endless": {"job_id": "job_1", "ordered_at": float("inf")},
    "endlessly long ago": {"job_id": "job_1", "ordered_at": float("-inf")},
    "before all time": {"job_id": "job_1", "ordered_at": -(10**400)},
    "a large number": {"job_id": "job_1", "done_at": 10**400},
}
every_garbage = pytest.mark.parametrize("note", GARBAGE.values(), ids=GARBAGE.keys())


@every_garbage
def test_garbage_counts_for_nothing(note: Any) -> None:
    assert parse_download_note(note, 1_800_000_000.0) == DownloadNote()


@every_garbage
def test_garbage_stops_nobody(site: Site, note: Any) -> None:
    put_note(site, note)
    assert Run(site, wait=False).go().record.actions == ["download"]
    assert orders(site) == 1 and polls(site) == 0
    assert noted(site).job_id == last_job(site).id
    assert site.warned == []


def test_a_note_is_read_as_it_was_written() -> None:
    past = DownloadNote("job_1", "/api/jobs/job_1", 1_800_000_000.5, "ab", 0.0, 2)
    assert parse_download_note(json.loads(json.dumps(asdict(past))), 1_800_000_000.0) == past


def test_a_clock_that_is_set_back(site: Site) -> None:
    timed_out(site)
    site.clock.jumped = -3600
    Run(site, wait=False).go()
    assert orders(site) == 0 and polls(site) == 1


def test_a_clock_that_is_set_back_while_waiting(site: Site) -> None:
    release = hold(site)

    def jump() -> None:
        site.clock.jumped = -1e6

    begin = site.clock.now
    assert Run(site, seconds=30).at_line(WAITS, jump).refused().timed_out
    assert site.clock.now - begin <= 31
    release()


def test_a_note_leads_to_no_other_origin(site: Site, web: Web) -> None:
    timed_out(site)
    put_note(site, {**asdict(noted(site)), "poll_url": web.add("/jobs", body=b'{"status": "completed"}')})
    Run(site, wait=False).go()
    assert web.asked == [] and polls(site) == 1


def test_a_note_that_leads_elsewhere(site: Site) -> None:
    timed_out(site)
    put_note(site, {**asdict(noted(site)), "job_id": "../../v2/vps", "poll_url": None})
    Run(site, wait=False).go()
    assert {call.path for call in site.calls} == {site.iso_path, f"{site.iso_path}/actions/from-url"}
    assert orders(site) == 1


def test_a_note_of_a_newer_version(site: Site, cache: Path) -> None:
    Notes(site.warned.append)
    path = cache / note_name(site)
    path.write_text('{"version": 2, "note": {}}')
    assert Run(site, wait=False).go().record.actions == ["download"]
    assert path.read_text() == '{"version": 2, "note": {}}'
    assert len(site.warned) == 1


# --- through the task


def run_task(site: Site, **options: Any) -> dict[str, Any]:
    return site.run(VPS_ISO, **{"vps_id": site.vps.id, **options})


def test_redirects_are_followed_by_the_one_who_orders(site: Site, web: Web) -> None:
    site.switches.job.hangs = False
    end = web.add("/mirror/x.iso", body=b"iso")
    start = web.add("/new.iso", 302, Location="/mirror/x.iso")
    fleet = [site.vps.id, *(site.world.add_vps(site.owner, f"web-{number}").id for number in range(7))]
    result = run_task(site, vps_id=None, vps_ids=fleet, url=start, resolve_redirects=True, wait_timeout=10**8)
    assert [one["actions"] for one in result["results"]].count(["download"]) == 1
    assert [one["iso"]["name"] for one in result["results"]] == [NAME] * 8
    assert orders(site) == 1 and site.calls.writes()[0].body["url"] == end
    assert sorted((method, path) for method, path, _headers in web.asked) == [
        ("GET", "/mirror/x.iso"), ("HEAD", "/mirror/x.iso"), ("HEAD", "/new.iso"),
    ]  # fmt: skip


def test_who_takes_up_a_job_follows_no_redirect(site: Site, web: Web) -> None:
    web.add("/mirror/x.iso", body=b"iso")
    start = web.add("/new.iso", 302, Location="/mirror/x.iso")
    options: dict[str, Any] = {"url": start, "resolve_redirects": True, "wait_timeout": 30}
    assert run_task(site, **options)["timed_out"] is True
    asked = len(web.asked)
    result = run_task(site, **options)
    assert "The next run takes it up" in result["msg"] and result["changed"] is False
    assert len(web.asked) == asked and orders(site) == 1


def test_results_of_a_download_and_of_its_being_there(site: Site) -> None:
    first = run_task(site, url=URL, wait=False)
    second = run_task(site, url=URL, wait=False)
    assert (first["changed"], first["actions"]) == (True, ["download"])
    assert (second["changed"], second["actions"], second["job"]["id"]) == (False, [], first["job"]["id"])


def test_a_name_that_is_no_unicode(site: Site) -> None:
    """As one that came from a file system may be: the API says what it thinks of it."""
    site.fault("problem", "POST", "from-url", status=400, detail="No such name.")
    assert "No such name" in run_task(site, url=URL, name="\udcff.iso")["msg"]


@pytest.mark.parametrize("how", ["done", "timed out", "failed"])
def test_no_secret_lies_in_the_folder(site: Site, cache: Path, how: str) -> None:
    url = "http://ann:sesame@127.0.0.1:9/other/new.iso?sig=s3cr3t-t0ken-0123"
    if how == "failed":
        site.switches.job.hangs, site.switches.job.fails = False, f"{url} {site.key} {NAME}"
    run = Run(site, url=url, seconds=30)
    if how == "done":
        run.at_line(STARTS, lambda: finish(site)).go()
    else:
        run.refused()
    hold(site)()
    files = list(cache.iterdir())
    shown = " ".join([*(path.name for path in files), *(path.read_text() for path in files)])
    assert len(files) == 3 and all(path.stat().st_mode & 0o777 == 0o600 for path in files)
    secrets = (*LIBRARY_WORDS, "sesame", "s3cr3t", "ann", site.emulator.url.rpartition(":")[2])
    assert not [secret for secret in secrets if secret in shown.replace(str(last_job(site).id), "")]
