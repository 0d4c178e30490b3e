# SPDX-License-Identifier: GPL-3.0-or-later
"""The site's plots."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from benchmarks import plots

SVG = "{http://www.w3.org/2000/svg}"


def test_they_show_what_the_page_of_the_benchmarks_says() -> None:
    kept = {path.name: path.read_text() for path in plots.FOLDER.glob("*.svg")}
    drawn = plots.drawn(plots.PAGE.read_text())
    assert {name: kept.get(name) for name in drawn} == drawn, "python -m benchmarks.plots, in tests/, makes them anew"


def test_peers_are_read_from_both_ways_to_write_them() -> None:
    assert list(plots.peers_in("a.b 1.45 (1.43 to 1.51); c.d 2 of 60, 3.6 refusals")) == [("a.b", 1.45), ("c.d", 2.0)]
    assert list(plots.peers_in("every 1 s: 12; 4.2 %; 5 tries, 1 s apart: 951 of 1000 lost")) == [
        ("every 1 s", 12.0),
        ("5 tries, 1 s apart", 951.0),
    ]
    assert list(plots.peers_in("as above")) == []


@pytest.mark.parametrize("name", [f"{name}.svg" for name in plots.PLOTS])
def test_each_has_a_title_and_text_that_can_be_read(name: str) -> None:
    text = (plots.FOLDER / name).read_text()
    assert ElementTree.fromstring(text).findtext(f"{SVG}title")  # noqa: S314 - it is ours
    assert min(map(int, re.findall(r'font-size="(\d+)"', text))) >= 11
