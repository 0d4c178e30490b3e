# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documents print, and a stage on which it runs as it stands."""

from __future__ import annotations

import ast
import gzip
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
import yaml

from hostup_emulator.machines import MemoryMachines
from hostup_emulator.model import Vps
from support import forked
from support.lab import ISO_BYTES, Lab, QuietFiles
from support.sshd import Sshds, new_key

CLONE = Path(__file__).resolve().parents[2]
PAGES = [
    "*.md", "docs/**/*.md", "docs/docsite/rst/*.rst", "docs/examples/*.yml", "emulator/*.md", "plugins/inventory/*.py",
    "plugins/modules/*.py", "roles/*/README.md", "tests/**/*.md",
]  # fmt: skip

# In each: the indentation, the language, options, and the body.
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>.*)\n(?P<options>)(?P<body>(?:.*\n)*?)(?P=indent)```$", re.MULTILINE
)
DIRECTIVE = re.compile(
    r"^(?P<indent> *)\.\. code(?:-block)?::(?P<language>.*)\n(?P<options>(?:(?P=indent) +:.*\n)*)"
    r"(?P<body>(?: *\n|(?P=indent) +\S.*\n)*)",
    re.MULTILINE,
)
# As the last paragraph before a block.
NOT_RUN = re.compile(r"(?:<!--|\.\.) not run: (?P<reason>(?:(?!-->).)+?)(?: *-->)?$", re.DOTALL)
# A file's name: above the block, in code or bold; as the option of the directive; or as a comment in the first line.
CAPTION = re.compile(r"[`*](?P<name>[\w./-]+\.ya?ml)[`*]+:?$")
OPTION = re.compile(r":caption: (?P<name>[\w./-]+\.ya?ml)$", re.MULTILINE)
COMMENT = re.compile(r"# (?P<name>[\w./-]+\.ya?ml)(?:$|:)", re.MULTILINE)

PATIENCE = 240.0  # real seconds for a command, which the busiest machine does not need
NAMES = re.compile(r"\b(?:web|db|test)-\d\d\b")
EXAMPLE_ID = "vps_01hxa3b4c5d6e7f8g9h0j1k2m3"
LIBRARY = ("rescue.iso", "debian-12-unattended.iso", "fedora-server.iso", "old.iso", "older.iso")
FOR_THE_MACHINE = re.compile(r"\b(ansible\.builtin\.reboot|community\.general\.shutdown):")
COMPLAINTS = re.compile(r"\[(?:DEPRECATION )?WARNING\]|no hosts matched|no hosts to target", re.IGNORECASE)
RUNS_TASKS = re.compile(r"ansible(?:-playbook)? (?!.*--(?:help|version|list|syntax))")
SLOW = re.compile(r"\bhostup\.cloud\.(acceptance|hostup_reinstall|reinstall|rescue)\b|^ *async:", re.MULTILINE)
PLAIN = re.compile(r"ansible-(playbook|inventory) [^|;&<>()$*?~#{}`]*")
PLAY_KEYWORDS = {"module_defaults", "environment", "collections", "vars", "vars_files"}
INVENTORY_KEYWORDS = {"hosts", "children", "vars"}


@dataclass(frozen=True)
class Block:
    """A block that a document prints."""

    place: str
    language: str
    text: str
    name: str = ""
    not_run: str = ""


class NotAsPrinted(AssertionError):
    """A block does not do what it should."""


class Loader(yaml.SafeLoader):
    """Takes Ansible's tags for nothing."""


Loader.add_multi_constructor("!", lambda loader, _tag, node: loader.construct_scalar(node))


def parsed(text: str) -> Any:
    """A YAML text as data."""
    return yaml.load(text, Loader)  # noqa: S506 - it is a SafeLoader


def documents() -> list[Path]:
    """All that may print something to run."""
    found = {path for pattern in PAGES for path in CLONE.glob(pattern)}
    return sorted(path for path in found if "output" not in path.parts)


def pages() -> list[Path]:
    """The documents that do."""
    return [path for path in documents() if blocks_of(path)]


def blocks_of(path: Path) -> list[Block]:
    """The YAML and the console blocks of a document, in its order."""
    return [block for block in all_blocks_of(path) if block.language in ("yaml", "console")]


def all_blocks_of(path: Path) -> list[Block]:
    """The blocks of a document in any language."""
    place = str(path.relative_to(CLONE))
    if path.suffix == ".yml":
        return list(example(path, place))
    return list((examples if path.suffix == ".py" else printed)(path.read_text(), place))


def example(path: Path, place: str) -> Iterator[Block]:
    """A file with the commands in its head, and its neighbours that these name."""
    head = [line.removeprefix("# ") for line in path.read_text().partition("---\n")[0].splitlines()]
    commands = "".join(f"$ {line}\n" for line in head if line.startswith("ansible"))
    for file in sorted(path.parent.glob("*.yml")):
        if file == path or file.name in commands:
            yield Block(f"{place}:1", "yaml", file.read_text(), file.name)
    if commands:
        yield Block(f"{place}:1", "console", commands)


def printed(text: str, place: str) -> Iterator[Block]:
    """All blocks of a page, in Markdown or RST."""
    for found in (DIRECTIVE if place.endswith(".rst") else FENCE).finditer(text):
        before = text[: found.start()].rstrip()
        paragraph = before.rpartition("\n\n")[2]
        body = textwrap.dedent(found["body"]).strip("\n") + "\n"
        name = OPTION.search(found["options"]) or CAPTION.search(paragraph) or COMMENT.match(body)
        reason = NOT_RUN.search(paragraph)
        yield Block(
            place=f"{place}:{text.count(chr(10), 0, found.start()) + 1}",
            language=found["language"].strip(),
            text=body,
            name=name_in(name),
            not_run=reason["reason"] if reason else "",
        )


def name_in(found: re.Match[str] | None) -> str:
    """The name of a file, where one was found."""
    return found["name"] if found else ""


def examples(source: str, place: str) -> Iterator[Block]:
    """The documents of a plugin's EXAMPLES."""
    for statement in ast.parse(source).body:
        match statement:
            case ast.Assign(targets=[ast.Name("EXAMPLES")], value=ast.Constant(str() as text, lineno=line)):
                for document in re.split(r"^---\n", text, flags=re.MULTILINE):
                    name = COMMENT.match(document)
                    reason = re.match(r"\n?# not run: (.*)", document)
                    if document.strip():
                        yield Block(f"{place}:{line}", "yaml", document, name_in(name), reason[1] if reason else "")
                    line += document.count("\n") + 1


def kind_of(data: Any) -> str:
    """What a YAML block is."""
    match data:
        case [*items] if items and all(isinstance(item, dict) for item in items):
            plays = [item.keys() & {"hosts", "import_playbook"} != set() for item in items]
            if all(plays):
                return "playbook"
            if any(plays):
                raise NotAsPrinted("plays and tasks cannot be in one list")
            return "tasks"
        case {"plugin": _}:
            return "inventory"
        case dict() if data and data.keys() <= {"collections", "roles"}:
            return "requirements"
        case dict() if data and data.keys() <= PLAY_KEYWORDS:
            return "keywords"
        case dict() if data and all(
            isinstance(group, dict) and group and group.keys() <= INVENTORY_KEYWORDS for group in data.values()
        ):
            return "inventory"
        case dict() if data:
            return "variables"
    raise NotAsPrinted("neither plays, tasks, an inventory, requirements nor variables")


def slow_ones(blocks: list[Block]) -> list[Block]:
    """The blocks that are ten times as slow as others, for they reinstall and prove it, or keep to the wall clock."""
    plays = [block for block in blocks if block.language == "yaml" and SLOW.search(block.text)]
    names = [block.name for block in plays if block.name]
    return plays + [
        block
        for block in blocks
        if block.language == "console"
        and "--check" not in block.text
        and (SLOW.search(block.text) or any(name in block.text for name in names))
    ]


class Systems(MemoryMachines):
    """Machines whose systems answer SSH: that of the disk, anew after each installer, or a rescue system."""

    def __init__(self, lab: Lab, sshds: Sshds) -> None:
        super().__init__(lab.world.clock)
        self._sshds = sshds
        self.on_disk: dict[str, asyncssh.SSHKey] = {}

    def reset(self, vps: Vps) -> None:
        """Another system may be booted."""
        super().reset(vps)
        key = None
        if not vps.boots_from_cd():
            key = self.on_disk.setdefault(vps.id, new_key())
        elif any("rescue" in (vps.owner.library[mount.iso_id or ""].name or "") for mount in vps.mounts()):
            vps.powers_off_after, key = None, new_key()
        else:
            self.on_disk.pop(vps.id, None)
        self._sshds[vps.primary_ip or ""].answer(key)

    def stop(self, vps: Vps) -> None:
        """Nobody answers."""
        super().stop(vps)
        self._sshds[vps.primary_ip or ""].answer(None)


class AnyIso(QuietFiles):
    """Serves an ISO by every name, compressed if the name says so."""

    def send_head(self) -> io.BytesIO:
        """Called for GET and HEAD."""
        content = gzip.compress(ISO_BYTES) if ".gz" in self.path else ISO_BYTES
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        return io.BytesIO(content)


class Shell:
    """A bash that keeps its variables and its folder from one command to the next."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            start_new_session=True,  # so that all of it can be killed
        )

    def run(self, command: str) -> tuple[int, list[str]]:
        """Run a command to its end; returns its exit code, and the lines that it has printed."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(f"{{ {command}\n}} </dev/null\nprintf '\\nended %s\\n' $?\n")
        self._process.stdin.flush()
        lines: list[str] = []
        for line in self._process.stdout:
            if ended := re.fullmatch(r"ended (\d+)\n", line):
                return int(ended[1]), "".join(lines).removesuffix("\n").splitlines()
            lines.append(line)
        raise NotAsPrinted(f"the shell has ended: {command}\n{''.join(lines)}")

    def close(self) -> None:
        """End it, and what runs in its background."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()


class Stage:
    """A world with the VPSs that a page names, and a folder with the files that it prints."""

    def __init__(self, lab: Lab, sshds: Sshds, ssh_port: int, source: str, text: str) -> None:
        self.lab = lab
        self.folder = lab.folder
        self._source = source
        self._waiting: list[Block] = []
        self._addresses = self._furnish(sshds, ssh_port, sorted({"web-01", *NAMES.findall(text)}))
        self._lay_out(ssh_port)
        self._record = self.folder / "record.jsonl"
        self._record.touch()
        path = os.pathsep.join([str(self.folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
        # `ansible` takes callbacks only where it is told to; and wherever there is no inventory, Ansible warns of that
        settings = {"INVENTORY_UNPARSED_WARNING": "0", "LOCALHOST_WARNING": "0", "LOAD_CALLBACK_PLUGINS": "1"}
        settings = {f"ANSIBLE_{name}": value for name, value in settings.items()}
        self._env = lab.environment({"RECORD_FILE": str(self._record), "PATH": path, **settings})
        self._shell = Shell(self.folder, self._env)

    def _furnish(self, sshds: Sshds, ssh_port: int, names: list[str]) -> dict[str, str]:
        """Have the VPSs, their systems, which are known, and a library; returns the addresses of the VPSs."""
        lab, world = self.lab, self.lab.world
        lab.emulator.control = True
        lab.owner.vpses.clear()
        world.vpses.clear()
        world.machines = systems = Systems(lab, sshds)
        world.switches.installer_reads = 2
        for name in LIBRARY:
            world.add_iso(lab.owner, name)
        kinds = {"web": 10, "db": 20, "test": 30}
        addresses = {name: f"127.0.2.{kinds[name[:-3]] + int(name[-2:])}" for name in names}
        for name, address in addresses.items():
            vps_id = EXAMPLE_ID if name == "web-01" else None
            systems.start(world.add_vps(lab.owner, name, address, vps_id=vps_id, boot_order=["ide2", "scsi0"]))
        lines = [
            f"{place} {systems.on_disk[vps.id].export_public_key().decode()}"
            for vps in lab.owner.vpses
            for place in (vps.primary_ip, f"[{vps.primary_ip}]:{ssh_port}")
        ]
        self._write(".ssh/known_hosts", "".join(lines))
        return addresses

    def _lay_out(self, ssh_port: int) -> None:
        """Write what the page takes for granted: an inventory, variables, a file with the key, and SSH's programs."""
        ids = {vps.name: vps.id for vps in self.lab.owner.vpses}
        hosts = {name: {"ansible_host": at, "hostup_vps_id": ids[name]} for name, at in self._addresses.items()}
        known = f"-o UserKnownHostsFile={self.folder}/.ssh/known_hosts -o GlobalKnownHostsFile=/dev/null"
        variables = {
            "ansible_port": ssh_port,
            # the path of a shared connection would be too long here
            "ansible_ssh_common_args": f"{known} -o ControlPath=none",
            "ansible_python_interpreter": sys.executable,
            "installer_url": f"{self._source}/installer.iso",
            "vault_hostup_api_key": self.lab.key,
        }
        fleet = {"hosts": dict.fromkeys(hosts)}
        inventory = {
            "hostup": {"hosts": hosts},
            **dict.fromkeys(("fleet", "reinstall_me"), fleet),
            **{kind: {"hosts": {name: {} for name in hosts if name.startswith(kind)}} for kind in ("web", "db")},
        }
        keyscan = f'#!/bin/sh\nexec {shutil.which("ssh-keyscan")} $(echo "$*" | sed "s/-p 22 /-p {ssh_port} /")\n'
        files = {
            "stage.json": json.dumps(inventory),
            "group_vars/all.yml": json.dumps(variables),
            ".config/hostup/key": self.lab.key,
            "bin/ssh-keyscan": keyscan,
        }
        for name, content in files.items():
            self._write(name, content).chmod(0o700)
        for name in ("demo", "emulator", "tests"):
            (self.folder / name).symlink_to(CLONE / name)

    def _write(self, name: str, content: str) -> Path:
        path = self.folder / name
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise NotAsPrinted(f"{name} would be written outside of the page's folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path

    def adapted(self, text: str) -> str:
        """A text with the addresses and the key of this laboratory, and paths in the page's folder."""
        emulator = self.lab.emulator.url
        for pattern, instead in (
            (r"(?<![\w.])/tmp/", f"{self.folder}/"),
            (r"(\.\./)?\.venv/bin/", ""),
            (r"https://cloud\.hostup\.se", emulator),
            (r"https://([\w-]+\.)*example\.com/", f"{self._source}/"),
            (rf"({'|'.join(self._addresses)})\.example\.com", lambda found: self._addresses[found[1]]),
            (r"\b192\.0\.2\.", "127.0.2."),
            (r"\b(HOSTUP_API_KEY)=[^\s\"']+", rf"\1={self.lab.key}"),
            (r"\b(HOSTUP_API_BASE)=[^\s\"']+", rf"\1={emulator}"),
        ):
            text = re.sub(pattern, instead, text)
        return text

    def run(self, blocks: list[Block], *, slow: bool) -> None:
        """Run what a page prints, in its order, with or without what is slow. Raises NotAsPrinted."""
        blocks = [block for block in blocks if not block.not_run]
        left_out = set() if slow else set(slow_ones(blocks))
        used = "".join(block.text for block in blocks if block.language == "console")
        for block in blocks:
            try:
                if block.language == "yaml":
                    is_run_by_a_command = bool(block.name) and block.name in used
                    self._take_yaml(block, runs=not (is_run_by_a_command or block in left_out))
                elif block not in left_out:
                    self._play_waiting()
                    self._run_console(block)
            except (NotAsPrinted, yaml.YAMLError) as error:
                raise NotAsPrinted(f"{block.place}: {error}") from None
        self._play_waiting()

    def close(self) -> None:
        """End what runs in the background, and leave requests that are not ours out of the record."""
        self._shell.close()
        self.lab.calls[:] = [call for call in self.lab.calls if not call.user_agent.startswith("curl/")]

    # YAML

    def _take_yaml(self, block: Block, *, runs: bool) -> None:
        """Write a block to a file, and run it, or have it wait for its neighbours."""
        if FOR_THE_MACHINE.search(block.text):
            raise NotAsPrinted("that would restart the machine on which the tests run")
        text = self.adapted(block.text)
        kind = kind_of(parsed(text))
        name = block.name or {
            "inventory": f"{self._line(block)}.hostup.yml", "requirements": "requirements.yml"
        }.get(kind, f"{self._line(block)}.yml")  # fmt: skip
        self._write(name, text)
        if not runs:
            return
        if kind == "inventory":
            code, said = self._fork("ansible-inventory", "-i", name, "--list")
            if code or COMPLAINTS.search(said) or not json.loads(said)["_meta"]["hostvars"]:
                raise NotAsPrinted(f"as an inventory, it ended with {code}\n{said}")
        elif kind == "requirements":
            code, output = self._shell.run(f"ansible-galaxy collection install --offline -r {name}")
            # it may read well, and name what is not installed here
            if code and not any("Failed to resolve the requested dependencies" in line for line in output):
                raise NotAsPrinted("\n".join(output))
        else:
            if kind != "playbook":
                self._write(name, self._as_play(kind, text))
            self._waiting.append(Block(block.place, "yaml", text, name))

    @staticmethod
    def _line(block: Block) -> str:
        return block.place.rpartition(":")[2]

    @staticmethod
    def _as_play(kind: str, text: str) -> str:
        """The play in which a piece of one runs."""
        head = "- name: Run what is printed\n  hosts: web-01\n  connection: local\n  gather_facts: false\n"
        if kind == "tasks":
            return f"{head}  tasks:\n{textwrap.indent(text, '    ')}"
        task = "  tasks:\n    - name: Ask the API\n      hostup.cloud.hostup_vps_info:\n"
        if kind == "keywords":
            return f"{head}{textwrap.indent(text, '  ')}{task}"
        values = [f"{{{{ lookup('vars', '{name}') }}}}" for name in parsed(text)]
        show = f"    - name: Show them\n      ansible.builtin.debug:\n        msg: {json.dumps(values)}\n"
        return f"{head}  vars:\n{textwrap.indent(text, '    ')}{show}"

    def _play_waiting(self) -> None:
        """Run the plays so far in one playbook, in which each is announced."""
        if not self._waiting:
            return
        playbook: list[dict[str, Any]] = []
        for block in self._waiting:
            say = {"name": "Say which", "ansible.builtin.debug": {"msg": block.place}}
            playbook.append({"name": block.place, "hosts": "localhost", "gather_facts": False, "tasks": [say]})
            playbook.append({"name": block.place, "import_playbook": block.name})
        self._write("the printed ones.yml", yaml.safe_dump(playbook, sort_keys=False))
        self._waiting, blocks = [], self._waiting
        before = len(self._record.read_text().splitlines())
        code, said = self._fork("ansible-playbook", "-i", "stage.json", "the printed ones.yml")
        done = [json.loads(line) for line in self._record.read_text().splitlines()[before:]]
        statuses: dict[str, list[str]] = {block.place: [] for block in blocks}
        place = blocks[0].place
        for result in done:
            if result["task"] == "Say which":
                place = result["result"]["msg"]
            else:
                statuses[place].append(result["status"])
        if code or COMPLAINTS.search(said):
            suspect = next((name for name, found in statuses.items() if set(found) - {"ok"}), place)
            raise NotAsPrinted(f"{suspect}: ended with {code}\n{said}")
        if idle := [name for name, found in statuses.items() if not found]:
            raise NotAsPrinted(f"{', '.join(idle)}: no task was run")

    def _fork(self, *command: str, folder: Path | None = None, env: dict[str, str] | None = None) -> tuple[int, str]:
        """Run a command of Ansible; returns its exit code, and what it has printed."""
        output = self.folder.parent / "output"
        output.write_text("")
        process = forked.start(command, folder=folder or self.folder, env=env or self._env, output=output)
        try:
            code = process.wait(PATIENCE)
        except TimeoutError:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(PATIENCE)
            raise NotAsPrinted(f"{' '.join(command)} does not end\n{output.read_text()}") from None
        return code, output.read_text()

    # Commands

    def _run_console(self, block: Block) -> None:
        """Run a block's commands, and compare what they print with what the block shows."""
        first, *steps = re.split(r"^\$ ", self.adapted(block.text), flags=re.MULTILINE)
        if first or not steps:
            raise NotAsPrinted("a console block begins with a command: $ …")
        for step in steps:
            found = re.fullmatch(r"((?:.*\\\n)*.*\n)((?:.*\n)*)", step)
            assert found
            command, shown = found.groups()
            before = self._record.stat().st_size
            code, lines = self._command(command.rstrip("\n"))
            said = "\n".join(line.rstrip() for line in lines)
            if code or COMPLAINTS.search(said):
                raise NotAsPrinted(f"$ {command}ended with {code}\n{said}")
            if RUNS_TASKS.search(command) and self._record.stat().st_size == before:
                raise NotAsPrinted(f"$ {command}has run no task\n{said}")
            if shown.strip() and not re.fullmatch(as_pattern(shown), said + "\n"):
                raise NotAsPrinted(f"$ {command}has printed something else than is shown:\n{said}")

    def _command(self, command: str) -> tuple[int, list[str]]:
        """Run a command in the shell, or a plain one of Ansible in a fork with the same variables: it costs less."""
        if not PLAIN.fullmatch(command):
            return self._shell.run(command)
        _code, (folder, *variables) = self._shell.run("pwd; env -0")
        env = dict(line.split("=", 1) for line in "\n".join(variables).split("\0") if line.strip())
        code, said = self._fork(*shlex.split(command.replace("\\\n", "")), folder=Path(folder), env=env)
        return code, said.splitlines()


def as_pattern(shown: str) -> str:
    """An expression for an output, in which … stands for whatever, or on a line of its own for any lines."""
    lines = [line.rstrip() for line in shown.strip("\n").split("\n")]
    return "".join(
        r"(?:.*\n)*?" if line.strip() in ("…", "...") else ".*".join(map(re.escape, line.split("…"))) + r"\n"
        for line in lines
    )
