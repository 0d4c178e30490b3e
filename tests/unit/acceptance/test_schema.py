# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract that is shipped, and the checker: held against the OpenAPI file and against the `jsonschema` library."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from ansible_collections.hostup.cloud.plugins.module_utils._acceptance import contract, schema
from ansible_collections.hostup.cloud.plugins.module_utils._acceptance.report import LINES, Exchange
from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError
from hostup_emulator.model import Drive
from support.contract import shipped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.site import Site

COMPONENTS = {"components": {"schemas": contract.SCHEMAS}}
JOB = {
    "success": True,
    "timestamp": "2026-01-02T03:04:05.678Z",
    "requestId": "req_1",
    "data": {
        "jobId": "job_1",
        **dict.fromkeys(("type", "state", "status"), "x"),
        **dict.fromkeys(("isCompleted", "isFailed", "isRunning", "isWaiting"), False),
        "progress": None,
        "finishedAt": None,
    },
}
# Beside what the emulator answers.
MORE = [
    (contract.OPERATIONS["pollJob"]["answers"]["200"], JOB),
    (contract.OPERATIONS["pollJob"]["answers"]["200"], {"status": "queued", "progress": 3.5}),
    (contract.OPERATIONS["downloadIso"]["answers"]["200"], {"operation": {"status": "completed", "jobId": "job_1"}}),
    (contract.OPERATIONS["mountIso"]["answers"]["200"], {"device": "ide2"}),
    ({"type": "integer"}, 1.0),
    ({"type": "integer"}, True),
    ({"const": True}, 1),
    ({"enum": [1, None]}, True),
]
GONE = object()
STRANGE: list[Any] = [None, True, -1, 1.5, "word", ["word"], {"word": 1}]


def test_the_contract_is_that_of_the_emulator() -> None:
    assert {name: getattr(contract, name) for name in ("OPERATIONS", "PROBLEM", "SCHEMAS")} == shipped()


def test_every_line_is_about_an_operation() -> None:
    assert {operation for _checks, operation in LINES.values()} == contract.OPERATIONS.keys()


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each part of a JSON value."""
    yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in parts:
        yield from places(part, (*path, name))


def spoilt(value: Any) -> Iterator[Any]:
    """The value, and all that comes of it when one part is taken away or is something else."""
    yield value
    for *way, last in filter(None, places(value)):
        for strange in [GONE, *STRANGE]:
            other = copy.deepcopy(value)
            holder = other
            for name in way:
                holder = holder[name]
            if strange is GONE:
                del holder[last]
            else:
                holder[last] = strange
            yield other
    yield from STRANGE


def test_it_agrees_with_the_library(site: Site) -> None:
    """It finds something wherever that does, and nothing where that finds nothing."""
    site.vps.drives = {"ide2": Drive.holding(site.iso.id), "ide3": Drive.slot()}
    site.vps.tags, site.vps.operating_system = ["web"], {"displayName": None}
    client, path = site.client(), f"/api/v2/vps/{site.vps.id}"
    answers: list[Exchange] = []
    client.watch = lambda response: answers.append(Exchange.of(response))
    operations = {"getVps": path, "getVpsDetails": f"{path}/details", "getVpsStatus": f"{path}/status"}
    operations |= {"listVps": "/api/v2/vps", "readIso": site.iso_path}
    cases = list(MORE)
    for operation, where in operations.items():
        client.get(where)
        cases.append((contract.OPERATIONS[operation]["answers"]["200"], answers[-1].body))
    with pytest.raises(HostUpError):
        client.get("/api/v2/vps/vps_1")
    cases.append((contract.PROBLEM[answers[-1].content_type], answers[-1].body))
    tried = 0
    for wanted, answer in cases:
        validator = jsonschema.Draft202012Validator({**wanted, **COMPONENTS})
        values = list(spoilt(answer))
        tried += len(values)
        assert [one for one in values if validator.is_valid(one) is not (schema.flaws(one, wanted) == [])] == []
    assert tried > 1000
    assert [answer for wanted, answer in cases[len(MORE) :] if schema.flaws(answer, wanted)] == []


@pytest.mark.parametrize(
    ("wanted", "value", "says"),
    [
        ({"type": "object"}, [], ["the answer: expected object, got array"]),
        (
            {"$ref": "#/components/schemas/Device"},
            "secret 1",
            ["the answer: <text> is none of the words that are known"],
        ),
        (
            {"properties": {"a": {"items": {"required": ["b", "c"], "properties": {"b": {"type": "null"}}}}}},
            {"a": [{"b": None, "c": 1}, {"b": 1}]},
            ["a[1]: has no c", "a[1].b: expected null, got integer"],
        ),
        ({"additionalProperties": {"type": "number"}}, {"web-01": "x"}, ["<name>: expected number, got string"]),
        (
            {"properties": {"status": {"enum": ["on"]}}},
            {"status": "off"},
            ["status: off is none of the words that are known"],
        ),
        ({"pattern": "^vps_"}, "web-01", ["the answer: is not like ^vps_"]),
        ({"minimum": 0}, -1, ["the answer: is less than 0"]),
        ({"properties": {"name": {"const": "a"}}}, {"name": "web"}, ["name: expected a, got <text>"]),
        (
            {"anyOf": [{"required": ["a", "b"], "type": "object", "minimum": 0}, {"required": ["c"]}]},
            {},
            ["the answer: has no a, b"],
        ),
    ],
)
def test_what_it_says(wanted: dict[str, Any], value: Any, says: list[str]) -> None:
    """The place, and nothing of the user's."""
    assert schema.flaws(value, wanted) == says


def test_named_fields_and_all_others_are_never_asked_for_at_once() -> None:
    """The checker takes `additionalProperties` for all."""

    def holders(node: Any) -> Iterator[dict[str, Any]]:
        if isinstance(node, dict):
            yield from [node] if "additionalProperties" in node else []
            for part in node.values():
                yield from holders(part)
        for part in node if isinstance(node, list) else ():
            yield from holders(part)

    found = list(holders([contract.OPERATIONS, contract.SCHEMAS, contract.PROBLEM]))
    assert found
    assert [holder for holder in found if "properties" in holder] == []
