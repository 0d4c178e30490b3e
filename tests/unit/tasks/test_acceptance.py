# SPDX-License-Identifier: GPL-3.0-or-later
"""The task that tries the contract: what it finds, what it writes, and that it leaves nothing behind."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.hostup.cloud.plugins.module_utils._acceptance.report import FAILS, HOLDS, LINES, UNTRIED
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.acceptance import ACCEPTANCE, FILE_NAME
from hostup_emulator.model import Drive, Gate
from hostup_emulator.switches import change

if TYPE_CHECKING:
    from support.site import Site, Web

WRITES = list(LINES)[list(LINES).index("present") :]
ONE_VPS = {"pages": "there is one VPS only"}  # what cannot be tried in a world with one


def run(site: Site, *, check_mode: bool = False, **options: Any) -> dict[str, Any]:
    """Validate the options and run the task, as the shells do."""
    return site.run(ACCEPTANCE, check_mode, **{"api_retries": 0, **options})


def write(site: Site, web: Web, **options: Any) -> dict[str, Any]:
    """The same with all that writes need."""
    url = web.add("/tiny.iso", body=b"tiny")
    return run(site, **{"vps_name": "web-01", "confirm": "web-01", "iso_url": url, **options})


def but(result: dict[str, Any], outcome: str = HOLDS) -> dict[str, str]:
    """The lines of another outcome, and the first of what they say."""
    assert [line["id"] for line in result["lines"]] == list(LINES), result.get("msg")
    return {line["id"]: " ".join(line["says"][:1]) for line in result["lines"] if line["outcome"] != outcome}


def of(result: dict[str, Any], outcome: str) -> dict[str, str]:
    """The lines of one outcome."""
    return {line["id"]: " ".join(line["says"][:1]) for line in result["lines"] if line["outcome"] == outcome}


def writes(site: Site) -> list[str]:
    """The last part of the path of each write."""
    return [call.path.rpartition("/")[2] for call in site.calls if call.method != "GET"]


# --- reads -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["details", "status", "vps"])
def test_reads(site: Site, place: str) -> None:
    site.switches.gates_at = place
    other = site.world.add_vps(site.owner, "web-02", "192.0.2.2")
    result = run(site)
    assert not result["changed"]
    assert but(result) == dict.fromkeys(WRITES, "vps_name, confirm and iso_url were not given")
    assert writes(site) == []
    assert but(run(site, vps_name="WEB-02")).keys() == set(WRITES)
    assert site.calls[-1].vps_id in (other.id, None)


def test_what_there_is_not_cannot_be_tried(site: Site) -> None:
    site.vps.primary_ip = None
    tried = [line for line in LINES if line not in WRITES]
    untried = {line: says for line, says in but(run(site)).items() if line in tried}
    assert untried == {**ONE_VPS, "filter-address": "this VPS has none"}
    site.owner.vpses.clear()
    untried = {line: says for line, says in but(run(site)).items() if line in tried}
    assert untried == dict.fromkeys(set(tried) - {"list", "unknown-vps", "unknown-job"}, "no VPS was found")


@pytest.mark.parametrize("body", [None, {"data": "none"}, {"data": [{"id": 1}], "nextCursor": 7}, {}])
def test_no_list_at_all(site: Site, body: Any) -> None:
    site.fault("wrong_shape", path="/vps$", body=body, times=None)
    result = run(site)
    assert of(result, FAILS).keys() == {"list"}
    named = run(site, vps_name="web-01")
    assert named.get("failed") or of(named, FAILS).keys() == {"list"}


GATES = {"canStart": {"allowed": "yes", "reason": None}}


@pytest.mark.parametrize(
    ("fault", "wrong"),
    [
        ({"path": "/iso$"}, {"iso": "the answer: expected object, got array"}),
        (
            {"path": "/iso$", "body": {"available": []}},
            {"iso": "the answer: has no mounted, bootOrder, availableDevices, actions"},
        ),
        (
            {"path": "/details$", "body": {"actions": GATES}},
            {
                "details": "the answer: has no id, name, primaryIp, serviceStatus, powerState, operatingSystem",
                "gates": "none of them tells all five",
            },
        ),
        (
            {"path": "/status$", "body": {"powerState": "on fire"}},
            {"status": "the answer: has no uptime, usage, pendingTasks"},
        ),
        ({"path": "/vps_0+$", "status": 200}, {"unknown-vps": "expected HTTP 404, got HTTP 200"}),
        (
            {"path": "/jobs/", "status": 404, "body": {"error": 1}},
            {"unknown-job": "the answer: has no type, title, status, detail, code, instance, requestId, timestamp"},
        ),
        (
            {"path": "/jobs/", "status": 410, "body": {"code": "gone"}},
            {"unknown-job": "expected HTTP 404, got HTTP 410 gone"},
        ),
    ],
)
def test_a_wrong_answer_is_told(site: Site, fault: dict[str, Any], wrong: dict[str, str]) -> None:
    site.fault("wrong_shape", times=None, **fault)
    assert of(run(site), FAILS) == wrong


def test_wrong_filters_and_pages(site: Site) -> None:
    own, *others = [site.vps, *(site.world.add_vps(site.owner, name) for name in ("web-02", "web-03"))]
    for page in ([own], others[:1], others, [own], [own]):
        body = {"data": [site.world.vps_document(vps) for vps in page], "nextCursor": "cur_00000001"}
        site.fault("wrong_shape", path="/vps$", body=body)
    wrong = of(run(site), FAILS)
    assert wrong == {
        "filter-name": "it lists others, or none",
        "filter-address": "it lists others, or none",
        "pages": "the next page is the same page",
    }


@pytest.mark.parametrize("kind", ["dropped", "html", "edge", "problem"])
def test_what_gets_no_answer_of_the_api_is_not_tried(site: Site, kind: str) -> None:
    site.fault(kind, path="/(details|iso)$", times=None)
    result = run(site)
    assert of(result, FAILS) == {}
    assert {"details", "iso"} <= of(result, UNTRIED).keys()


def test_no_right_to_read(site: Site) -> None:
    key = site.world.add_key(site.owner, scopes=[])
    assert of(run(site, api_key=key), FAILS) == {}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"api_key": "wrong"}, "Check api_key"),
        ({"api_base": "http://127.0.0.1:1"}, "got no answer"),
        ({"vps_name": "web-03"}, "no VPS with the name 'web-03'"),
    ],
)
def test_failures(site: Site, options: dict[str, Any], says: str) -> None:
    result = run(site, **options)
    assert result["failed"] and says in result["msg"]
    assert len(site.calls) <= 2


# --- writes ----------------------------------------------------------------------------------------------------------

SWITCHES: list[dict[str, Any]] = [
    {},
    {"mount": "job", "poll_shape": "flat", "job_seconds": 5.0},
    {"mount": "job", "poll_shape": "legacy", "poll_url": "absolute", "stale_reads": 2},
    {"mount": "job", "poll_url": "missing", "names_jobs": False},
    {"second_download": "conflict", "forget_after_polls": 0, "progress": False},
    {"second_download": "again", "rate_headers": True},
    {"second_download": "again", "stale_reads": 2},
    {"unmount_removes_drive": True},
    {"unmount_removes_drive": True, "mount_needs_drive": True, "mount": "job", "stale_reads": 1},
]


def state(site: Site) -> Any:
    """What has to be as it was."""
    return json.loads(json.dumps([site.world.iso_read(vps) for vps in site.owner.vpses]))


@pytest.mark.parametrize("switches", SWITCHES, ids=lambda switches: "-".join(switches) or "none")
def test_writes(site: Site, web: Web, switches: dict[str, Any]) -> None:
    """All lines hold whatever the API does where nothing public tells, and all is as before."""
    change(site.switches, switches)
    site.vps.drives |= {"ide0": Drive.holding(site.iso.id), "ide1": Drive.cloud_init()}
    site.emulator.downloads.min_seconds = 0.05
    before = state(site)
    result = write(site, web)
    untried = of(result, UNTRIED)
    untried.pop("job-answers", None)  # where no job was named
    untried.pop("attach-answer", None)  # where the drive was there
    assert (of(result, FAILS), untried) == ({}, ONE_VPS)
    assert result["changed"]
    assert state(site) == before
    assert {"mount", "unmount", "attach-empty"} <= set(writes(site))
    assert not [word for word in ("start", "stop", "shutdown", "restart", "reset") if word in writes(site)]
    assert FAILS not in json.dumps(write(site, web)["lines"]), "and again"
    assert state(site) == before


def test_what_cannot_be_taken_back_is_told(site: Site, web: Web) -> None:
    site.vps.drives = {"ide3": Drive.slot()}
    site.switches.mount_moves_cd_first = True
    result = write(site, web)
    assert of(result, FAILS).keys() == {"as-before"}
    [line] = [line for line in result["lines"] if line["id"] == "as-before"]
    assert line["says"] == [
        "ide3 was no drive, and is empty",
        "the boot order is another one, and no public route sets it",
    ]


def test_no_drive_is_left_in_a_slot(site: Site, web: Web) -> None:
    site.vps.drives, site.switches.unmount_removes_drive = {"ide3": Drive.slot()}, True
    result = write(site, web)
    assert of(result, FAILS) == {}
    assert of(result, UNTRIED)["attach-answer"] == "no public route would take the drive away again"
    assert "attach-empty" not in writes(site)


def test_check_mode_only_reads(site: Site, web: Web) -> None:
    url = web.add("/tiny.iso", body=b"tiny")
    result = run(site, check_mode=True, vps_name="web-01", confirm="web-01", iso_url=url)
    assert but(result) == {**ONE_VPS, **dict.fromkeys(WRITES, "check mode")}
    assert result["changed"], "it would"
    assert writes(site) == []


@pytest.mark.parametrize(
    "options",
    [
        {"vps_name": "web-01", "iso_url": "http://192.0.2.80/x.iso"},
        {"vps_name": "web-01", "confirm": "web-01"},
        {"confirm": "web-01", "iso_url": "http://192.0.2.80/x.iso"},
        {"vps_name": "web-01", "confirm": "web-02", "iso_url": "http://192.0.2.80/x.iso"},
        {"vps_name": "web-01", "confirm": "web-01", "iso_url": "ftp://192.0.2.80/x.iso"},
        {"wait_timeout": 0},
    ],
)
def test_writes_that_are_not_confirmed(site: Site, options: dict[str, Any]) -> None:
    result = run(site, **options)
    assert result["failed"]
    assert site.calls == []


def test_what_forbids_to_write(site: Site, web: Web) -> None:
    site.vps.can_mount = Gate(False, "An order is pending.", "pending_order")
    assert set(but(write(site, web)).values()) - set(ONE_VPS.values()) == {"the gates allow no mount, or no download"}
    ours = site.world.add_iso(site.owner, FILE_NAME)
    assert "is in the library already" in but(write(site, web))["present"]
    site.vps.drives = {"ide2": Drive.holding(ours.id)}
    assert but(write(site, web))["present"] == "no CD/DVD drive is free"
    site.fault("wrong_shape", path="/iso$", times=None)
    assert but(write(site, web))["present"] == "the ISO read is of no use"
    assert writes(site) == [] and ours.id in site.owner.library


@pytest.mark.parametrize(
    ("fault", "wrong", "untried"),
    [
        ({"kind": "problem", "path": "/mount$", "status": 400}, {"mounted": "HTTP 400 invalid_request"}, "mounted"),
        ({"kind": "problem", "path": "/mount$", "status": 403}, {}, "mounted"),
        ({"kind": "dropped", "path": "/unmount$"}, {}, "unmounted"),
        ({"kind": "problem", "path": "/from-url$", "status": 500, "times": 2}, {}, "present"),
        (
            {"kind": "problem", "method": "DELETE", "path": "/iso_", "status": 409, "times": 2},
            {"absent": "HTTP 409 conflict"},
            "absent",
        ),
    ],
)
def test_a_failure_half_way_leaves_nothing_behind(
    site: Site, web: Web, fault: dict[str, Any], wrong: dict[str, str], untried: str
) -> None:
    before = state(site)
    site.fault(**{"times": 1, **fault})
    result = write(site, web)
    left = of(result, FAILS)
    if fault.get("method") == "DELETE":  # the clean-up is refused, too
        assert left.pop("as-before") == "cleaning up broke off (HTTP 409 conflict): look after ide2"
        assert {**state(site)[0], "available": None} == {**before[0], "available": None}
    else:
        assert state(site) == before
    assert left == wrong
    rest = of(result, UNTRIED)
    assert {says for line, says in rest.items() if line.endswith("-again")} >= {f"{untried} came to nothing"}


@pytest.mark.parametrize(
    ("path", "body", "line"),
    [
        ("/mount$", {"drive": "ide2"}, "mount-answer"),
        ("/unmount$", {"device": "d0"}, "unmount-answer"),
        ("/attach-empty$", {}, "attach-answer"),
        ("/iso/iso_", {"deleted": True}, "delete-answer"),
        ("/jobs/job_[1-9a-z]", {"status": "completed", "progress": "all"}, "job-answers"),
    ],
)
def test_a_wrong_answer_to_a_write_is_told(site: Site, web: Web, path: str, body: Any, line: str) -> None:
    if line == "job-answers":
        site.switches.mount = "job"  # for a download may be over before anybody asks
    before = state(site)
    site.fault("wrong_shape", path=path, body=body, times=None, commit=True)
    assert of(write(site, web), FAILS).keys() == {line}
    assert state(site) == before


def test_a_mount_that_only_claims_to_be_one(site: Site, web: Web) -> None:
    site.fault("wrong_shape", "POST", "/mount$", body={"device": "ide2"}, times=None)
    before = state(site)
    assert of(write(site, web), FAILS) == {"mounted": "no read showed the outcome"}
    assert state(site) == before


def test_a_download_that_fails(site: Site, web: Web) -> None:
    before = state(site)
    result = write(site, web, iso_url=f"{web.url}/nothing.iso")
    assert of(result, FAILS) == {}
    assert of(result, UNTRIED)["present"] == "job failed"
    assert state(site) == before


def test_a_download_without_end_is_told(site: Site, web: Web) -> None:
    site.switches.job.hangs = True
    result = write(site, web, wait_timeout=60)
    assert of(result, UNTRIED)["present"] == "no answer, or none in time"
    assert of(result, FAILS)["as-before"] == f"a download may still be running: look for {FILE_NAME} later"


@pytest.mark.parametrize("switches", [SWITCHES[1], SWITCHES[2]], ids=["flat", "legacy"])
def test_the_report_can_be_published(site: Site, web: Web, switches: dict[str, Any]) -> None:
    change(site.switches, switches)
    site.vps.tags = ["tag-of-ann"]
    url = web.add("/private.iso?token=token-of-ann", body=b"tiny")
    site.fault("problem", path="/unmount$", status=409, detail="web-01 is busy", extra={"vps-of-ann": "web-01"})
    result = write(site, web, iso_url=url)
    report = result["report"]
    mine = [site.key, site.vps.id, "web-01", "192.0.2.1", site.iso.id, "ubuntu", "Ubuntu", "private", "-of-ann"]
    mine += [*site.world.jobs, "127.0.0.1", "vps_", "iso_", "job_", "req_"]
    assert [word for word in mine if word in report] == []
    assert '/unmount `{"device": "ide2"}` → 409 `' in report
    assert '\n- after the mount: `["scsi0", "ide2"]`\n' in report
    assert report.count("/from-url `") >= 3 and "GET /api/jobs/<ID> → 200" in report
