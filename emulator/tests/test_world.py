# SPDX-License-Identifier: GPL-3.0-or-later
"""The pure world: what it answers, and what changes."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from hostup_emulator.switches import change
from hostup_emulator.world import Answer, Drive, Gate, JobFaults, Mount, StartDownload, Switches

if TYPE_CHECKING:
    from hostup_emulator.model import JsonValue

    from .conftest import Lab

RATE_HEADERS = {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"}
PROBLEM_FIELDS = {"type", "title", "status", "detail", "code", "instance", "requestId", "timestamp"}


def code(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.body["code"]


def devices(state: JsonValue) -> dict[str, tuple[str, bool]]:
    return {slot["device"]: (slot["type"], slot["inUse"]) for slot in state["availableDevices"]}


def statuses(lab: Lab, count: int, key: str | None = None) -> list[int]:
    return [lab.ask("GET", "/api/v2/vps", key=key).status for _time in range(count)]


# Getting in


def test_problem_document_is_complete(lab: Lab) -> None:
    answer = lab.ask("GET", "/api/v2/vps", key="wrong")
    assert code(answer) == (401, "unauthorized")
    assert answer.content_type == "application/problem+json"
    assert answer.body.keys() == PROBLEM_FIELDS
    assert re.fullmatch(r"req_[0-9a-hjkmnp-tv-z]{26}", answer.body["requestId"])
    assert answer.body["timestamp"] == "2023-11-14T22:13:20.000Z"
    assert answer.body["instance"] == "/api/v2/vps"


def test_scopes(lab: Lab) -> None:
    reader = lab.world.add_key(lab.owner, scopes=["read:vm"])
    assert lab.ask("GET", lab.iso_path, key=reader).status == 200
    assert code(lab.ask("DELETE", f"{lab.iso_path}/{lab.iso.id}", key=reader)) == (403, "forbidden")


def test_other_owners(lab: Lab) -> None:
    stranger = lab.world.add_key(lab.world.add_owner("bob"))
    assert lab.ask("GET", "/api/v2/vps", key=stranger).body["data"] == []
    assert code(lab.ask("GET", lab.iso_path, key=stranger)) == (403, "forbidden")
    lab.switches.foreign_vps = "vps_not_found"
    assert code(lab.ask("GET", lab.iso_path, key=stranger)) == (404, "vps_not_found")
    job = lab.download().body["operation"]["jobId"]
    assert lab.ask("GET", f"/api/jobs/{job}").status == 200
    assert code(lab.ask("GET", f"/api/jobs/{job}", key=stranger)) == (404, "not_found")


def test_routes(lab: Lab) -> None:
    assert code(lab.ask("GET", "/api/v2/nothing")) == (404, "not_found")
    assert code(lab.ask("GET", "/api/v2/vps/vps_none")) == (404, "vps_not_found")
    answer = lab.ask("PUT", lab.iso_path)
    assert code(answer) == (405, "method_not_allowed")
    assert answer.headers["Allow"] == "GET"


def test_rate_limit_is_per_key_and_window(lab: Lab) -> None:
    lab.switches.rate_limit = 2
    other = lab.world.add_key(lab.owner)
    assert [lab.ask("GET", "/api/v2/vps").status for _time in range(3)] == [200, 200, 429]
    assert lab.ask("GET", "/api/v2/vps", key=other).headers == {}
    lab.now += 59.5
    refused = lab.ask("GET", "/api/v2/vps")
    assert code(refused) == (429, "rate_limit_exceeded")
    assert refused.headers == {
        "X-RateLimit-Limit": "2",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": "2023-11-14T22:14:20.000Z",
        "Retry-After": "1",
    }
    lab.now += 0.5
    lab.switches.rate_headers = True
    assert lab.ask("GET", "/api/v2/vps").headers["X-RateLimit-Remaining"] == "1"


def test_bucket_bursts_and_refills_evenly(lab: Lab) -> None:
    lab.switches.rate_kind, lab.switches.rate_limit, lab.switches.rate_burst = "bucket", 30, 3
    other = lab.world.add_key(lab.owner)
    assert statuses(lab, 4) == [200, 200, 200, 429]
    assert statuses(lab, 4, other) == [200, 200, 200, 429]
    for _time in range(5):
        lab.now += 1.9
        assert statuses(lab, 1) == [429]
        lab.now += 0.1
        assert statuses(lab, 2) == [200, 429]
    lab.now += 4
    assert statuses(lab, 3) == [200, 200, 429]
    lab.now += 1e6
    assert statuses(lab, 4) == [200, 200, 200, 429]


def test_bucket_without_a_burst_of_its_own(lab: Lab) -> None:
    lab.switches.rate_kind, lab.switches.rate_limit = "bucket", 2
    assert statuses(lab, 3) == [200, 200, 429]
    lab.now += 30
    assert statuses(lab, 2) == [200, 429]


def test_bucket_tells_how_full_it_is(lab: Lab) -> None:
    lab.switches.rate_kind, lab.switches.rate_limit, lab.switches.rate_burst = "bucket", 30, 3
    lab.switches.rate_headers = True
    seen = []
    for _time in range(4):
        headers = lab.ask("GET", "/api/v2/vps").headers
        seen.append((headers["X-RateLimit-Remaining"], headers["X-RateLimit-Reset"], headers.get("Retry-After")))
        lab.now += 0.25
    assert seen == [
        ("2", "2023-11-14T22:13:22.000Z", None),
        ("1", "2023-11-14T22:13:24.000Z", None),
        ("0", "2023-11-14T22:13:22.000Z", None),
        ("0", "2023-11-14T22:13:22.000Z", "2"),
    ]


@pytest.mark.parametrize("limit", [7, 13, 600, 6000])
def test_who_comes_back_when_told_to_is_let_in(lab: Lab, limit: int) -> None:
    lab.switches.rate_kind, lab.switches.rate_limit, lab.switches.rate_burst = "bucket", limit, 1
    lab.now += 0.1
    assert statuses(lab, 1) == [200]
    for _time in range(50):
        refused = lab.ask("GET", "/api/v2/vps")
        assert refused.status == 429
        lab.now = datetime.fromisoformat(refused.headers["X-RateLimit-Reset"].replace("Z", "+00:00")).timestamp()
        assert statuses(lab, 1) == [200]


@pytest.mark.parametrize("kind", ["window", "bucket"])
def test_a_window_of_no_length_refuses_nothing(lab: Lab, kind: str) -> None:
    change(lab.switches, {"rate_kind": kind, "rate_limit": 1, "rate_window": 0.0})
    assert statuses(lab, 3) == [200, 200, 200]


@pytest.mark.parametrize(
    ("says", "retry_after", "names"),
    [
        ("seconds", "2", RATE_HEADERS | {"Retry-After"}),
        ("date", "Tue, 14 Nov 2023 22:13:22 GMT", RATE_HEADERS | {"Retry-After"}),
        ("reset", None, RATE_HEADERS),
        ("nothing", None, set()),
    ],
)
@pytest.mark.parametrize("kind", ["window", "bucket"])
def test_how_a_refusal_tells_when_to_come_back(
    lab: Lab, kind: str, says: str, retry_after: str | None, names: set[str]
) -> None:
    change(lab.switches, {"rate_kind": kind, "rate_says": says, "rate_limit": 1, "rate_window": 1.5})
    assert statuses(lab, 1) == [200]
    refused = lab.ask("GET", "/api/v2/vps")
    assert code(refused) == (429, "rate_limit_exceeded")
    assert refused.headers.keys() == names
    assert refused.headers.get("Retry-After") == retry_after
    if names:
        assert refused.headers["X-RateLimit-Remaining"] == "0"
        assert refused.headers["X-RateLimit-Reset"] == "2023-11-14T22:13:21.500Z"


# Inventory


def test_pages_and_filters(lab: Lab) -> None:
    for number in range(2, 6):
        lab.world.add_vps(lab.owner, f"web-0{number}", f"192.0.2.{number}")
    names, cursor = [], None
    while True:
        page = lab.ask("GET", "/api/v2/vps", limit="2", **({"cursor": cursor} if cursor else {})).body
        names += [vps["name"] for vps in page["data"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert names == ["web-01", "web-02", "web-03", "web-04", "web-05"]
    assert [v["primaryIp"] for v in lab.ask("GET", "/api/v2/vps", name="WEB-03").body["data"]] == ["192.0.2.3"]
    assert [v["name"] for v in lab.ask("GET", "/api/v2/vps", primaryIp="192.0.2.4").body["data"]] == ["web-04"]
    assert lab.ask("GET", "/api/v2/vps", name="web").body["data"] == []
    assert lab.ask("GET", f"/api/v2/vps/{lab.vps.id}").body == lab.ask("GET", "/api/v2/vps").body["data"][0]


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "101"}, {"limit": "ten"}, {"cursor": "2"}])
def test_bad_pages(lab: Lab, query: dict[str, str]) -> None:
    answer = lab.ask("GET", "/api/v2/vps", **query)
    assert code(answer) == (400, "invalid_request")
    assert answer.body["errors"][0]["pointer"] == "/" + next(iter(query))


# The ISO read


def test_iso_read_in_full(lab: Lab) -> None:
    lab.act("mount", isoId=lab.iso.id)
    assert lab.read() == lab.world.iso_read(lab.vps)
    assert lab.read() == {
        "available": [
            {"id": lab.iso.id, "name": "ubuntu.iso", "displayName": None, "sizeGb": 1.0, "format": "iso"},
        ],
        "mounted": [{"device": "ide2", "isoId": lab.iso.id, "mounted": True, "isCloudInit": False}],
        "bootOrder": {
            "order": ["scsi0", "ide2"],
            "devices": {"scsi0": "Disk", "ide2": "CD/DVD 3"},
            "availableDevices": [
                {"id": "scsi0", "name": "Disk", "type": "disk"},
                {"id": "ide2", "name": "CD/DVD 3", "type": "cdrom"},
            ],
        },
        "availableDevices": [
            {"device": "ide2", "type": "existing_cdrom", "description": "CD/DVD 3", "inUse": True},
            {"device": "ide3", "type": "available", "description": "CD/DVD 4", "inUse": False},
        ],
        "actions": {"canMount": {"allowed": True, "reason": None}, "canUpload": {"allowed": True, "reason": None}},
    }


def test_every_kind_of_drive(lab: Lab) -> None:
    odd = Mount(None, None, mounted=False)
    drives = {"ide0": Drive.cloud_init(), "ide1": Drive.busy(), "ide2": Drive.holding(None), "ide3": Drive.slot()}
    vps = lab.world.add_vps(lab.owner, "odd", drives=drives, boot_order=None, extra_mounts=[odd])
    state = lab.world.iso_read(vps)
    assert state["bootOrder"] is None
    assert devices(state) == {
        "ide0": ("existing_cdrom", True),
        "ide1": ("existing_cdrom", True),
        "ide2": ("existing_cdrom", True),
        "ide3": ("available", False),
    }
    assert [(m["device"], m["mounted"], m["isCloudInit"]) for m in state["mounted"]] == [
        ("ide0", True, True),
        ("ide2", True, False),
        (None, False, False),
    ]


# Mounting and unmounting


def test_mount_takes_the_first_free_drive_and_then_a_slot(lab: Lab) -> None:
    assert lab.act("mount", isoId=lab.iso.id).body == {"device": "ide2"}
    assert lab.act("mount", isoId=lab.iso.id).body == {"device": "ide3"}
    assert code(lab.act("mount", isoId=lab.iso.id)) == (409, "drive_in_use")


def test_mount_on_a_given_drive(lab: Lab) -> None:
    other = lab.world.add_iso(lab.owner, "debian.iso")
    lab.vps.drives["ide0"] = Drive.cloud_init()
    for _time in range(2):
        assert lab.act("mount", isoId=lab.iso.id, device="ide3").body == {"device": "ide3"}
    assert code(lab.act("mount", isoId=other.id, device="ide3")) == (409, "drive_in_use")
    assert code(lab.act("mount", isoId=other.id, device="ide0")) == (409, "drive_in_use")
    assert code(lab.act("mount", isoId=other.id, device="ide1")) == (400, "invalid_request")
    assert code(lab.act("mount", isoId="iso_none")) == (404, "not_found")


def test_mount_needs_drive(lab: Lab) -> None:
    lab.switches.mount_needs_drive = True
    assert code(lab.act("mount", isoId=lab.iso.id, device="ide3")) == (409, "drive_missing")
    assert lab.act("attach-empty").body == {"device": "ide3"}
    assert lab.act("attach-empty", device="ide3").status == 200
    assert lab.act("mount", isoId=lab.iso.id, device="ide3").status == 200
    assert code(lab.act("attach-empty", device="ide3")) == (409, "drive_in_use")
    assert code(lab.act("attach-empty")) == (409, "drive_in_use")
    assert code(lab.act("attach-empty", device="ide0")) == (400, "invalid_request")


def test_unmount_defaults_to_ide2(lab: Lab) -> None:
    lab.act("mount", isoId=lab.iso.id)
    for _time in range(2):
        assert lab.act("unmount").body == {"device": "ide2"}
    assert lab.read()["mounted"] == []
    assert devices(lab.read())["ide2"] == ("existing_cdrom", False)


def test_unmount_takes_the_cloud_init_drive_and_tells(lab: Lab) -> None:
    lab.vps.drives["ide0"] = Drive.cloud_init()
    lab.vps.extra_mounts = [Mount("ide1", None, is_cloud_init=True)]
    lab.act("unmount", device="ide0")
    lab.act("unmount", device="ide1")
    assert lab.read()["mounted"] == []
    assert lab.vps.cloud_init_unmounts == ["ide0", "ide1"]


def test_switches_of_mount_and_unmount(lab: Lab) -> None:
    lab.switches.mount_moves_cd_first = True
    lab.switches.unmount_removes_drive = lab.switches.unmount_drops_boot_entry = True
    lab.act("mount", isoId=lab.iso.id)
    assert lab.read()["bootOrder"]["order"] == ["ide2", "scsi0"]
    lab.act("unmount")
    assert lab.read()["bootOrder"]["order"] == ["scsi0"]
    assert devices(lab.read())["ide2"] == ("available", False)


@pytest.mark.parametrize(
    ("action", "body", "pointer", "what"),
    [
        ("mount", {}, "/isoId", "missing_required"),
        ("mount", {"isoId": 5}, "/isoId", "invalid_request"),
        ("unmount", {"device": "scsi0"}, "/device", "invalid_request"),
        ("attach-empty", {"device": None}, "/device", "invalid_request"),
        ("from-url", {"url": "http://a/b"}, "/filename", "missing_required"),
        ("from-url", {"filename": "a.iso"}, "/url", "missing_required"),
        ("from-url", {"filename": "a.iso", "url": "ftp://a/b"}, "/url", "invalid_request"),
        ("from-url", {"filename": "a.iso", "url": "http://[/"}, "/url", "invalid_request"),
        ("from-url", {"filename": "../a.iso", "url": "http://a/b"}, "/filename", "invalid_request"),
        ("from-url", {"filename": "..", "url": "http://a/b"}, "/filename", "invalid_request"),
        ("from-url", {"filename": "a", "url": "http://a/b", "decompress": "zip"}, "/decompress", "invalid_request"),
    ],
)
def test_validation(lab: Lab, action: str, body: dict[str, Any], pointer: str, what: str) -> None:
    answer = lab.act(action, **body)
    assert code(answer) == (400, "invalid_request")
    assert [(error["pointer"], error["code"]) for error in answer.body["errors"]] == [(pointer, what)]


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff"])
def test_bodies_that_are_no_objects(lab: Lab, body: bytes) -> None:
    assert code(lab.ask("POST", f"{lab.iso_path}/actions/unmount", body)) == (400, "invalid_request")


def test_closed_gates(lab: Lab) -> None:
    lab.vps.can_mount = lab.vps.can_upload = Gate(False, "An order is pending.", "pending_order")
    assert code(lab.act("mount", isoId=lab.iso.id)) == (409, "pending_order")
    answer = lab.download()
    assert code(answer) == (409, "pending_order")
    assert answer.body["detail"] == "An order is pending."
    assert lab.read()["actions"]["canMount"] == {
        "allowed": False,
        "reason": "An order is pending.",
        "code": "pending_order",
    }


def test_vps_not_ready(lab: Lab) -> None:
    lab.switches.vps_not_ready = 1
    assert lab.read()
    assert code(lab.act("unmount")) == (409, "vps_not_ready")
    assert lab.act("unmount").status == 200


def test_stale_reads(lab: Lab) -> None:
    lab.switches.stale_reads = 2
    lab.act("mount", isoId=lab.iso.id)
    assert [len(lab.read()["mounted"]) for _time in range(3)] == [0, 0, 1]


# The library


def test_delete(lab: Lab) -> None:
    neighbour = lab.world.add_vps(lab.owner, "web-02", drives={"ide2": Drive.holding(lab.iso.id)})
    shared = lab.world.add_iso(lab.owner, "rescue.iso", deletable=False)
    assert code(lab.ask("DELETE", f"{lab.iso_path}/{lab.iso.id}")) == (409, "media_in_use")
    neighbour.drives["ide2"] = Drive.empty()
    answer = lab.ask("DELETE", f"{lab.iso_path}/{lab.iso.id}")
    assert (answer.status, answer.body) == (204, None)
    assert code(lab.ask("DELETE", f"{lab.iso_path}/{lab.iso.id}")) == (404, "not_found")
    assert code(lab.ask("DELETE", f"{lab.iso_path}/{shared.id}")) == (403, "forbidden")
    assert [errand.filename for errand in lab.world.errands] == ["ubuntu.iso"]


def test_download_of_what_is_there(lab: Lab) -> None:
    answer = lab.download("ubuntu.iso")
    assert answer.status == 200
    assert answer.body["operation"]["status"] == "completed"
    assert answer.body["operation"]["pollUrl"] is None
    assert lab.world.errands == []


def test_download(lab: Lab) -> None:
    answer = lab.download(decompress="gzip")
    operation = answer.body["operation"]
    assert (answer.status, operation["status"]) == (202, "queued")
    assert operation["pollUrl"] == f"/api/jobs/{operation['jobId']}"
    [errand] = lab.world.errands
    assert isinstance(errand, StartDownload)
    assert (errand.owner, errand.filename, errand.decompress) == ("ann", "new.iso", "gzip")
    lab.world.download_progress(errand.job_id, 250, 1000)
    polled = lab.ask("GET", operation["pollUrl"]).body["operation"]
    assert (polled["status"], polled["progress"]) == ("in_progress", 25)
    lab.world.download_done(errand.job_id, 3 * 10**9)
    assert lab.ask("GET", operation["pollUrl"]).body["operation"]["status"] == "completed"
    added = lab.read()["available"][-1]
    assert (added["name"], added["sizeGb"], added["format"]) == ("new.iso", 3.0, "iso")


@pytest.mark.parametrize(("switch", "status", "errands"), [("join", 202, 1), ("conflict", 409, 1), ("again", 202, 2)])
def test_second_download(lab: Lab, switch: str, status: int, errands: int) -> None:
    lab.switches.second_download = switch
    first = lab.download().body["operation"]["jobId"]
    second = lab.download()
    assert second.status == status
    assert len(lab.world.errands) == errands
    if switch == "join":
        assert second.body["operation"]["jobId"] == first


# Jobs


def test_mount_job(lab: Lab) -> None:
    lab.switches.mount = "job"
    answer = lab.act("mount", isoId=lab.iso.id)
    url = answer.body["operation"]["pollUrl"]
    assert (answer.status, lab.read()["mounted"]) == (202, [])
    lab.now += 0.2
    assert lab.ask("GET", url).body["operation"]["result"] == {"device": "ide2"}
    assert len(lab.read()["mounted"]) == 1
    lab.switches.job_seconds = 0
    answer = lab.act("mount", isoId=lab.iso.id, device="ide3")
    assert (answer.status, answer.body["operation"]["status"]) == (200, "completed")


def test_mount_job_that_finds_the_drive_taken(lab: Lab) -> None:
    lab.switches.mount = "job"
    url = lab.act("mount", isoId=lab.iso.id).body["operation"]["pollUrl"]
    lab.vps.drives["ide2"] = Drive.busy()
    lab.now += 1
    assert lab.ask("GET", url).body["operation"]["error"] == "ide2 holds something else."


@pytest.mark.parametrize(
    ("poll_url", "start"),
    [("relative", "/api/jobs/job_"), ("absolute", "http://emulator.invalid/api/"), ("foreign", "https://jobs.example")],
)
def test_poll_urls(lab: Lab, poll_url: str, start: str) -> None:
    lab.switches.poll_url = poll_url
    assert lab.download().body["operation"]["pollUrl"].startswith(start)


def test_poll_url_missing(lab: Lab) -> None:
    lab.switches.poll_url = "missing"
    answer = lab.download()
    assert (answer.status, answer.body["operation"]["pollUrl"]) == (202, None)


def test_poll_shapes(lab: Lab) -> None:
    job = lab.download().body["operation"]["jobId"]
    lab.world.download_progress(job, 1, 2)
    path = f"/api/jobs/{job}"
    lab.switches.poll_shape = "flat"
    assert lab.ask("GET", path).body == {
        "status": "in_progress",
        "progress": 50,
        "data": {"jobId": job, "type": "download"},
    }
    lab.switches.progress = False
    assert "progress" not in lab.ask("GET", path).body
    lab.switches.poll_shape = "legacy"
    lab.world.download_done(job, 5)
    body = lab.ask("GET", path).body
    assert body["success"] is True
    assert (body["data"]["isCompleted"], body["data"]["isRunning"], body["data"]["progress"]) == (True, False, None)


@pytest.mark.parametrize("shape", ["flat", "operation", "legacy"])
@pytest.mark.parametrize("place", ["error", "message", "progressMessage", "result.error", "data.message"])
def test_reason_of_a_failed_job(lab: Lab, shape: str, place: str) -> None:
    lab.switches.poll_shape = shape
    lab.switches.job = JobFaults(fails="no space left", reason_at=place)
    job = lab.download().body["operation"]["jobId"]
    lab.now += 1
    found = lab.ask("GET", f"/api/jobs/{job}").body
    found = {"flat": found, "operation": found.get("operation"), "legacy": found.get("data")}[shape]
    assert found["status"] == "failed"
    for name in place.split("."):
        found = found[name]
    assert found == "no space left"
    assert lab.world.errands == []


def test_job_faults(lab: Lab) -> None:
    lab.switches.job = JobFaults(hangs=True, status_word="defrosting", retry_after=7, times=1)
    job = lab.download().body["operation"]["jobId"]
    lab.now += 1e6
    answer = lab.ask("GET", f"/api/jobs/{job}")
    assert answer.body["operation"]["status"] == "defrosting"
    assert answer.headers == {"Retry-After": "7"}
    lab.world.jobs[job].faults.forgotten = True
    assert lab.ask("GET", f"/api/jobs/{job}").status == 404
    assert lab.download("other.iso").body["operation"]["status"] == "queued"


@pytest.mark.parametrize("word", ["waiting", ""])
def test_any_word_can_be_the_status(lab: Lab, word: str) -> None:
    lab.switches.job.status_word = word
    answer = lab.download()
    assert (answer.status, answer.body["operation"]["status"]) == (202, word)


def test_a_job_without_a_name(lab: Lab) -> None:
    lab.switches.names_jobs, lab.switches.mount = False, "job"
    nameless = {"status": "queued", "jobId": None, "pollUrl": None, "result": None}
    answer = lab.download()
    assert (answer.status, answer.body) == (202, {"operation": nameless})
    assert lab.act("mount", isoId=lab.iso.id).body["operation"]["jobId"] is None
    lab.world.download_done(next(iter(lab.world.jobs)), 5000)
    again = lab.download()
    assert again.status == 200 and again.body["operation"]["jobId"].startswith("job_"), "a 200 names it"


def test_job_that_claims_to_be_completed(lab: Lab) -> None:
    lab.switches.job.claims_completed = True
    answer = lab.download()
    assert (answer.status, answer.body["operation"]["status"]) == (200, "completed")
    assert len(lab.world.errands) == 1


def test_finished_jobs_are_forgotten(lab: Lab) -> None:
    job = lab.download().body["operation"]["jobId"]
    lab.world.download_done(job, 1)
    lab.switches.forget_after_polls = 1
    assert [lab.ask("GET", f"/api/jobs/{job}").status for _time in range(2)] == [200, 404]
    lab.switches.forget_after_polls = None
    lab.switches.forget_after_seconds = 10
    lab.now += 9
    assert lab.ask("GET", f"/api/jobs/{job}").status == 200
    lab.now += 1
    assert lab.ask("GET", f"/api/jobs/{job}").status == 404


# Switches


def test_an_owner_can_have_switches_of_their_own(lab: Lab) -> None:
    bob = lab.world.add_owner("bob", Switches(vps_not_ready=1))
    key, vps = lab.world.add_key(bob), lab.world.add_vps(bob, "db-01")
    assert lab.act("unmount").status == 200
    assert lab.ask("POST", f"/api/v2/vps/{vps.id}/iso/actions/unmount", {}, key=key).status == 409


def test_change_switches() -> None:
    switches = Switches()
    change(switches, {"mount": "job", "job_seconds": 1, "forget_after_polls": None, "job": {"hangs": True}})
    assert (switches.mount, switches.job_seconds, switches.job.hangs) == ("job", 1, True)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"nothing": 1}, "there is no switch 'nothing'"),
        ({"mount": "maybe"}, "mount is one of sync, job"),
        ({"rate_kind": "leaky"}, "rate_kind is one of window, bucket"),
        ({"rate_says": "maybe"}, "rate_says is one of seconds, date, reset, nothing"),
        ({"rate_burst": 1.5}, "rate_burst takes a value of type int"),
        ({"latency": "long"}, "latency takes a value of type float"),
        ({"stale_reads": True}, "stale_reads takes a value of type int"),
        ({"job": {"hangs": 1}}, "hangs takes a value of type bool"),
        ({"job": 5}, "given as an object"),
    ],
)
def test_change_switches_wrongly(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        change(Switches(), values)
