# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of `make matrix`: who runs them, and what happens where a Python is missing."""

from __future__ import annotations

import subprocess
import sys

import yaml

from check import CLONE
from matrix import ROWS, requirements


def test_the_workflow_has_all_rows_and_their_pythons() -> None:
    job = yaml.safe_load((CLONE / ".github" / "workflows" / "ci.yml").read_text())["jobs"]["matrix"]
    assert job["strategy"]["matrix"]["row"] == [row.name for row in ROWS]
    [setup] = [step["with"]["python-version"] for step in job["steps"] if "python-version" in step.get("with", {})]
    assert {row.python for row in ROWS} <= set(setup.split())


def test_all_cores_from_the_oldest_that_the_collection_takes() -> None:
    [oldest, *_others] = [row.name for row in ROWS]
    assert yaml.safe_load((CLONE / "meta" / "runtime.yml").read_text())["requires_ansible"] == f">={oldest}.0"


def test_what_the_tests_import_is_installed_and_no_second_core() -> None:
    names = set(requirements())
    assert {"pytest", "requests", "schemathesis", "ansible-runner"} <= names
    assert not names & {"ansible-core", "ansible-lint", "galaxy-importer", "mypy", "ruff"}


def test_a_missing_interpreter_is_named_and_fails() -> None:
    command = [sys.executable, str(CLONE / "tools" / "matrix.py"), "2.16"]
    ended = subprocess.run(command, env={"PATH": "/nonexistent"}, capture_output=True, text=True, check=False)
    assert ended.returncode == 1, ended.stderr
    assert "FAILED: python3.10 is not on the PATH" in ended.stdout
