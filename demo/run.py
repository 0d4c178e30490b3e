# SPDX-License-Identifier: GPL-3.0-or-later
"""Show the collection at work against the emulator, and check everything that is shown."""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pycdlib
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "emulator"))

from hostup_emulator.downloads import Downloads
from hostup_emulator.server import Call, Calls, Emulator
from hostup_emulator.world import World

CLONE = Path(__file__).resolve().parent.parent
ISO_NAME = "installer.iso"
ISO_BYTES = 3_000_000
DOWNLOAD_SECONDS = 6.0
PATIENCE = 120.0  # seconds for one ansible-playbook
FOREIGN_SETTINGS = ("ANSIBLE_", "HOSTUP_", "PYTHON")
COUNTER = re.compile(r"(\w+)=(\d+)")
COLOUR = re.compile(r"\x1b\[[\d;]*m")

INTRODUCTION = """\
An emulator of the HostUp API runs on this machine, with {count} VPSs that do not
exist: {names}. A small ISO image is served from here, too.
Ansible knows nothing of that: it runs the playbooks in demo/ as they are, and
the collection sends real requests. Three environment variables tell it where
the API is (HOSTUP_API_BASE), the key (HOSTUP_API_KEY), and the URL of the image
(DEMO_ISO_URL).

Lines that begin with "api>" are the requests that reached the emulator, below
the task that sent them; paths are shown without their /api/v2, IDs as "…".
All other lines are Ansible's own."""


@dataclass
class Run:
    """What one ansible-playbook did."""

    calls: Calls
    returncode: int
    seconds: float
    recap: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def changed(self) -> dict[str, int]:
        """The tasks that changed something, by host."""
        return {host: counters["changed"] for host, counters in self.recap.items()}

    @property
    def all_changed(self) -> int:
        """The tasks that changed something, on any host."""
        return sum(self.changed.values())

    @property
    def went_well(self) -> bool:
        """Whether no task failed, and no host was unreachable."""
        bad = sum(counters["failed"] + counters["unreachable"] for counters in self.recap.values())
        return self.returncode == 0 and bool(self.recap) and bad == 0

    def sent(self, method: str, path: str) -> list[Call]:
        """The successful requests of one kind."""
        return [call for call in self.calls.matching(method, path) if call.status < 300]


class Demo:
    """Runs playbooks, shows what they do, and keeps a list of what is not as it should be."""

    def __init__(
        self, folder: Path, inventory: Mapping[str, Mapping[str, str]], iso_url: str, served: Sequence[str]
    ) -> None:
        self.hosts = list(inventory)
        self.iso_url = iso_url
        self.served = served
        self.folder = folder
        self.wrong: list[str] = []
        self.step = 0
        self._printing = threading.Lock()
        world = World()
        self.owner = world.add_owner("demo")
        self.key = world.add_key(self.owner)
        for name, host in inventory.items():
            world.add_vps(self.owner, name, primary_ip=host["ansible_host"], vps_id=host["hostup_vps_id"])
        downloads = Downloads(folder / "library", rate=ISO_BYTES / DOWNLOAD_SECONDS)
        self.emulator = Emulator(world, log=self._show_request, downloads=downloads)

    def say(self, text: str) -> None:
        """Print, one thread at a time."""
        with self._printing:
            print(text, flush=True)

    def expect(self, what: str, found: object, wanted: object) -> None:
        """Note it down if something is not as it should be."""
        if found != wanted:
            self.wrong.append(f"Step {self.step}, {what}: {found}, and not {wanted}")

    def play(self, title: str, playbook: str, *options: str, changed: Sequence[int]) -> Run:
        """Run a playbook, and check that it went well and how much it changed on each host."""
        self.step += 1
        command = ["ansible-playbook", "-i", "demo/inventory.yml", f"demo/{playbook}", *options]
        self.say(f"\n{'=' * 79}\n{self.step}. {title}\n   $ {' '.join(command)}\n{'=' * 79}")
        first_call, begin = len(self.emulator.calls), time.monotonic()
        returncode, lines = self._ansible(playbook, *options)
        run = Run(Calls(self.emulator.calls[first_call:]), returncode, time.monotonic() - begin)
        for line in lines:
            host, colon, counters = COLOUR.sub("", line).partition(" : ")
            if colon and "unreachable=" in counters:
                run.recap[host.strip()] = {name: int(count) for name, count in COUNTER.findall(counters)}
        self.expect("all tasks went well", run.went_well, True)
        self.expect("tasks that changed something", run.changed, dict(zip(self.hosts, changed, strict=True)))
        return run

    def mounted_names(self) -> list[str | None]:
        """The files in the drives of all VPSs."""
        library = self.owner.library
        return [library[mount.iso_id or ""].name for vps in self.owner.vpses for mount in vps.mounts()]

    def _ansible(self, playbook: str, *options: str) -> tuple[int, list[str]]:
        """Run ansible-playbook, show what it says while it says it, and return that."""
        program = Path(sys.executable).parent / "ansible-playbook"
        command = [sys.executable, str(program), "-i", "demo/inventory.yml", f"demo/{playbook}", *options]
        lines: list[str] = []
        with subprocess.Popen(
            command,
            cwd=CLONE,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        ) as process:
            assert process.stdout  # noqa: S101 - tells mypy
            watchdog = threading.Timer(PATIENCE, process.kill)
            watchdog.start()
            try:
                for line in process.stdout:
                    lines.append(line)
                    # Ansible's recap is wider than 80 columns only because of its blanks.
                    self.say(re.sub(" {2,}", " ", line).rstrip() if "unreachable=" in line else line.rstrip())
            finally:
                watchdog.cancel()
        return process.returncode, lines

    def _environment(self) -> dict[str, str]:
        """What Ansible gets to know: where the collection is, where the API is, and its key."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN_SETTINGS)}
        config = self.folder / "ansible.cfg"
        config.touch()  # an empty one, so that no other is looked for
        colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        return environment | {
            "ANSIBLE_COLLECTIONS_PATH": str(self.folder),
            "ANSIBLE_CONFIG": str(config),
            "ANSIBLE_FORCE_COLOR" if colours else "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_HOME": str(self.folder / "home"),
            "DEMO_ISO_URL": self.iso_url,
            "HOSTUP_API_BASE": self.emulator.url,
            "HOSTUP_API_KEY": self.key,
            "LC_ALL": "C.UTF-8",  # Ansible refuses any other encoding
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "PYTHONUNBUFFERED": "1",  # shows progress lines while the download runs
        }

    def _show_request(self, line: str) -> None:
        """Show one line of the emulator's log, short enough for a terminal."""
        _time, method, path, status, *_milliseconds, note = re.split(r" +", line, maxsplit=6)
        path = re.sub(r"/(vps|iso|job)_\w+", "/…", path.removeprefix("/api/v2"))
        self.say(f"api> {method:6} {path:27} {status}  {note}")


def steps(demo: Demo) -> Iterator[str]:
    """Go through the states, check each, and yield the lines of the summary."""
    hosts = len(demo.hosts)
    once_and_each = [2] + [1] * (hosts - 1)  # the first host does what is done once for all

    run = demo.play("What would happen?", "mount.yml", "--check", "--diff", changed=once_and_each)
    demo.expect("writes in check mode", len(run.calls.writes()), 0)
    yield f"1. Check mode: {run.all_changed} changes foretold; {len(run.calls)} requests,"
    yield f"   {len(run.calls.writes())} of them writes."

    run = demo.play("Download an ISO and mount it", "mount.yml", changed=once_and_each)
    downloads, mounts = run.sent("POST", "/from-url$"), run.sent("POST", "/mount$")
    polls = run.sent("GET", "^/api/jobs/")
    demo.expect("downloads", len(downloads), 1)
    demo.expect("downloads from the web server", demo.served.count(f"/{ISO_NAME}"), 1)
    demo.expect("mounts", len(mounts), hosts)
    demo.expect("writes", len(run.calls.writes()), 1 + hosts)
    demo.expect("requests beside the polls", len(run.calls) - len(polls), 3 + 3 * hosts + 2 * hosts)
    demo.expect(f"{len(polls)} polls are at least one, and 2 s apart", 1 <= len(polls) <= run.seconds / 2, True)
    demo.expect("what the drives hold", demo.mounted_names(), [ISO_NAME] * hosts)
    in_library, original = fingerprints(demo)
    demo.expect("checksum of the file in the library", in_library, original)
    yield f"2. For real: {run.all_changed} changes, {len(downloads)} download and {len(mounts)} mounts;"
    yield f"   {len(run.calls)} requests, {len(polls)} of them polls of the download, in {run.seconds:.1f} s."
    yield f"   The library's file {'is' if in_library == original else 'IS NOT'} bit for bit the one that was served."

    run = demo.play("The same again: nothing is left to do", "mount.yml", changed=[0] * hosts)
    listings = run.sent("GET", "/vps$")
    demo.expect("VPSs looked up, one for each task with vps_name", len(listings), hosts)
    demo.expect("requests, one for each task and VPS, two with vps_name", len(run.calls), 1 + hosts + 2 * hosts)
    demo.expect("writes", len(run.calls.writes()), 0)
    yield f"3. Again: {run.all_changed} changes; {len(run.calls)} requests for {1 + 2 * hosts} tasks: one each,"
    yield f"   and {len(listings)} more to find a VPS by its name."

    run = demo.play("One task for all of them: nothing is left to do either", "fleet.yml", changed=[0] * hosts)
    demo.expect("requests, one for each VPS", len(run.calls), hosts)
    demo.expect("writes", len(run.calls.writes()), 0)
    yield f"4. As one task with vps_ids: {run.all_changed} changes; {len(run.calls)} requests for {hosts} VPSs."

    run = demo.play("Unmount and delete it", "remove.yml", changed=once_and_each)
    unmounts, deletions = run.sent("POST", "/unmount$"), run.sent("DELETE", "/iso/")
    demo.expect("unmounts", len(unmounts), hosts)
    demo.expect("deletions", len(deletions), 1)
    demo.expect("requests", len(run.calls), 3 * hosts + 3)
    demo.expect("files in the library", len(demo.owner.library), 0)
    demo.expect("what the drives hold", demo.mounted_names(), [])
    yield f"5. Removed: {run.all_changed} changes, {len(unmounts)} unmounts and {len(deletions)} deletion;"
    yield f"   {len(run.calls)} requests, for each write stands between two reads."
    yield f"   The library holds {len(demo.owner.library)} files."

    run = demo.play("The same again: nothing is left to do", "remove.yml", changed=[0] * hosts)
    demo.expect("requests, one for each task and VPS", len(run.calls), hosts + 1)
    demo.expect("writes", len(run.calls.writes()), 0)
    yield f"6. Again: {run.all_changed} changes; {len(run.calls)} requests for {hosts + 1} tasks."

    demo.expect("exceptions in the emulator", demo.emulator.crashes, [])


def fingerprints(demo: Demo) -> tuple[str, str]:
    """The checksums of what is in the library and of what was served."""
    paths = (demo.emulator.downloads.path(demo.owner.name, ISO_NAME), demo.folder / "served" / ISO_NAME)
    found, wanted = (hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "none" for path in paths)
    return found, wanted


def write_iso(path: Path) -> None:
    """Make an ISO 9660 image with a few files."""
    files = {
        "README.TXT": b"This image installs nothing.\r\n",
        "INSTALL.SH": b"#!/bin/sh\necho Hello\n",
        "PAYLOAD.BIN": bytes(ISO_BYTES),
    }
    image = pycdlib.PyCdlib()
    image.new(vol_ident="DEMO")
    for name, content in files.items():
        image.add_fp(io.BytesIO(content), len(content), f"/{name};1")
    path.parent.mkdir()
    image.write(str(path))
    image.close()


@contextmanager
def web_server(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve a folder on a free loopback port; the value is its URL, and the paths that were asked for."""
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            asked.append(self.path)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()


def main() -> int:
    """Build the stage, go through the steps, and sum up."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # whatever the terminal's encoding is
    begin = time.monotonic()
    inventory = yaml.safe_load((CLONE / "demo" / "inventory.yml").read_text())["fleet"]["hosts"]
    with tempfile.TemporaryDirectory(prefix="hostup-demo-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        namespace = folder / "ansible_collections" / "hostup"
        namespace.mkdir(parents=True)
        (namespace / "cloud").symlink_to(CLONE)
        write_iso(folder / "served" / ISO_NAME)
        with web_server(folder / "served") as (url, asked):
            demo = Demo(folder, inventory, f"{url}/{ISO_NAME}", asked)
            demo.say(INTRODUCTION.format(count=len(inventory), names=", ".join(inventory)))
            with demo.emulator:
                summary = list(steps(demo))
    seconds = time.monotonic() - begin
    print(f"\n{'=' * 79}\nWhat you saw\n{'=' * 79}")
    print("\n".join(summary))
    print(f"In all: {demo.step} runs of ansible-playbook in {seconds:.0f} s, and no VPS had to answer.")
    if demo.wrong:
        print("\nNOT AS IT SHOULD BE:\n- " + "\n- ".join(demo.wrong))
        return 1
    print("\nEvery step was what it should be. README.md tells how to use the collection.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
