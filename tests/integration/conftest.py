# SPDX-License-Identifier: GPL-3.0-or-later
"""The laboratory as a fixture."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
import yaml

import hostup_emulator as package
from hostup_emulator.server import Call, Emulator
from hostup_emulator.world import World
from support.clock import HurriedClock
from support.lab import ISO_BYTES, SPEED, Lab, QuietFiles, redirect_to, serve
from support.names import strange_names


@pytest.fixture(scope="session")
def source_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What can be downloaded."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("ubuntu.iso", "wanted.iso"):
        (folder / name).write_bytes(ISO_BYTES)
    return folder


@pytest.fixture(scope="session")
def source(source_folder: Path) -> Iterator[str]:
    """Where it can be downloaded from."""
    yield from serve(functools.partial(QuietFiles, directory=str(source_folder)))


CONTRACT = yaml.safe_load(Path(package.__file__).with_name("openapi.yaml").read_text())


def breach_of_contract(call: Call) -> str | None:
    """What is wrong with a request that our client has sent, judged by the OpenAPI file."""
    paths = CONTRACT["paths"].items()
    known = [operations for path, operations in paths if re.fullmatch(re.sub(r"{\w+}", "[^/]+", path), call.path)]
    operation = known[0].get(call.method.lower()) if known else None
    if operation is None:
        return f"the contract has no {call.method} {call.path}"
    unknown = call.query.keys() - {parameter["name"] for parameter in operation.get("parameters", [])}
    if unknown:
        return f"{call.path} has no parameter {unknown}"
    body = operation.get("requestBody")
    if body is None:
        return None if call.body is None else f"{call.method} {call.path} takes no body"
    if "$ref" in body:
        body = CONTRACT["components"]["requestBodies"][body["$ref"].rpartition("/")[2]]
    schema = {**body["content"]["application/json"]["schema"], "unevaluatedProperties": False}
    errors = jsonschema.Draft202012Validator({**schema, "components": CONTRACT["components"]}).iter_errors(call.body)
    return "; ".join(error.message for error in errors) or None


@pytest.fixture
def lab(source: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A fresh world. At the end, its emulator must not have crashed, nor been sent what its contract does not know
    or a name that is not ours, nor any cloud-init drive been emptied."""
    clock = None if request.node.get_closest_marker("wall_clock") else HurriedClock(SPEED)
    folder = tmp_path / "home"
    folder.mkdir()
    with Emulator(World(clock=clock) if clock else World()) as emulator:
        laboratory = Lab(emulator, source, folder, clock)
        yield laboratory
        for playing in laboratory.playing:
            playing.stop()
    assert emulator.crashes == []
    assert strange_names(emulator.calls) == set()
    assert [breach for call in emulator.calls if (breach := breach_of_contract(call))] == []
    assert [vps.cloud_init_unmounts for vps in emulator.world.vpses.values() if vps.cloud_init_unmounts] == []


@pytest.fixture(scope="session")
def redirect(source: str) -> Iterator[str]:
    """A URL that redirects to one of the ISOs."""
    yield from (f"{origin}/latest.iso" for origin in serve(redirect_to(f"{source}/ubuntu.iso")))


@pytest.fixture
def in_process(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let modules that run in this process share the laboratory's time and its home."""
    if lab.clock:
        monkeypatch.setattr("ansible_collections.hostup.cloud.plugins.module_utils._clock.time", lab.clock)
    monkeypatch.setenv("HOME", str(lab.folder))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies in this folder."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("integration")
