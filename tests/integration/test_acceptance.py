# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook that tells what the API keeps to, against the emulator as it can be and as it must not be."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hostup_emulator.switches import change
from support.lab import KEY, Lab, Run

WRITES = {"hostup_acceptance_vps": "web-01", "hostup_acceptance_confirm": "web-01"}


def run(lab: Lab, *args: str, **extra: Any) -> Run:
    """Run the playbook with extra variables."""
    return lab.play("hostup.cloud.acceptance", args=[*args, "-e", json.dumps(extra)])


def lines(done: Run, outcome: str) -> list[str]:
    """The lines of one outcome."""
    return [line["id"] for line in done.of("Try it")["lines"] if line["outcome"] == outcome]


def sent(lab: Lab) -> set[str]:
    """The methods of all requests."""
    return {call.method for call in lab.calls}


@pytest.mark.smoke
def test_reads(lab: Lab) -> None:
    done = run(lab)
    assert done.code == 0, done.output
    assert lines(done, "does not hold") == [] and len(lines(done, "holds")) >= 10
    assert sent(lab) == {"GET"}
    report = (lab.folder / "hostup-acceptance.md").read_text()
    assert report == done.of("Try it")["report"]
    assert done.of("Show it")["msg"] == report.splitlines()


def test_writes(lab: Lab) -> None:
    before = lab.world.iso_read(lab.vps)
    wish = {**WRITES, "hostup_acceptance_iso_url": lab.url, "hostup_acceptance_report": "told.md"}
    checked = run(lab, "--check", **wish)
    assert checked.code == 0 and sent(lab) == {"GET"}, checked.output
    assert not (lab.folder / "told.md").exists()
    done = run(lab, **wish)
    assert done.code == 0, done.output
    assert lines(done, "could not be tried") == ["pages"]
    assert lab.world.iso_read(lab.vps) == before
    report = (lab.folder / "told.md").read_text()
    assert '/iso/actions/mount `{"isoId": "<ID>", "device": "ide2"}` → 200' in report
    assert [word for word in (KEY, "web-01", lab.vps.id, "192.0.2.10", lab.source, "ubuntu") if word in report] == []


def test_a_wrong_api_is_shown_to_be_wrong(lab: Lab) -> None:
    lab.faults.add("wrong_shape", path="/iso$", times=None, body={"available": "all"})
    done = run(lab)
    assert done.code == 2
    assert "These lines do not hold: iso." in done.output
    assert "available: expected array, got string" in (lab.folder / "hostup-acceptance.md").read_text()


@pytest.mark.parametrize(
    "extra", [{"hostup_acceptance_iso_url": "http://192.0.2.80/x.iso"}, {**WRITES, "hostup_acceptance_vps": "web-02"}]
)
@pytest.mark.exhaustive
def test_nothing_is_written_unconfirmed(lab: Lab, extra: dict[str, Any]) -> None:
    done = run(lab, **extra)
    assert done.code == 2 and "has to be confirmed" in done.output
    assert list(lab.calls) == []


@pytest.mark.parametrize(
    "switches",
    [
        {"gates_at": "status", "mount": "job", "poll_shape": "flat"},
        {"gates_at": "vps", "mount": "job", "poll_shape": "legacy", "second_download": "again", "stale_reads": 2},
        {"unmount_removes_drive": True, "mount_needs_drive": True, "second_download": "conflict", "names_jobs": False},
    ],
    ids="-".join,
)
@pytest.mark.exhaustive
def test_what_nothing_public_tells_may_be_either_way(lab: Lab, switches: dict[str, Any]) -> None:
    change(lab.world.switches, switches)
    before = lab.world.iso_read(lab.vps)
    done = run(lab, **WRITES, hostup_acceptance_iso_url=lab.url)
    assert done.code == 0, done.output
    assert lab.world.iso_read(lab.vps) == before


@pytest.mark.exhaustive
def test_a_lost_boot_order_is_told(lab: Lab) -> None:
    lab.world.switches.mount_moves_cd_first = True
    done = run(lab, **WRITES, hostup_acceptance_iso_url=lab.url)
    assert done.code == 2 and lines(done, "does not hold") == ["as-before"]
    assert '- after the mount: `["ide2", "scsi0"]`' in (lab.folder / "hostup-acceptance.md").read_text()
