# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole story, start to end: two servers are installed, kept, and reinstalled, and answer over SSH.

`make e2e` shows it. E2E_RUNS=20 tells it so many times, and E2E_BUSY=2 keeps so many processors busy meanwhile.
What the screens showed is kept in `tests/output/e2e`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from hostup_emulator.model import Vps
from support.lab import Run

from .stage import Stage, photographed

PICTURES = Path(__file__).resolve().parents[1] / "output" / "e2e"
RUNS = int(os.environ.get("E2E_RUNS", "1"))
BUSY = int(os.environ.get("E2E_BUSY", "0"))


@pytest.fixture(autouse=True)
def _busy() -> Iterator[None]:
    """Keep processors busy, where that is asked for."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _loop in range(BUSY)]
    yield
    for loop in loops:
        loop.kill()
        loop.wait()


def show(title: str, run: Run) -> Run:
    """Print what Ansible has said; pytest shows it where it is told to, and where a test fails."""
    print(f"\n{'=' * 79}\n{title}\n{'=' * 79}\n{run.output}")
    return run


@pytest.mark.exhaustive
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("number", range(1, RUNS + 1))
def test_two_servers(stage: Stage, number: int) -> None:
    pictures = PICTURES / str(number)
    shutil.rmtree(pictures, ignore_errors=True)
    servers = [stage.add_server(name) for name in ("web-01", "db-01")]

    def names() -> list[str]:
        tasks = [{"name": "ask", "ansible.builtin.raw": "hostname"}]
        run = show("ansible.builtin.raw: what are they called?", stage.lab.play(tasks, hosts=stage.hosts(*servers)))
        assert run.code == 0
        return [run.of("ask", vps.name)["stdout"].strip() for vps in servers]

    def reinstall(title: str, *args: str) -> Run:
        return show(title, stage.reinstall(*servers, args=args))

    def reinstall_on_camera(title: str, *args: str) -> Run:
        with ExitStack() as cameras:
            for vps in servers:
                cameras.enter_context(photographed(stage, vps, pictures / title.replace(" ", "-")))
            return reinstall(title, *args)

    blind = reinstall("nothing to compare with")
    assert blind.code != 0
    assert "hostup_reinstall_proof=any_host_key" in blind.output
    assert stage.lab.calls.writes() == []

    assert reinstall_on_camera("first installation", "-e", "hostup_reinstall_proof=any_host_key").code == 0
    assert names() == ["web-01", "db-01"]
    assert stage.lab.orders() == 1
    first = [(stage.host_key(vps), stage.ssh(vps, "cat /disk/etc/installation")) for vps in servers]

    writes = len(stage.lab.calls.writes())
    refused = reinstall("not confirmed", "-e", "hostup_reinstall_confirm=")
    assert refused.code != 0
    assert "hostup_reinstall_confirm" in refused.output
    foreseen = reinstall("check mode", "--check")
    assert foreseen.code == 0
    assert len(stage.lab.calls.writes()) == writes
    assert [stage.host_key(vps) for vps in servers] == [key for key, _installation in first]

    assert reinstall_on_camera("second installation").code == 0
    assert names() == ["web-01", "db-01"]
    assert stage.lab.orders() == 1  # the ISO was there
    for vps, (key, installation) in zip(servers, first, strict=True):
        assert stage.host_key(vps) not in ("", key)
        assert stage.ssh(vps, "cat /disk/etc/installation") not in ("", installation)
        assert stage.drives(vps) == []
        assert is_photographed(vps, pictures)


def is_photographed(vps: Vps, pictures: Path) -> bool:
    """Whether there are pictures of both installations."""
    return all(list(pictures.glob(f"{which}-installation/{vps.name}-*.png")) for which in ("first", "second"))
