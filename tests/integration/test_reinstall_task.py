# SPDX-License-Identifier: GPL-3.0-or-later
"""`hostup_vps_reinstall` by playbooks: what is left in the drives, whatever ends a task and whatever other hosts do."""

from __future__ import annotations

from typing import Any

import pytest

from hostup_emulator.model import Drive, Vps
from support.lab import SHELLS, SLOW_SHELLS_LAST, Lab, Playing, Run

CD_FIRST = ("ide2", "scsi0")
ALL_OF_IT = ["mount", "restart", "unmount", "start"]


@pytest.fixture
def site(lab: Lab) -> Lab:
    """A laboratory with an ISO, whose VPS boots from its CD/DVD drive first, and whose installers power off."""
    lab.world.set_boot_order(lab.vps, CD_FIRST)
    lab.world.switches.installer_reads = 1
    lab.world.add_iso(lab.owner, "ubuntu.iso")
    return lab


def task(shell: str = "controller", /, **options: Any) -> dict[str, Any]:
    """A task that reinstalls the host, or the VPSs that are selected."""
    given = {"confirm": ["{{ inventory_hostname }}"], "name": "ubuntu.iso", **options}
    if "vps_ids" not in given:
        given["vps_id"] = "{{ vps_id }}"
    return {"name": "reinstall", "hostup.cloud.hostup_vps_reinstall": given, **SHELLS[shell]}


def fleet(lab: Lab, *names: str) -> tuple[dict[str, dict[str, Any]], dict[str, Vps]]:
    """VPSs that boot from their CD/DVD drives first, as hosts and by name."""
    vpses = {name: lab.world.add_vps(lab.owner, name, boot_order=CD_FIRST) for name in names}
    return {name: {"vps_id": vps.id} for name, vps in vpses.items()}, vpses


def one(lab: Lab) -> dict[str, dict[str, Any]]:
    """The laboratory's own VPS as a host."""
    return {"web-01": {"vps_id": lab.vps.id}}


def writes(lab: Lab, vps: Vps) -> list[str]:
    """The last part of the path of each write that was taken."""
    taken = [call for call in lab.calls.writes() if call.status < 400 and call.vps_id == vps.id]
    return [call.path.rpartition("/")[2] for call in taken]


def begin(lab: Lab, **more: Any) -> Playing:
    """Begin to reinstall the laboratory's own VPS, and wait until its installer is looked at."""
    playing = lab.start([task()], hosts=one(lab), **more)
    lab.until(lambda: "restart" in writes(lab, lab.vps) and lab.calls.matching("GET", "/status$"))
    return playing


def until_it_is_out(lab: Lab) -> None:
    """Wait until the ISO has left the drive: seconds, of which a busy machine may make many."""
    lab.until(lambda: lab.vps.mounts() == [] and "unmount" in writes(lab, lab.vps), 60)


def result(run: Run, host: str = "web-01") -> dict[str, Any]:
    """What the task has returned."""
    return run.of("reinstall", host)


# --- the way through -------------------------------------------------------------------------------------------------


@SLOW_SHELLS_LAST
def test_reinstalls(site: Lab, shell: str) -> None:
    run = site.play([task(shell)], hosts=one(site))
    assert run.code == 0, run.output
    assert (result(run)["outcome"], result(run)["actions"]) == ("reinstalled", ALL_OF_IT)
    assert site.vps.mounts() == [] and site.world.power_state(site.vps) == "running"


def test_a_fleet_in_one_task_and_foreseen(site: Lab) -> None:
    names = [f"vm-{number}" for number in range(5)]
    hosts, vpses = fleet(site, *names)
    given = {"vps_ids": [vps.id for vps in vpses.values()], "confirm": names[1:]}
    run = site.play([{**task(**given), "run_once": True}], hosts=hosts, args=["--check", "--diff"])
    assert [entry["outcome"] for entry in result(run, "vm-0")["results"]] == ["failed", *["foreseen"] * 4]
    assert "installed anew from ubuntu.iso" in run.output and site.calls.writes() == []
    run = site.play([{**task(**given), "run_once": True}], hosts=hosts)
    assert [entry["actions"] for entry in result(run, "vm-0")["results"]] == [[], *[ALL_OF_IT] * 4]
    assert "1 of 5 VPSs failed" in result(run, "vm-0")["msg"]


# --- what other hosts do ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "play", [{}, {"any_errors_fatal": True}, pytest.param({"max_fail_percentage": 0}, marks=pytest.mark.exhaustive)]
)
def test_no_host_waits_for_another_with_its_iso_in_the_drive(site: Lab, play: dict[str, Any]) -> None:
    hosts, vpses = fleet(site, "hangs", "fails", "works")
    site.world.switches.installer_reads = None
    site.faults.add("problem", "GET", f"{vpses['fails'].id}/status", status=401, times=None)
    playing = site.start([task(install_timeout=100_000)], hosts=hosts, play=play)
    site.until(lambda: "unmount" in writes(site, vpses["fails"]))
    site.until(lambda: "restart" in writes(site, vpses["works"]) and "restart" in writes(site, vpses["hangs"]))
    site.world.machines.stop(vpses["works"])
    site.until(lambda: writes(site, vpses["works"])[-1:] == ["start"])
    assert vpses["hangs"].mounts() != [] and vpses["fails"].mounts() == vpses["works"].mounts() == []
    site.world.machines.stop(vpses["hangs"])
    run = playing.finish()
    assert result(run, "hangs")["outcome"] == result(run, "works")["outcome"] == "reinstalled"
    assert result(run, "fails")["error"]["status"] == 401
    assert "ubuntu.iso was taken out of ide2" in result(run, "fails")["msg"]


def test_a_second_run_is_refused(site: Lab) -> None:
    site.world.switches.installer_reads = None
    playing = begin(site)
    before = len(site.calls.writes())
    run = site.play([task()], hosts=one(site))
    assert "Another run of this user is reinstalling this VPS" in result(run)["msg"]
    assert len(site.calls.writes()) == before
    playing.interrupt()
    until_it_is_out(site)


# --- what ends a task ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("way", "as_fleet"),
    [
        ("interrupt", False),
        ("terminate", True),
        pytest.param("interrupt", True, marks=pytest.mark.exhaustive),
        pytest.param("terminate", False, marks=pytest.mark.exhaustive),
    ],
)
def test_an_interrupted_playbook_takes_the_iso_out(site: Lab, way: str, as_fleet: bool) -> None:
    site.world.switches.installer_reads = None
    given = {"vps_ids": [site.vps.id]} if as_fleet else {}
    playing = site.start([task(install_timeout=100_000, **given)], hosts=one(site))
    site.until(lambda: "restart" in writes(site, site.vps) and site.calls.matching("GET", "/status$"))
    getattr(playing, way)()
    until_it_is_out(site)
    assert writes(site, site.vps) == ["mount", "restart", "unmount"]


def test_what_a_killed_run_has_left(site: Lab) -> None:
    """Every module tells, with the note; without it, the drive does. Run again, it is reinstalled."""
    site.world.switches.installer_reads = None
    begin(site).kill()
    assert site.vps.mounts() != []
    info = {"name": "info", "hostup.cloud.hostup_vps_iso_info": {"vps_id": "{{ vps_id }}"}}
    run = site.play([info, task()], hosts=one(site), args=["--check"])
    assert "did not come to its end. ubuntu.iso may still be in ide2" in run.of("info", "web-01")["warnings"][0]
    run = site.play([task()], hosts=one(site), args=["--check"], env={"XDG_CACHE_HOME": str(site.folder / "fresh")})
    assert "has ubuntu.iso in ide2, which comes first in the boot order" in result(run)["warnings"][0]
    site.world.switches.installer_reads, site.world.switches.ignores_power_button = 1, True
    run = site.play([task(shutdown_timeout=90)], hosts=one(site))
    assert result(run)["outcome"] == "reinstalled", result(run)
    assert result(run)["actions"] == ["reset", "unmount", "start"]
    assert writes(site, site.vps)[-4:] == ["restart", "reset", "unmount", "start"]
    run = site.play([info], hosts=one(site))
    assert "warnings" not in run.of("info", "web-01")


def test_a_run_that_only_failed_to_shut_down_has_nothing_reset(site: Lab) -> None:
    site.vps.drives["ide2"] = Drive.empty()
    site.world.switches.ignores_power_button = True
    for _time in range(2):
        run = site.play([task(shutdown_timeout=30)], hosts=one(site))
        assert "force=true would reset it" in result(run)["msg"]
        assert "reset" not in writes(site, site.vps) and site.vps.mounts() == []


def test_the_address_that_is_expected(site: Lab) -> None:
    hosts = {"web-01": {"vps_id": site.vps.id, "ansible_host": "192.0.2.77"}}
    run = site.play([task(expect_ip="{{ ansible_host }}")], hosts=hosts)
    assert "has the primary address 192.0.2.10, not 192.0.2.77 (expect_ip)" in result(run)["msg"]
    assert site.calls.writes() == []
