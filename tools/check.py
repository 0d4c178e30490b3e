# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the project's checks, a tier or the parts named, with the tools that stand beside this interpreter.

What needs no test runner goes on beside the tests, where there is more than one core, and is shown when it has ended.
"""

from __future__ import annotations

import argparse
import ast
import configparser
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

CLONE = Path(__file__).resolve().parent.parent
TOOLS = Path(sys.executable).parent
HOME = Path(sys.prefix, "home")
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
ORDINARY = ("lint", "docs", "changelog", "sanity", "build")
STATIC = (*ORDINARY, "certified", "site")
TESTS = ("unit", "integration", "machines", "tests", "smoke", "exhaustive")
TIERS = {
    "quick": ["lint", "smoke"],
    "test": [*ORDINARY, "tests"],
    "test-all": [*ORDINARY, "site", "exhaustive"],
}
SHIPPED = re.compile(r"(changelogs(?!/fragments)|docs|extensions|meta|playbooks|plugins|roles)/.")
# .ansible-lint is for Galaxy, which lints as we do.
REQUIRED = {".ansible-lint", "CHANGELOG.md", "COPYING", "README.md", "changelogs/changelog.yaml"}
REQUIRED |= {"meta/runtime.yml", "tests/config.yml"}
FOREIGN_SETTINGS = ("ANSIBLE_", "GALAXY_IMPORTER_", "GIT_", "HOSTUP_", "MYPY", "PYTEST_", "PYTHON", "RUFF_")

# ansible-test fetches this script from the Internet unless it finds it in its cache.
GET_PIP = """\
import runpy
import subprocess
import sys

subprocess.run([sys.executable, "-m", "ensurepip"], check=True, stdout=subprocess.DEVNULL)
sys.argv = ["pip", "install", *(word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel"))]
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""


beside = threading.local()  # what the parts say that run beside the tests


class Failed(Exception):
    """A part did not pass; the text says why."""


class Checks:
    """The parts. Each works on a copy of what git sees, or on the clone itself, and raises `Failed`."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN_SETTINGS)}
        self.env |= {
            "ANSIBLE_COLLECTIONS_PATH": str(scratch),
            "LC_ALL": "C.UTF-8",  # Ansible refuses any other encoding
            "MYPY_CACHE_DIR": str(CLONE / ".mypy_cache"),
            "PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}",
            "RUFF_CACHE_DIR": str(CLONE / ".ruff_cache"),
        }
        # ansible-test refuses a link and, below an ignored folder of any repository, finds nothing to test:
        # hence a true copy, that is a repository of its own.
        self.copy = scratch / "ansible_collections" / "hostup" / "cloud"
        listed = self.output("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=CLONE)
        self.files = sorted(name for name in set(listed.split("\0")) if name and (CLONE / name).is_file())
        for name in self.files:
            (self.copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CLONE / name, self.copy / name)
        self.output("git", "init", "--quiet", cwd=self.copy)
        self.output("git", "add", "--all", "--force", cwd=self.copy)

    def output(self, *command: str, cwd: Path) -> str:
        """Return what a silent command says."""
        return subprocess.run(command, cwd=cwd, env=self.env, check=True, stdout=subprocess.PIPE, text=True).stdout

    def run(self, *command: str, cwd: Path | None = None, **env: str) -> str:
        """Run a command in the copy, show what it says, and return that."""
        said = []
        with subprocess.Popen(
            command,
            cwd=cwd or self.copy,
            env=self.env | env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        ) as process:
            assert process.stdout
            for line in process.stdout:
                show(line)
                said.append(line)
        if process.returncode:
            name = command[2] if command[:2] == (sys.executable, "-m") else command[0]
            raise Failed(f"{name} ended with {process.returncode}")
        return "".join(said)

    def tool(self, module: str, *arguments: str, cwd: Path | None = None, **env: str) -> str:
        """Run a Python module as a command."""
        return self.run(sys.executable, "-m", module, *arguments, cwd=cwd, **env)

    def lint(self) -> None:
        """Style, types and licences; every linter runs, whatever the others found."""
        root = self.copy.relative_to(self.scratch)
        typed = [str(root / name) for name in ("demo", "emulator", "plugins", "tests", "tools")]
        every(
            lambda: self.tool("ruff", "check", "."),
            lambda: self.tool("ruff", "format", "--check", "."),
            lambda: self.tool("mypy", "--config-file", str(root / "pyproject.toml"), *typed, cwd=self.scratch),
            lambda: self.tool("reuse", "lint", "--lines"),
            self.ansible_lint,
        )

    def ansible_lint(self) -> None:
        """Insist on the profile: ansible-lint also ends with 0 when only a lower one is met."""
        said = self.run("ansible-lint", "--profile", "production", "--strict", "--offline", "--nocolor")
        if not re.search(r" in [1-9]\d* files .* Profile 'production' was required, and it passed", said):
            raise Failed("ansible-lint did not confirm the production profile")

    def docs(self) -> None:
        """Documentation of the plugins and the roles, and the guides."""
        strict = ("--plugin-docs", "--check-extra-docs-refs", "--disallow-unknown-collection-refs")
        references = ("--validate-collection-refs", "all")
        self.run("antsibull-docs", "lint-collection-docs", *strict, *references, ".")

    def site(self) -> None:
        """The documentation site, into tests/output/site, and each page of it in a browser where there is one."""
        rst, site, ours = self.scratch / "rst", CLONE / "tests" / "output" / "site", self.copy / "tools" / "docsite"
        rst.mkdir(mode=0o755)  # antsibull-docs writes to no folder in which others may write
        shutil.rmtree(site, ignore_errors=True)
        write = ("collection", "--use-current", "--squash-hierarchy", "--no-add-antsibull-docs-version")
        self.run("antsibull-docs", *write, "--fail-on-error", "--dest-dir", str(rst), "hostup.cloud")
        shutil.copytree(self.copy / "docs" / "docsite" / "rst" / "images", rst / "docsite" / "images")
        build = ("-q", "-W", "--keep-going", "-c", str(ours), "-d", str(self.scratch / "doctrees"))
        self.tool("sphinx", *build, str(rst), str(site))
        self.run(sys.executable, str(ours / "browser.py"), str(site))

    def changelog(self) -> None:
        """The fragments, the data, and the text that is made from the data."""
        self.run("antsibull-changelog", "lint")
        self.run("antsibull-changelog", "lint-changelog-yaml", "--strict", "changelogs/changelog.yaml")
        self.run("antsibull-changelog", "generate")
        if self.output("git", "diff", "--name-only", cwd=self.copy):
            raise Failed("CHANGELOG.md is not what antsibull-changelog generates")

    def sanity(self) -> None:
        """What Ansible asks of every collection."""
        prepare_home()
        # Every file is named, for then one that ansible-test does not see is an error. Unnamed,
        # it ends with 0 even when it sees no file at all.
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        self.run("ansible-test", "sanity", "--color", "no", "--python", python, *self.files, HOME=str(HOME))

    def pytest(self, *arguments: str, marks: str = "not exhaustive") -> None:
        """Run tests: with a worker more than there are cores, for they wait at times, and the slowest named."""
        workers = ("-n", str(CORES + 1), "--dist", "worksteal")
        self.tool("pytest", "-q", *workers, "--durations=10", "-m", marks, *arguments, cwd=CLONE)

    def unit(self) -> None:
        """The core and the emulator, piece by piece."""
        self.pytest("emulator/tests", "tests/unit")

    def integration(self) -> None:
        """Playbooks and processes against the emulator."""
        self.pytest("tests/integration")

    def machines(self) -> None:
        """The emulator on real virtual machines, and servers that are reinstalled for real."""
        self.pytest("tests/machines")

    def tests(self) -> None:
        """These three at once."""
        self.pytest("tests/machines", "tests/integration", "emulator/tests", "tests/unit")

    def smoke(self) -> None:
        """The units, and a dozen playbooks."""
        self.pytest(
            "emulator/tests", "tests/unit", "tests/integration", marks="(smoke or not integration) and not exhaustive"
        )

    def exhaustive(self) -> None:
        """All tests, those too that say the same again in other shells, at length or many times over."""
        self.pytest(marks="")

    def certified(self) -> None:
        """The same as `build`, with all that Automation Hub asks: `lint` makes the importer's linters superfluous."""
        self.build(linters="true")

    def build(self, linters: str = "false") -> None:
        """The tarball holds what users need and nothing else, and Galaxy takes it without a word."""
        self.run("ansible-galaxy", "collection", "build", "--output-path", str(self.scratch))
        [tarball] = self.scratch.glob("*.tar.gz")
        with tarfile.open(tarball) as archive:
            packed = {member.name for member in archive if member.isfile()} - {"FILES.json", "MANIFEST.json"}
        wanted = REQUIRED.union(filter(SHIPPED.match, self.files))
        if packed != wanted:
            raise Failed(f"missing in the tarball: {sorted(wanted - packed)}; too much: {sorted(packed - wanted)}")
        said = self.tool(
            "galaxy_importer.main",
            str(tarball),
            cwd=self.scratch,
            HOME=str(HOME),
            GALAXY_IMPORTER_RUN_ANSIBLE_LINT=linters,
            GALAXY_IMPORTER_RUN_FLAKE8=linters,
        )
        if re.search(r"^(WARNING|ERROR|CRITICAL)\b", said, re.MULTILINE):
            raise Failed("galaxy-importer complains")


def every(*steps: Callable[[], object]) -> None:
    """Take all steps, then fail with the reasons of those that failed."""
    reasons = []
    for step in steps:
        try:
            step()
        except Failed as failure:
            reasons.append(str(failure))
    if reasons:
        raise Failed("; ".join(reasons))


def prepare_home() -> None:
    """Lay out a home folder in which ansible-test needs nothing but the package index.

    It stays between runs, for ansible-test keeps its virtual environments there.
    """
    package = importlib.util.find_spec("ansible_test")
    assert package
    assert package.submodule_search_locations
    source = Path(package.submodule_search_locations[0], "_internal", "python_requirements.py").read_text()
    cache = HOME / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    for version in re.findall(r"pip='([\d.]+)'", source):
        (cache / f"get_pip_{version.replace('.', '_')}.py").write_text(GET_PIP)

    # ansible-test drops the environment as well, so pip's settings from wherever they are go into one file.
    pip = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(pip, check=True, stdout=subprocess.PIPE, text=True).stdout
    settings = configparser.RawConfigParser()
    settings["global"] = {"quiet": "1"}
    if proxy := urllib.request.getproxies().get("https"):
        settings["global"]["proxy"] = proxy
    for line in sorted(listed.splitlines(), key=lambda line: line.startswith(":env:")):
        key, value = line.split("=", 1)
        section, option = key.replace(":env:", "global").split(".", 1)
        settings.read_dict({section: {option: ast.literal_eval(value)}})
    target = HOME / ".config" / "pip" / "pip.conf"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.touch(mode=0o600)
    with target.open("w") as file:
        settings.write(file)


def show(text: str) -> None:
    """Print, or keep for later what a thread's part says beside another one."""
    kept: list[str] | None = getattr(beside, "kept", None)
    if kept is None:
        print(text, end="", flush=True)
    else:
        kept.append(text)


@dataclass(frozen=True)
class End:
    """How a part has ended."""

    part: str
    reason: str
    seconds: float


def run_parts(checks: Checks, parts: Sequence[str]) -> Iterator[End]:
    """Run parts one after the other, whatever the others found."""
    for part in parts:
        show(f"\n=== {part}\n")
        start = time.monotonic()
        try:
            getattr(checks, part)()
            reason = ""
        except (Failed, OSError, subprocess.SubprocessError) as failure:
            reason = str(failure)
            show(f"{part} failed: {reason}\n")
        yield End(part, reason, time.monotonic() - start)


def run_beside(checks: Checks, parts: Sequence[str], ends: list[End]) -> None:
    """The same in a thread: shows each part when it has ended."""
    beside.kept = []
    for end in run_parts(checks, parts):
        print("".join(beside.kept), end="", flush=True)
        beside.kept.clear()
        ends.append(end)


def summary(ends: Sequence[End], seconds: float) -> str:
    """Seconds by part, and what failed."""
    lines = [
        f"{end.part:<12} {'FAILED' if end.reason else 'passed':<6} {end.seconds:6.1f} s  {end.reason}".rstrip()
        for end in ends
    ]
    failed = sum(1 for end in ends if end.reason)
    lines.append(f"{'all':<12} {'':<6} {seconds:6.1f} s, {CORES} cores")
    lines.append(f"{len(ends) - failed} passed, {failed} failed")
    return "\n".join(lines)


def keep(command: str, text: str) -> None:
    """Write the page in docs/ that tells of the last run of a command."""
    git = ("git", "-C", str(CLONE), "log", "-1", "--format=%h, %s")
    commit = subprocess.run(git, check=True, stdout=subprocess.PIPE, text=True).stdout
    when = f"{datetime.now(timezone.utc):%Y-%m-%d}, commit {commit}"
    page = CLONE / "docs" / f"{command}.md"
    page.write_text(f"# The last `make {command}`\n\nWritten by the run itself.\n\n{when}\n{text}\n")


def main() -> int:
    """Run a tier or some parts, and sum up."""
    known = [*STATIC, *TESTS]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"a tier ({', '.join(TIERS)}) or some of {known}")
    given = parser.parse_args().parts or ["test"]
    parts = [part for name in given for part in TIERS.get(name, [name])]
    if unknown := set(parts) - set(known):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    static = [part for part in parts if part in STATIC]
    tests = [part for part in parts if part in TESTS]
    start, ends = time.monotonic(), list[End]()
    with tempfile.TemporaryDirectory(prefix="hostup-check-") as folder:
        checks = Checks(Path(folder).resolve())
        if CORES > 1 and static and tests:
            thread = threading.Thread(target=run_beside, args=(checks, static, ends))
            thread.start()
            tested = list(run_parts(checks, tests))
            thread.join()
            ends += tested
        else:
            ends += run_parts(checks, parts)
    text = summary(ends, time.monotonic() - start)
    if "exhaustive" in parts:
        keep("test-all", f"```text\nPython {sys.version.split()[0]}\n{text}\n```")
    print(f"\n=== summary\n{text}")
    return 1 if any(end.reason for end in ends) else 0


if __name__ == "__main__":
    sys.exit(main())
