# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs: answer shapes, where to poll, and how often."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.hostup.cloud.plugins.module_utils._api.jobs import (
    SHORTEST_POLL,
    Job,
    parse_job,
    poll_delay,
    poll_path,
    wait_for,
)
from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError

if TYPE_CHECKING:
    from support.site import Site

KNOWN = Job("job_1", "queued", None, "/api/jobs/job_1")
ORIGIN = "https://cloud.hostup.se"


def parsed(body: dict[str, Any]) -> Job:
    job = parse_job(body, KNOWN)
    assert job is not None
    return job


def shaped(shape: str, **fields: Any) -> dict[str, Any]:
    """A poll's answer in one of the three shapes."""
    if shape == "flat":
        return fields
    if shape == "operation":
        return {"operation": {"jobId": "job_1", "pollUrl": None, **fields}}
    envelope = {"success": True, "timestamp": "2026-04-27T12:34:56.000Z", "requestId": "req_1"}
    return {**envelope, "data": {"jobId": "job_1", "type": "iso", "isCompleted": False, "isFailed": False, **fields}}


every_shape = pytest.mark.parametrize("shape", ["flat", "operation", "legacy"])


@every_shape
def test_every_shape_is_read(shape: str) -> None:
    job = parsed(shaped(shape, status="in_progress", progress=42))
    assert job == Job("job_1", "in_progress", 42.0, "/api/jobs/job_1")
    assert job.as_result() == {"id": "job_1", "status": "in_progress", "progress": 42.0}


@every_shape
@pytest.mark.parametrize(
    ("status", "finished"),
    [
        *(("completed", True), ("failed", True)),
        *(("pending", False), ("queued", False), ("in_progress", False), ("processing", False)),
        *(("waiting", False), ("running", False)),
        *(("something new", False), ("", False), (None, False), (7, False)),
    ],
)
def test_only_documented_words_end_a_job(shape: str, status: object, finished: bool) -> None:
    assert parsed(shaped(shape, status=status)).finished is finished


@every_shape
def test_terminal_flags(shape: str) -> None:
    assert parsed(shaped(shape, status="odd", isCompleted=True)).status == "completed"
    assert parsed(shaped(shape, status="odd", isFailed=True)).status == "failed"
    assert parsed(shaped(shape, status="completed", isFailed=True)).status == "failed"
    assert parsed(shaped(shape, status="odd", isCompleted="yes", isFailed=1)).status == "odd"


def test_state_stands_in_for_status() -> None:
    assert parsed(shaped("legacy", state="in_progress")).status == "in_progress"
    assert parsed(shaped("operation")).status == "unknown"


@every_shape
@pytest.mark.parametrize(
    ("fields", "progress"),
    [
        ({"progress": 0}, 0.0),
        ({"progress": 12.5}, 12.5),
        ({"progress": -3}, 0.0),
        ({"progress": 250}, 100.0),
        ({"progressDetails": {"percentage": 30}}, 30.0),
        ({"progress": 10, "progressDetails": {"percentage": 30}}, 10.0),
        ({"progress": None, "progressDetails": {"percentage": 130}}, 100.0),
        ({"progress": "50"}, None),
        ({"progress": True}, None),
        ({"progress": {}, "progressDetails": []}, None),
        ({}, None),
    ],
)
def test_progress(shape: str, fields: dict[str, Any], progress: float | None) -> None:
    assert parsed(shaped(shape, status="in_progress", **fields)).progress == progress


@every_shape
@pytest.mark.parametrize(
    "fields",
    [
        {"error": "no space"},
        {"error": {"message": "no space", "code": "disk"}},
        {"error": {"detail": "no space"}},
        {"message": "no space"},
        {"progressMessage": "no space"},
        {"error": None, "message": "", "progressMessage": "no space"},
        {"result": "no space"},
        {"result": {"error": "no space"}},
        {"result": {"message": "no space"}},
        {"result": {"reason": {"message": "no space"}}},
        {"result": {"anything": "no space"}},
        {"data": {"error": "no space"}},
        {"data": {"result": {"message": "no space"}}},
        {"error": "no space", "message": "Something else"},
        {"data": {"error": "no space"}, "message": "Something else"},
    ],
)
def test_reason_of_a_failure(shape: str, fields: dict[str, Any]) -> None:
    assert parsed(shaped(shape, status="failed", **fields)).reason == "no space"


@every_shape
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"error": 7, "result": []},
        {"data": {}, "result": None},
        {"queueType": "vm", "jobName": "download", "createdAt": "2026-04-27T12:34:56.000Z", "statusKey": "job.failed"},
        {"data": {"queueType": "vm", "jobName": "download", "vmId": "117", "progressTextKey": "job.downloading"}},
    ],
)
def test_no_reason(shape: str, fields: dict[str, Any]) -> None:
    assert parsed(shaped(shape, status="failed", **fields)).reason is None


def test_an_id_is_no_reason() -> None:
    """The flat shape names the job in `data`."""
    assert parsed({"status": "failed", "data": {"jobId": "job_1"}}).reason is None


@pytest.mark.parametrize("body", [{}, {"device": "ide2"}, {"operation": None}, {"operation": []}, {"data": [1]}])
def test_answers_that_speak_of_no_job(body: dict[str, Any]) -> None:
    assert parse_job(body) is None


def test_first_answer() -> None:
    body = {"operation": {"status": "queued", "jobId": "job_2", "pollUrl": "/api/jobs/job_2"}}
    assert parse_job(body) == Job("job_2", "queued", None, "/api/jobs/job_2")
    assert parse_job(body, KNOWN) == Job("job_2", "queued", None, "/api/jobs/job_2")


@pytest.mark.parametrize("fields", [{"status": "queued"}, {"status": ""}, {}])
def test_a_first_answer_may_name_no_job(fields: dict[str, Any]) -> None:
    nameless = {"jobId": None, "pollUrl": None, **fields}
    for body in ({"operation": nameless}, nameless, {"data": nameless}):
        assert parse_job(body) == Job(None, fields.get("status") or "unknown")


@pytest.mark.parametrize(
    ("poll_url", "path"),
    [
        ("/api/jobs/job_9", "/api/jobs/job_9"),
        ("/api/jobs/job_9?full=1", "/api/jobs/job_9?full=1"),
        ("api/jobs/job_9", "/api/jobs/job_9"),
        (f"{ORIGIN}/api/jobs/job_9", "/api/jobs/job_9"),
        ("https://evil.example/api/jobs/job_9", "/api/jobs/job_1"),
        ("//evil.example/api/jobs/job_9", "/api/jobs/job_1"),
        ("http://cloud.hostup.se/api/jobs/job_9", "/api/jobs/job_1"),
        (f"{ORIGIN}:8443/api/jobs/job_9", "/api/jobs/job_1"),
        (f"{ORIGIN}@evil.example/api/jobs/job_9", "/api/jobs/job_1"),
        (f"{ORIGIN}.evil.example/api/jobs/job_9", "/api/jobs/job_1"),
        (f"//{ORIGIN.partition('//')[2]}/api/jobs/job_9", "/api/jobs/job_9"),
        ("javascript:alert(1)", "/api/jobs/job_1"),
        ("http://[broken", "/api/jobs/job_1"),
        (None, "/api/jobs/job_1"),
    ],
)
def test_poll_path(poll_url: str | None, path: str) -> None:
    assert poll_path(ORIGIN, Job("job_1", "queued", poll_url=poll_url)) == path


def test_poll_path_without_an_id() -> None:
    assert poll_path(ORIGIN, Job(None, "queued", poll_url="/api/jobs/x")) == "/api/jobs/x"
    assert poll_path(ORIGIN, Job(None, "queued", poll_url="https://evil.example/x")) is None
    assert poll_path(ORIGIN, Job("a/../b?c", "queued")) == "/api/jobs/a%2F..%2Fb%3Fc"


def simulate(duration: float, jitter: float, progress: bool) -> tuple[int, float]:
    """Poll a job whose progress is linear; return how many polls it took and how late the end was seen."""
    now, polls = 0.0, 0
    while now < duration:
        now += poll_delay(now, int(100 * now / duration) if progress else None) * jitter
        polls += 1
    return polls, now - duration


def mean_delay(duration: float, progress: bool) -> float:
    """The mean delay, as a share, of jobs of about this duration: one job alone may be lucky."""
    durations = [duration * (0.8 + 0.004 * step) for step in range(100)]
    return sum(simulate(each, 1.05, progress)[1] / each for each in durations) / len(durations)


@pytest.mark.parametrize("jitter", [1.0, 1.05, 1.1])
@pytest.mark.parametrize(
    ("duration", "progress", "most", "latest"),
    [  # most polls, and the latest notice in seconds
        (2, True, 1, 0.3),
        (2, False, 1, 0.3),
        (12, True, 6, 2.3),
        (12, False, 6, 2.3),
        (40, True, 9, 2.3),
        (40, False, 19, 4.6),
        (130, True, 14, 2.6),
        (130, False, 32, 14.5),
        (400, True, 17, 4.6),
        (400, False, 44, 44.0),
    ],
)
def test_polls_and_delay(duration: float, progress: bool, most: int, latest: float, jitter: float) -> None:
    polls, late = simulate(duration, jitter, progress)
    assert polls <= most
    assert late <= latest


def test_figures_of_the_design() -> None:
    polls, late = simulate(130, 1.05, True)
    assert polls <= 15
    assert late / 130 <= 0.06
    assert mean_delay(130, progress=True) < 0.02
    assert mean_delay(130, progress=False) < 0.06
    assert mean_delay(400, progress=False) < 0.06


@pytest.mark.parametrize("progress", [None, 0.0, 0.5, 25.0, 99.0, 100.0])
def test_delay_grows_with_the_time_elapsed(progress: float | None) -> None:
    delays = [poll_delay(elapsed, progress) for elapsed in range(0, 4000, 7)]
    assert delays == sorted(delays)
    assert delays[0] == min(delays) == SHORTEST_POLL


def test_delay_shrinks_with_progress() -> None:
    delays = [poll_delay(300.0, progress) for progress in range(1, 101)]
    assert delays == sorted(delays, reverse=True)
    assert delays[0] <= 150.0  # a prediction is not believed further ahead than that


# --- the waiter


def started(site: Site, seconds: float) -> Job:
    """Start an attach-empty job that runs for so long."""
    site.switches.mount, site.switches.job_seconds = "job", seconds
    job = parse_job(site.client().post(f"{site.iso_path}/actions/attach-empty", {"device": "ide3"}).body)
    assert job is not None
    return job


@pytest.mark.parametrize("shape", ["operation", "flat", "legacy"])
@pytest.mark.parametrize("poll_url", ["relative", "absolute", "foreign", "missing"])
def test_wait_for_every_shape_and_poll_url(site: Site, shape: str, poll_url: str) -> None:
    site.switches.poll_shape, site.switches.poll_url = shape, poll_url
    seen: list[str] = []
    job = started(site, 130)
    done = wait_for(site.client(), job, lambda latest, _: seen.append(latest.status))
    assert (done.id, done.status) == (job.id, "completed")
    assert len(site.sent("GET", "/api/jobs/")) <= 32
    assert seen[0] == job.status and seen[-1] == "completed"


def wait(site: Site, job: Job, seconds: float = 3600.0) -> Job:
    return wait_for(site.client(seconds), job, lambda *_: None)


@pytest.mark.parametrize("seconds", [1, 7, 60])
def test_retry_after_wins(site: Site, seconds: int) -> None:
    site.switches.job.retry_after = seconds
    assert wait(site, started(site, 130)).status == "completed"
    assert site.clock.waits[1] == pytest.approx(seconds, rel=0.25)


def test_retry_after_zero_does_not_poll_without_a_pause(site: Site) -> None:
    site.switches.job.retry_after = 0
    assert wait(site, started(site, 130)).status == "completed"
    assert min(site.clock.waits) > 0


def test_failed(site: Site) -> None:
    site.switches.job.fails = "no space left"
    with pytest.raises(HostUpError, match=r"^Job job_.* failed: no space left") as caught:
        wait(site, started(site, 5))
    assert (caught.value.problem.title, caught.value.problem.detail) == ("job failed", "no space left")


def test_forgotten(site: Site) -> None:
    site.switches.job.forgotten = True
    assert wait(site, started(site, 5)).status == "forgotten"


@pytest.mark.parametrize(
    ("job_id", "poll_url"),
    [
        ("..", None),
        (".", None),
        ("../vps", None),
        ("job_1", "/api/jobs/../v2/vps"),
        ("job_1", "/api/jobs/%2e%2E/v2/vps"),
        ("job_1", "/api/jobs/..%2fv2%2fvps"),
        ("job_1", "api/./jobs"),
        ("job_1", "ORIGIN/api/jobs/.."),
    ],
)
def test_dot_segments_are_not_polled(site: Site, job_id: str, poll_url: str | None) -> None:
    job = Job(job_id, "queued", poll_url=poll_url and poll_url.replace("ORIGIN", site.emulator.url))
    with pytest.raises(HostUpError, match=r"was not sent: .* segment \. or \.\.") as caught:
        wait(site, job)
    assert "goes on at HostUp" in caught.value.msg
    assert site.calls == []


@pytest.mark.parametrize("answer", [{"neither": "this nor that"}, {"status": "who knows"}])
def test_unknown_is_not_yet(site: Site, answer: dict[str, Any]) -> None:
    job = started(site, 5)
    site.fault("wrong_shape", path="/api/jobs/", body=answer, times=3)
    assert wait(site, job).status == "completed"
    assert len(site.sent("GET", "/api/jobs/")) == 4


@pytest.mark.parametrize("word", ["waiting", "running", ""])
def test_words_of_a_job_that_goes_on(site: Site, word: str) -> None:
    site.switches.job.status_word = word
    job = started(site, 40)
    assert job.status == (word or "unknown") and not job.finished
    assert wait(site, job).status == "completed" and site.clock.now - site.calls[0].at >= 40


def test_a_job_without_a_name_is_not_asked_for(site: Site) -> None:
    assert wait(site, Job(None, "queued")) == Job(None, "queued")
    with pytest.raises(HostUpError, match="The job failed: no space"):
        wait(site, Job(None, "failed", reason="no space"))
    assert len(site.calls) == 0 and site.clock.waits == []


def test_deadline(site: Site) -> None:
    site.switches.job.hangs, site.switches.job.status_word = True, "pondering"
    job = started(site, 5)
    begin = site.clock.now
    with pytest.raises(HostUpError, match=r"still pondering after the 60 s of wait_timeout\. It goes on") as caught:
        wait(site, job, 60.0)
    assert caught.value.timed_out
    assert site.clock.now - begin == pytest.approx(60.0)


@pytest.mark.parametrize(
    "fault", [{"kind": "problem", "status": 503}, {"kind": "dropped"}, {"kind": "edge", "status": 522}]
)
def test_a_job_route_that_does_not_answer_for_minutes_ends_no_wait(site: Site, fault: dict[str, Any]) -> None:
    job = started(site, 5)
    site.fault(**fault, path="/api/jobs/", times=100)
    begin = site.clock.now
    assert wait(site, job).status == "completed"
    assert site.clock.now - begin > 120 and len(site.sent("GET", "/api/jobs/")) == 101
    assert len([line for line in site.said if "cannot be asked how it goes" in line]) == 1


def test_a_job_route_that_never_answers(site: Site) -> None:
    site.switches.job.hangs = True
    job = started(site, 5)
    site.fault("problem", path="/api/jobs/", status=503, times=None)
    begin = site.clock.now
    with pytest.raises(HostUpError) as caught:
        wait(site, job, 300.0)
    assert caught.value.timed_out and "goes on at HostUp" in caught.value.msg and "HTTP 503" in caught.value.msg
    assert site.clock.now - begin > 240


def test_a_refused_poll_ends_the_wait(site: Site) -> None:
    job = started(site, 5)
    site.fault("problem", path="/api/jobs/", status=403, code="forbidden", times=None)
    with pytest.raises(HostUpError) as caught:
        wait(site, job)
    assert "goes on at HostUp" in caught.value.msg
    assert len(site.sent("GET", "/api/jobs/")) == 1


@every_shape
@pytest.mark.parametrize("word", ["cancelled", "canceled", "aborted", "expired"])
def test_words_for_failures(site: Site, shape: str, word: str) -> None:
    job = started(site, 5)
    site.fault("wrong_shape", path="/api/jobs/", body=shaped(shape, status=word, jobId=job.id))
    with pytest.raises(HostUpError, match=f"^Job {job.id} ended as {word}: the API gives no reason"):
        wait(site, job)


@pytest.mark.parametrize("end", [{"finishedAt": "2026-04-27T12:34:56.000Z"}, {"isRunning": False, "isWaiting": False}])
def test_a_word_that_is_not_known_ends_a_job_that_is_said_to_be_over(end: dict[str, Any]) -> None:
    """What it came to, only a read can tell."""
    job = parsed(shaped("legacy", status="archived", **end))
    assert job.finished and not job.has_failed and not job.has_completed
    goes_on = parsed(shaped("legacy", status="archived", isRunning=True, isWaiting=False, finishedAt=None))
    assert not goes_on.finished
