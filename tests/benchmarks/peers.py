# SPDX-License-Identifier: GPL-3.0-or-later
"""The collections that ours is compared with: where they are installed, what answers them, and a task of each."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
import threading
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from hostup_emulator.model import Key, Owner
from hostup_emulator.rates import count
from hostup_emulator.switches import Switches

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
VENV = Path(sys.prefix, "peers")

ZONE = {"id": "1", "name": "zone"}
CLOUDSTACK_ISO = {"id": "1", "name": "ubuntu.iso", "displaytext": "ubuntu.iso", "isready": True, "tags": []}
HETZNER_ISO = {
    "id": 1,
    "name": "ubuntu.iso",
    "description": "Ubuntu",
    "type": "public",
    "architecture": "x86",
    "deprecation": None,
}
ONE_PAGE = {"page": 1, "per_page": 50, "previous_page": None, "next_page": None, "last_page": 1, "total_entries": 1}
ANSWERS: dict[str, Any] = {
    "/hetzner/isos": {"isos": [HETZNER_ISO], "meta": {"pagination": ONE_PAGE}},
    "/vultr/ssh-keys": {
        "ssh_keys": [{"id": "1", "name": "key", "ssh_key": "ssh-ed25519 AAAA", "date_created": "2026-01-01"}],
        "meta": {"total": 1, "links": {"next": "", "prev": ""}},
    },
    "/cloudstack?listZones": {"listzonesresponse": {"count": 1, "zone": [ZONE]}},
    "/cloudstack?listIsos": {"listisosresponse": {"count": 1, "iso": [CLOUDSTACK_ISO]}},
    "/cloudstack?listIsos new.iso": {"listisosresponse": {}},
    "/cloudstack?registerIso": {"registerisoresponse": {"count": 1, "iso": [CLOUDSTACK_ISO]}},
}
REFUSAL = {"error": {"code": "rate_limit_exceeded", "message": "Too many requests", "details": None}}


def install() -> Path:
    """Make the venv of the peers unless it is there; return its interpreter."""
    stamp, wanted = VENV / "stamp", f"{sys.version}\n{VENV}\n{REQUIREMENTS.read_text()}"
    if not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(VENV, ignore_errors=True)
        venv.create(VENV, with_pip=True, symlinks=True)
        command: list[str | Path] = [VENV / "bin" / "python", "-m", "pip", "install", "--quiet", "-r", REQUIREMENTS]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"The peers cannot be installed:\n{done.stderr}")
        stamp.write_text(wanted)
    return VENV / "bin" / "python"


def versions(python: Path) -> dict[str, str]:
    """What is installed there, by name."""
    listed = subprocess.run([python, "-m", "pip", "list", "--format=json"], capture_output=True, check=True).stdout
    found = {item["name"]: item["version"] for item in json.loads(listed)}
    for name in ("hetzner.hcloud", "vultr.cloud", "ngine_io.cloudstack"):
        [manifest] = python.parent.parent.glob(
            f"lib/*/site-packages/ansible_collections/{name.replace('.', '/')}/MANIFEST.json"
        )
        found[name] = json.loads(manifest.read_text())["collection_info"]["version"]
    return found


@dataclass
class Mock:
    """Answers the peers at once, or as slowly and as sparingly as the emulator answers us."""

    switches: Switches = field(default_factory=Switches)
    url: str = ""
    answered: int = 0
    refused: int = 0

    def __post_init__(self) -> None:
        self.key = Key("peer", Owner("peer", self.switches), frozenset())
        self.lock = threading.Lock()

    def answer(self, path: str) -> tuple[int, Any, dict[str, str]]:
        """Status, document and headers."""
        parts = urlsplit(path)
        query = parse_qs(parts.query)
        [command] = query.get("command", [""])
        name = parts.path + (f"?{command}" if command else "")
        if command == "listIsos" and query["name"] == ["new.iso"]:
            name += " new.iso"
        with self.lock:
            counted = count(self.key, time.time()) if self.switches.rate_limit else None
            if counted and not counted.allowed:
                self.refused += 1
                return 429, REFUSAL, {"Retry-After": str(max(1, math.ceil(counted.reset - time.time())))}
            self.answered += 1
        return 200, ANSWERS[name], {}


class _Server(ThreadingHTTPServer):
    request_queue_size = 256  # as the emulator


@contextmanager
def mock(switches: Switches | None = None) -> Iterator[Mock]:
    """Serve the canned answers on a free port of this machine."""
    state = Mock(switches or Switches())

    class Handler(BaseHTTPRequestHandler):
        """Set up as the emulator's."""

        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = 64 * 1024

        def do_GET(self) -> None:
            """Answer."""
            status, document, headers = state.answer(self.path)
            time.sleep(state.switches.latency)
            body = json.dumps(document).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with _Server(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield state
        server.shutdown()


def tasks(url: str) -> dict[str, dict[str, Any]]:
    """A task of each peer that finds everything as it should be, by the peer's name."""
    return {
        "hetzner.hcloud.iso_info": {
            "hetzner.hcloud.iso_info": {"api_endpoint": f"{url}/hetzner", "api_token": "t", "name": "ubuntu.iso"}
        },
        "vultr.cloud.ssh_key_info": {
            "vultr.cloud.ssh_key_info": {"api_endpoint": f"{url}/vultr", "api_key": "k"},
        },
        "ngine_io.cloudstack.cs_iso": {"ngine_io.cloudstack.cs_iso": _cs_iso(url, "ubuntu.iso")},
    }


def order(url: str) -> dict[str, Any]:
    """A task of the peer that can order a download, which does."""
    return {"ngine_io.cloudstack.cs_iso": {**_cs_iso(url, "new.iso"), "url": "http://192.0.2.7/new.iso"}}


def _cs_iso(url: str, name: str) -> dict[str, str]:
    return {"api_url": f"{url}/cloudstack", "api_key": "k", "api_secret": "s", "name": name, "zone": "zone"}
