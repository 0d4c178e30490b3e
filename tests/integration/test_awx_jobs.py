# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs as AWX runs them: by ansible-runner, on a pseudo-terminal, with a home that is gone afterwards."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.lab import KEY, Lab, processes_of

CALM = {"hostup_reinstall_proof": "none", "hostup_reinstall_connection": "none", "hostup_reinstall_expect_ip": ""}
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
GRACE = 3.0  # seconds from AWX's SIGINT to the end of the container


@dataclass
class Job:
    """One job, in a folder of its own. ``cache`` is a folder that AWX exposes to it."""

    lab: Lab
    number: int
    cache: Path | None = None
    running: subprocess.Popen[bytes] | None = None

    @property
    def folder(self) -> Path:
        return self.lab.folder.parent / f"job-{self.number}"

    @property
    def artifacts(self) -> Path:
        return self.folder / "artifacts" / "it"

    def prepare(self, playbook: str, hosts: dict[str, dict[str, Any]], cmdline: str = "", **extra: Any) -> None:
        """Lay out what ansible-runner is given."""
        home = self.folder / "home"
        env = self.lab.environment({"HOME": str(home), "XDG_CACHE_HOME": str(self.cache or ""), "PATH": PATH})
        inventory = {"all": {"hosts": {name: {**CALM, **more} for name, more in hosts.items()}}}
        files = {
            f"project/{playbook}.yml": json.dumps([{"import_playbook": f"hostup.cloud.{playbook}"}]),
            "inventory/hosts.json": json.dumps(inventory),
            "env/envvars": json.dumps(env),
            "env/extravars": json.dumps({**extra, "awx_job_id": self.number}),
            "env/cmdline": cmdline,
            "home/.keep": "",
        }
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def start(self, playbook: str) -> subprocess.Popen[bytes]:
        """Begin."""
        command = [sys.executable, "-m", "ansible_runner", "run", str(self.folder), "-p", f"{playbook}.yml", "-i", "it"]
        nowhere, env = subprocess.DEVNULL, {**os.environ, "PATH": PATH}
        self.running = subprocess.Popen(command, stdout=nowhere, stderr=nowhere, start_new_session=True, env=env)
        return self.running

    def run(self, playbook: str) -> int:
        """All of it; afterwards the container is gone, and what was in its home."""
        code = self.start(playbook).wait(300)
        shutil.rmtree(self.folder / "home")
        return code

    def cancel(self) -> None:
        """What AWX does to a job that is cancelled, or whose time is over."""
        if not self.running or self.running.poll() is not None:
            return
        doomed = processes_of(self.running.pid)
        os.kill(self.running.pid, signal.SIGINT)
        try:
            self.running.wait(GRACE)
        except subprocess.TimeoutExpired:
            doomed |= processes_of(self.running.pid)
        for pid in doomed:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.running.wait(30)
        shutil.rmtree(self.folder / "home")

    def output(self) -> str:
        """What AWX shows, so far."""
        path = self.artifacts / "stdout"
        return path.read_text() if path.exists() else ""

    def kept(self) -> list[str]:
        """The files with the key in them, of those that AWX keeps."""
        files = [path for path in self.artifacts.rglob("*") if path.is_file()]
        return [path.name for path in files if KEY in path.read_text(errors="replace")]


def steps(lab: Lab) -> list[str]:
    """The last part of the path of each write that was taken."""
    return [call.path.rpartition("/")[2] for call in lab.calls.writes() if call.status < 400]


Begin = Callable[..., Job]


@pytest.fixture
def begin(lab: Lab) -> Iterator[Begin]:
    """Makes jobs; none outlives its test."""
    with ExitStack() as jobs:

        def begin(number: int, cache: Path | None = None) -> Job:
            job = Job(lab, number, cache)
            jobs.callback(job.cancel)
            return job

        yield begin


@pytest.fixture
def hosts(lab: Lab) -> dict[str, dict[str, Any]]:
    lab.world.set_boot_order(lab.vps, ["ide2", "scsi0"])
    lab.world.add_iso(lab.owner, "ubuntu.iso")
    return {"web-01": {"hostup_vps_id": lab.vps.id}}


def test_the_key_is_kept_nowhere(lab: Lab, begin: Begin, hosts: dict[str, dict[str, Any]]) -> None:
    """But for the file with the command, which nobody must publish. Progress shows in the output."""
    lab.emulator.downloads.hold(0.5)
    job = begin(1)
    job.prepare(
        "mount", hosts, "--limit web-01 -vvv", hostup_reinstall_iso_url=lab.url, hostup_reinstall_iso_name="new.iso"
    )
    running = job.start("mount")
    lab.until(lambda: "new.iso" in job.output())
    assert running.poll() is None
    lab.emulator.downloads.release()
    assert running.wait(120) == 0, job.output()
    assert job.kept() == ["command"]


WISH = {"hostup_reinstall_confirm": "web-01\r\n", "hostup_reinstall_iso_name": "ubuntu.iso"}


@pytest.mark.parametrize(
    "case",  # does it remember, does the system listen to the power button, and what the second job does
    [
        (False, True, ["restart", "unmount", "start"]),
        pytest.param((False, False, ["restart", "unmount"]), marks=pytest.mark.exhaustive),
        (True, False, ["restart", "reset", "unmount", "start"]),
    ],
    ids=["listening", "deaf", "deaf with a memory"],
)
def test_cancelled_and_launched_again(
    lab: Lab,
    begin: Begin,
    hosts: dict[str, dict[str, Any]],
    case: tuple[bool, bool, list[str]],
) -> None:
    remembers, listens, ends = case
    cache = lab.folder.parent / "exposed" if remembers else None
    lab.world.switches.installer_reads = None
    job = begin(1, cache)
    job.prepare("reinstall", hosts, "--limit web-01", **WISH)
    job.start("reinstall")
    lab.until(lambda: "restart" in steps(lab) and lab.calls.matching("GET", "/status$"))
    job.cancel()
    left = steps(lab)
    assert left == ["mount", "restart"] and lab.vps.mounts(), "nothing of ours has run that could clean up"
    lab.world.switches.installer_reads, lab.world.switches.ignores_power_button = 1, not listens
    again = begin(2, cache)
    again.prepare("reinstall", hosts, "--limit web-01", hostup_reinstall_shutdown_timeout=lab.in_task(4), **WISH)
    is_well = again.run("reinstall") == 0
    assert steps(lab)[len(left) :] == ends
    assert is_well is (ends[-1] == "start"), again.output()
    assert is_well or "force=true would reset it" in again.output()


def test_transmitted_and_processed_elsewhere(lab: Lab, begin: Begin, hosts: dict[str, dict[str, Any]]) -> None:
    """As to a remote execution node: what the worker sends back is all that is kept."""
    job, sender = begin(2), begin(1)
    sender.prepare("mount", hosts, "--limit web-01", hostup_reinstall_iso_name="ubuntu.iso")
    job.folder.mkdir()
    (job.folder / "worker").mkdir()
    runner = f"{sys.executable} -m ansible_runner"
    chain = (
        f"{runner} transmit {sender.folder} -p mount.yml -i it | {runner} worker --private-data-dir {job.folder}/worker"
        f" | {runner} process {job.folder} -i it"
    )
    subprocess.run(chain, shell=True, check=True, capture_output=True, env={**os.environ, "PATH": PATH})  # noqa: S602 - our own paths
    assert (job.artifacts / "rc").read_text() == "0"
    assert steps(lab) == ["mount"]
    assert set(job.kept()) <= {"command"}


def test_slices(lab: Lab, begin: Begin) -> None:
    """Each has its share of the inventory and a home of its own; the ISO is ordered by both at most."""
    lab.world.switches.second_download = "again"
    fleet = {name: {"hostup_vps_id": more["vps_id"]} for name, more in lab.add_fleet(4).items()}
    jobs = [begin(1), begin(2)]
    lab.emulator.downloads.hold()
    names = sorted(fleet)
    running = []
    for job, own in zip(jobs, (names[::2], names[1::2]), strict=True):
        job.prepare("mount", {name: fleet[name] for name in own}, "--limit all", hostup_reinstall_iso_url=lab.url)
        running.append(job.start("mount"))
    lab.until(lambda: lab.orders() == 2)
    lab.emulator.downloads.release()
    assert [each.wait(120) for each in running] == [0, 0], [job.output() for job in jobs]
    assert steps(lab).count("mount") == 4
    after = begin(3)
    after.prepare("mount", fleet, "--limit all", hostup_reinstall_iso_url=lab.url)
    assert after.run("mount") == 0
    assert "changed=1" not in after.output() and "have the name ubuntu.iso" in after.output()
