# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures: a site (emulator, owner, VPS, ISO) whose clock costs nothing, and a web server.

The imports are in the fixtures: pytest loads this file before tests/conftest.py has made the collection importable.
"""

from __future__ import annotations

from contextlib import ExitStack
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from support.names import strange_names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.site import Clock, Site, Web


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where tasks keep what they share, new for each test, as is what they keep in memory where that fails."""
    shared = import_module("ansible_collections.hostup.cloud.plugins.module_utils._sharing.notes")
    shared._memory.clear()
    shared._held.clear()
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder / "hostup"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Put a clock that costs nothing in the place of `time`."""
    clock: Clock = import_module("support.site").Clock()
    monkeypatch.setattr("ansible_collections.hostup.cloud.plugins.module_utils._clock.time", clock)
    return clock


@pytest.fixture
def site(clock: Clock) -> Iterator[Site]:
    with ExitStack() as stack:
        site: Site = import_module("support.site").Site(clock, stack)
        yield site
        assert site.emulator.crashes == []
        assert strange_names(site.calls) == set()


@pytest.fixture
def web() -> Iterator[Web]:
    with import_module("support.site").serve_web() as web:
        yield web
