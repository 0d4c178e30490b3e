# SPDX-License-Identifier: GPL-3.0-or-later
"""Masking, verdicts and the table: what a user can publish."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.hostup.cloud.plugins.module_utils._acceptance.mask import masked, masked_path
from ansible_collections.hostup.cloud.plugins.module_utils._acceptance.report import (
    FAILS,
    HOLDS,
    MOST_FLAWS,
    UNTRIED,
    Exchange,
    Line,
    judge,
    judge_all,
    report,
    table,
)

JSON = "application/json"
GATE = {"allowed": True, "reason": None}


def exchange(status: int = 200, body: Any = None, kind: str = JSON, path: str = "/api/v2/vps") -> Exchange:
    return Exchange("GET", path, None, status, body, kind)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"id": "vps_01hx", "name": "web-01"}, {"id": "<ID>", "name": "<text>"}),
        ({"name": "ide2", "id": "ide2", "device": "ide3"}, {"name": "<text>", "id": "ide2", "device": "ide3"}),
        ({"id": "web", "order": ["scsi0", "web"]}, {"id": "<text>", "order": ["scsi0", "<text>"]}),
        ({"primaryIp": "192.0.2.1"}, {"primaryIp": "<address>"}),
        ({"ipAddresses": ["2001:db8::1/64", "::1"]}, {"ipAddresses": ["<address>", "<address>"]}),
        ({"url": "https://user:pw@example.com/x"}, {"url": "<URL>"}),
        ({"pollUrl": "/api/jobs/job_1?as=web"}, {"pollUrl": "/api/jobs/<ID>?as=…"}),
        ({"status": "in_progress", "state": "web 01"}, {"status": "in_progress", "state": "<text>"}),
        ({"status": 409, "vmId": 4711, "progress": 12.5}, {"status": 409, "vmId": "<number>", "progress": 12.5}),
        ({"code": "pending_order", "detail": "web-01 is busy"}, {"code": "pending_order", "detail": "<text>"}),
        ({"code": "c0ffee1234"}, {"code": "<text>"}),
        ({"createdAt": "2026-01-02T03:04:05.678Z"}, {"createdAt": "<time>"}),
        ({"web-01": True, "isFailed": None, "tags": [""]}, {"<name>": True, "isFailed": None, "tags": ["<empty>"]}),
    ],
)
def test_masked(value: Any, shown: Any) -> None:
    assert masked(value) == shown


def test_masked_path() -> None:
    path = "/api/v2/vps/web-01/iso/actions/from-url?name=web-01&limit=1&a%20b=c"
    assert masked_path(path) == "/api/v2/vps/<ID>/iso/actions/from-url?name=…&limit=…&<name>=…"
    assert masked_path("/api/v2/vps") == "/api/v2/vps"


@pytest.mark.parametrize(
    ("seen", "outcome", "says"),
    [
        (None, UNTRIED, "no answer came"),
        (exchange(body={"data": [], "nextCursor": None}), HOLDS, None),
        (exchange(body={"data": []}), FAILS, "the answer: has no nextCursor"),
        (exchange(kind="text/html"), FAILS, "expected JSON"),
        (exchange(403, {"code": "forbidden"}), UNTRIED, "expected HTTP 200, got HTTP 403 forbidden"),
        (exchange(401), UNTRIED, "expected HTTP 200, got HTTP 401"),
        (exchange(503, []), UNTRIED, "expected HTTP 200, got HTTP 503"),
        (exchange(404, {"code": "a b"}), FAILS, "expected HTTP 200, got HTTP 404 <text>"),
    ],
)
def test_verdicts(seen: Exchange | None, outcome: str, says: str | None) -> None:
    line = judge("list", seen, 200)
    assert (line.outcome, line.says) == (outcome, [says] if says else [])


def test_refusals_are_held_against_their_own_schema() -> None:
    legacy = {"error": "Not found", "message": "No.", "requestId": "req_1"}
    assert judge("unknown-job", exchange(404, legacy), 404).outcome == HOLDS
    assert judge("unknown-job", exchange(404, {"error": "Not found"}), 404).outcome == FAILS
    assert judge("unknown-job", exchange(404, legacy, "application/problem+json"), 404).outcome == FAILS
    [says] = judge("unknown-job", exchange(404, None, "text/html"), 404).says
    assert says == "the contract has no HTTP 404 with this content type"


def test_an_answer_that_has_no_body() -> None:
    assert judge("delete-answer", exchange(204, None, ""), 204).outcome == HOLDS


def test_not_all_of_many_flaws() -> None:
    body = {"data": [{"id": "vps_1"} for _number in range(9)], "nextCursor": None}
    says = judge("list", exchange(body=body), 200).says
    assert len(says) == MOST_FLAWS + 1
    assert says[-1] == "and 4 more"


def test_several_answers() -> None:
    good, bad = exchange(body={"status": "queued"}), exchange(body={"status": 1})
    assert judge_all("job-answers", [good]).outcome == HOLDS
    line = judge_all("job-answers", [bad, good, bad])
    assert (line.outcome, len(line.says)) == (FAILS, 1)
    assert judge_all("job-answers", []) == Line("job-answers", UNTRIED, ["there was none"])


def test_table() -> None:
    lines = [Line("list", HOLDS), Line("second-order", FAILS, ["one", "two"])]
    assert table(lines).splitlines() == [
        "| line | checks | known | outcome |",
        "| --- | --- | --- | --- |",
        "| list | the list of VPSs | public | holds |",
        "| second-order | the answer to a second order while the first runs | inferred | does not hold: one |",
        "",
        "- second-order: two",
    ]


def test_report() -> None:
    told = [
        Exchange("POST", "/api/v2/vps/vps_1/iso/actions/mount", {"isoId": "iso_1"}, 200, {"device": "ide2"}, JSON),
        Exchange("DELETE", "/api/v2/vps/vps_1/iso/iso_1", None, 204, None, ""),
    ]
    text = report([Line("list", HOLDS)], {"before": ["scsi0", "ide2"], "after the mount": None}, told)
    assert "Of 1 lines: 1 holds, 0 does not hold, 0 could not be tried." in text
    assert '- before: `["scsi0", "ide2"]`\n- after the mount: `null`\n' in text
    mount = '- POST /api/v2/vps/<ID>/iso/actions/mount `{"isoId": "<ID>"}` → 200 `{"device": "ide2"}`'
    assert text.endswith(f"{mount}\n- DELETE /api/v2/vps/<ID>/iso/<ID> → 204 without JSON\n")
    assert report([], {}, []).count("#") == 1
