# SPDX-License-Identifier: GPL-3.0-or-later
"""A small world to try things in: one owner, one VPS, one ISO, and a clock that stands still until told."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest
import requests

from hostup_emulator.server import Emulator
from hostup_emulator.world import Answer, Request, World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hostup_emulator.model import Iso, JsonValue, Owner, Vps


class Lab:
    """The world, and short ways to ask it things."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0
        self.world = World(clock=lambda: self.now)
        self.handle = self.world.handle
        self.switches = self.world.switches
        self.owner: Owner = self.world.add_owner("ann")
        self.key = self.world.add_key(self.owner, "secret-key-of-ann")
        self.vps: Vps = self.world.add_vps(self.owner, "web-01", "192.0.2.1")
        self.iso: Iso = self.world.add_iso(self.owner, "ubuntu.iso")
        self.iso_path = f"/api/v2/vps/{self.vps.id}/iso"

    def ask(self, method: str, path: str, body: JsonValue = None, key: str | None = None, **query: str) -> Answer:
        """Send a request, straight to the world unless `handle` says otherwise."""
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return self.handle(Request(method, path, query, raw, self.key if key is None else key))

    def act(self, action: str, **body: JsonValue) -> Answer:
        """Call one of the ISO actions."""
        return self.ask("POST", f"{self.iso_path}/actions/{action}", body)

    def read(self) -> JsonValue:
        """Return what the ISO read shows."""
        return self.ask("GET", self.iso_path).body

    def download(self, filename: str = "new.iso", url: str = "http://127.0.0.1/new.iso", **body: JsonValue) -> Answer:
        """Ask for a download."""
        return self.act("from-url", url=url, filename=filename, **body)


class Wire:
    """The same over HTTP."""

    def __init__(self, emulator: Emulator, lab: Lab) -> None:
        self.emulator = emulator
        self.iso_url = emulator.url + lab.iso_path
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Bearer {lab.key}"

    def read(self) -> requests.Response:
        """Send the ISO read."""
        return self.session.get(self.iso_url, timeout=10, allow_redirects=False)

    def act(self, action: str, **body: JsonValue) -> requests.Response:
        """Call one of the ISO actions."""
        return self.session.post(f"{self.iso_url}/actions/{action}", json=body, timeout=10)


@pytest.fixture
def lab() -> Lab:
    return Lab()


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
def emulator(lab: Lab, log: list[str]) -> Iterator[Emulator]:
    with Emulator(lab.world, control=True, log=log.append) as running:
        yield running
        assert running.crashes == []


@pytest.fixture
def wire(emulator: Emulator, lab: Lab) -> Wire:
    return Wire(emulator, lab)


@pytest.fixture
def heeded_sigint() -> Iterator[None]:
    """Let commands begin with SIGINT as usual, even where these tests themselves were started to ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
