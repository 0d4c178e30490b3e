# SPDX-License-Identifier: GPL-3.0-or-later
"""The emulator as a stranger starts it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

import hostup_emulator as package

if TYPE_CHECKING:
    pass

COMMAND = [sys.executable, "-u", "-m", "hostup_emulator"]
HOME = Path(package.__file__).parents[1]  # from where it can be started without being installed


def test_help_names_every_flag() -> None:
    shown = subprocess.run([*COMMAND, "--help"], cwd=HOME, capture_output=True, text=True, check=True).stdout
    for flag in ("--vps", "--key", "--control", "--rate-limit", "--second-download", "--job-hangs", "--download-rate"):
        assert flag in shown


@pytest.mark.parametrize(
    ("flag", "value"),
    [("--rate-kind", "leaky"), ("--rate-burst", "1.5"), ("--rate-says", "maybe"), ("--latency", "long")],
)
def test_bad_values_are_refused(flag: str, value: str) -> None:
    refused = subprocess.run([*COMMAND, flag, value], cwd=HOME, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert f"argument {flag}: invalid" in refused.stderr


@pytest.mark.usefixtures("heeded_sigint")
@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_start_and_stop(signal_number: signal.Signals) -> None:
    arguments = ["--port", "0", "--vps", "one", "--vps", "two", "--control", "--mount", "job", "--job-fails", "never"]
    with subprocess.Popen([*COMMAND, *arguments], cwd=HOME, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        lines: list[str] = []
        while not lines or "Ctrl-C" not in lines[-1]:
            lines.append(process.stdout.readline())
        start = "".join(lines)
        [(base, key)] = re.findall(r"export HOSTUP_API_BASE=(\S+) HOSTUP_API_KEY=(\S+)\n", start)
        answer = requests.get(f"{base}/api/v2/vps", headers={"Authorization": f"Bearer {key}"}, timeout=10).json()
        assert [vps["name"] for vps in answer["data"]] == ["one", "two"]
        assert all(vps["id"] in start for vps in answer["data"])
        assert "/api/v2/vps 200" in process.stdout.readline()
        second = [*COMMAND, "--port", base.rpartition(":")[2]]
        refused = subprocess.run(second, cwd=HOME, capture_output=True, text=True, check=False)
        assert refused.stderr.startswith("Cannot listen on 127.0.0.1")
        process.send_signal(signal_number)
        assert process.wait(10) == 0
