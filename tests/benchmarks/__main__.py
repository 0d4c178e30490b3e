# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure everything, print the table and, in a full run, write it to docs/benchmarks.md, with the site's plots."""

from __future__ import annotations

import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from . import peers, plots
from .plays import Stage
from .table import Row, Section, as_markdown, as_text

SHOWN = ("ansible-core", "hetzner.hcloud", "vultr.cloud", "ngine_io.cloudstack")


def machine(python: Path) -> str:
    """The machine's shape, and what ran on it."""
    found = peers.versions(python)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    version = ".".join(map(str, sys.version_info[:3]))
    return f"{cores} cores, {memory:.0f} GiB, Python {version}, " + ", ".join(f"{name} {found[name]}" for name in SHOWN)


def measure(stage: Stage) -> list[Section]:
    """All parts, in the order of the table."""
    # imported here: they import the collection, which lies in the stage
    sys.path.insert(0, str(stage.tree))
    from . import measures, virtual  # noqa: PLC0415

    parts: dict[str, Callable[[], Section]] = {
        "Cost of a converged task": lambda: measures.cost(stage),
        "Requests per state": lambda: virtual.requests_per_state(measures.peers_requests(stage)),
        "Polls": lambda: virtual.polls(stage),
        "Fleets": lambda: measures.fleets(stage),
        "Reinstalling": lambda: measures.reinstalling(stage),
        "Under a limit": lambda: measures.limits(stage),
        "A large fleet, simulated": lambda: virtual.simulated(stage),
    }
    sections = []
    for title, part in parts.items():
        stage.say(title)
        try:
            sections.append(part())
        except Exception:  # noqa: BLE001 - one part that fails shall not take the others' figures with it
            traceback.print_exc()
            failed = Row("everything", "not measured: it failed", met=False, gates=True)
            sections.append(Section(title, "It failed.", [failed]))
    return sections


def main() -> int:
    """Return the exit code: 1 when something that is counted is not as it must be. Times decide nothing."""
    quick = os.environ.get("BENCH") == "quick"
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as scratch:
        # what runs in this process keeps its notes there, too
        os.environ |= {"HOME": scratch, "XDG_CACHE_HOME": str(Path(scratch, "cache"))}
        stage = Stage(Path(scratch), peers.install(), quick=quick)
        sections = measure(stage)
        shape = machine(stage.python)
    minutes = (time.monotonic() - began) / 60
    print(f"\n{as_text(sections)}\n\n{shape}; {minutes:.0f} minutes")
    if quick:
        print("A quick run is too small for the numbers to reach, and is written nowhere.")
    else:
        plots.PAGE.write_text(
            f"# Benchmarks\n\n{time.strftime('%Y-%m-%d')}, by `make bench`, in {minutes:.0f} minutes on: {shape}.\n\n"
            "Everything was measured in that one run, against servers on the same machine. Ratios travel to "
            "other machines, seconds do not. A count or a simulation that misses its number fails the run; a time does "
            "not.\n\n"
            f"{as_markdown(sections)}"
        )
        plots.write()
    failing = [row.what for section in sections for row in section.rows if row.fails]
    for what in failing:
        print(f"FAILED: {what}", file=sys.stderr)
    return bool(failing)


sys.exit(main())
