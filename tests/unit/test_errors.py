# SPDX-License-Identifier: GPL-3.0-or-later
"""Error answers: problem documents, legacy errors and strangers, read and described."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from ansible_collections.hostup.cloud.plugins.module_utils._errors import (
    HostUpError,
    Problem,
    describe,
    parse_problem,
    visible,
)

FIELDS = {"status", "code", "title", "detail", "errors", "request_id", "method", "path", "extra"}
DOCUMENT = {
    "type": "https://developer.hostup.se/errors/invalid_request",
    "title": "Invalid request",
    "status": 400,
    "detail": "The request body failed validation.",
    "code": "invalid_request",
    "instance": "/api/v2/resource",
    "requestId": "req_1",
    "timestamp": "2026-04-27T12:34:56.000Z",
    "errors": [{"pointer": "/url", "detail": "`url` is required.", "code": "missing_required"}],
}


def parse(status: int, document: object, content_type: str = "application/problem+json") -> Problem:
    text = document if isinstance(document, str) else json.dumps(document)
    return parse_problem("POST", "/api/v2/x", status, content_type, text)


def test_problem_document() -> None:
    problem = parse(400, DOCUMENT)
    assert asdict(problem) == {
        "status": 400,
        "code": "invalid_request",
        "title": "Invalid request",
        "detail": "The request body failed validation.",
        "errors": [{"pointer": "/url", "detail": "`url` is required.", "code": "missing_required"}],
        "request_id": "req_1",
        "method": "POST",
        "path": "/api/v2/x",
        "extra": {},
    }
    assert describe(problem) == (
        "POST /api/v2/x was answered with HTTP 400: Invalid request: The request body failed validation "
        "[/url: `url` is required.] (code invalid_request, request req_1)."
    )


def test_legacy_error() -> None:
    problem = parse(500, {"error": "Oops", "message": "It broke.", "code": "internal", "requestId": "req_2"})
    assert (problem.title, problem.detail, problem.code, problem.request_id) == (
        "Oops",
        "It broke.",
        "internal",
        "req_2",
    )


@pytest.mark.parametrize("text", ["<html>Bad gateway</html>", "", "[1]", "null", '"text"', '{"title": '])
def test_not_an_object(text: str) -> None:
    problem = parse(502, text, "text/html; charset=utf-8")
    assert problem == Problem(502, title="not an answer of the API (text/html)", method="POST", path="/api/v2/x")
    assert describe(problem) == "POST /api/v2/x was answered with HTTP 502: not an answer of the API (text/html)."


@pytest.mark.parametrize("odd", [None, 7, [], {}, ["x"], {"a": 1}, True])
def test_fields_of_other_types_are_not_known(odd: object) -> None:
    problem = parse(409, dict.fromkeys(("title", "detail", "code", "requestId", "error", "message"), odd))
    assert problem == Problem(409, method="POST", path="/api/v2/x")
    assert describe(problem) == "POST /api/v2/x was answered with HTTP 409."


def test_odd_field_errors() -> None:
    problem = parse(400, {"errors": ["bad", {"pointer": None, "code": "c"}, {}]})
    assert problem.errors == [
        {"pointer": None, "detail": "bad", "code": None},
        {"pointer": None, "detail": None, "code": "c"},
        {"pointer": None, "detail": None, "code": None},
    ]
    assert "[body: bad; body: c; body: invalid]" in describe(problem)
    assert parse(400, {"errors": {"a": "b"}}).errors == []


def test_details_of_a_legacy_answer_are_shown_as_errors_are() -> None:
    details = [{"field": "url", "message": "`url` must not redirect."}, {"message": "No."}]
    problem = parse(422, {"error": "Unprocessable", "message": "Not valid.", "requestId": "req_1", "details": details})
    assert problem.errors == [
        {"pointer": "url", "detail": "`url` must not redirect.", "code": None},
        {"pointer": None, "detail": "No.", "code": None},
    ]
    assert "[url: `url` must not redirect.; body: No.]" in describe(problem) and problem.extra == {}
    assert [error["detail"] for error in parse(422, {"errors": ["a"], "details": ["b"]}).errors] == ["a", "b"]


def test_what_else_a_document_says() -> None:
    reasons = [{"code": "pending_order", "order": {"id": 7, "lines": ["a"]}}]
    problem = parse(409, {**DOCUMENT, "blockerReasons": reasons, "extensions": {"a": 1}, "retryAfter": 30, "no": None})
    assert problem.extra == {"blockerReasons": reasons, "extensions": {"a": 1}, "retryAfter": 30}
    assert problem.code == "invalid_request" and "extensions" not in describe(problem)


def test_what_else_a_document_says_is_bounded() -> None:
    deep: object = "x"
    for _level in range(100):
        deep = [deep]
    problem = parse(409, {"long": "x" * 5000, "deep": deep, "kept": "x" * 3000, "more": "x" * 3000, "small": {"a": []}})
    assert problem.extra == {"kept": "x" * 3000, "small": {"a": []}}
    assert parse(500, "[" * 200_000, "application/json").title == "not an answer of the API (application/json)"
    assert parse(500, '{"a": ' + "[" * 200_000, "application/json").extra == {}


def test_the_status_is_that_of_http() -> None:
    assert parse(404, {"status": 200}).status == 404


def test_as_result() -> None:
    error = HostUpError("No.")
    assert error.as_result() == {"failed": True, "msg": "No."}, "no error full of nulls"
    refused = HostUpError("Not today.", Problem(403, method="GET", path="/")).as_result()["error"]
    assert refused.keys() == FIELDS and (refused["status"], refused["code"]) == (403, None)
    late = HostUpError("Late.", timed_out=True)
    late.so_far = {"actions": ["mount"], "msg": "overwritten"}
    assert late.as_result()["timed_out"] is True
    assert (late.as_result()["actions"], late.as_result()["msg"]) == (["mount"], "Late.")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, with å and \N{SNOWMAN}", "plain, with å and \N{SNOWMAN}"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("one\ntwo\r\n\tthree", r"one\ntwo\r\n\tthree"),
        ("\x00\x07\x08\x7f\x80\x9b\x9f", r"\x00\x07\x08\x7f\x80\x9b\x9f"),
        ("a\u2028b\u202ec\u2066d", r"a\u2028b\u202ec\u2066d"),
        (r"\x1b and \n as they are written", r"\x1b and \n as they are written"),
    ],
)
def test_what_a_terminal_would_obey_is_made_visible(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_a_message_is_made_visible_with_all_that_was_added_to_it() -> None:
    error = HostUpError("one\x1b")
    error.msg = f"Could not. {error.msg}\x9b"
    assert error.as_result()["msg"] == r"Could not. one\x1b\x9b"
