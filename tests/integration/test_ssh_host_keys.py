# SPDX-License-Identifier: GPL-3.0-or-later
"""`ssh_host_keys` by playbooks, against SSH servers of this process."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from support.lab import SHELLS, Lab
from support.sshd import Sshds, new_key, serve_ssh

OPTIONS = ("host", "port", "known_hosts", "remembered", "unlike", "wait_timeout", "scan_timeout")
LOST = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 43


@pytest.fixture(scope="module")
def sshds() -> Iterator[Sshds]:
    """SSH servers by name."""
    with serve_ssh() as servers:
        yield servers


def public(key: asyncssh.SSHKey) -> str:
    """A host key as the module has it."""
    return " ".join(key.export_public_key().decode().split()[:2])


def ask(lab: Lab, shell: str = "controller", /, **cases: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Run the module for each case, as a host of one play; returns the results by host."""
    task = {
        "name": "keys",
        "hostup.cloud.ssh_host_keys": {name: f"{{{{ given.{name} | default(omit) }}}}" for name in OPTIONS},
        "ignore_errors": True,
        **SHELLS[shell],
    }
    hosts = {name: {"given": {"host": "127.0.0.1", "scan_timeout": 2, **given}} for name, given in cases.items()}
    run = lab.play([task], hosts=hosts)
    return {item.host: item.result for item in run.results}


@pytest.mark.parametrize("shell", ["controller", "delegated"])
def test_answers(lab: Lab, sshds: Sshds, shell: str) -> None:
    key = new_key()
    sshds["up"].answer(key)
    port = sshds["up"].port
    results = ask(
        lab,
        shell,
        alone={"port": port},
        same={"port": port, "unlike": [public(key)]},
        new={"port": port, "unlike": [LOST]},
        remembered={"port": port, "remembered": [LOST]},
        silent={"port": sshds["down"].port},
    )
    assert {name: result["verdict"] for name, result in results.items()} == {
        "alone": "new",
        "same": "same",
        "new": "new",
        "remembered": "new",
        "silent": "none",
    }
    assert results["alone"]["host_keys"] == results["alone"]["answered"] == [public(key)]
    assert results["alone"]["fingerprints"] == [key.get_fingerprint("sha256")]
    assert results["alone"]["name"] == f"[127.0.0.1]:{port}"
    assert results["remembered"]["host_keys"] == sorted([LOST, public(key)])
    assert results["silent"]["host_keys"] == results["silent"]["sources"] == []
    assert not any(result["changed"] for result in results.values())


def test_known_hosts_is_weak_evidence(lab: Lab, sshds: Sshds, tmp_path: Path) -> None:
    known_hosts = tmp_path / "known_hosts"
    up, down = sshds["up"], sshds["down"]
    key = new_key()
    up.answer(key)
    known_hosts.write_text("".join(f"[127.0.0.1]:{port} {LOST}\n" for port in (up.port, down.port)))
    file = str(known_hosts)
    results = ask(lab, up={"port": up.port, "known_hosts": file}, down={"port": down.port, "known_hosts": file})
    assert (results["up"]["host_keys"], results["up"]["sources"]) == ([public(key)], ["answered"])
    assert (results["down"]["host_keys"], results["down"]["sources"]) == ([LOST], ["known_hosts"])
    assert "proves little" in results["down"]["warnings"][0] and "warnings" not in results["up"]


def test_waits_for_a_new_system(lab: Lab, sshds: Sshds) -> None:
    old, new = new_key(), new_key()
    sshd = sshds["reinstalled"]
    sshd.answer(old)
    task = {"host": "127.0.0.1", "port": sshd.port, "unlike": [public(old)], "wait_timeout": 2000}
    playing = lab.start([{"name": "keys", "hostup.cloud.ssh_host_keys": task}])
    lab.until(lambda: sshd.visits)
    sshd.answer(None)
    sshd.answer(new)
    run = playing.finish()
    assert (run.of("keys")["verdict"], run.of("keys")["answered"]) == ("new", [public(new)])


@pytest.mark.parametrize("shell", ["controller", "delegated"])
def test_a_greeting_without_end_holds_nobody(lab: Lab, shell: str) -> None:
    is_over = threading.Event()

    class Tarpit(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while not is_over.wait(0.2):
                self.request.sendall(b"a line that comes before the greeting\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tarpit) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            results = ask(lab, shell, tarpit={"port": server.server_address[1], "scan_timeout": 1})
        finally:
            is_over.set()
            server.shutdown()
    assert (results["tarpit"]["verdict"], results["tarpit"]["answered"]) == ("none", [])


def test_complaints(lab: Lab) -> None:
    results = ask(
        lab,
        option={"host": "-oProxyCommand=x"},
        port={"port": 0},
        key={"unlike": ["web-01 ssh-ed25519 AAAAx"]},
        seconds={"scan_timeout": 0},
    )
    assert "cannot be a host name" in results["option"]["msg"]
    assert "A port is between 1 and 65535" in results["port"]["msg"]
    assert "is no host key" in results["key"]["msg"]
    assert "scan_timeout at least 1" in results["seconds"]["msg"]
