# SPDX-License-Identifier: GPL-3.0-or-later
"""A laboratory: real `ansible-playbook` against an emulated world, and a record of what either of them saw."""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import pytest
import yaml

from hostup_emulator.server import Emulator
from support import forked
from support.clock import HurriedClock

Found = TypeVar("Found")

PLUGINS = Path(__file__).resolve().parent / "plugins"
KEY = "hk-integration-0123456789abcdefghijklmnopqrstuvwxyz"
ISO_BYTES = b"an ISO of no use\n" * 4096

# Nothing listens there: whoever connects fails at once.
UNREACHABLE = {"ansible_host": "127.0.0.1", "ansible_port": 1}

# So many seconds pass in a real one, where a world and the tasks in the controller have a hurried clock.
SPEED = 20.0

# Ansible's loaders want these when they are imported.
os.environ |= {
    "ANSIBLE_CALLBACK_PLUGINS": str(PLUGINS / "callback"),
    "ANSIBLE_CONNECTION_PLUGINS": str(PLUGINS / "connection"),
    "ANSIBLE_NOCOLOR": "1",
}

# How a task is sent on its way: keywords that are added to it.
SHELLS: dict[str, dict[str, Any]] = {
    "controller": {},
    "async": {"async": 300, "poll": 1, "delegate_to": "localhost"},
    "delegated": {"delegate_to": "jump-host"},
}


# So many tasks at once. Of many asynchronous ones at once, most of what is done is to ask whether they have ended.
FORKS = {"controller": "10", "async": "2", "delegated": "4"}

# Most of what a task does does not depend on the shell, and the slow ones cost 10 and 20 times as much.
EVERY_SHELL = pytest.mark.parametrize("shell", SHELLS)
SLOW_SHELLS_LAST = pytest.mark.parametrize(
    "shell", ["controller", *(pytest.param(shell, marks=pytest.mark.exhaustive) for shell in ("async", "delegated"))]
)


@dataclass(frozen=True)
class TaskResult:
    """What one task did on one host."""

    host: str
    task: str
    status: str
    result: dict[str, Any]


@dataclass(frozen=True)
class Run:
    """One run of `ansible-playbook`. The standard error is part of the output, unless it was wanted apart."""

    code: int
    output: str
    errors: str | None
    results: list[TaskResult]

    def of(self, task: str, host: str | None = None) -> dict[str, Any]:
        """The result of a task, on the only host or on this one."""
        [found] = [item for item in self.results if item.task == task and host in (None, item.host)]
        return found.result


class Playing:
    """An `ansible-playbook` that runs."""

    def __init__(self, process: forked.Process, output: Path, errors: Path | None, record: Path) -> None:
        self._process = process
        self._output = output
        self._errors = errors
        self._record = record
        self._has_ended = False

    def finish(self, seconds: float = 900.0) -> Run:
        """Wait for its end; long enough for the hundreds of asynchronous tasks of a slow machine."""
        code = self._process.wait(seconds)
        self._has_ended = True
        lines = self._record.read_text().splitlines()
        results = [TaskResult(**json.loads(line)) for line in lines]
        return Run(code, self._output.read_text(), self._errors.read_text() if self._errors else None, results)

    def output(self) -> str:
        """What it has printed so far."""
        return self._output.read_text()

    def stop(self) -> None:
        """Clear up, where a test has not come to the end of it."""
        if not self._has_ended:
            self.kill()
            self.finish()

    def terminate(self) -> None:
        """Ask the `ansible-playbook` alone to end, as a service manager does."""
        os.kill(self._process.pid, signal.SIGTERM)

    def interrupt(self) -> None:
        """Press Ctrl-C: everything in the foreground hears it."""
        os.killpg(self._process.pid, signal.SIGINT)

    def kill(self) -> None:
        """Kill it and everything that it has started; Ansible's workers have sessions of their own."""
        for pid in processes_of(self._process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def processes_of(first: int) -> set[int]:
    """A process and all that it has started."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = [first]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return set(found)


class Vaulted(str):
    """An encrypted text, which YAML marks as such."""

    __slots__ = ()


yaml.SafeDumper.add_representer(Vaulted, lambda dumper, text: dumper.represent_scalar("!vault", text, style="|"))


class Lab:
    """An emulated world with one owner, one VPS and a key; a source of ISOs; and Ansible."""

    def __init__(self, emulator: Emulator, source: str, folder: Path, clock: HurriedClock | None = None) -> None:
        self.emulator = emulator
        self.clock = clock
        self.world = emulator.world
        self.calls = emulator.calls
        self.faults = emulator.faults
        self.source = source
        self.folder = folder
        self.owner = self.world.add_owner("ann")
        self.key = self.world.add_key(self.owner, KEY)
        self.vps = self.world.add_vps(self.owner, "web-01", "192.0.2.10")
        self.url = f"{source}/ubuntu.iso"
        self.python = sys.executable
        self.playing: list[Playing] = []

    def environment(self, env: Mapping[str, str | None] | None) -> dict[str, str]:
        """What commands run with. `None` takes a variable out."""
        foreign = ("HOSTUP_", "ANSIBLE_", "XDG_")
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(foreign)},
            **{name: value for name, value in os.environ.items() if name in forked.LATE},
            "ANSIBLE_CALLBACKS_ENABLED": "record,hurry" if self.clock else "record",
            "ANSIBLE_FORKS": "10",
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_LOCAL_TEMP": str(self.folder / "local"),
            "ANSIBLE_ASYNC_DIR": str(self.folder / "async"),
            "ANSIBLE_REMOTE_TEMP": str(self.folder / "remote"),
            "HOME": str(self.folder),
            "HOSTUP_API_BASE": self.emulator.url,
            "HOSTUP_API_KEY": self.key,
            "PYTHONUNBUFFERED": "1",
            **(self.clock.as_environment() if self.clock else {}),
            **(env or {}),
        }
        return {name: value for name, value in environment.items() if value is not None}

    def start(
        self,
        tasks: Sequence[Mapping[str, Any]] | str,
        *,
        hosts: Mapping[str, Mapping[str, Any]] | None = None,
        env: Mapping[str, str | None] | None = None,
        args: Sequence[str] = (),
        play: Mapping[str, Any] | None = None,
        apart: bool = False,
    ) -> Playing:
        """Begin to run tasks, or a playbook of the collection, on hosts, which cannot be reached unless they say how.

        `None` takes a variable out of the environment. ``apart``: the standard error does not go into the output.
        """
        number = len(list(self.folder.glob("*.jsonl")))
        playbook, record = tasks if isinstance(tasks, str) else f"{number}.yml", self.folder / f"{number}.jsonl"
        record.touch()
        if not isinstance(tasks, str):
            body = {"hosts": "fleet", "gather_facts": False, "tasks": list(tasks), **(play or {})}
            (self.folder / playbook).write_text(yaml.safe_dump([body], sort_keys=False))
        local = {"ansible_connection": "local"}
        inventory = {
            # Ansible polls a delegated async task with the interpreter of the host, not of the delegate
            "all": {"vars": {"ansible_python_interpreter": self.python}},
            "fleet": {"hosts": {name: {**UNREACHABLE, **more} for name, more in (hosts or {"web-01": {}}).items()}},
            "apart": {"hosts": {"localhost": local, "jump-host": {"ansible_connection": "elsewhere"}}},
        }
        (self.folder / f"{number}.json").write_text(json.dumps(inventory))
        # not in the folder, which is searched for secrets
        output = self.folder.parent / f"{number}.out"
        errors = self.folder.parent / f"{number}.err" if apart else None
        process = forked.start(
            ["ansible-playbook", "-i", f"{number}.json", *args, playbook],
            folder=self.folder,
            env={**self.environment(env), "RECORD_FILE": str(record)},
            output=output,
            errors=errors,
        )
        self.playing.append(Playing(process, output, errors, record))
        return self.playing[-1]

    def play(self, tasks: Sequence[Mapping[str, Any]] | str, **more: Any) -> Run:
        """Run tasks or a playbook, as `start` does, to the end."""
        return self.start(tasks, **more).finish()

    def add_fleet(self, count: int, prefix: str = "vm") -> dict[str, dict[str, Any]]:
        """Add VPSs; returns them as hosts, whose variable `vps_id` holds the ID."""
        names = [f"{prefix}-{number:03}" for number in range(count)]
        return {name: {"vps_id": self.world.add_vps(self.owner, name).id} for name in names}

    def orders(self) -> int:
        """How many downloads were ordered, and not refused."""
        return len([call for call in self.calls.matching("POST", "/from-url$") if call.status < 400])

    def until(self, condition: Callable[[], Found], seconds: float = 180.0) -> Found:
        """Wait until something is so, and return it. What was there instead is told where it never is."""
        try:
            return self.calls.wait_for(condition, seconds)
        except TimeoutError as error:
            last = [f"{call.method} {call.path} {call.status}" for call in self.calls[-5:]]
            shown = [playing.output()[-2000:] for playing in self.playing]
            raise TimeoutError(f"{error}; {len(self.calls)} requests, at last {last}; on the screen {shown}") from None

    def in_task(self, seconds: float, shell: str = "controller") -> int:
        """So many real seconds, as a task in this shell counts them."""
        return round(seconds * (self.clock.speed if self.clock and shell == "controller" else 1))

    def vaulted(self, text: str) -> Vaulted:
        """A text for a playbook, encrypted with the password in the file `password`."""
        (self.folder / "password").write_text("correct horse\n")
        program = str(Path(sys.executable).with_name("ansible-vault"))
        command = [program, "encrypt", "--vault-password-file", "password", "--output", "-"]
        done = subprocess.run(command, cwd=self.folder, input=text, check=True, capture_output=True, text=True)
        return Vaulted(done.stdout)

    def iso(self, shell: str = "controller", /, **options: Any) -> dict[str, Any]:
        """Run `hostup_vps_iso` once, on this VPS unless another is selected, and return its result."""
        selected = any(name in options for name in ("vps_id", "vps_name", "vps_ip", "vps_ids"))
        run = self.play([iso_task(shell, **({} if selected else {"vps_id": self.vps.id}), **options)])
        return run.of("iso")

    def files_with(self, secret: str) -> list[Path]:
        """The files that hold a secret, once Ansible has cleared up behind an asynchronous task."""

        def holds_it(path: Path) -> bool:
            try:
                return secret.encode() in path.read_bytes()
            except FileNotFoundError:  # cleared up just now
                return False

        def find() -> list[Path]:
            # os.walk goes on where a folder is cleared up under its feet, rglob does not
            files = [Path(folder, name) for folder, _folders, names in os.walk(self.folder) for name in names]
            return [path for path in files if path.is_file() and holds_it(path)]

        with suppress(TimeoutError):
            self.until(lambda: not any("ansible-tmp-" in str(path) for path in find()), 15)
        return find()


def iso_task(shell: str = "controller", /, **options: Any) -> dict[str, Any]:
    """A task called `iso`."""
    return {"name": "iso", "hostup.cloud.hostup_vps_iso": options, **SHELLS[shell]}


def do_without(what_is_missing: str) -> NoReturn:
    """Skip a test for want of an optional system package, or fail where MACHINES=required says that all are here."""
    if os.environ.get("MACHINES") == "required":
        pytest.fail(what_is_missing)
    pytest.skip(what_is_missing)


class QuietFiles(http.server.SimpleHTTPRequestHandler):
    """Serves a folder."""

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


def redirect_to(target: str) -> type[http.server.BaseHTTPRequestHandler]:
    """A server that sends everybody elsewhere."""

    class Redirect(QuietFiles):
        """The same answer to everything."""

        def do_HEAD(self) -> None:
            """Send the redirect."""
            self.send_response(302)
            self.send_header("Location", target)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_HEAD  # noqa: N815 - the name that http.server calls

    return Redirect


def serve(handler: Callable[..., http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve HTTP on a free port; yields the origin."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()
