# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole story, start to end: two servers are installed by the role, kept, and reinstalled by one task for both.

`make e2e` shows it. E2E_RUNS=20 tells it so many times, and E2E_BUSY=2 keeps so many processors busy meanwhile.
What the screens showed is kept in `tests/output/e2e`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

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


# For a fleet, as docs/docsite/rst/reinstalling.rst has it.
HOST = {"host": "{{ ansible_host }}", "port": "{{ ansible_port }}"}
IN_ONE_TASK: list[dict[str, Any]] = [
    {"name": "Note their host keys", "hostup.cloud.ssh_host_keys": HOST, "register": "old_system"},
    {
        "name": "Reinstall both at once",
        "hostup.cloud.hostup_vps_reinstall": {
            "vps_ids": "{{ ansible_play_hosts | map('extract', hostvars, 'hostup_vps_id') | list }}",
            "confirm": "{{ ansible_play_hosts }}",
            "url": "{{ hostup_reinstall_iso_url }}",
        },
        "run_once": True,
    },
    {
        "name": "Wait until new systems answer",
        "hostup.cloud.ssh_host_keys": {**HOST, "unlike": "{{ old_system.host_keys }}", "wait_timeout": 300},
        "register": "new_system",
        "failed_when": "new_system.verdict != 'new'",
    },
]


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
        # known_hosts knows what the role has proven, and nothing of the tasks for both
        env = {"ANSIBLE_HOST_KEY_CHECKING": "False"}
        run = show(
            "ansible.builtin.raw: what are they called?", stage.lab.play(tasks, hosts=stage.hosts(*servers), env=env)
        )
        assert run.code == 0
        return [run.of("ask", vps.name)["stdout"].strip() for vps in servers]

    def reinstall(title: str, *args: str) -> Run:
        return show(title, stage.reinstall(*servers, args=args))

    @contextmanager
    def camera(title: str) -> Iterator[str]:
        with ExitStack() as cameras:
            for vps in servers:
                cameras.enter_context(photographed(stage, vps, pictures / title.replace(" ", "-")))
            yield title

    blind = reinstall("nothing to compare with")
    assert blind.code != 0
    assert "hostup_reinstall_proof=any_host_key" in blind.output
    assert stage.lab.calls.writes() == []

    with camera("first installation") as title:
        assert reinstall(title, "-e", "hostup_reinstall_proof=any_host_key").code == 0
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

    with camera("second installation") as title:
        assert show(title, stage.lab.play(IN_ONE_TASK, hosts=stage.hosts(*servers))).code == 0
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
