# SPDX-License-Identifier: GPL-3.0-or-later
"""The pure core of reinstalling: what is refused, when an installer is looked at, and what is said meanwhile."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError
from ansible_collections.hostup.cloud.plugins.module_utils._iso.boot import Boot
from ansible_collections.hostup.cloud.plugins.module_utils._iso.plan import IsoWish
from ansible_collections.hostup.cloud.plugins.module_utils._power.state import Status
from ansible_collections.hostup.cloud.plugins.module_utils._reinstall.plan import (
    ReinstallWish,
    Target,
    check_boot,
    check_target,
    estimate,
    foretell,
    has_booted_anew,
    next_look,
    wait_line,
)

TARGET = Target("vps_1", "web-01", "192.0.2.1", Status("running"), {})
WRONG = Boot(False, "scsi0 comes first in the boot order scsi0, ide2")
UNKNOWN = Boot(None, "the API does not tell the boot order")


def wish(*confirm: str, **more: Any) -> ReinstallWish:
    """A wish with these confirmations."""
    return ReinstallWish(IsoWish("mounted", "a.iso"), confirm, **more)


def refusal(target: Target, wish: ReinstallWish) -> str:
    """What a wish is refused with; empty if it is not."""
    try:
        check_target(target, wish)
    except HostUpError as error:
        return error.msg
    return ""


@pytest.mark.parametrize(
    ("target", "confirm", "needed"),
    [
        (TARGET, ("web-01",), None),
        (TARGET, ("web-02", "vps_1"), None),
        (TARGET, (), "'web-01'"),
        (TARGET, ("web-02", "WEB-01", ""), "'web-01'"),
        (TARGET._replace(namesakes=2), ("web-01",), "'vps_1', for several VPSs have this name"),
        (TARGET._replace(namesakes=2), ("vps_1",), None),
        (TARGET._replace(name=None), ("web-01", ""), "'vps_1', for it has no name"),
        (TARGET._replace(name=None), ("vps_1",), None),
    ],
)
def test_only_who_is_confirmed(target: Target, confirm: tuple[str, ...], needed: str | None) -> None:
    said = refusal(target, wish(*confirm))
    assert (f"confirm has to hold {needed}. Nothing was done." in said) if needed else said == ""


def test_the_address_that_is_expected() -> None:
    assert refusal(TARGET, wish("web-01", expect_ip="192.0.2.1")) == ""
    assert "192.0.2.1, not 192.0.2.2 (expect_ip)" in refusal(TARGET, wish("web-01", expect_ip="192.0.2.2"))
    assert "None, not" in refusal(TARGET._replace(primary_ip=None), wish("web-01", expect_ip="192.0.2.2"))


@pytest.mark.parametrize("boot", [WRONG, UNKNOWN])
@pytest.mark.parametrize(
    ("boot_order", "before", "after"), [("check", True, True), ("after_mount", False, True), ("ignore", False, False)]
)
def test_boot_order(boot: Boot, boot_order: str, before: bool, after: bool) -> None:
    for is_mounted, is_refused in ((False, before), (True, after)):
        given = (TARGET, boot, "ide2", wish(boot_order=boot_order))
        if not is_refused:
            check_boot(*given, is_mounted=is_mounted)
            continue
        with pytest.raises(HostUpError, match=str(boot.boot_obstacle)) as caught:
            check_boot(*given, is_mounted=is_mounted)
        assert "Put ide2 before the disk" in caught.value.msg
    check_boot(TARGET, Boot(True, None), "ide2", wish(), is_mounted=True)


def test_looks_at_an_installer_of_which_nothing_is_known() -> None:
    looks, elapsed = [], 0.0
    while elapsed < 3600.0:
        elapsed += next_look(elapsed, None)
        looks.append(round(elapsed))
    assert looks[:4] == [20, 27, 34, 41]
    assert len(looks) <= 58
    assert all(later - sooner <= max(7.0, 0.11 * later) for sooner, later in pairwise(looks))


def test_looks_first_when_it_was_done_last_time() -> None:
    assert next_look(0.0, 300.0) == pytest.approx(315.0)
    assert next_look(314.9, 300.0) == 2.0  # not a hundred looks within a moment
    assert next_look(315.0, 300.0) == pytest.approx(31.5)
    assert next_look(0.0, 1.0) == 2.0


@pytest.mark.parametrize(
    ("elapsed", "seen_running", "last_took", "estimated"),
    [
        (21.0, 14.0, None, 17.5),
        (21.0, None, 20.0, 20.0),  # seen at the first look, which was meant to be a little late
        (6.0, None, None, 6.0),
        (22.0, None, None, 20.0 / 1.05),  # so that it is looked at no later the next time
        (15.0, None, 20.0, 15.0),
        (40.0, 21.0, 20.0, 30.5),
    ],
)
def test_what_is_seen_late_is_not_taken_for_slow(
    elapsed: float, seen_running: float | None, last_took: float | None, estimated: float
) -> None:
    assert estimate(elapsed, seen_running, last_took) == estimated


@pytest.mark.parametrize(
    ("elapsed", "last_took", "doubts"),
    [(1799.0, None, False), (1801.0, None, True), (599.0, 300.0, False), (601.0, 300.0, True), (1801.0, 1000.0, False)],
)
def test_an_installer_that_takes_long_is_doubted(elapsed: float, last_took: float | None, doubts: bool) -> None:
    line = wait_line(elapsed, 3600.0, last_took)
    assert ("looks the same from here" in line) is doubts
    assert ("s last" in line) is (last_took is not None)


@pytest.mark.parametrize(
    ("before", "now", "has"),
    [
        (Status("running", 500.0, at=0.0), Status("running", 560.0, at=60.0), False),
        (Status("running", 500.0, at=0.0), Status("running", 12.0, at=60.0), True),
        (Status("running", 5.0, at=0.0), Status("running", 6.0, at=60.0), False),  # a stale read
        (Status("running", None, at=0.0), Status("running", 12.0, at=60.0), True),
        (Status("running", None, at=0.0), Status("running", 59.0, at=60.0), False),  # it may be rounding
        (Status("running", 500.0, at=0.0), Status("stopping", 560.0, at=60.0), False),
        (Status("running", 500.0, at=0.0), Status("starting", 0.0, at=60.0), True),
        (Status("stopped", 0.0, at=0.0), Status("running", None, at=60.0), True),
        (Status("stopped", 0.0, at=0.0), Status("stopped", 0.0, at=60.0), False),
        (None, Status("running", 12.0, at=60.0), False),
    ],
)
def test_a_late_restart_shows(before: Status | None, now: Status, has: bool) -> None:
    assert has_booted_anew(before, now) is has


@pytest.mark.parametrize(
    ("given", "last"),
    [
        ({}, ["unmount the ISO", "start it from the disk"]),
        ({"start": False}, ["unmount the ISO", "leave it as it is then"]),
        ({"until": "delay", "delay": 90.0}, ["unmount the ISO", "reset it, or start it if it is off"]),
        ({"until": "none"}, ["leave it to the installer, with the ISO in the drive"]),
    ],
)
def test_account(given: dict[str, Any], last: list[str]) -> None:
    lines = foretell(
        TARGET, wish(**given), steps=["download", "mount"], iso="a.iso", device="ide2", boot=WRONG, action="restart"
    )
    assert lines[1:3] == ["download a.iso", "mount it on ide2"]
    assert lines[-len(last) :] == last


def test_account_tells_what_is_ignored() -> None:
    given = wish(boot_order="ignore")
    lines = foretell(TARGET, given, steps=[], iso="a.iso", device="ide2", boot=WRONG, action="reset")
    assert lines[1:4] == [
        "find a.iso in the library",
        "find it mounted on ide2",
        "not look at the boot order, although scsi0 comes first in the boot order scsi0, ide2",
    ]
