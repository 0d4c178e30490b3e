# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the project's checks, all or those named, with the tools that stand beside this interpreter."""

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
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

CLONE = Path(__file__).resolve().parent.parent
TOOLS = Path(sys.executable).parent
HOME = Path(sys.prefix, "home")
SHIPPED = re.compile(r"(changelogs(?!/fragments)|docs|extensions|meta|playbooks|plugins|roles)/.")
REQUIRED = {"CHANGELOG.md", "COPYING", "README.md", "changelogs/changelog.yaml", "meta/runtime.yml", "tests/config.yml"}
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
        """Run a command in the copy, show what it says while it says it, and return that."""
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
                print(line, end="", flush=True)
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

    def unit(self) -> None:
        """The core and the emulator, piece by piece."""
        self.tool("pytest", "emulator/tests", "tests/unit", cwd=CLONE)

    def integration(self) -> None:
        """Playbooks and processes against the emulator."""
        self.tool("pytest", "tests/integration", cwd=CLONE)

    def machines(self) -> None:
        """The emulator on real virtual machines, and servers that are reinstalled for real."""
        self.tool("pytest", "tests/machines", cwd=CLONE)

    def build(self) -> None:
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
            GALAXY_IMPORTER_RUN_FLAKE8="true",
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


def main() -> int:
    """Run the parts and sum up."""
    parts = ["lint", "docs", "changelog", "sanity", "unit", "integration", "machines", "build"]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"one of {', '.join(parts)}")
    chosen = parser.parse_args().parts or parts
    if unknown := set(chosen) - set(parts):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    summary = []
    with tempfile.TemporaryDirectory(prefix="hostup-check-") as folder:
        checks = Checks(Path(folder).resolve())
        for part in chosen:
            print(f"\n=== {part}", flush=True)
            start = time.monotonic()
            try:
                getattr(checks, part)()
                reason = ""
            except (Failed, OSError, subprocess.SubprocessError) as failure:
                reason = str(failure)
                print(f"{part} failed: {reason}", flush=True)
            seconds = time.monotonic() - start
            summary.append((part, reason, seconds))
    print("\n=== summary")
    for part, reason, seconds in summary:
        print(f"{part:<12} {'FAILED' if reason else 'passed':<6} {seconds:6.1f} s  {reason}".rstrip())
    failed = sum(1 for part, reason, seconds in summary if reason)
    print(f"{len(summary) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
