# SPDX-License-Identifier: GPL-3.0-or-later
"""Reinstalling over HTTP: what it costs, what it leaves where it fails, what an earlier run has left."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.hostup.cloud.plugins.module_utils import _interruption
from ansible_collections.hostup.cloud.plugins.module_utils._reinstall import apply
from ansible_collections.hostup.cloud.plugins.module_utils._reinstall.apply import PROOF_SECONDS
from ansible_collections.hostup.cloud.plugins.module_utils._sharing.notes import Notes
from ansible_collections.hostup.cloud.plugins.module_utils._sharing.reinstalls import ReinstallNote, Reinstalls
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.iso import VPS_ISO
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.power import VPS_POWER
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.reinstall import VPS_REINSTALL
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.task import Task
from hostup_emulator.model import Drive, Gate, Vps

if TYPE_CHECKING:
    from support.site import Site, Web

INSTALLER_SECONDS = 60.0
CD_FIRST = ["ide2", "scsi0"]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHfQAAA="
OTHER_KEY = KEY.replace("QAAA=", "QABA=")


@pytest.fixture(autouse=True)
def ready(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its VPS boots from the CD/DVD drive first, and the installer powers off. No sleep is cut into pieces."""
    site.vps.boot_order = list(CD_FIRST)
    site.switches.installer_seconds = INSTALLER_SECONDS
    monkeypatch.setattr(_interruption, "NOTICED_WITHIN", 1e9)


def run(site: Site, check_mode: bool = False, task: Task[Any] = VPS_REINSTALL, **options: Any) -> dict[str, Any]:
    """Run the task as the shells do."""
    given = {"confirm": ["web-01"], "name": "ubuntu.iso"} if task is VPS_REINSTALL else {}
    result = site.run(task, check_mode, **{"vps_id": site.vps.id, **given, **options})
    assert site.key not in json.dumps(result)
    return result


def failed(site: Site, **options: Any) -> dict[str, Any]:
    """Run a task that fails."""
    result = run(site, **options)
    assert result["failed"] is True and result["outcome"] == "failed"
    return result


def writes(site: Site) -> list[str]:
    """The last part of the path of each write that was taken."""
    return [call.path.rpartition("/")[2] for call in site.calls.writes() if call.status < 400]


def held(vps: Vps) -> dict[str, str]:
    """What is in the drives."""
    return {name: drive.iso_id for name, drive in vps.drives.items() if drive.iso_id}


def reinstalls(site: Site) -> Reinstalls:
    """The notes of this user."""
    return Reinstalls(Notes(lambda _line: None), site.emulator.url)


def left(site: Site, **changes: Any) -> ReinstallNote:
    """Leave what a run leaves that was killed while its installer ran."""
    note = ReinstallNote(site.clock.time() - 600.0, site.iso.id, "ubuntu.iso", "ide2", has_booted=True)
    note = note._replace(**changes)
    reinstalls(site).keep(site.vps.id, note)
    return note


# --- the way through -------------------------------------------------------------------------------------------------


def test_reinstalls(site: Site) -> None:
    result = run(site)
    assert (result["outcome"], result["phase"], result["changed"]) == ("reinstalled", "start", True)
    assert result["actions"] == ["mount", "restart", "unmount", "start"] == writes(site)
    assert list(result["seconds"]) == ["preflight", "mount", "boot", "install", "unmount", "start"]
    assert INSTALLER_SECONDS <= result["seconds"]["install"] <= INSTALLER_SECONDS * 1.2
    assert (result["device"], result["boots_from_iso"], result["power_state"]) == ("ide2", True, "running")
    assert result["stopped_at"].endswith("+00:00") and result["warnings"] == []
    assert held(site.vps) == {} and reinstalls(site).noted(site.vps.id) is None


def test_a_source_that_has_changed(site: Site, web: Web) -> None:
    """A mended ISO under the same name is told of in any case, and taken where that is asked for."""
    url, site.iso.size_gb = web.add("/ubuntu.iso", body=b"mended"), 0.7
    stale = run(site, name=None, url=url)
    assert stale["source_size_gb"] == 6 / 1e9 and stale["iso"]["id"] == site.iso.id
    [warning] = stale["warnings"]
    assert "ubuntu.iso in the library has 0.7 GB, but its URL leads to a file of 6e-09 GB now" in warning
    foreseen = run(site, name=None, url=url, refresh=True, check_mode=True)
    assert any("leads to another file now" in line for line in foreseen["account"])
    fresh = run(site, name=None, url=url, refresh=True)
    assert fresh["actions"][:3] == ["delete", "download", "mount"] == foreseen["actions"][:3]
    assert fresh["warnings"] == [] and fresh["iso"]["size_gb"] == 6 / 1e9
    assert run(site, name=None, url=url, refresh=True)["actions"][0] == "mount"


def test_a_source_that_cannot_be_asked_is_no_obstacle(site: Site) -> None:
    result = run(site, name=None, url="http://127.0.0.1:9/ubuntu.iso")
    assert (result["outcome"], result["source_size_gb"], result["warnings"]) == ("reinstalled", None, [])


def test_costs_three_requests_before_anything_is_changed(site: Site) -> None:
    assert run(site, check_mode=True)["outcome"] == "foreseen"
    assert len(site.calls) == 3


def test_costs_twelve_requests_where_the_installer_is_quick(site: Site) -> None:
    site.switches.installer_seconds = 20.0
    assert run(site, confirm=["web-01", site.vps.id])["outcome"] == "reinstalled"
    assert len(site.calls) == 12


@pytest.mark.parametrize("by", ["ID", "name"])
def test_costs_twelve_requests_once_it_is_known_how_long_the_iso_takes(site: Site, by: str) -> None:
    """And one more where the name confirms it, for others may have the same."""
    run(site)
    before = len(site.calls)
    assert run(site, confirm=["web-01", *([site.vps.id] if by == "ID" else [])])["outcome"] == "reinstalled"
    assert len(site.calls) - before == (12 if by == "ID" else 13)


def test_check_mode_gives_an_account(site: Site) -> None:
    site.vps.drives["ide2"] = Drive.holding(site.world.add_iso(site.owner, "old.iso").id)
    result = run(site, check_mode=True, device="ide2")
    assert result["actions"] == ["unmount", "mount", "restart", "unmount", "start"]
    assert result["account"] == [
        f"web-01 ({site.vps.id}): nothing was changed. Without check mode all of its data would be lost, like this:",
        "find ubuntu.iso in the library",
        "unmount what is in ide2",
        "mount it on ide2",
        "find the boot order right",
        "restart the VPS, into the installer",
        "wait up to 3600 s until the installer has switched it off",
        "unmount the ISO",
        "start it from the disk",
    ]
    assert writes(site) == []


def test_downloads_what_is_not_there(site: Site, web: Web) -> None:
    result = run(site, name=None, url=web.add("/new.iso", body=b"x" * 1000))
    assert (
        result["actions"] == ["download", "mount", "restart", "unmount", "start"] == (["download", *writes(site)[1:]])
    )
    assert list(result["seconds"])[:2] == ["preflight", "download"]
    assert result["iso"]["name"] == "new.iso"


def test_starts_one_that_is_off(site: Site) -> None:
    site.vps.power_state = "stopped"
    assert run(site)["actions"] == ["mount", "start", "unmount", "start"]


@pytest.mark.parametrize("check_mode", [True, False])
def test_diff_tells_power_and_disk(site: Site, check_mode: bool) -> None:
    site.vps.power_state = "stopped"
    result = run(site, check_mode)
    assert result["power_state"] == "running"
    assert result["diff"] == {
        "before": {"power_state": "stopped", "disk": "as it is"},
        "after": {"power_state": "running", "disk": "installed anew from ubuntu.iso"},
    }


def test_an_unmount_that_fails_is_tried_again(site: Site) -> None:
    site.fault("problem", "POST", "/unmount$", status=409, code="locked")
    result = failed(site)
    assert result["phase"] == "unmount" and "ubuntu.iso was taken out of ide2." in result["msg"]
    assert held(site.vps) == {}


def test_resets_where_it_is_told_to(site: Site) -> None:
    assert run(site, force=True)["actions"] == ["mount", "reset", "unmount", "start"]


@pytest.mark.parametrize(("installer_seconds", "last"), [(None, "reset"), (20.0, "start")])
def test_until_delay(site: Site, installer_seconds: float | None, last: str) -> None:
    site.switches.installer_seconds = installer_seconds
    result = run(site, until="delay", delay=90)
    assert result["actions"] == ["mount", "restart", "unmount", last]
    assert result["seconds"]["install"] >= 90.0 and result["stopped_at"] is None
    assert [line for line in site.said if "s left" in line] == [
        f"web-01: the installer has {seconds} s left" for seconds in (90, 60, 30)
    ]


def test_until_none_hands_over_with_the_iso_in_the_drive(site: Site) -> None:
    result = run(site, until="none")
    assert (result["outcome"], result["actions"]) == ("handed_over", ["mount", "restart"])
    assert held(site.vps) == {"ide2": site.iso.id}
    assert reinstalls(site).noted(site.vps.id) is None  # it is over, and nothing is to be warned of


def test_stays_off_where_it_is_told_to(site: Site) -> None:
    result = run(site, start=False)
    assert (result["outcome"], result["power_state"]) == ("reinstalled", "stopped")
    assert result["actions"] == ["mount", "restart", "unmount"]


def test_installer_that_is_done_before_anybody_looks(site: Site) -> None:
    site.switches.installer_seconds = 0.1
    assert run(site)["outcome"] == "reinstalled"


def test_list_form(site: Site) -> None:
    other = site.world.add_vps(site.owner, "web-02", "192.0.2.2", boot_order=CD_FIRST)
    third = site.world.add_vps(site.owner, "web-03", "192.0.2.3", boot_order=CD_FIRST)
    ids = [site.vps.id, other.id, third.id]
    result = run(site, vps_id=None, vps_ids=ids, confirm=["web-01\r\nweb-03\r\n"])
    assert [entry["outcome"] for entry in result["results"]] == ["reinstalled", "failed", "reinstalled"]
    assert "nobody has confirmed" in result["results"][1]["msg"]
    assert not any(call.vps_id == other.id for call in site.calls.writes())
    assert held(site.vps) == held(other) == held(third) == {}


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"confirm": ["web-02"]}, "nobody has confirmed that. If it is meant, confirm has to hold 'web-01'"),
        ({"confirm": ["WEB-01"]}, "confirm has to hold 'web-01'"),
        ({"confirm": [" "]}, "confirm is empty"),
        ({"expect_ip": "web-01"}, "expect_ip: 'web-01' is not an IP address"),
        ({"ssh_host": "-x"}, "'-x' cannot be a host name"),
        ({"expect_ip": "192.0.2.9"}, "has the primary address 192.0.2.1, not 192.0.2.9 (expect_ip)"),
        ({"vps_id": "vps_other", "confirm": ["vps_other"]}, "HTTP 40"),
        ({"until": "delay"}, "until=delay needs delay"),
        ({"delay": 9}, "delay is for until=delay"),
        ({"until": "none", "start": False}, "start=false"),
        ({"until": "none", "proof": "follows"}, "with until=none the installer still runs"),
        ({"again": True}, "again=true is for proof=follows"),
        ({"shutdown_timeout": 0}, "shutdown_timeout must be at least 1 second"),
        ({"name": "none.iso"}, "There is no ISO named 'none.iso'"),
        ({"device": "ide3"}, "would not boot from ide3: ide3 is not in the boot order"),
    ],
)
def test_refuses_before_anything_is_changed(site: Site, options: dict[str, Any], words: str) -> None:
    assert words in failed(site, **options)["msg"]
    assert words in failed(site, check_mode=True, **options)["msg"]
    assert writes(site) == [] and reinstalls(site).noted(site.vps.id) is None


def test_a_name_that_several_have_confirms_none_of_them(site: Site) -> None:
    site.world.add_vps(site.owner, "Web-01", "192.0.2.2")
    msg = failed(site)["msg"]
    assert f"confirm has to hold '{site.vps.id}', for several VPSs have this name" in msg
    assert run(site, confirm=["x", site.vps.id])["outcome"] == "reinstalled"


def test_closed_gates(site: Site) -> None:
    site.vps.gates["restart"] = Gate(False, "Locked by support.", "locked")
    assert "Locked by support" in failed(site)["msg"]
    assert writes(site) == []


def test_boot_order_that_does_not_follow_the_mount(site: Site) -> None:
    site.vps.boot_order = ["scsi0", "ide2"]
    result = failed(site, boot_order="after_mount")
    assert "scsi0 comes first in the boot order" in result["msg"] and "was not restarted" in result["msg"]
    assert result["actions"] == ["mount", "unmount"] and held(site.vps) == {}
    assert reinstalls(site).noted(site.vps.id) is None
    site.switches.mount_moves_cd_first = True
    assert run(site, boot_order="after_mount")["outcome"] == "reinstalled"


@pytest.mark.parametrize(("place", "refusal"), [("storage", ""), ("nowhere", "the API does not tell the boot order")])
def test_boot_order_that_the_iso_read_does_not_tell(site: Site, place: str, refusal: str) -> None:
    site.switches.boot_order_at = place
    result = run(site)
    assert refusal in result.get("msg", "") and result["outcome"] == ("failed" if refusal else "reinstalled")
    assert site.sent("GET", "/storage$")
    assert run(site, boot_order="ignore")["outcome"] == "reinstalled"


def test_one_at_a_time(site: Site) -> None:
    end = reinstalls(site).try_to_begin(site.vps.id)
    assert end
    assert "Another run of this user is reinstalling this VPS" in failed(site)["msg"]
    assert len(site.calls) == 0
    end()
    assert run(site)["outcome"] == "reinstalled"


# --- failures --------------------------------------------------------------------------------------------------------


def test_installer_that_never_ends(site: Site) -> None:
    site.switches.installer_seconds = None
    result = failed(site, install_timeout=600)
    assert "The VPS is still running after the 600 s of install_timeout" in result["msg"]
    assert "ubuntu.iso was taken out of ide2." in result["msg"] and result["timed_out"] is True
    assert held(site.vps) == {} and result["phase"] == "install"
    lines = [line for line in site.said if "the installer runs" in line]
    assert 8 <= len(lines) <= 20
    assert "looks the same from here" not in lines[0] and "looks the same from here" in lines[-1]


def test_restart_that_is_not_heeded(site: Site) -> None:
    site.switches.ignores_power_button = True
    result = failed(site, shutdown_timeout=30)
    assert "force=true would reset it" in result["msg"] and held(site.vps) == {}
    assert reinstalls(site).noted(site.vps.id) is None
    # nothing tells the next run that this may be an installer, so it is not reset either
    assert "reset" not in failed(site, shutdown_timeout=30)["actions"]


def test_shutdown_that_comes_late_boots_from_the_disk_or_is_told(site: Site) -> None:
    site.switches.shutdown_seconds = 40.0
    result = failed(site, shutdown_timeout=30)
    assert "ubuntu.iso was taken out of ide2." in result["msg"] and "has restarted after all" not in result["msg"]
    site.clock.now += 60.0
    assert site.client().get(f"/api/v2/vps/{site.vps.id}/status").body["powerState"] == "running"
    assert site.vps.powers_off_at is None  # by no installer
    # and one that comes while the ISO is being taken out
    site.clock.now += 600.0
    site.fault("problem", "POST", "/unmount$", code="vps_not_ready", status=409, times=5)
    result = failed(site, shutdown_timeout=38)
    assert "has restarted after all: the installer may be what runs now" in result["msg"] and held(site.vps) == {}
    note = reinstalls(site).noted(site.vps.id)
    assert note and note.has_booted and not note.is_mounted


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_wait_ends_where_no_later_look_will_help(site: Site, status: int) -> None:
    site.fault("problem", "GET", "/status$", status=status, code="gone", times=None)
    result = failed(site)
    assert result["error"]["status"] == status and result["phase"] == "install"
    assert site.sent("GET", "/status$") == ["status"]
    assert held(site.vps) == {}


def test_a_wait_outlasts_an_api_that_is_down(site: Site) -> None:
    site.fault("problem", "GET", "/status$", times=9)
    assert run(site)["outcome"] == "reinstalled"
    assert len([line for line in site.said if "cannot be asked how it goes" in line]) == 1


def test_a_clean_up_that_fails_hides_nothing(site: Site) -> None:
    site.switches.installer_seconds = None
    site.fault("problem", "POST", "/unmount$", status=409, code="locked", times=None)
    result = failed(site, install_timeout=60)
    assert "still running after the 60 s" in result["msg"] and "could not be taken out of ide2" in result["msg"]
    note = reinstalls(site).noted(site.vps.id)
    assert note and note.is_mounted and note.has_booted


def test_an_edge_that_refuses_a_look_ends_no_wait(site: Site) -> None:
    site.fault("edge", "GET", "/status$", status=403, times=3)
    assert run(site)["outcome"] == "reinstalled"


def test_a_clean_up_is_about_this_iso_alone(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ID and name, an unmount would mean all drives."""
    other = site.world.add_iso(site.owner, "other.iso")
    site.vps.drives["ide0"] = Drive.holding(other.id)
    site.fault("problem", "POST", "/mount$", status=409, code="locked")
    result = failed(site, device="ide2")
    assert "ubuntu.iso is not in ide2." in result["msg"] and "unmount" not in writes(site)
    site.fault("problem", "POST", "/restart$", status=409, code="locked")
    monkeypatch.setattr(apply, "find_iso", lambda _media, _wish: None)  # as if it had gone, and come back
    result = failed(site, device="ide2", boot_order="ignore")
    assert "was taken out" in result["msg"] and held(site.vps) == {"ide0": other.id}


def test_something_else_that_starts_it(site: Site) -> None:
    site.fault("problem", "POST", "/start$", status=409, code="vps_running", times=None)
    result = failed(site)
    assert "something else may have started it since" in result["msg"] and result["phase"] == "start"
    assert held(site.vps) == {} and reinstalls(site).noted(site.vps.id) is None


# --- what an earlier run has left ------------------------------------------------------------------------------------


def test_every_module_tells_what_a_run_has_left(site: Site) -> None:
    left(site)
    site.vps.drives["ide2"] = Drive.holding(site.iso.id)
    [told] = run(site, task=VPS_ISO, name="ubuntu.iso")["warnings"]
    assert "began 10 minutes ago did not come to its end. ubuntu.iso may still be in ide2" in told
    assert "Its installer was booted" in told
    end = reinstalls(site).try_to_begin(site.vps.id)  # another run that goes on is no such run
    assert end and "warnings" not in run(site, task=VPS_ISO, name="ubuntu.iso")
    end()


@pytest.mark.parametrize("is_mounted", [True, False])
def test_a_restart_ends_what_was_booted_unless_the_iso_is_still_there(site: Site, is_mounted: bool) -> None:
    left(site, is_mounted=is_mounted)
    assert run(site, task=VPS_POWER, state="restarted")["warnings"]
    assert (reinstalls(site).noted(site.vps.id) is not None) is is_mounted


@pytest.mark.parametrize("listens", [True, False])
def test_run_again_over_an_installer(site: Site, listens: bool) -> None:
    left(site)
    site.vps.drives["ide2"] = Drive.holding(site.iso.id)
    site.switches.ignores_power_button = not listens
    result = run(site, shutdown_timeout=30)
    assert result["outcome"] == "reinstalled"
    assert result["actions"] == ["restart", *([] if listens else ["reset"]), "unmount", "start"]


def test_run_again_after_one_that_only_failed_to_shut_down(site: Site) -> None:
    left(site, has_booted=False)
    site.vps.drives["ide2"] = Drive.holding(site.iso.id)
    site.switches.ignores_power_button = True
    result = failed(site, shutdown_timeout=30)
    assert "reset" not in result["actions"] and held(site.vps) == {}


def test_without_the_note_the_drive_tells(site: Site) -> None:
    site.vps.drives["ide2"] = Drive.holding(site.iso.id)
    [warning] = run(site, check_mode=True)["warnings"]
    assert "has ubuntu.iso in ide2, which comes first in the boot order" in warning and "state=unmounted" in warning


def test_keys_of_the_old_system_outlast_a_run(site: Site) -> None:
    assert "No SSH host key of the system that web-01" in failed(site, host_keys=[])["msg"]
    assert "is no host key" in failed(site, host_keys=["AAAA"])["msg"]
    assert writes(site) == []
    left(site, host_keys=[KEY])
    assert run(site, check_mode=True, host_keys=[])["host_keys"] == [KEY]
    site.switches.installer_seconds = None
    assert failed(site, host_keys=[OTHER_KEY], install_timeout=60)["host_keys"] == sorted([KEY, OTHER_KEY])
    note = reinstalls(site).noted(site.vps.id)
    assert note and list(note.host_keys) == sorted([KEY, OTHER_KEY])


def test_what_lacks_only_its_proof_is_not_wiped_again(site: Site) -> None:
    given: dict[str, Any] = {"proof": "follows", "host_keys": [KEY]}
    run(site, **given)
    done = writes(site)
    foreseen = run(site, check_mode=True, proof="follows")
    assert foreseen["account"] == [f"find web-01 ({site.vps.id}) reinstalled, and go on to the proof"]
    assert "warnings" not in run(site, task=VPS_ISO, name="ubuntu.iso", state="present")
    before = len(site.calls)
    result = run(site, proof="follows", host_keys=[OTHER_KEY])  # that of the new system
    assert (result["outcome"], result["changed"], result["host_keys"]) == ("reinstalled", False, [KEY])
    assert "lacks nothing but the proof" in result["warnings"][0] and "again=true" in result["warnings"][0]
    assert writes(site) == done and len(site.calls) - before == 2
    site.vps.power_state = "stopped"
    assert run(site, proof="follows")["actions"] == ["start"]
    assert run(site, check_mode=True, proof="given")["outcome"] == "proven"
    assert reinstalls(site).noted(site.vps.id) is not None
    before = len(site.calls)
    assert run(site, proof="given")["outcome"] == "proven" and len(site.calls) == before
    assert reinstalls(site).noted(site.vps.id) is None


@pytest.mark.parametrize(
    "why", ["again", "another ISO", "a mended ISO", "a day later", "nobody asks for a proof", "the old one answers"]
)
def test_what_lacks_its_proof_is_wiped_again_where_that_is_meant(site: Site, web: Web, why: str) -> None:
    url, site.iso.size_gb = web.add("/ubuntu.iso", body=b"mended"), 0.7
    run(site, proof="follows", host_keys=[KEY, OTHER_KEY])
    site.world.add_iso(site.owner, "debian.iso")
    if why == "a day later":
        site.clock.sleep(PROOF_SECONDS)
    given: dict[str, dict[str, Any]] = {"again": {"again": True}, "another ISO": {"name": "debian.iso"}}
    given["a mended ISO"] = {"url": url, "refresh": True}
    given["the old one answers"] = {"host_keys": [OTHER_KEY]}
    result = run(site, proof="none" if why.startswith("nobody") else "follows", **given.get(why, {}))
    assert result["actions"][-4:] == ["mount", "restart", "unmount", "start"]


def test_what_was_installed_from_the_iso_that_there_is_now_is_not_wiped_again(site: Site, web: Web) -> None:
    url = web.add("/new.iso", body=b"new")
    given: dict[str, Any] = {"name": None, "url": url, "refresh": True, "proof": "follows"}
    assert run(site, **given)["actions"][:2] == ["download", "mount"]
    assert run(site, **given)["actions"] == []


def test_a_start_that_fails_is_not_taken_for_an_installer_that_failed(site: Site) -> None:
    site.fault("problem", "POST", "/start$", status=500, times=None)
    result = failed(site, proof="follows")
    assert (result["phase"], result["power_state"]) == ("start", "stopped")
    site.emulator.faults.clear()
    assert run(site, proof="follows")["actions"] == ["start"]


def test_a_proof_that_is_given_leaves_what_was_killed(site: Site) -> None:
    left(site)
    run(site, proof="given")
    note = reinstalls(site).noted(site.vps.id)
    assert note and note.is_mounted


def test_another_machine_that_answers_while_the_vps_is_off(site: Site) -> None:
    answers: list[str] = []
    asked: list[tuple[str, str]] = []

    def scan(command: list[str]) -> str:
        asked.append((command[-1], command[command.index("-p") + 1]))
        return "\n".join(f"192.0.2.1 {key}" for key in answers)

    site.programs["ssh-keyscan"] = scan
    given: dict[str, Any] = {"ssh_host": "192.0.2.1", "ssh_port": 2222}
    assert run(site, **given)["outcome"] == "reinstalled" and asked == [("192.0.2.1", "2222")]
    answers.append(KEY)
    result = failed(site, **given)
    assert "While the VPS was off, an SSH server answered at [192.0.2.1]:2222" in result["msg"]
    assert (result["power_state"], result["actions"][-1], held(site.vps)) == ("running", "start", {})
    site.vps.power_state = "stopped"
    before = writes(site)
    assert "Nothing was done." in failed(site, **given)["msg"] and writes(site) == before


# --- signals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("fleet", [False, True])
def test_a_signal_has_the_iso_out(
    site: Site, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, fleet: bool
) -> None:
    monkeypatch.setattr(_interruption, "NOTICED_WITHIN", 60.0)
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    site.switches.installer_seconds = None
    sent: list[int] = []

    def interrupt() -> None:
        if "restart" in writes(site) and "status" in site.sent("GET") and not sent:
            sent.append(number)
            os.kill(os.getpid(), number)

    site.clock.at_wait = interrupt
    options: dict[str, Any] = {"vps_id": None, "vps_ids": [site.vps.id]} if fleet else {}
    result = run(site, install_timeout=86400, **options)
    [entry] = result["results"] if fleet else [result]
    assert f"Interrupted by {number.name} in the phase install. ubuntu.iso was taken out of ide2." in entry["msg"]
    assert held(site.vps) == {}
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
