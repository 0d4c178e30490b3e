# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens when things take long, go wrong, or are done in another way than the usual one."""

from __future__ import annotations

import bz2
import gzip
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from hostup_emulator.model import Drive
from support.lab import ISO_BYTES, SLOW_SHELLS_LAST, Lab, iso_task


def test_redirects_are_resolved_before_the_api_is_asked(lab: Lab, redirect: str) -> None:
    refused = lab.iso(url=redirect, name="latest.iso")
    assert "set resolve_redirects: true" in refused["msg"] and refused["changed"] is False
    result = lab.iso(url=redirect, name="latest.iso", resolve_redirects=True)
    assert result["actions"] == ["download"]
    assert lab.calls.writes()[-1].body["url"] == lab.url
    before = len(lab.calls)
    assert lab.iso(url=redirect, name="latest.iso", resolve_redirects=True)["changed"] is False
    assert len(lab.calls) == before + 1


@pytest.mark.parametrize(
    ("decompress", "suffix", "pack"),
    [("gzip", ".gz", gzip.compress), ("bzip2", ".bz2", bz2.compress), ("zstd", ".zst", zstandard.compress)],
)
def test_decompressed_under_its_own_name(
    lab: Lab, source_folder: Path, decompress: str, suffix: str, pack: Callable[[bytes], bytes]
) -> None:
    (source_folder / f"packed.iso{suffix}").write_bytes(pack(ISO_BYTES))
    result = lab.iso(url=f"{lab.source}/packed.iso{suffix}", decompress=decompress)
    assert result["iso"]["name"] == "packed.iso"
    assert lab.emulator.downloads.path("ann", "packed.iso").read_bytes() == ISO_BYTES


@pytest.mark.smoke
@SLOW_SHELLS_LAST
def test_failed_download_is_told_at_once(lab: Lab, shell: str) -> None:
    result = lab.iso(shell, url=f"{lab.source}/missing.iso")
    assert re.match(r"Could not download missing\.iso\. Job job_\w+ failed: .*404", result["msg"])
    assert (result["changed"], result["actions"], result["job"]["status"]) == (False, [], "failed")
    assert result["error"]["title"] == "job failed"


@SLOW_SHELLS_LAST
def test_time_out_leaves_the_job_running_and_says_so(lab: Lab, shell: str) -> None:
    lab.emulator.downloads.hold()
    result = lab.iso(shell, url=lab.url, state="mounted", wait_timeout=lab.in_task(3, shell))
    assert result["failed"] and result["timed_out"]
    assert "goes on at HostUp" in result["msg"] and result["job"]["id"] in result["msg"]
    assert (result["changed"], result["actions"]) == (True, ["download"])


def test_deadline_holds_for_writes_and_slow_reads(lab: Lab) -> None:
    """After wait_timeout nothing is sent again, and no single request may outlast it by much."""
    lab.world.add_iso(lab.owner, "ubuntu.iso")
    lab.faults.add("slow", "GET", seconds=0.5, times=1)
    lab.faults.add("problem", "POST", times=None)
    late = lab.iso(name="ubuntu.iso", state="mounted", wait_timeout=lab.in_task(1))
    assert late["failed"] and late["timed_out"] and len(lab.calls.writes()) == 1
    lab.faults.clear()
    lab.faults.add("slow", "GET", seconds=60.0, times=None)
    task = iso_task(vps_id=lab.vps.id, state="unmounted", wait_timeout=1)
    slow = lab.start([task]).finish(30).of("iso")
    assert slow["failed"] and slow["timed_out"]


def test_forgotten_download_is_told_as_such(lab: Lab) -> None:
    lab.world.switches.job.forgotten = True
    lab.emulator.downloads.hold()
    result = lab.iso(url=lab.url)
    assert result["failed"] and result["job"]["status"] == "forgotten"
    assert "may be ordered a second time" in result["msg"]


@pytest.mark.parametrize("wait", [True, False])
def test_failure_in_the_first_answer_is_told(lab: Lab, wait: bool) -> None:
    body = {"operation": {"status": "failed", "jobId": "job_1", "pollUrl": None, "error": "disk full"}}
    lab.faults.add("wrong_shape", "POST", status=200, body=body)
    result = lab.iso(url=lab.url, wait=wait)
    assert "Job job_1 failed: disk full" in result["msg"]
    assert (result["changed"], result["actions"], result["job"]["status"]) == (False, [], "failed")


def test_wait_false_returns_the_job(lab: Lab) -> None:
    lab.emulator.downloads.hold()
    result = lab.iso(url=lab.url, wait=False)
    assert (result["changed"], result["actions"], result["iso"]) == (True, ["download"], None)
    assert result["job"]["status"] in ("queued", "in_progress")
    assert [call.method for call in lab.calls] == ["GET", "POST"]


def test_wait_false_foretells_in_its_diff(lab: Lab) -> None:
    """Also where the API answers a mount with a job, which is the task's last step."""
    iso = lab.world.add_iso(lab.owner, "ubuntu.iso")
    lab.world.switches.mount, lab.world.switches.job_seconds = "job", 1e6
    wish = {"vps_id": lab.vps.id, "name": "ubuntu.iso", "state": "mounted", "wait": False}
    run = lab.play([{**iso_task(**wish), "name": "foresee", "check_mode": True}, iso_task(**wish)], args=["--diff"])
    foreseen, ordered = run.of("foresee"), run.of("iso")
    assert ordered["diff"] == foreseen["diff"] and ordered["diff"]["after"]["drives"][0] == "ide2: ubuntu.iso"
    assert (ordered["changed"], ordered["actions"], ordered["device"]) == (True, ["mount"], None)
    assert ordered["iso"]["id"] == iso.id and ordered["job"]["status"] in ("queued", "in_progress")


def test_what_changes_while_a_download_runs_is_heeded(lab: Lab) -> None:
    """A drive that has become the cloud-init drive, or that somebody has loaded, is left alone."""
    lab.emulator.downloads.hold()
    hosts = lab.add_fleet(2)
    config, loaded = (lab.world.vpses[host["vps_id"]] for host in hosts.values())
    wish = {"state": "mounted", "url": lab.url, "device": "ide2", "on_conflict": "fail"}
    playing = lab.start([{**iso_task(vps_id="{{ vps_id }}", **wish), "ignore_errors": True}], hosts=hosts)
    lab.until(lambda: lab.orders() and len(lab.calls.matching("GET", "/iso$")) >= 2)
    others = lab.world.add_iso(lab.owner, "others.iso").id
    config.drives["ide2"], loaded.drives["ide2"] = Drive.cloud_init(others), Drive.holding(others)
    lab.emulator.downloads.release()
    run = playing.finish()
    first, second = (run.of("iso", host)["msg"] for host in hosts)
    assert "it is the cloud-init drive" in first and "on_conflict=fail forbids to replace it" in second
    assert [call.path.rpartition("/")[2] for call in lab.calls.writes()] == ["from-url"]


def test_a_write_of_which_nothing_can_be_learned_is_told_as_such(lab: Lab) -> None:
    """The re-read fails, too: what is told is the write's failure, and that nobody knows."""
    lab.world.add_iso(lab.owner, "ubuntu.iso")
    lab.faults.add("dropped", "POST", "/mount$", commit=True)
    lab.faults.add("problem", "GET", "/iso$", after=1, times=None)
    result = lab.iso(name="ubuntu.iso", state="mounted", api_retries=0)
    assert result["failed"] and (result["actions"], result["actions_unknown"]) == ([], ["mount"])
    assert "got no answer" in result["msg"] and "Nor could it be looked up" in result["msg"]
    assert result["error"]["method"] == "POST"


def test_a_job_that_cannot_be_asked_for_minutes_ends_no_wait(lab: Lab) -> None:
    lab.emulator.downloads.hold()
    lab.faults.add("problem", "GET", "/jobs/", status=503, times=20)
    playing = lab.start([iso_task(vps_id=lab.vps.id, url=lab.url, api_retries=0)])
    lab.until(lambda: len(lab.calls.matching("GET", "/jobs/")) >= 20)
    lab.emulator.downloads.release()
    run = playing.finish()
    assert run.of("iso")["actions"] == ["download"] and run.output.count("cannot be asked how it goes") == 1


def test_a_job_that_was_cancelled_has_failed(lab: Lab) -> None:
    body = {"operation": {"status": "cancelled", "jobId": "job_1", "pollUrl": None}}
    lab.faults.add("wrong_shape", "POST", status=200, body=body)
    assert "Job job_1 ended as cancelled" in lab.iso(url=lab.url)["msg"]


def test_a_job_is_handed_from_task_to_task(lab: Lab) -> None:
    """As AWX has it: in each container another home."""
    lab.emulator.downloads.hold()
    ordered = lab.iso(url=lab.url, wait=False)
    shutil.rmtree(lab.folder / ".cache")
    job_id = ordered["job"]["id"]
    playing = lab.start([iso_task(vps_id=lab.vps.id, state="mounted", name="ubuntu.iso", job_id=job_id)])
    lab.until(lambda: lab.calls.matching("GET", f"/jobs/{job_id}$"))
    lab.emulator.downloads.release()
    run = playing.finish()
    assert run.of("iso")["actions"] == ["mount"] and lab.orders() == 1, run.output


@SLOW_SHELLS_LAST
def test_drive_that_goes_with_its_iso_is_attached_again(lab: Lab, shell: str) -> None:
    lab.world.switches.unmount_removes_drive = True
    lab.vps.drives = {"ide2": Drive.holding(lab.world.add_iso(lab.owner, "ubuntu.iso").id)}
    assert lab.iso(shell, state="unmounted", keep_drive=True)["actions"] == ["unmount", "attach_drive"]
    assert lab.vps.drives == {"ide2": Drive.empty()}
    again = lab.iso(shell, state="unmounted", keep_drive=True, device="ide2")
    assert (again["changed"], len(lab.calls.writes())) == (False, 2)


@SLOW_SHELLS_LAST
@pytest.mark.parametrize("answer", ["sync", "job"])
def test_slot_gets_a_drive_where_a_mount_needs_one(lab: Lab, shell: str, answer: str) -> None:
    lab.world.switches.mount_needs_drive = True
    lab.world.switches.mount = answer
    lab.world.add_iso(lab.owner, "ubuntu.iso")
    lab.vps.drives = {"ide3": Drive.slot()}
    result = lab.iso(shell, name="ubuntu.iso", state="mounted")
    assert (result["actions"], result["device"]) == (["attach_drive", "mount"], "ide3")


@SLOW_SHELLS_LAST
def test_lost_answer_is_settled_by_a_re_read(lab: Lab, shell: str) -> None:
    lab.world.add_iso(lab.owner, "ubuntu.iso")
    lab.faults.add("dropped", "POST", "/mount", commit=True)
    result = lab.iso(shell, name="ubuntu.iso", state="mounted")
    assert (result["changed"], result["actions"], result["device"]) == (True, ["mount"], "ide2")
    assert [call.method for call in lab.calls] == ["GET", "POST", "GET"]


@SLOW_SHELLS_LAST
def test_rate_limit_is_waited_for(lab: Lab, shell: str) -> None:
    lab.faults.add("problem", status=429, code="rate_limit_exceeded", headers={"Retry-After": "1"}, times=2)
    assert lab.iso(shell, state="unmounted")["changed"] is False
    assert [call.status for call in lab.calls] == [429, 429, 200]


def test_retried_task_keeps_its_environment(lab: Lab) -> None:
    """The action takes our variables off the task; `until` runs the same action again."""
    lab.faults.add("problem", "GET", status=403, detail="not yet")
    task = {
        **iso_task("delegated", vps_id=lab.vps.id, state="unmounted"),
        "environment": {"HOSTUP_API_KEY": lab.key},
        "register": "result",
        "until": "result is succeeded",
        "retries": 2,
        "delay": 0,
    }
    assert lab.play([task], env={"HOSTUP_API_KEY": None}).code == 0
    assert [call.status for call in lab.calls] == [403, 200]


@SLOW_SHELLS_LAST
def test_cloudflares_refusal_is_no_matter_of_scopes(lab: Lab, shell: str) -> None:
    lab.world.add_iso(lab.owner, "ubuntu.iso")
    lab.faults.add("edge", "POST")
    result = lab.iso(shell, name="ubuntu.iso", state="mounted")
    assert "code 1010" in result["msg"] and "Cloudflare, which stands in front of the API," in result["msg"]
    assert "nothing was done" in result["msg"] and "write:vm" not in result["msg"]
    assert f"the ray ID {result['error']['extra']['ray_id']}." in result["msg"]
    assert (result["changed"], result["error"]["status"], result["error"]["code"]) == (False, 403, "1010")
    assert [call.status for call in lab.calls] == [200, 403]


@SLOW_SHELLS_LAST
def test_proxy_page_is_no_traceback(lab: Lab, shell: str) -> None:
    lab.faults.add("html", times=None)
    result = lab.iso(shell, state="unmounted", api_retries=1)
    assert "HTTP 502" in result["msg"] and "text/html" in result["msg"]
    assert (result["error"]["status"], result["error"]["method"], len(lab.calls)) == (502, "GET", 2)
