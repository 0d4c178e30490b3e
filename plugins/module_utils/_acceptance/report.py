# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines of the contract, whether the API keeps to them, and the report of that. Nothing of the user's is in it."""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass, field

from ansible_collections.hostup.cloud.plugins.module_utils._acceptance.contract import OPERATIONS, PROBLEM
from ansible_collections.hostup.cloud.plugins.module_utils._acceptance.mask import masked, masked_path
from ansible_collections.hostup.cloud.plugins.module_utils._acceptance.schema import flaws

HOLDS, FAILS, UNTRIED = "holds", "does not hold", "could not be tried"
MOST_FLAWS = 5  # that are told of one answer

# The first word of a line, what it checks, and the operation that it is about.
LINES = {
    "list": ("the list of VPSs", "listVps"),
    "pages": ("the list goes on at its cursor", "listVps"),
    "filter-name": ("the list's filter by name, in another case", "listVps"),
    "filter-address": ("the list's filter by primary address", "listVps"),
    "vps": ("one VPS", "getVps"),
    "details": ("the details of a VPS", "getVpsDetails"),
    "status": ("the status of a VPS", "getVpsStatus"),
    "gates": ("one of these three reads tells the power gates", "getVps"),
    "storage": ("the disks and drives of a VPS", "getVpsStorage"),
    "iso": ("the ISO read", "readIso"),
    "unknown-vps": ("404 for a VPS that there is not", "getVps"),
    "unknown-job": ("404 for a job that there is not", "pollJob"),
    "present": ("an ISO is downloaded", "downloadIso"),
    "second-order": ("the answer to a second order while the first runs", "downloadIso"),
    "third-order": ("200 and completed for an order of a file that is there", "downloadIso"),
    "present-again": ("nothing is done for an ISO that is there", "downloadIso"),
    "mounted": ("the ISO is mounted", "mountIso"),
    "mount-answer": ("the answer to the mount", "mountIso"),
    "mounted-again": ("nothing is done for an ISO that is mounted", "mountIso"),
    "unmounted": ("the ISO is unmounted", "unmountIso"),
    "unmount-answer": ("the answer to the unmount", "unmountIso"),
    "unmounted-again": ("nothing is done for an ISO that is not mounted", "unmountIso"),
    "attach-answer": ("the answer to attach-empty", "attachEmptyDrive"),
    "absent": ("the ISO is deleted", "deleteIso"),
    "delete-answer": ("the answer to the delete", "deleteIso"),
    "absent-again": ("nothing is done for an ISO that is not there", "deleteIso"),
    "job-answers": ("the answers to polls of jobs", "pollJob"),
    "as-before": ("drives, boot order and library are as they were", "readIso"),
}
_KNOWN = {"second-order": "inferred"}  # where it is not known as its operation is


@dataclass(frozen=True)
class Exchange:
    """A request and its answer. ``sent`` and ``body`` are JSON; ``None`` for none, or for what is no JSON."""

    method: str
    path: str
    sent: t.Any
    status: int
    body: t.Any
    content_type: str

    @classmethod
    def of(cls, response: t.Any) -> Exchange:
        """Of an answer as the HTTP library has it."""
        request = response.request
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip()
        return cls(
            request.method, request.path_url, _json(request.body), response.status_code, _json(response.content), kind
        )

    @property
    def outcome(self) -> str:
        """The status, and the code of a refusal."""
        code = self.body.get("code") if isinstance(self.body, dict) else None
        return f"HTTP {self.status}" + (f" {masked(code, 'code')}" if code else "")


def _json(text: str | bytes | None) -> t.Any:
    try:
        return json.loads(text or b"null")
    except (ValueError, RecursionError):
        return None


@dataclass(frozen=True)
class Line:
    """One line of the table; ``says`` tells why it does not hold, or could not be tried."""

    id: str
    outcome: str
    says: list[str] = field(default_factory=list)

    @property
    def checks(self) -> str:
        """What it checks."""
        return LINES[self.id][0]

    @property
    def known(self) -> str:
        """How the contract knows it."""
        return _KNOWN.get(self.id) or str(OPERATIONS[LINES[self.id][1]]["known"])


def judge(line_id: str, exchange: Exchange | None, *statuses: int) -> Line:
    """Hold an answer against the contract. ``statuses`` are those that the line asks for."""
    if exchange is None:
        return Line(line_id, UNTRIED, ["no answer came"])
    if exchange.status not in statuses:
        return Line(
            line_id,
            UNTRIED if tells_nothing(exchange.status) else FAILS,
            [f"expected HTTP {' or '.join(map(str, statuses))}, got {exchange.outcome}"],
        )
    return _line(line_id, answer_flaws(LINES[line_id][1], exchange))


def tells_nothing(status: int) -> bool:
    """Whether a refusal says more of the key, the account or the hour than of the contract."""
    return status in (401, 403, 429) or status >= 500


def _line(line_id: str, found: list[str]) -> Line:
    more = [f"and {len(found) - MOST_FLAWS} more"] if len(found) > MOST_FLAWS else []
    return Line(line_id, FAILS if found else HOLDS, found[:MOST_FLAWS] + more)


def judge_all(line_id: str, exchanges: t.Iterable[Exchange]) -> Line:
    """Hold several answers, of which there must be one at least, against the contract."""
    lines = [judge(line_id, exchange, 200) for exchange in exchanges]
    found = [says for line in lines if line.outcome == FAILS for says in line.says]
    return _line(line_id, list(dict.fromkeys(found))) if lines else Line(line_id, UNTRIED, ["there was none"])


def answer_flaws(operation: str, exchange: Exchange) -> list[str]:
    """Where an answer is not what the contract has for this operation and status."""
    if exchange.status >= 400:
        schema = PROBLEM.get(exchange.content_type)
    else:
        schema = OPERATIONS[operation]["answers"].get(str(exchange.status))
    if schema is None:
        return [f"the contract has no {exchange.outcome} with this content type"]
    if schema and exchange.content_type not in PROBLEM:
        return ["expected JSON"]
    return flaws(exchange.body, schema)


def report(
    lines: t.Sequence[Line], boot_orders: t.Mapping[str, list[str] | None], exchanges: t.Sequence[Exchange]
) -> str:
    """The text, in Markdown. ``boot_orders`` are by the moment, ``exchanges`` those that are to be shown."""
    counts = ", ".join(f"{sum(line.outcome == word for line in lines)} {word}" for word in (HOLDS, FAILS, UNTRIED))
    parts = ["# What the HostUp API keeps to of the contract", f"Of {len(lines)} lines: {counts}.", table(lines)]
    if boot_orders:
        orders = [f"- {moment}: {_code(masked(order, 'order'))}" for moment, order in boot_orders.items()]
        parts += ["## The boot order", "\n".join(orders)]
    if exchanges:
        parts += ["## What the API did", "\n".join(_told(exchange) for exchange in exchanges)]
    return "\n\n".join(parts) + "\n"


def table(lines: t.Iterable[Line]) -> str:
    """The lines as a table in Markdown."""
    rows = [("line", "checks", "known", "outcome"), ("---",) * 4]
    rows += [(line.id, line.checks, line.known, ": ".join((line.outcome, *line.says[:1]))) for line in lines]
    more = [f"- {line.id}: {says}" for line in lines for says in line.says[1:]]
    text = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return "\n\n".join([text, "\n".join(more)] if more else [text])


def _told(exchange: Exchange) -> str:
    sent = "" if exchange.sent is None else f" {_code(masked(exchange.sent))}"
    answer = " without JSON" if exchange.body is None else f" {_code(masked(exchange.body))}"
    return f"- {exchange.method} {masked_path(exchange.path)}{sent} → {exchange.status}{answer}"


def _code(value: t.Any) -> str:
    return f"`{json.dumps(value, ensure_ascii=False)}`"
