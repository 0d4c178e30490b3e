# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures, rows, and the one table that they end in."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

HEADS = ("What", "Measured", "To reach", "", "Peers")


@dataclass(frozen=True)
class Figures:
    """One quantity, measured several times."""

    values: Sequence[float]

    @cached_property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    def text(self, form: str = ".2f") -> str:
        """The median, with the quartiles where there are enough values for them."""
        if len(self.values) < 3:
            return format(self.median, form)
        low, _middle, high = statistics.quantiles(self.values, n=4, method="inclusive")
        return f"{self.median:{form}} ({low:{form}} to {high:{form}})"


@dataclass(frozen=True)
class Row:
    """A line of the table. `met` is None where there is no number to reach; one that `gates` must be met."""

    what: str
    figure: str
    wanted: str = ""
    met: bool | None = None
    peers: str = ""
    gates: bool = False

    @property
    def verdict(self) -> str:
        """A word."""
        return {None: "", True: "met", False: "missed"}[self.met]

    @property
    def fails(self) -> bool:
        """Whether the whole run fails for this row."""
        return self.gates and self.met is False


@dataclass(frozen=True)
class Section:
    """Rows that belong together, and how they were measured."""

    title: str
    how: str
    rows: list[Row]


def at_most(
    what: str, figures: Figures, most: float, *, form: str = ".2f", peers: str = "", gates: bool = False
) -> Row:
    """A row whose median must not be above a number."""
    return Row(what, figures.text(form), f"≤ {most:g}", figures.median <= most, peers, gates)


def exactly(what: str, found: float, wanted: float, *, peers: str = "") -> Row:
    """A row of a count, which must be this, or the run fails."""
    return Row(what, f"{found:g}", f"{wanted:g}", found == wanted, peers, gates=True)


def _cells(row: Row) -> tuple[str, ...]:
    return row.what, row.figure, row.wanted, row.verdict, row.peers


def as_markdown(sections: Sequence[Section]) -> str:
    """The table, and below it how each part was measured."""
    lines = [HEADS, ("---",) * len(HEADS)]
    for number, section in enumerate(sections, 1):
        lines.append((f"**{number}. {section.title}**", "", "", "", ""))
        lines += [_cells(row) for row in section.rows]
    table = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
    notes = "\n\n".join(f"{number}. {section.how}" for number, section in enumerate(sections, 1))
    return f"{table}\n\n## How\n\n{notes}\n"


def as_text(sections: Sequence[Section]) -> str:
    """The table for a terminal; the peers stand below their row."""
    lines: list[str] = []
    for number, section in enumerate(sections, 1):
        wide = [max(len(_cells(row)[column]) for row in section.rows) for column in range(3)]
        lines += ["", f"{number}. {section.title}"]
        for row in section.rows:
            cells = [cell.ljust(width) for cell, width in zip(_cells(row)[:3], wide, strict=True)]
            lines.append("  ".join(["  " + cells[0], cells[1], cells[2], row.verdict]).rstrip())
            if row.peers:
                lines.append(f"      peers: {row.peers}")
    return "\n".join(lines)
