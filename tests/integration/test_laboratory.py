# SPDX-License-Identifier: GPL-3.0-or-later
"""The laboratory itself: a play that is forked ends like one that is started, and time is what a test makes of it."""

from __future__ import annotations

import gc
import re
import socket
from contextlib import ExitStack
from typing import Any

import pytest

from support import forked
from support.lab import Lab, Run, iso_task
from support.sshd import new_key, serve_ssh


def without_chance(run: Run, lab: Lab) -> list[Any]:
    """What a play has done, less what differs from one run to the next."""
    text = run.output.replace(str(lab.folder), "HOME")
    chance = r'\b(job|req|vps|iso)_[0-9a-z]{26}|\d+\.json|\d+\.yml|"(delta|start|end)": "[^"]*"'
    text = re.sub(chance, "X", text)
    return [run.code, text, [(item.host, item.task, item.status, sorted(item.result)) for item in run.results]]


@pytest.mark.smoke
def test_forked_and_started_plays_are_alike(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """With settings that come from the environment, a home, a failure, and no colours."""
    tasks = [
        iso_task(vps_id=lab.vps.id, state="unmounted"),
        {"name": "env", "ansible.builtin.debug": {"msg": "{{ lookup('ansible.builtin.env', 'HOME') }}"}},
        {"name": "local", "ansible.builtin.command": "pwd", "delegate_to": "localhost"},
        {**iso_task(vps_id=lab.vps.id, state="mounted", name="nothing.iso"), "name": "wrong"},
    ]
    start, ends = forked.start, {}
    for forks in (True, False):
        monkeypatch.setattr(forked, "start", lambda *args, forks=forks, **more: start(*args, forks=forks, **more))
        ends[forks] = without_chance(lab.play(tasks, args=["-v", "--diff"]), lab)
    assert ends[True][1].splitlines() == ends[False][1].splitlines()
    assert ends[True] == ends[False]
    assert ends[True][0] == 2
    assert not list((lab.folder / "local").iterdir())


@pytest.mark.smoke
def test_time_passes_quickly_in_plays(lab: Lab) -> None:
    """The minute that the API asks for is three seconds here, for task and world alike."""
    lab.faults.add("problem", status=429, headers={"Retry-After": "60"})
    assert lab.start([iso_task(vps_id=lab.vps.id, state="unmounted")]).finish(30).of("iso")["changed"] is False
    first, second = lab.calls
    assert 55 < second.at - first.at < 300


def test_an_ssh_server_ends_with_its_visits() -> None:
    """Whoever is still connected; what is left open is a warning, and thereby a failure of this test."""
    with ExitStack() as visits, serve_ssh() as sshds:
        sshds["one"].answer(new_key())
        for _visit in range(20):
            visits.enter_context(socket.create_connection(("127.0.0.1", sshds["one"].port)))
    gc.collect()
