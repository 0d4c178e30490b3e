# SPDX-License-Identifier: GPL-3.0-or-later
"""Show the collection at work against the emulator, and check everything that is shown."""

from __future__ import annotations

import http.server
import io
import json
import math
import os
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "emulator"))

from hostup_emulator.downloads import Downloads
from hostup_emulator.server import Call, Calls, Emulator
from hostup_emulator.world import World

CLONE = Path(__file__).resolve().parent.parent
ISO_NAME = "installer.iso"
ISO_BYTES = 3_000_000
DOWNLOAD_SECONDS = 6.0
PATIENCE = 120.0  # seconds for one command
MOST_LINES, MOST_COLUMNS = 200, 80
SAYS_NOTHING = ("All assertions passed", "The arg spec validation passed")
FOREIGN_SETTINGS = ("ANSIBLE_", "HOSTUP_", "PYTHON")

INTRODUCTION = """\
An emulator of the HostUp API runs on this machine, with {count} VPSs that do not
exist: {names}. A file that stands for an ISO is served, too.
Ansible knows nothing of that: it runs what is in demo/ as it is, and the
collection sends real requests. Three environment variables tell it where the
API is (HOSTUP_API_BASE), the key (HOSTUP_API_KEY), and the URL of the image
(DEMO_ISO_URL). Each task is shown with what it did and the requests it sent."""

NEXT = """\
What to type next, here at the top of the clone. First, once, let Ansible find
the collection:
  $ .venv/bin/ansible-galaxy collection install --force .
Against the emulator, which in a shell of its own shows each request:
  $ PYTHONPATH=emulator .venv/bin/python -m hostup_emulator
In a second shell, paste the "export" line that it prints, and then:
  $ .venv/bin/ansible localhost -m hostup.cloud.hostup_vps_info
  $ .venv/bin/ansible-playbook -i demo/hostup.yml demo/power.yml
Against the real API, in a new shell; these only read:
  $ export HOSTUP_API_KEY=...    # one with the scope read:vm is enough
  $ .venv/bin/ansible localhost -m hostup.cloud.hostup_vps_info
  $ .venv/bin/ansible-inventory -i demo/hostup.yml --graph
README.md tells the rest."""


@dataclass
class Task:
    """What one task did, on all hosts."""

    name: str
    results: list[dict[str, Any]] = field(default_factory=list)
    named: bool = False


@dataclass
class Run:
    """What one command did."""

    title: str
    tasks: list[Task]
    calls: Calls = field(default_factory=Calls)
    output: str = ""
    returncode: int = 0
    begin: float = field(default_factory=time.time)

    @property
    def writes(self) -> list[str]:
        """What was written, in that order."""
        return [kind(call) for call in self.calls.writes()]

    @property
    def polls(self) -> int:
        """The requests that asked how a job is going: their number depends on the machine."""
        return len(self.calls.matching("GET", "^/api/jobs/"))

    def count(self, *statuses: str) -> Counter[str]:
        """The results with one of these statuses, by host."""
        results = (result for task in self.tasks for result in task.results)
        return Counter(result["host"] for result in results if result["status"] in statuses)


class Demo:
    """Runs commands, shows what they do, and keeps a list of what is not as it should be."""

    def __init__(
        self, folder: Path, inventory: Mapping[str, Mapping[str, str]], iso_url: str, served: Sequence[str]
    ) -> None:
        self.iso_url = iso_url
        self.served = served
        self.folder = folder
        self.wrong: list[str] = []
        self.runs: list[Run] = []
        self.lines: list[str] = []
        self.world = World()
        self.owner = self.world.add_owner("demo")
        self.key = self.world.add_key(self.owner)
        self.names = list(inventory)
        for name, host in inventory.items():
            self.world.add_vps(self.owner, name, primary_ip=host["ansible_host"], vps_id=host["hostup_vps_id"])
        downloads = Downloads(folder / "library", rate=ISO_BYTES / DOWNLOAD_SECONDS)
        self.emulator = Emulator(self.world, downloads=downloads)

    def say(self, text: str) -> None:
        """Print, and keep it."""
        self.lines += text.split("\n")
        print(text, flush=True)

    def expect(self, what: str, found: object, wanted: object) -> None:
        """Note it down if something is not as it should be."""
        if found != wanted:
            self.wrong.append(f"Step {len(self.runs)}, {what}: {found}, and not {wanted}")

    def run(
        self,
        title: str,
        command: str,
        *,
        changed: Mapping[str, int] | None = None,
        writes: Sequence[str] = (),
        requests: int | None = None,
    ) -> Run:
        """Run a command, show it, and check what it changed on each host, what it wrote, and its requests but polls."""
        run = Run(title, [Task("Read the inventory")])
        self.runs.append(run)
        lines = textwrap.wrap(command, MOST_COLUMNS - 6, break_on_hyphens=False)
        self.say(f"\n{f'== {len(self.runs)}. {title} ':=<{MOST_COLUMNS}}\n$ " + " \\\n    ".join(lines))
        self._execute(run, command.split())
        run.calls = self._calls(run.begin)
        bad = run.count("failed", "unreachable")
        if run.returncode or bad or command.startswith("ansible-inventory"):
            self.say(run.output.rstrip())
        self.expect("its end, and the failures", (run.returncode, bad), (0, {}))
        self.expect("requests that were refused", [call for call in run.calls if call.status >= 300], [])
        self.expect("tasks that changed something", run.count("changed"), changed or {})
        self.expect("writes", run.writes, list(writes))
        self.expect("requests beside the polls", len(run.calls) - run.polls, requests or len(run.calls) - run.polls)
        return run

    def mounted_names(self) -> list[str | None]:
        """The files in the drives of all VPSs."""
        library = self.owner.library
        return [library[mount.iso_id or ""].name for vps in self.owner.vpses for mount in vps.mounts()]

    def _calls(self, since: float, until: float = math.inf) -> Calls:
        """The requests of a time; no task begins before those of the last one are answered."""
        return Calls(call for call in self.emulator.calls if since <= call.at < until)

    def _execute(self, run: Run, command: list[str]) -> None:
        """Run a command, and show each task as soon as the next one begins."""
        program, output, since = Path(sys.executable).parent / command[0], self.folder / "output", run.begin
        with (
            output.open("w") as file,
            subprocess.Popen(
                [sys.executable, str(program), *command[1:]],
                cwd=CLONE,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
            ) as process,
        ):
            assert process.stderr  # noqa: S101 - tells mypy
            watchdog = threading.Timer(PATIENCE, process.kill)
            watchdog.daemon = True  # Ctrl-C does not wait for it
            watchdog.start()
            for line in process.stderr:
                event = json.loads(line.removeprefix("event ")) if line.startswith("event ") else {}
                if "task" in event:
                    self._show(run.tasks[-1], self._calls(since, event["at"]))
                    run.tasks.append(Task(event["task"]))
                    since = event["at"]
                elif event:
                    run.tasks[-1].results.append(event)
                else:
                    self._tell(run.tasks[-1], "", line)
            watchdog.cancel()
        self._show(run.tasks[-1], self._calls(since))
        run.returncode, run.output = process.returncode, output.read_text(errors="replace")
        skipped = [task.name for task in run.tasks if {result["status"] for result in task.results} == {"skipped"}]
        if skipped:
            text = f"Skipped: {'; '.join(skipped)}"
            self.say(textwrap.fill(text, MOST_COLUMNS, initial_indent="  ", subsequent_indent=" " * 13))

    def _show(self, task: Task, calls: Calls) -> None:
        """Show what a task did on which hosts, and what it cost; nothing of one that only thinks."""
        done: dict[tuple[str, str], list[str]] = {}
        for result in sorted(task.results, key=lambda result: self.names.index(result["host"])):
            text = result["msg"] if isinstance(result["msg"], str) else "; ".join(result["msg"])
            done.setdefault((result["status"], "" if text in SAYS_NOTHING else text), []).append(result["host"])
        if not calls and all(status == "skipped" or (status == "ok" and not text) for status, text in done):
            return
        for (status, text), hosts in done.items():
            self._tell(task, status, ", ".join(hosts) + (f": {text}" if text else ""))
        for line in dict.fromkeys(line for result in task.results for line in differences(result["diff"])):
            self._tell(task, "", line)
        hosts_by_kind: dict[str, list[str]] = {}
        for call in calls.writes():
            hosts_by_kind.setdefault(kind(call), []).append(self.world.vpses[call.vps_id or ""].name)
        writes = [f"{what} ({', '.join(sorted(hosts, key=self.names.index))})" for what, hosts in hosts_by_kind.items()]
        if calls:
            self._tell(task, "requests", f"{len(calls)}; " + (", ".join(writes) or "no writes"))

    def _tell(self, task: Task, label: str, text: str) -> None:
        """Say something about a task, below its name."""
        wrap = partial(textwrap.fill, width=MOST_COLUMNS, subsequent_indent=" " * 13, break_on_hyphens=False)
        if not task.named:
            self.say(wrap(task.name, initial_indent="  "))
        task.named = True
        self.say(wrap(text, initial_indent=f"    {label:9}"))

    def _environment(self) -> dict[str, str]:
        """What Ansible gets to know: where the collection is, where the API is, and its key."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN_SETTINGS)}
        config = self.folder / "ansible.cfg"
        config.touch()  # an empty one, so that no other is looked for
        return environment | {
            "ANSIBLE_CALLBACKS_ENABLED": "tell",
            "ANSIBLE_CALLBACK_PLUGINS": str(CLONE / "demo" / "plugins" / "callback"),
            "ANSIBLE_COLLECTIONS_PATH": str(self.folder),
            "ANSIBLE_CONFIG": str(config),
            "ANSIBLE_HOME": str(self.folder / "home"),
            "ANSIBLE_NOCOLOR": "1",
            "DEMO_ISO_URL": self.iso_url,
            "HOSTUP_API_BASE": self.emulator.url,
            "HOSTUP_API_KEY": self.key,
            "LC_ALL": "C.UTF-8",  # Ansible refuses any other encoding
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "PYTHONUNBUFFERED": "1",  # shows progress lines while the download runs
        }


def kind(call: Call) -> str:
    """The method of a request, and the last part of its path that is no ID."""
    return f"{call.method} {[part for part in call.path.split('/') if '_' not in part][-1]}"


def differences(diff: Mapping[str, Any]) -> list[str]:
    """What is gone, and what is there instead, from Ansible's diff."""
    texts = (json.dumps(diff.get(side, {}), indent=0) for side in ("before", "after"))
    before, after = ([line.rstrip(",") for line in text.splitlines()] for text in texts)
    gone, new = ([line for line in one if line not in other] for one, other in ((before, after), (after, before)))
    return [f"{sign} {', '.join(lines)}" for sign, lines in (("-", gone), ("+", new)) if lines]


def media_steps(demo: Demo) -> None:
    """Download and mount an ISO, and be rid of it."""
    hosts = len(demo.names)
    once_and_each = dict.fromkeys(demo.names, 1) | {demo.names[0]: 2}  # the first does what is done once for all
    mount, fleet, remove = (
        f"ansible-playbook -i demo/inventory.yml demo/{do}.yml" for do in ("mount", "fleet", "remove")
    )
    reads = 1 + hosts + 2 * hosts  # one for each task and VPS, two with vps_name

    title = "Check mode: what would be changed?"
    demo.run(title, f"{mount} --check --diff", changed=once_and_each, requests=reads)

    title, writes = "Download an ISO once, and mount it everywhere", ["POST from-url"] + ["POST mount"] * hosts
    run = demo.run(title, mount, changed=once_and_each, writes=writes, requests=reads + 2 * len(writes))
    seconds = time.time() - run.begin
    demo.expect("downloads from the web server", demo.served.count(f"/{ISO_NAME}"), 1)
    demo.expect(f"{run.polls} polls are at least one, and 2 s apart", 1 <= run.polls <= seconds / 2, True)
    demo.expect("what the drives hold", demo.mounted_names(), [ISO_NAME] * hosts)
    paths = demo.emulator.downloads.path(demo.owner.name, ISO_NAME), demo.folder / "served" / ISO_NAME
    same = paths[0].exists() and paths[0].read_bytes() == paths[1].read_bytes()
    demo.expect("the library's file is the one that was served", same, True)
    demo.say(f"  The library's file {'is' if same else 'IS NOT'} bit for bit the one that was served.")

    run = demo.run("The same again: nothing is left to do", mount, requests=reads)
    demo.expect("VPSs looked up, one for each task with vps_name", len(run.calls.matching("GET", "/vps$")), hosts)

    demo.run("One task for all of them: nothing is left to do either", fleet, requests=hosts)

    title, writes = "Unmount and delete it", ["POST unmount"] * hosts + ["DELETE iso"]
    demo.run(title, remove, changed=once_and_each, writes=writes, requests=3 * len(writes))
    demo.expect("files in the library", len(demo.owner.library), 0)
    demo.expect("what the drives hold", demo.mounted_names(), [])

    demo.run("The same again: nothing is left to do", remove, requests=hosts + 1)


def system_steps(demo: Demo) -> None:
    """Restart a VPS, and reinstall one."""
    playbook = "ansible-playbook -i demo/hostup.yml demo"

    # One for the inventory, three to restart and one that confirms it, and one for what is as wished.
    title = "Restart a VPS, whose system is asked first"
    demo.run(title, f"{playbook}/power.yml", changed={"db-01": 1}, writes=["POST restart"], requests=6)

    vps = demo.owner.vpses[demo.names.index("web-01")]
    demo.world.set_boot_order(vps, ["ide2", "scsi0"])  # by hand in HostUp's panel: no public route can
    demo.world.switches.installer_reads = 2
    title, command = "Reinstall a VPS", f"{playbook}/reinstall.yml -e hostup_reinstall_confirm=web-01"
    writes = [f"POST {step}" for step in ("from-url", "mount", "restart", "unmount", "start")]
    run = demo.run(title, command, changed={"web-01": 1}, writes=writes)
    demo.expect("VPSs that were written to", {call.vps_id for call in run.calls.writes()}, {vps.id})
    said = [result["msg"] for result in run.tasks[-1].results]
    demo.expect("what the role reports", said, ["The outcome is: reinstalled."])
    demo.expect("what the drives hold", demo.mounted_names(), [])
    demo.expect("its power state", vps.power_state, "running")


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
        (folder / "served").mkdir()
        (folder / "served" / ISO_NAME).write_bytes(os.urandom(ISO_BYTES))
        with web_server(folder / "served") as (url, asked):
            demo = Demo(folder, inventory, f"{url}/{ISO_NAME}", asked)
            demo.say(INTRODUCTION.format(count=len(inventory), names=", ".join(inventory)))
            with demo.emulator:
                run = demo.run("Which VPSs are there?", "ansible-inventory -i demo/hostup.yml --graph", requests=1)
                demo.expect(
                    "VPSs it does not show", [name for name in inventory if f"--{name}\n" not in run.output], []
                )
                media_steps(demo)
                system_steps(demo)
    demo.expect("exceptions in the emulator", demo.emulator.crashes, [])
    demo.say(f"\n{'== What you saw ':=<56} changed requests writes")
    for number, run in enumerate(demo.runs, start=1):
        costs = f"{run.count('changed').total():7}{len(run.calls):9}{len(run.writes):7}"
        demo.say(f"{f'{number}. {run.title}':57}{costs}")
    demo.say(f"In all: {len(demo.runs)} commands in {time.monotonic() - begin:.0f} s, and no VPS had to answer.\n")
    shown = [*demo.lines, *NEXT.splitlines(), "", ""]
    demo.expect("lines that were shown", len(shown), min(len(shown), MOST_LINES))
    demo.expect("lines that are too long", [line for line in shown if len(line) > MOST_COLUMNS], [])
    if demo.wrong:
        print("NOT AS IT SHOULD BE:\n- " + "\n- ".join(demo.wrong))
        return 1
    demo.say(f"Every step was what it should be.\n\n{NEXT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
