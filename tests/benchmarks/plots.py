# SPDX-License-Identifier: GPL-3.0-or-later
"""The site's plots, of the very figures that docs/benchmarks.md shows, so that the two can never differ.

`make bench` makes them when it has written the page; `python -m benchmarks.plots`, in tests/, makes them anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape

from .plays import CLONE

PAGE = CLONE / "docs" / "benchmarks.md"
FOLDER = CLONE / "docs" / "docsite" / "rst" / "images"

WIDTH = 350  # what a telephone shows without making the text smaller
MARGIN = 10
LONGEST = WIDTH - 2 * MARGIN - 50
NUMBER = r"\d+(?:\.\d+)?"
OURS, THEIRS = "#1a5fb4", "#9a9996"


@dataclass(frozen=True)
class Plot:
    """Bars: ours by the rows that they are taken from, as patterns, and the peers that stand beside one of these."""

    title: str
    unit: str
    ours: Mapping[str, str]
    beside: str
    given: Mapping[str, float] = field(default_factory=dict)


PLOTS = {
    "cost": Plot(
        "A task that finds nothing to do",
        "CPU time, that of a ping being 1; less is better",
        {
            "hostup_vps_iso, in the controller": "converged task over HTTPS.*",
            "hostup_vps_iso, as a module": "the module shell of `hostup_vps_iso`.*",
        },
        "converged task over HTTPS.*",
        {"ansible.builtin.ping": 1.0},
    ),
    "polls": Plot(
        "A download of 130 seconds",
        "polls until its end is seen; fewer are better",
        {
            "hostup_vps_iso, progress told": "download of 130 s, with progress: polls.*",
            "hostup_vps_iso, no progress told": "download of 130 s, no progress: polls.*",
        },
        "download of 130 s, with progress: polls.*",
    ),
    "fleet": Plot(
        "100 VPSs that are as wished",
        "wall time, that of an empty play being 1; less is better",
        {
            "hostup_vps_iso, one task (vps_ids)": "100 converged, list form: wall.*",
            "hostup_vps_iso, a task for each": "100 converged, per host: wall.*",
        },
        "100 converged, per host: wall.*",
    ),
    "limit": Plot(
        "60 hosts at once, under a rate limit",
        "hosts that failed for the limit; fewer are better",
        {"hostup_vps_iso": "60 hosts, window: lost"},
        "60 hosts, window: lost",
    ),
    "thousand": Plot(
        "1,000 hosts under a rate limit, simulated",
        "hosts that failed for the limit; fewer are better",
        {"hostup_vps_iso": "fixed windows: lost"},
        "fixed windows: lost",
    ),
}


def rows_of(page: str) -> dict[str, tuple[str, str]]:
    """The table's rows: what was measured, with its figure and that of the peers."""
    lines = (line.strip("|").split("|") for line in page.splitlines() if line.startswith("| "))
    return {what.strip(): (figure.strip(), peers.strip()) for what, figure, *_reach, peers in lines}


def peers_in(told: str) -> Iterator[tuple[str, float]]:
    """Each peer and its first figure, of `a.b 1.4 (1.3 to 1.5); c.d 2` or of `a: 1 of 2 lost; c: 0 of 2 lost`."""
    for part in told.split("; "):
        who, _between, figures = part.partition(": " if ": " in part else " ")
        if number := re.match(NUMBER, figures):
            yield who, float(number[0])


def draw(plot: Plot, rows: Mapping[str, tuple[str, str]]) -> str:
    """One plot as SVG."""

    def row(pattern: str) -> tuple[str, str]:
        return next(cells for what, cells in rows.items() if re.fullmatch(pattern, what))

    ours = {name: float(re.findall(NUMBER, row(pattern)[0])[0]) for name, pattern in plot.ours.items()}
    bars = {**ours, **plot.given, **dict(peers_in(row(plot.beside)[1]))}
    scale = LONGEST / max(bars.values())
    height = 62 + 36 * len(bars)
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        "<!-- made by tests/benchmarks/plots.py -->",
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{WIDTH}" height="{height}"',
        f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12" fill="#222">',
        f"<title>{escape(plot.title)}: {escape(plot.unit)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="{MARGIN}" y="22" font-size="14" font-weight="bold">{escape(plot.title)}</text>',
        f'<text x="{MARGIN}" y="40">{escape(plot.unit)}</text>',
    ]
    for number, (name, value) in enumerate(bars.items()):
        y, length = 66 + 36 * number, max(1.0, scale * value)
        colour = OURS if name in ours else THEIRS
        lines += [
            f'<text x="{MARGIN}" y="{y}">{escape(name)}</text>',
            f'<rect x="{MARGIN}" y="{y + 5}" width="{length:.1f}" height="12" fill="{colour}"/>',
            f'<text x="{MARGIN + length + 6:.1f}" y="{y + 15}">{value:g}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])


def drawn(page: str) -> dict[str, str]:
    """All plots of a page, by the names of their files."""
    rows = rows_of(page)
    return {f"{name}.svg": draw(plot, rows) for name, plot in PLOTS.items()}


def write() -> None:
    """Make the plots of the page as it is now."""
    for name, text in drawn(PAGE.read_text()).items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    write()
