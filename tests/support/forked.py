# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs Ansible's commands in forks of a process that has imported Ansible: two thirds of what a short play costs.

A command whose settings Ansible reads while it is imported is started as a process of its own instead.
`tests/integration/test_laboratory.py` holds both ways against each other.
"""

from __future__ import annotations

import atexit
import importlib
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

PRELOADED = [
    "ansible.cli.inventory",
    "ansible.cli.playbook",
    "ansible.executor.playbook_executor",
    "ansible.executor.task_queue_manager",
    "ansible.plugins.callback.default",
    "ansible.plugins.strategy.linear",
    "requests",
]
# Ansible asks for these when a command runs, or they are the same for all commands.
LATE = {
    "ANSIBLE_ASYNC_DIR", "ANSIBLE_CALLBACKS_ENABLED", "ANSIBLE_CALLBACK_PLUGINS", "ANSIBLE_COLLECTIONS_PATH",
    "ANSIBLE_CONNECTION_PLUGINS", "ANSIBLE_FORKS", "ANSIBLE_INVENTORY_UNPARSED_WARNING",
    "ANSIBLE_LOAD_CALLBACK_PLUGINS", "ANSIBLE_LOCALHOST_WARNING", "ANSIBLE_LOCAL_TEMP", "ANSIBLE_NOCOLOR",
    "ANSIBLE_PIPELINING", "ANSIBLE_REMOTE_TEMP",
}  # fmt: skip
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(PRELOADED)


class Process(Protocol):
    """A command that runs in a session of its own."""

    pid: int

    def wait(self, seconds: float) -> int:
        """Return its exit code, less than 0 for a signal. Raises TimeoutError."""


class _Forked:
    """A fork of the process that has imported Ansible."""

    def __init__(self, argv: Sequence[str], folder: Path, env: Mapping[str, str], outputs: tuple[Path, Path]) -> None:
        self._process = CONTEXT.Process(target=_run, args=(list(argv), str(folder), dict(env), *map(str, outputs)))
        self._process.start()
        assert self._process.pid
        self.pid = self._process.pid

    def wait(self, seconds: float) -> int:
        """Return its exit code."""
        self._process.join(seconds)
        if self._process.exitcode is None:
            raise TimeoutError
        return self._process.exitcode


class _Started:
    """A process of its own."""

    def __init__(self, argv: Sequence[str], folder: Path, env: Mapping[str, str], outputs: tuple[Path, Path]) -> None:
        command = [str(Path(sys.executable).with_name(argv[0])), *argv[1:]]
        with outputs[0].open("ab") as output, outputs[1].open("ab") as errors:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,  # so that all of it can be killed
            )
        self.pid = self._process.pid

    def wait(self, seconds: float) -> int:
        """Return its exit code."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise TimeoutError from None


def start(
    argv: Sequence[str],
    *,
    folder: Path,
    env: Mapping[str, str],
    output: Path,
    errors: Path | None = None,
    forks: bool | None = None,
) -> Process:
    """Start `ansible-playbook` or `ansible-inventory` in a folder; what it prints is added to a file, or to two.

    ``forks`` insists on one way or the other.
    """
    if forks is None:
        forks = all(name in LATE for name in env if name.startswith(("ANSIBLE_", "PYTHONPATH")))
    return (_Forked if forks else _Started)(argv, folder, env, (output, errors or output))


def _run(argv: list[str], folder: str, env: dict[str, str], output: str, errors: str) -> None:
    """What the fork does. It ends as Python ends a process, which `multiprocessing` does not."""
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for descriptor, path in ((1, output), (2, errors)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), descriptor)
    sys.argv = argv
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w", buffering=1), open(2, "w", buffering=1)  # noqa: SIM115
    code: object = 1
    try:
        importlib.reload(importlib.import_module("ansible.constants"))  # some depend on HOME
        kind = argv[0].removeprefix("ansible-")
        cli = importlib.import_module(f"ansible.cli.{kind}")
        getattr(cli, f"{kind.capitalize()}CLI").cli_executor(argv)
    except SystemExit as end:
        code = end.code
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)
