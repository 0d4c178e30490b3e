# SPDX-License-Identifier: GPL-3.0-or-later
"""What reinstallations leave for others: a lock, a note, and how long an ISO took."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.hostup.cloud.plugins.module_utils._sharing.notes import LONG_MEMORY, MEMORY, Notes
from ansible_collections.hostup.cloud.plugins.module_utils._sharing.reinstalls import (
    ReinstallNote,
    Reinstalls,
    parse_reinstall_note,
)

NOTE = ReinstallNote(1_800_000_000.0, "iso_1", "a.iso", "ide2", has_booted=True, host_keys=["ssh-rsa AAAA"])


def reinstalls(origin: str = "https://cloud.example") -> Reinstalls:
    """Those of a new process."""
    return Reinstalls(Notes(pytest.fail), origin)


def test_a_note_outlasts_the_run_but_not_its_lock(cache: Path) -> None:
    mine, others = reinstalls(), reinstalls()
    end = mine.try_to_begin("vps_1")
    assert end and others.try_to_begin("vps_1") is None
    mine.keep("vps_1", NOTE)
    assert others.noted("vps_1") == NOTE and others.left_behind("vps_1") is None  # it goes on
    end()
    assert others.left_behind("vps_1") == NOTE
    assert others.noted("vps_2") is None and reinstalls("https://other.example").noted("vps_1") is None
    others.keep("vps_1", None)
    assert mine.noted("vps_1") is None
    assert all(path.stat().st_mode & 0o077 == 0 for path in cache.iterdir())


def test_to_look_for_a_note_makes_no_file(cache: Path) -> None:
    assert reinstalls().left_behind("vps_1") is None
    assert reinstalls().seconds_of("key", "a.iso") is None
    reinstalls().keep("vps_1", None)
    assert list(cache.iterdir()) == []


def test_how_long_an_iso_took() -> None:
    reinstalls().took("key", "a.iso", 312.5)
    assert reinstalls().seconds_of("key", "a.iso") == 312.5
    assert reinstalls().seconds_of("key", "b.iso") is reinstalls().seconds_of("other", "a.iso") is None


@pytest.mark.parametrize(
    "note",
    [None, {}, [], [1.0], [*NOTE][:-1], ["x", *[*NOTE][1:]], [*[*NOTE][:-1], "keys"], [*[*NOTE][:-1], [1]]],
)
def test_what_cannot_have_been_noted_counts_for_nothing(note: object) -> None:
    assert parse_reinstall_note(note) is None
    assert parse_reinstall_note(list(NOTE)) == NOTE


@pytest.mark.parametrize(("age", "is_there"), [(MEMORY + 60.0, True), (LONG_MEMORY + 60.0, False)])
def test_is_found_after_a_holiday(cache: Path, age: float, is_there: bool) -> None:
    reinstalls().keep("vps_1", NOTE)
    reinstalls().took("key", "a.iso", 312.5)
    for path in cache.iterdir():
        written = path.stat().st_mtime - age
        os.utime(path, (written, written))
    reinstalls().keep("vps_2", NOTE)  # who makes a new file removes the old ones
    assert (reinstalls().noted("vps_1") == NOTE) is is_there
    assert (reinstalls().seconds_of("key", "a.iso") == 312.5) is is_there


def test_tells_what_may_be_left() -> None:
    told = NOTE.tell("web-01")
    assert "A reinstallation of web-01 that began" in told and "a.iso may still be in ide2" in told
    assert "Its installer was booted" in told
    told = NOTE._replace(is_mounted=False, has_booted=False).tell("web-01")
    assert "may still be" not in told and "was booted" not in told
