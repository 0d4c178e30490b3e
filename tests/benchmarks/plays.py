# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs ansible-playbook, and keeps account of what it took."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CLONE = Path(__file__).resolve().parent.parent.parent
PLUGINS = Path(__file__).resolve().parent / "plugins"
ELSEWHERE = CLONE / "tests" / "support" / "plugins" / "connection"
PATIENCE = 900.0  # seconds for one ansible-playbook

Task = Mapping[str, Any]


@dataclass(frozen=True)
class End:
    """How a task ended on a host; `at` is in seconds since ansible-playbook was started."""

    host: str
    well: bool
    at: float
    changed: bool
    why: str


@dataclass(frozen=True)
class Outcome:
    """What one ansible-playbook did, and what it took."""

    wall: float
    cpu: float
    peak_mb: float
    ends: list[End]
    lost: int  # hosts on which a task failed or never ended

    def why(self) -> str:
        """The first failure's words."""
        return next((end.why for end in self.ends if not end.well), "")


class Unfit(Exception):
    """A play that had to go well did not; the text says how it ended."""


class Stage:
    """A scratch folder with the collection as it is now, where plays run in an interpreter that knows the peers."""

    def __init__(self, scratch: Path, python: Path, *, quick: bool) -> None:
        self.scratch = scratch
        self.python = python
        self.quick = quick
        self.count = 0
        # a copy: the clone may be edited while this runs
        self.tree = scratch / "tree"
        copy = self.tree / "ansible_collections" / "hostup" / "cloud"
        ignored = shutil.ignore_patterns("__pycache__")
        for name in ("plugins", "meta", "roles"):
            shutil.copytree(CLONE / name, copy / name, ignore=ignored)
        shutil.copy2(CLONE / "galaxy.yml", copy)

    def pick(self, full: Any, quick: Any) -> Any:
        """A size, for a full or a quick run."""
        return quick if self.quick else full

    def say(self, text: str) -> None:
        """Tell what is going on."""
        print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)

    def play(
        self,
        tasks: Sequence[Task],
        vps_ids: Sequence[str],
        *,
        forks: int = 5,
        env: Mapping[str, str] | None = None,
        may_fail: bool = False,
    ) -> Outcome:
        """Run tasks on hosts that stand for these VPSs. Each run has a home, and thereby notes, of its own."""
        self.count += 1
        folder = self.scratch / f"play-{self.count}"
        folder.mkdir()
        (folder / "play.yml").write_text(
            yaml.safe_dump([{"hosts": "fleet", "gather_facts": False, "tasks": [dict(task) for task in tasks]}])
        )
        (folder / "inventory.json").write_text(json.dumps(_inventory(vps_ids, self.python)))
        environment = {
            "PATH": os.environ["PATH"],
            "LC_ALL": "C.UTF-8",
            "HOME": str(folder),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "TMPDIR": str(self.scratch),
            "ACCOUNTS_FILE": str(folder / "accounts"),
            "ANSIBLE_ACTION_PLUGINS": str(PLUGINS / "action"),
            "ANSIBLE_CALLBACK_PLUGINS": str(PLUGINS / "callback"),
            "ANSIBLE_CALLBACKS_ENABLED": "accounts",
            "ANSIBLE_COLLECTIONS_PATH": str(self.tree),
            "ANSIBLE_CONNECTION_PLUGINS": str(ELSEWHERE),
            "ANSIBLE_FORKS": str(forks),
            "ANSIBLE_LIBRARY": str(PLUGINS / "modules"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PIPELINING": "1",  # the cheapest way for the modules
            **(env or {}),
        }
        began = time.monotonic()
        playbook = str(self.python.with_name("ansible-playbook"))
        code, wall, cpu = _timed([playbook, "-i", "inventory.json", "play.yml"], folder, environment, "")
        ends, peak_mb = _accounts(folder / "accounts", began)
        outcome = Outcome(wall, cpu, peak_mb, ends, _lost(ends, tasks, len(vps_ids)))
        if not may_fail and (code or outcome.lost):
            said = (folder / "output").read_text()[-2000:]
            raise Unfit(f"ansible-playbook ended with {code}, {outcome.lost} hosts lost:\n{said}")
        shutil.rmtree(folder, ignore_errors=True)
        return outcome

    def run(self, command: Sequence[str | Path], env: Mapping[str, str], given: str) -> Outcome:
        """Run another program, which must end well."""
        folder = self.scratch / "program"
        folder.mkdir(exist_ok=True)
        code, wall, cpu = _timed(command, folder, {"PATH": os.environ["PATH"], **env}, given)
        if code:
            raise Unfit(f"{command[0]} ended with {code}:\n{(folder / 'output').read_text()[-2000:]}")
        return Outcome(wall, cpu, 0.0, [], 0)


def _timed(command: Sequence[str | Path], folder: Path, env: Mapping[str, str], given: str) -> tuple[int, float, float]:
    """Run a program in a folder, where its `output` goes: its exit code, the seconds of wall, and those of CPU."""
    began = time.monotonic()
    (folder / "input").write_text(given)
    with (folder / "output").open("w") as output, (folder / "input").open() as source:
        process = subprocess.Popen(command, cwd=folder, env=env, stdin=source, stdout=output, stderr=subprocess.STDOUT)
        watchdog = threading.Timer(PATIENCE, process.kill)
        watchdog.start()
        _pid, status, usage = os.wait4(process.pid, 0)
        watchdog.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, time.monotonic() - began, usage.ru_utime + usage.ru_stime


def _inventory(vps_ids: Sequence[str], python: Path) -> dict[str, Any]:
    names = [f"vps-{number:04}" for number in range(1, len(vps_ids) + 1)]
    everybody = {"ansible_connection": "local", "ansible_python_interpreter": str(python)}
    return {
        "all": {"vars": everybody},
        "fleet": {"hosts": {name: {"vps_id": vps_id} for name, vps_id in zip(names, vps_ids, strict=True)}},
        "apart": {"hosts": {"jump-host": {"ansible_connection": "elsewhere"}}},
    }


def _accounts(file: Path, began: float) -> tuple[list[End], float]:
    """What the callback wrote: the ends of tasks, and the largest process in MiB."""
    lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    ends = [End(**{**line, "at": line["at"] - began}) for line in lines if "host" in line]
    return ends, max((line["peak_kb"] / 1024 for line in lines if "peak_kb" in line), default=0.0)


def _lost(ends: Sequence[End], tasks: Sequence[Task], hosts: int) -> int:
    if not tasks:
        return 0
    well, failed = Counter(end.host for end in ends if end.well), {end.host for end in ends if not end.well}
    expected = 1 if any("run_once" in task for task in tasks) else hosts
    # a role is one task here, and has more results
    return expected - sum(count >= len(tasks) for host, count in well.items() if host not in failed)
