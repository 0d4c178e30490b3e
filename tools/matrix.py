# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the units, some playbooks and sanity on each supported ansible-core, and Galaxy's importer as certification does.

Each row has an environment of its own below tests/output/matrix. All rows together write docs/matrix.md.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from check import CLONE, keep

HOMES = CLONE / "tests" / "output" / "matrix"
# What is not needed to run tests, or would ask for an ansible-core of its own.
TOOLS = re.compile(r"ansible-(?!runner)|antsibull|furo|galaxy-importer|mypy|reuse|ruff|sphinx|types-")


@dataclass(frozen=True)
class Row:
    """One ansible-core with a Python that it wants, what is installed beside it, and the parts of tools/check.py."""

    name: str
    python: str
    packages: tuple[str, ...]
    parts: tuple[str, ...] = ("sanity", "smoke")


def core(version: str, python: str) -> Row:
    """An ansible-core in its latest release."""
    return Row(version, python, (f"ansible-core~={version}.0",))


ROWS = (
    core("2.16", "3.10"),
    core("2.17", "3.12"),
    core("2.18", "3.13"),
    core("2.19", "3.11"),
    core("2.20", "3.12"),
    core("2.21", "3.13"),
    # What certification also runs: the oldest core, and the ansible-lint of its time.
    Row("certification", "3.11", ("ansible-core~=2.16.0", "ansible-lint~=24.12.0", "galaxy-importer"), ("certified",)),
)


def requirements() -> Iterator[str]:
    """What the tests import, from the list of what the project asks for."""
    for line in (CLONE / "tests" / "requirements.in").read_text().splitlines():
        if line and not line.startswith("#") and not TOOLS.match(line):
            yield line


def set_up(row: Row, interpreter: str) -> str:
    """Make the row's environment, unless it is there; returns its Python."""
    home = HOMES / row.name
    packages = [*row.packages, *(requirements() if "smoke" in row.parts else ())]
    stamp, python = home / "stamp", str(home / "bin" / "python")
    wanted = "\n".join([interpreter, *packages])
    if not stamp.exists() or stamp.read_text() != wanted:
        subprocess.run([interpreter, "-m", "venv", "--clear", home], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *packages], check=True)
        stamp.write_text(wanted)
    return python


def version_of(python: str, package: str) -> str:
    """Which one was installed."""
    code = f"from importlib.metadata import version; print(version({package!r}))"
    return subprocess.run([python, "-c", code], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def run(row: Row) -> tuple[str, str]:
    """Run one row; returns what ran, and how it ended."""
    interpreter = f"python{row.python}"
    # A name may be there and lead nowhere, as those of pyenv do.
    if (
        not shutil.which(interpreter)
        or subprocess.run([interpreter, "-V"], capture_output=True, check=False).returncode
    ):
        return row.python, f"FAILED: {interpreter} is not on the PATH"
    start = time.monotonic()
    try:
        python = set_up(row, interpreter)
        ran = ", ".join(f"{name} {version_of(python, name)}" for name in (each.split("~")[0] for each in row.packages))
        subprocess.run([python, CLONE / "tools" / "check.py", *row.parts], check=True)
    except subprocess.CalledProcessError as error:
        return row.python, f"FAILED: `{' '.join(map(str, error.cmd[1:4]))}` ended with {error.returncode}"
    return f"{row.python}, {ran}", f"passed, {time.monotonic() - start:.0f} s"


def main() -> int:
    """Run all rows, or those named."""
    parser = argparse.ArgumentParser(description=__doc__)
    known = [row.name for row in ROWS]
    parser.add_argument("rows", nargs="*", metavar="row", help=f"some of {known}")
    named = parser.parse_args().rows
    if unknown := set(named) - set(known):
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    lines = ["| row | Python and packages | parts | result |", "|---|---|---|---|"]
    for row in ROWS:
        if not named or row.name in named:
            ran, result = run(row)
            lines.append(f"| {row.name} | {ran} | {', '.join(row.parts)} | {result} |")
            print(f"\n=== {row.name}: {result}\n", flush=True)
    text = "\n".join(lines)
    print(text)
    if not named:
        keep("matrix", text)
    return 1 if "FAILED" in text else 0


if __name__ == "__main__":
    sys.exit(main())
