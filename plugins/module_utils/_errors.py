# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one exception of this collection, and how an answer of the API becomes one."""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import asdict, dataclass, field

MOST_EXTRA = 4000  # characters of JSON
DEEPEST_EXTRA = 5  # levels
# The fields of an error document that `Problem` has under another name, or that say nothing new.
_READ = {
    *("type", "title", "status", "detail", "code", "instance", "requestId", "timestamp", "errors"),
    *("error", "message", "details"),
}
# what a terminal obeys, and what moves words elsewhere
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """One line for people, of words that may be the API's: control characters and line ends stand as in ``\\x1b``."""
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


@dataclass(frozen=True)
class Problem:
    """The fields of a failure, as the ``error`` return value shows them. What is not known is ``None``."""

    status: int | None = None
    code: str | None = None
    title: str | None = None
    detail: str | None = None
    errors: list[dict[str, str | None]] = field(default_factory=list)
    request_id: str | None = None
    method: str | None = None
    path: str | None = None
    extra: dict[str, t.Any] = field(default_factory=dict)


class HostUpError(Exception):
    """A failure that is told to the user.

    ``transient``: the same read may succeed later.
    ``outcome_unknown``: the request was a write, and only a re-read can tell whether it happened.
    ``timed_out``: a deadline ended the wait, the work may go on at HostUp.
    ``from_edge``: not the API has answered, but what stands in front of it.
    ``retry_after``: the seconds that the API asks to wait. ``rate_limit``: its limit, in requests per window.
    """

    def __init__(
        self,
        msg: str,
        problem: Problem | None = None,
        *,
        transient: bool = False,
        outcome_unknown: bool = False,
        timed_out: bool = False,
        from_edge: bool = False,
        retry_after: float | None = None,
        rate_limit: int | None = None,
    ) -> None:
        super().__init__(msg)
        self.msg = msg
        self.problem = problem or Problem()
        self.transient = transient
        self.outcome_unknown = outcome_unknown
        self.timed_out = timed_out
        self.from_edge = from_edge
        self.retry_after = retry_after
        self.rate_limit = rate_limit
        self.so_far: dict[str, t.Any] = {}

    def add(self, *, before: str = "", after: str = "") -> HostUpError:
        """Say more, as sentences before or after what is said already. Returns itself."""
        self.msg = " ".join(filter(None, (before, self.msg, after)))
        return self

    def as_result(self) -> dict[str, t.Any]:
        """The failed task's result: what is known so far, the message, and the fields if a request has failed."""
        result = {**self.so_far, "failed": True, "msg": visible(self.msg)}
        if self.problem != Problem():  # else no request has failed, and there is nothing to tell
            result["error"] = asdict(self.problem)
        if self.timed_out:
            result["timed_out"] = True
        return result


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _field_error(entry: object) -> dict[str, str | None]:
    known = entry if isinstance(entry, dict) else {"detail": str(entry)}
    return {
        "pointer": _text(known.get("pointer")) or _text(known.get("field")),
        "detail": _text(known.get("detail")) or _text(known.get("message")),
        "code": _text(known.get("code")),
    }


def json_object(text: str) -> dict[str, t.Any] | None:
    """The JSON object that a text is; ``None`` for anything else."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _extra(document: dict[str, t.Any]) -> dict[str, t.Any]:
    """What else a document says. Left out is what is very long or nested, for nobody could read it."""
    extra, left = {}, MOST_EXTRA
    for name, value in document.items():
        if name in _READ or value is None or _is_deep(value, DEEPEST_EXTRA):
            continue
        size = len(json.dumps({name: value}))
        if size <= left:
            extra[name] = value
            left -= size
    return extra


def _is_deep(value: object, levels: int) -> bool:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (levels == 0 and bool(parts)) or any(_is_deep(part, levels - 1) for part in parts)


def parse_problem(method: str, path: str, status: int, content_type: str, text: str) -> Problem:
    """Read an error answer: a problem document, a legacy error, or whatever a proxy in between has sent.

    Source: contract, "Errors". Never raises.
    """
    document = json_object(text)
    if document is None:
        kind = content_type.partition(";")[0].strip() or "no content type"
        return Problem(status, title=f"not an answer of the API ({kind})", method=method, path=path)
    lists = [document[name] for name in ("errors", "details") if isinstance(document.get(name), list)]
    return Problem(
        status=status,
        code=_text(document.get("code")),
        title=_text(document.get("title")) or _text(document.get("error")),
        detail=_text(document.get("detail")) or _text(document.get("message")),
        errors=[_field_error(entry) for entries in lists for entry in entries],
        request_id=_text(document.get("requestId")),
        method=method,
        path=path,
        extra=_extra(document),
    )


def describe(problem: Problem) -> str:
    """One sentence for people: request, status, the API's words, its code and request ID."""
    words = " ".join(word for word in (problem.title, problem.detail) if word)
    if problem.title and problem.detail:
        words = f"{problem.title.rstrip('.')}: {problem.detail}"
    fields = "; ".join(
        f"{error['pointer'] or 'body'}: {error['detail'] or error['code'] or 'invalid'}" for error in problem.errors
    )
    marks = ", ".join(
        f"{name} {value}" for name, value in (("code", problem.code), ("request", problem.request_id)) if value
    )
    sentence = f"{problem.method} {problem.path} was answered with HTTP {problem.status}"
    sentence += f": {words.rstrip('.')}" if words else ""
    sentence += f" [{fields}]" if fields else ""
    sentence += f" ({marks})" if marks else ""
    return f"{sentence}."
