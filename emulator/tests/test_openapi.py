# SPDX-License-Identifier: GPL-3.0-or-later
"""The emulator keeps what its OpenAPI file promises, for requests that make sense and for ones that do not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

import hostup_emulator as package
from hostup_emulator.server import Emulator
from hostup_emulator.world import ROUTES, Drive, Gate, JobFaults, Switches, World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hostup_emulator.model import JsonValue

CONTRACT = schemathesis.openapi.from_path(Path(package.__file__).with_name("openapi.yaml"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
KEY = "the-key-of-the-contract-tests"


def serving() -> Iterator[Emulator]:
    """A world in which downloads hang, so that made-up URLs are never visited."""
    world = World(switches=Switches(job=JobFaults(hangs=True)))
    owner = world.add_owner("ann")
    world.add_key(owner, KEY)
    iso = world.add_iso(owner, "ubuntu.iso", iso_id="iso_1")
    world.add_iso(owner, None, iso_id="iso_2")
    world.add_vps(owner, "web-01", "192.0.2.1", vps_id="vps_1")
    drives = {"ide0": Drive.cloud_init(), "ide1": Drive.busy(), "ide2": Drive.holding(iso.id), "ide3": Drive.slot()}
    world.add_vps(owner, "odd", drives=drives, boot_order=None, can_mount=Gate(False, "Why?", "pending_order"))
    with Emulator(world) as emulator:
        yield emulator
        assert emulator.crashes == []


@pytest.fixture(scope="module")
def shared() -> Iterator[Emulator]:
    yield from serving()


@pytest.fixture
def served() -> Iterator[Emulator]:
    yield from serving()


def send(served: Emulator, case: schemathesis.Case[Any]) -> schemathesis.Response:
    return case.call_and_validate(
        base_url=served.url, headers={"Authorization": f"Bearer {KEY}"}, checks=CHECKS, timeout=10
    )


@pytest.mark.parametrize("existing", [True, False])
@CONTRACT.parametrize()
@settings(max_examples=10, deadline=None, database=None)
def test_made_up_requests(case: schemathesis.Case[Any], shared: Emulator, existing: bool) -> None:
    if existing and "id" in case.path_parameters:
        case.path_parameters["id"] = "vps_1"
        if "volid" in case.path_parameters:
            case.path_parameters["volid"] = "iso_2"
        if isinstance(case.body, dict) and "isoId" in case.body:
            case.body["isoId"] = "iso_1"
    send(shared, case)


@pytest.mark.parametrize("shape", ["flat", "operation", "legacy"])
def test_polls(served: Emulator, shape: str) -> None:
    served.world.switches.poll_shape = shape
    start = CONTRACT["/api/v2/vps/{id}/iso/actions/from-url"]["POST"]
    body: JsonValue = {"url": "http://127.0.0.1/a.iso", "filename": f"{shape}.iso"}
    answer = send(served, start.Case(path_parameters={"id": "vps_1"}, body=body, media_type="application/json"))
    job = answer.json()["operation"]["jobId"]
    poll = CONTRACT["/api/jobs/{jobId}"]["GET"].Case(path_parameters={"jobId": job})
    assert send(served, poll).status_code == 200
    served.world.download_failed(job, "the disk is full")
    assert send(served, poll).status_code == 200


def test_odd_vps(served: Emulator) -> None:
    [odd] = (vps for vps in served.world.vpses.values() if vps.name == "odd")
    case = CONTRACT["/api/v2/vps/{id}/iso"]["GET"].Case(path_parameters={"id": odd.id})
    assert send(served, case).json()["bootOrder"] is None


def test_contract_and_routes_are_the_same() -> None:
    in_contract = {
        (method.upper(), path)
        for path, methods in CONTRACT.raw_schema["paths"].items()
        for method in methods
        if method != "parameters"
    }
    assert in_contract == {(route.method, route.template) for route in ROUTES}


def test_the_contract_tells_how_each_part_is_known() -> None:
    schema = CONTRACT.raw_schema
    parts = {
        f"{method} {path}": operation
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
        if method != "parameters"
    }
    for kind in ("requestBodies", "responses", "schemas"):
        parts |= {f"{kind} {name}": part for name, part in schema["components"][kind].items()}
    words = {"stated", "public", "seen", "inferred"}
    assert [name for name, part in parts.items() if part.get("x-known") not in words] == []


@pytest.mark.parametrize("place", ["details", "status", "vps"])
def test_gates_and_jobs_without_names(served: Emulator, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    for name, value in (("gates_at", place), ("names_jobs", False), ("mount", "job")):
        monkeypatch.setattr(served.world.switches, name, value)
    for tail in ("", "/details", "/status"):
        case = CONTRACT[f"/api/v2/vps/{{id}}{tail}"]["GET"].Case(path_parameters={"id": "vps_1"})
        assert ("actions" in send(served, case).json()) is (tail.removeprefix("/") == place.removeprefix("vps"))
    attach = CONTRACT["/api/v2/vps/{id}/iso/actions/attach-empty"]["POST"]
    case = attach.Case(path_parameters={"id": "vps_1"}, body={"device": "ide3"}, media_type="application/json")
    assert send(served, case).json()["operation"]["jobId"] is None


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("edge", {}),
        ("edge", {"body": "error code: 1010", "headers": {"Content-Type": "text/plain"}}),
        ("edge", {"body": {"cloudflare_error": True, "error_code": 1010, "ray_id": "0123456789abcdef"}}),
        ("legacy", {"status": 429, "extra": {"retryAfter": 7, "code": None, "timestamp": None}}),
        ("legacy", {"status": 422, "extra": {"details": [{"field": "url", "message": "No."}]}}),
        ("problem", {"status": 409, "extra": {"blockerReasons": ["An order is pending."]}}),
    ],
)
def test_failures_of_every_shape(served: Emulator, kind: str, options: dict[str, Any]) -> None:
    served.faults.add(kind, "GET", "/details$", **options)
    case = CONTRACT["/api/v2/vps/{id}/details"]["GET"].Case(path_parameters={"id": "vps_1"})
    assert send(served, case).status_code == options.get("status", 403)
