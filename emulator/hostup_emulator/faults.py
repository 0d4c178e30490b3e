# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults on request: rules that say which calls go wrong, and how."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from .world import Answer, Problem, World

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .model import JsonValue

# What can go wrong, and the HTTP status that it has unless the rule gives another (None: the answer's own).
KINDS: dict[str, int | None] = {
    "problem": 500,  # a problem document
    "legacy": 500,  # the error shape of the unversioned routes
    "html": 502,  # a page of some proxy
    "edge": 403,  # a page of Cloudflare's, which stands in front of the API
    "not_json": 200,  # says that it is JSON, and is not
    "wrong_shape": 200,  # JSON, and not what was asked for
    "redirect": 302,
    "dropped": None,  # the connection is closed without an answer
    "truncated": None,  # the answer ends early
    "slow": None,  # only late
    "headers": None,  # only with other headers
}
_COMMITTING = ("truncated", "slow", "headers")
# The codes of the edge for which there is an HTTP status of many; others are the status itself.
_EDGE_CODES = {403: "1010", 429: "1015"}


@dataclass
class Fault:
    """One rule. It skips the first `after` calls that match, and then applies `times` times (None: for ever).

    `method`, `path` and `owner` are regular expressions; it is enough that `path` is found somewhere in the call's.
    With `commit`, the request is carried out, and only its answer is spoilt. `truncated`, `slow` and `headers` always
    carry it out. `seconds` delays any kind. `extra` adds fields to the documents of `problem` and `legacy`; there and
    in `headers`, None takes one away. An `edge` answers with `body` instead of its page: a text, or an object as JSON.
    """

    kind: str
    method: str = ".*"
    path: str = ".*"
    owner: str = ".*"
    after: int = 0
    times: int | None = 1
    commit: bool = False
    status: int | None = None
    code: str = ""
    detail: str = ""
    body: JsonValue = None
    headers: Mapping[str, str | None] = field(default_factory=dict)
    extra: Mapping[str, JsonValue] = field(default_factory=dict)
    location: str = "/elsewhere"
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"there is no fault {self.kind!r}; there are {', '.join(KINDS)}")
        self.commit = self.commit or self.kind in _COMMITTING

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Fault:
        """Make a rule from untyped values; a ValueError says what is wrong with them."""
        unknown = values.keys() - {item.name for item in fields(cls)}
        if unknown:
            raise ValueError(f"a fault has no {', '.join(sorted(unknown))}")
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(str(error)) from None

    def matches(self, method: str, path: str, owner: str) -> bool:
        """Whether the rule is about such a call."""
        return bool(
            re.fullmatch(self.method, method) and re.search(self.path, path) and re.fullmatch(self.owner, owner)
        )

    def spoil(self, answer: Answer, world: World, path: str) -> Answer:
        """Return what the client gets instead of the answer."""
        status = self.status or KINDS[self.kind] or answer.status
        body = self.body
        if self.kind == "problem":
            if body is None:
                answer = world.problem_answer(Problem(status, self.detail, code=self.code), path)
                answer.body = _changed(answer.body, self.extra)
            else:
                answer = Answer(status, body, content_type="application/problem+json")
        elif self.kind == "legacy":
            problem = world.problem_answer(Problem(status, self.detail, code=self.code), path).body
            body = {
                "error": problem["title"],
                "message": problem["detail"],
                "code": problem["code"],
                "requestId": problem["requestId"],
                "timestamp": problem["timestamp"],
            }
            answer = Answer(status, _changed(body, self.extra))
        elif self.kind in ("html", "edge"):
            answer = self._page(status)
        elif self.kind == "not_json":
            answer = Answer(status, (body or '{"data": [').encode())
        elif self.kind == "wrong_shape":
            answer = Answer(status, [] if body is None else body)
        elif self.kind == "redirect":
            answer = Answer(status, headers={"Location": self.location})
        answer.headers = _changed(answer.headers, self.headers)
        answer.note = f"fault: {self.kind}"
        return answer

    def _page(self, status: int) -> Answer:
        headers, body = {}, self.body
        page = f"<html><body><h1>{status} {self.detail or 'Bad gateway'}</h1></body></html>"
        if self.kind == "edge":
            ray_id = f"{random.getrandbits(64):016x}"
            headers = {"Server": "cloudflare", "CF-RAY": f"{ray_id}-ARN"}
            if isinstance(body, dict):
                return Answer(status, body, headers)
            code = self.code or _EDGE_CODES.get(status, str(status))
            page = (
                "<!DOCTYPE html><html><head><title>Access denied | Cloudflare</title></head><body>"
                f"<h1><span>Error</span> <span class='code'>{code}</span></h1><p>{self.detail or 'Access denied'}</p>"
                f"<footer>Cloudflare Ray ID: <strong>{ray_id}</strong></footer></body></html>"
            )
        return Answer(status, (body or page).encode(), headers, "text/html; charset=utf-8")


def _changed(fields: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**fields, **changes}.items() if value is not None}


class Faults:
    """The rules in force, in the order in which they were added; the first that applies wins."""

    def __init__(self) -> None:
        self._rules: list[Fault] = []

    def add(self, kind: str, method: str = ".*", path: str = ".*", **options: JsonValue) -> Fault:
        """Add a rule; see `Fault` for the options."""
        fault = Fault.from_json({"kind": kind, "method": method, "path": path, **options})
        self._rules.append(fault)
        return fault

    def clear(self) -> None:
        """Let everything go well again."""
        self._rules.clear()

    def take(self, method: str, path: str, owner: str) -> Fault | None:
        """Return the rule that this call falls under, and count it."""
        for fault in self._rules:
            if fault.times == 0 or not fault.matches(method, path, owner):
                continue
            if fault.after > 0:
                fault.after -= 1
                continue
            if fault.times is not None:
                fault.times -= 1
            return fault
        return None
