# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of the table: foretold in check mode, done, and done again at the cost of one request."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hostup_emulator.model import Vps
from hostup_emulator.qemu import PROGRAM, QemuMachines
from hostup_emulator.switches import change
from support.iso_cases import CASES, URL, Case
from support.lab import FORKS, Lab, do_without, iso_task
from support.modules import run_module

OPTIONS = ("name", "iso_id", "url", "device", "on_conflict", "keep_drive", "wait")


# One row of each kind, for the shells in which a task takes long.
REPRESENTATIVE = {
    "async": {"nowhere-mounted", "mounted-twice-absent"},
    "delegated": {
        *("drive-taken-mounted", "mount-gate-closed-mounted"),
        *("cloud-init-there-unmounted", "keep-drive-in-slot-unmounted"),
    },
}

# Where public documents leave open how the API behaves, the outcomes are the same …
OTHERWISE = {
    "mount": "job",
    "job_seconds": 0.0,
    "poll_shape": "legacy",
    "stale_reads": 1,
    "mount_moves_cd_first": True,
    "unmount_drops_boot_entry": True,
}
# … except that drives may have to be attached, which cannot be foreseen.
DRIVES_GO = {"mount_needs_drive": True, "unmount_removes_drive": True}


def without_drives(result: dict[str, Any]) -> tuple[list[str], list[str]]:
    """The actions and the full drives, leaving out the drives that were attached or are empty."""
    actions = [action for action in result["actions"] if action != "attach_drive"]
    return actions, [drive for drive in result["diff"]["after"]["drives"] if not drive.endswith(": empty")]


# A case, its VPS, and the key of that one's owner.
Row = tuple[Case, Vps, str]
Results = dict[str, dict[str, Any]]  # by the names of the cases

# So many real machines run at the same time; each takes 50 MB.
AT_ONCE = 25


def build_rows(lab: Lab, cases: list[Case]) -> list[Row]:
    """Put cases into the world."""
    return [(case, *case.build(lab.world)) for case in cases]


def wish_of(lab: Lab, case: Case) -> dict[str, Any]:
    """The module's options for a case, as they are here."""
    wish = dict(case.options)
    if "url" in wish:
        wish["url"] = wish["url"].replace(URL, f"{lab.source}/wanted.iso")
    return wish


def play_once(lab: Lab, rows: list[Row], way: str = "controller", *, check_mode: bool = False) -> Results:
    """Have Ansible do them all in one task; each host is a case and brings its options."""
    hosts = {}
    for case, vps, key in rows:
        wish = wish_of(lab, case)
        hosts[case.name] = {"vps": vps.id, "key": key, "state": wish.pop("state"), "wish": wish}
    options = {"vps_id": "{{ vps }}", "api_key": "{{ key }}", "state": "{{ state }}"}
    options |= {option: f"{{{{ wish.{option} | default(omit) }}}}" for option in OPTIONS}
    run = lab.play(
        [{**iso_task(way, **options), "check_mode": check_mode, "ignore_errors": True}],
        hosts=hosts,
        env={"ANSIBLE_FORKS": FORKS[way]},
    )
    return {case.name: run.of("iso", case.name) for case, _vps, _key in rows}


def call_once(lab: Lab, rows: list[Row], *, check_mode: bool = False) -> Results:
    """The same by the module's `main()`, in this process."""
    connection = {"api_base": lab.emulator.url}
    return {
        case.name: run_module(
            "hostup_vps_iso",
            {**connection, "vps_id": vps.id, "api_key": key, **wish_of(lab, case)},
            check_mode=check_mode,
        )
        for case, vps, key in rows
    }


def hold_to_table(lab: Lab, rows: list[Row], once: Callable[..., Results], *, drives_go: bool = False) -> None:
    """Have them all foretold, done and done again, and compare with the table."""
    ids = {case.name: vps.id for case, vps, _key in rows}
    foretold = once(lab, rows, check_mode=True)
    assert lab.calls.writes() == []
    done = once(lab, rows)
    before_again = len(lab.calls)
    again = once(lab, rows)

    def check(case: Case) -> None:
        first, second, third = foretold[case.name], done[case.name], again[case.name]
        writes = [call for call in lab.calls.writes() if call.vps_id == ids[case.name]]
        if isinstance(case.outcome, str):
            assert all(result["failed"] and case.outcome in result["msg"] for result in (first, second, third))
            assert writes == []
            return
        assert tuple(first["actions"]) == case.outcome
        assert first["changed"] is second["changed"] is bool(case.outcome)
        assert first["device"] == second["device"]
        if drives_go:
            assert without_drives(first) == without_drives(second)
        else:
            assert (first["actions"], first["diff"]) == (second["actions"], second["diff"])
            assert len(writes) == len(case.outcome)
        assert (third["changed"], third["actions"]) == (False, [])
        assert third["diff"]["before"] == third["diff"]["after"] == second["diff"]["after"]
        assert [call.method for call in lab.calls[before_again:] if call.vps_id == ids[case.name]] == ["GET"]

    wrong = {}
    for case, _vps, _key in rows:
        try:
            check(case)
        except (AssertionError, ValueError, KeyError) as error:
            wrong[case.name] = repr(error)
    assert wrong == {}


@pytest.mark.parametrize("switches", [{}, OTHERWISE, DRIVES_GO], ids=["as it is", "otherwise", "drives go"])
@pytest.mark.usefixtures("in_process")
def test_module(lab: Lab, switches: dict[str, Any]) -> None:
    change(lab.world.switches, switches)
    hold_to_table(lab, build_rows(lab, CASES), call_once, drives_go=switches is DRIVES_GO)


def test_playbook(lab: Lab) -> None:
    hold_to_table(lab, build_rows(lab, CASES), play_once)


@pytest.mark.parametrize(("shell", "names"), REPRESENTATIVE.items())
def test_some_in_slow_shells(lab: Lab, shell: str, names: set[str]) -> None:
    rows = build_rows(lab, [case for case in CASES if case.name in names])
    assert len(rows) == len(names)
    hold_to_table(lab, rows, partial(play_once, way=shell))


COUNT = -(-len(CASES) // AT_ONCE)
# Each batch has of everything; one of them stands for all, before a commit.
BATCHES = [CASES[start::COUNT] for start in range(COUNT)]


@pytest.mark.exhaustive
@pytest.mark.timeout(900)
@pytest.mark.parametrize("cases", BATCHES)
@pytest.mark.parametrize("shell", ["async", "delegated"])
def test_all_in_slow_shells(lab: Lab, shell: str, cases: list[Case]) -> None:
    """In batches, for together they would take the last half hour of a run, one core of it."""
    hold_to_table(lab, build_rows(lab, cases), partial(play_once, way=shell))


@pytest.mark.exhaustive
@pytest.mark.timeout(900)
@pytest.mark.parametrize("switches", [OTHERWISE, DRIVES_GO], ids=["otherwise", "drives go"])
def test_all_by_playbook(lab: Lab, switches: dict[str, Any]) -> None:
    change(lab.world.switches, switches)
    hold_to_table(lab, build_rows(lab, CASES), play_once, drives_go=switches is DRIVES_GO)


@pytest.mark.parametrize(
    "cases", [BATCHES[0], *(pytest.param(batch, marks=pytest.mark.exhaustive) for batch in BATCHES[1:])]
)
@pytest.mark.parametrize("once", [call_once, pytest.param(play_once, marks=pytest.mark.exhaustive)])
@pytest.mark.usefixtures("in_process")
def test_on_real_machines(lab: Lab, once: Callable[..., Results], cases: list[Case]) -> None:
    if not shutil.which(PROGRAM):
        do_without(f"{PROGRAM} is not installed")
    machines = QemuMachines(lab.folder / "machines", lab.emulator.downloads.find, memory_mb=16, disk_mb=1)
    lab.world.machines = machines
    rows = build_rows(lab, cases)
    before = {case.name: machines.inserted(vps) for case, vps, _key in rows}
    hold_to_table(lab, rows, once)

    def wanted_files(vps: Vps) -> dict[str, str]:
        """The names of the files that the drives of this VPS are to hold: an ISO that was not downloaded is blank."""

        def name(iso_id: str | None) -> str:
            found = lab.emulator.downloads.find(vps, iso_id) if iso_id else None
            return found.name if found else f"{iso_id or 'unnamed'}.iso"

        return {device: name(drive.iso_id) for device, drive in vps.drives.items() if not drive.free}

    after = {case.name: machines.inserted(vps) for case, vps, _key in rows}
    names = {row: {device: Path(file).name for device, file in files.items()} for row, files in after.items()}
    assert names == {case.name: wanted_files(vps) for case, vps, _key in rows}
    moved = {case.name for case, _vps, _key in rows if {"mount", "unmount"}.intersection(case.outcome)}
    assert {row for row in after if after[row] != before[row]} == moved
