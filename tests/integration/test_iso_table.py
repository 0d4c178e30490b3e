# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of the table in every shell: foretold in check mode, done, and done again at the cost of one request."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from hostup_emulator.model import Vps
from hostup_emulator.qemu import PROGRAM, QemuMachines
from hostup_emulator.switches import change
from support.iso_cases import CASES, URL, Case
from support.lab import SHELLS, Lab, do_without

OPTIONS = ("name", "iso_id", "url", "device", "on_conflict", "keep_drive", "wait")


def task(name: str, shell: str, *, check_mode: bool) -> dict[str, object]:
    """The same task for all hosts; each host is a case and brings its options."""
    options = {"vps_id": "{{ vps }}", "api_key": "{{ key }}", "state": "{{ state }}"}
    options |= {option: f"{{{{ wish.{option} | default(omit) }}}}" for option in OPTIONS}
    return {
        "name": name,
        "hostup.cloud.hostup_vps_iso": options,
        "check_mode": check_mode,
        "ignore_errors": True,
        **SHELLS[shell],
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

# So many real machines run at the same time; each takes 50 MB.
AT_ONCE = 25


def build_rows(lab: Lab, cases: list[Case]) -> list[Row]:
    """Put cases into the world."""
    return [(case, *case.build(lab.world)) for case in cases]


def play_rows(lab: Lab, rows: list[Row], shell: str, *, drives_go: bool = False) -> None:
    """Have Ansible do them all, three times."""
    hosts, ids = {}, {}
    for case, vps, key in rows:
        ids[case.name] = vps.id
        wish = dict(case.options)
        if "url" in wish:
            wish["url"] = wish["url"].replace(URL, f"{lab.source}/wanted.iso")
        hosts[case.name] = {"vps": vps.id, "key": key, "state": wish.pop("state"), "wish": wish}

    foretold = lab.play([task("foretold", shell, check_mode=True)], hosts=hosts)
    assert lab.calls.writes() == []
    done = lab.play([task("done", shell, check_mode=False)], hosts=hosts)
    before_again = len(lab.calls)
    again = lab.play([task("again", shell, check_mode=False)], hosts=hosts)

    def check(case: Case) -> None:
        first, second, third = (
            run.of(name, case.name) for run, name in ((foretold, "foretold"), (done, "done"), (again, "again"))
        )
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


@pytest.mark.parametrize(
    ("shell", "switches"), [*((shell, {}) for shell in SHELLS), ("controller", OTHERWISE), ("controller", DRIVES_GO)]
)
def test_table(lab: Lab, shell: str, switches: dict[str, Any]) -> None:
    change(lab.world.switches, switches)
    play_rows(lab, build_rows(lab, CASES), shell, drives_go=switches is DRIVES_GO)


@pytest.mark.parametrize("cases", [CASES[start : start + AT_ONCE] for start in range(0, len(CASES), AT_ONCE)])
def test_table_on_real_machines(lab: Lab, cases: list[Case]) -> None:
    if not shutil.which(PROGRAM):
        do_without(f"{PROGRAM} is not installed")
    machines = QemuMachines(lab.folder / "machines", lab.emulator.downloads.find, memory_mb=16, disk_mb=1)
    lab.world.machines = machines
    rows = build_rows(lab, cases)
    before = {case.name: machines.inserted(vps) for case, vps, _key in rows}
    play_rows(lab, rows, "controller")

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
