# SPDX-License-Identifier: GPL-3.0-or-later
"""The list form: one task for a whole fleet, a result for each VPS, and failures that stop no other."""

from __future__ import annotations

import fcntl
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from hostup_emulator.model import Drive, Gate
from support.lab import KEY, SHELLS, SLOW_SHELLS_LAST, Lab, iso_task


def fleet(lab: Lab, count: int) -> list[str]:
    """Add VPSs; returns their IDs."""
    return [host["vps_id"] for host in lab.add_fleet(count).values()]


def mount_everywhere(lab: Lab, vps_ids: list[str], iso_id: str, device: str = "ide2") -> None:
    """Put an ISO into a drive of each."""
    for vps_id in vps_ids:
        lab.world.vpses[vps_id].drives[device] = Drive.holding(iso_id)


def mounted(lab: Lab, vps_ids: list[str]) -> set[str | None]:
    """What is in the drives of all of them."""
    return {drive.iso_id for vps_id in vps_ids for drive in lab.world.vpses[vps_id].drives.values()}


def info_task(shell: str = "controller", /, **options: Any) -> dict[str, Any]:
    """A task called `info`."""
    return {"name": "info", "hostup.cloud.hostup_vps_iso_info": options, **SHELLS[shell]}


def actions(result: dict[str, Any]) -> Counter[tuple[str, ...]]:
    """How many VPSs have seen what, counting only what agrees with `changed`."""
    return Counter(tuple(one["actions"]) for one in result["results"] if one["changed"] == bool(one["actions"]))


def polls(lab: Lab) -> int:
    """How often jobs were asked after."""
    return len(lab.calls.matching("GET", "/jobs/"))


def take_up(lab: Lab, **options: Any) -> dict[str, Any]:
    """Run it again, while the download that an earlier run has left behind still goes on."""
    before = polls(lab)
    playing = lab.start([iso_task(**options)])
    lab.until(lambda: polls(lab) > before)
    lab.emulator.downloads.release()
    return playing.finish().of("iso")


def lines(output: str) -> list[str]:
    """What was told while the task ran."""
    return re.findall(r"^web-01: (.*)", output, re.MULTILINE)


# --- what becomes of each VPS ------------------------------------------------------------------------------------


@SLOW_SHELLS_LAST
def test_two_failures_stop_nobody(lab: Lab, shell: str) -> None:
    lab.emulator.downloads.hold()
    good, [closed] = fleet(lab, 98), fleet(lab, 1)
    lab.world.vpses[closed].can_mount = Gate(False, "A backup is running.", "backup_running")
    vps_ids = [*good[:10], "vps_gone", *good[10:60], closed, *good[60:]]
    playing = lab.start([iso_task(shell, vps_ids=vps_ids, state="mounted", url=lab.url)])
    lab.until(lambda: len({call.vps_id for call in lab.calls}) > 30)
    lab.emulator.downloads.release()
    done = playing.finish().of("iso")
    assert (done["failed"], done["changed"]) == (True, True)
    assert done["msg"].startswith("2 of 100 VPSs failed. vps_gone: ")
    assert f" {closed}: " in done["msg"] and "A backup is running." in done["msg"]
    assert [one["vps_id"] for one in done["results"]] == vps_ids
    assert [one["vps_id"] for one in done["results"] if one["failed"]] == ["vps_gone", closed]
    assert done["error"]["status"] == 404
    assert actions(done) == {("download", "mount"): 1, ("mount",): 97, (): 2}
    assert all((one["msg"] == "") is not one["failed"] for one in done["results"])
    assert {one["device"] for one in done["results"] if not one["failed"]} == {"ide2"}
    assert [call for call in lab.calls.writes() if call.vps_id in ("vps_gone", closed)] == []
    assert lab.orders() == 1

    before = len(lab.calls)
    again = lab.iso(shell, vps_ids=vps_ids, state="mounted", url=lab.url)
    assert (again["failed"], again["changed"], actions(again)) == (True, False, {(): 100})
    assert again["msg"].startswith("2 of 100 VPSs failed.")
    assert Counter(call.vps_id for call in lab.calls[before:]) == dict.fromkeys(vps_ids, 1)


def test_check_mode_foretells_what_is_done(lab: Lab) -> None:
    iso = lab.world.add_iso(lab.owner, "ubuntu.iso")
    other = lab.world.add_iso(lab.owner, "other.iso")
    vps_ids = fleet(lab, 30)
    mount_everywhere(lab, vps_ids[:10], iso.id)
    mount_everywhere(lab, vps_ids[10:20], other.id)
    task = iso_task(vps_ids=vps_ids, state="mounted", name="ubuntu.iso", device="ide2")
    checked = lab.play([task], args=["--check", "--diff"])
    assert lab.calls.writes() == []
    foretold = checked.of("iso")
    real = lab.play([task], args=["--diff"])
    done = real.of("iso")
    assert actions(foretold) == {(): 10, ("unmount", "mount"): 10, ("mount",): 10}
    assert (foretold["results"], foretold["diff"]) == (done["results"], done["diff"])
    assert [one["diff"]["before"] == one["diff"]["after"] for one in done["results"]] == [True] * 10 + [False] * 20
    assert [one["before_header"] for one in done["diff"]] == vps_ids[10:]
    for run in (checked, real):
        assert all(vps_id in run.output for vps_id in vps_ids[10:])
        assert not any(vps_id in run.output for vps_id in vps_ids[:10])
    assert foretold["changed"] is done["changed"] is True


def test_check_mode_foretells_a_download(lab: Lab) -> None:
    vps_ids = fleet(lab, 5)
    task = {**iso_task(vps_ids=vps_ids, state="mounted", url=lab.url), "check_mode": True}
    foretold = lab.play([task]).of("iso")
    assert foretold["changed"] is True and lab.calls.writes() == []
    assert all(one["actions"][-1] == "mount" and one["device"] == "ide2" for one in foretold["results"])


def test_states_one_after_the_other(lab: Lab) -> None:
    """Each is done, and costs one request for each VPS when it is done already."""
    vps_ids = fleet(lab, 40)
    iso = lab.world.add_iso(lab.owner, "ubuntu.iso")
    wishes: dict[str, dict[str, Any]] = {
        "mounted": {"state": "mounted", "iso_id": iso.id},
        "unmounted": {"state": "unmounted"},
        "mounted again": {"state": "mounted", "name": "ubuntu.iso", "device": "ide3"},
        "absent": {"state": "absent", "name": "ubuntu.iso"},
    }
    tasks = [{**iso_task(vps_ids=vps_ids, **wish), "name": name} for name, wish in wishes.items()]
    run = lab.play([twice for task in tasks for twice in (task, {**task, "name": f"{task['name']}, done"})])
    assert [item.status for item in run.results] == ["ok"] * 8
    assert actions(run.of("mounted")) == actions(run.of("mounted again")) == {("mount",): 40}
    assert actions(run.of("unmounted")) == {("unmount",): 40}
    assert actions(run.of("absent")) == {("unmount", "delete"): 1, ("unmount",): 39}
    assert [actions(run.of(f"{name}, done")) for name in wishes] == [{(): 40}] * 4
    assert {one["device"] for one in run.of("mounted again")["results"]} == {"ide3"}
    assert [call.status for call in lab.calls.matching("DELETE")] == [204]
    assert (lab.owner.library, mounted(lab, vps_ids)) == ({}, {None})
    # read, write and read; four times one read; and a read before and after the only DELETE, and for whom it is none
    assert len(lab.calls) == 40 * (3 * 4 + 4) + 39 + 3


def test_info_of_a_fleet(lab: Lab) -> None:
    iso = lab.world.add_iso(lab.owner, "ubuntu.iso")
    vps_ids = fleet(lab, 40)
    mount_everywhere(lab, vps_ids[:1], iso.id)
    run = lab.play(
        [
            info_task(vps_ids=vps_ids),
            {**info_task(vps_ids=[*vps_ids, "vps_gone"], name="other.iso"), "name": "filtered", "ignore_errors": True},
        ]
    )
    results = run.of("info")["results"]
    assert [one["vps_id"] for one in results] == vps_ids
    assert run.of("info")["changed"] is False
    assert [[mount["iso_id"] for mount in one["mounted"]] for one in results] == [[iso.id], *[[]] * 39]
    assert all(one["available"][0]["name"] == "ubuntu.iso" and not one["failed"] for one in results)
    filtered = run.of("filtered")
    assert filtered["msg"].startswith("1 of 41 VPSs failed. vps_gone: ")
    assert all(one["available"] == one["mounted"] == [] for one in filtered["results"][:-1])
    assert len(lab.calls) == 81


@pytest.mark.smoke
def test_run_once_for_a_group(lab: Lab) -> None:
    vps_ids = "{{ groups['fleet'] | map('extract', hostvars, 'vps_id') | list }}"
    task = iso_task(vps_ids=vps_ids, state="mounted", url=lab.url)
    hosts = lab.add_fleet(20)
    own = "fleet.results | selectattr('vps_id', 'eq', vps_id) | map(attribute='device')"
    run = lab.play(
        [
            {**task, "run_once": True, "register": "fleet"},
            {"name": "own", "ansible.builtin.debug": {"msg": f"{{{{ {own} | list }}}}"}},
        ],
        hosts=hosts,
    )
    assert actions(run.of("iso")) == {("download", "mount"): 1, ("mount",): 19}
    assert [run.of("own", host)["msg"] for host in hosts] == [["ide2"]] * 20


UNHEEDING: dict[str, dict[str, Any]] = {
    "free": {"play": {"strategy": "free"}},
    "host_pinned": {"play": {"strategy": "ansible.builtin.host_pinned"}},
    "a template": {"play": {"strategy": "{{ how }}"}, "args": ["-e", "how=free"]},
    "settings": {"env": {"ANSIBLE_STRATEGY": "free"}},
}


@pytest.mark.parametrize("how", UNHEEDING)
def test_run_once_that_is_not_heeded_does_nothing(lab: Lab, how: str) -> None:
    """Ansible then runs the task for every host, and each of them would restart all VPSs."""
    hosts = lab.add_fleet(3)
    vps_ids = "{{ ansible_play_hosts_all | map('extract', hostvars, 'vps_id') | list }}"
    options = {"vps_ids": vps_ids, "state": "restarted"}
    task: dict[str, Any] = {"hostup.cloud.hostup_vps_power": options, "ignore_errors": True}
    block = {"run_once": True, "block": [{**task, "name": "included"}]}
    (lab.folder / "included.yml").write_text(yaml.safe_dump([block]))
    tasks = [{**task, "name": "own", "run_once": True}, {"ansible.builtin.include_tasks": "included.yml"}]
    run = lab.play(tasks, hosts=hosts, **UNHEEDING[how])
    assert lab.calls == []
    for result in (run.of(name, host) for name in ("own", "included") for host in hosts):
        assert result["failed"] and "strategy" in result["msg"] and "hosts: localhost" in result["msg"]


def test_run_once_for_one_host_is_once(lab: Lab) -> None:
    task = {**info_task(vps_ids=fleet(lab, 2)), "run_once": True}
    assert not lab.play([task], play={"strategy": "free"}).of("info").get("failed")


# --- odd lists ---------------------------------------------------------------------------------------------------


def test_odd_lists(lab: Lab) -> None:
    one, other = fleet(lab, 2)
    lists: dict[str, dict[str, Any]] = {
        "empty": {"vps_ids": []},
        "blank entry": {"vps_ids": [one, " "]},
        "empty entry": {"vps_ids": ["", one]},
        "with vps_id": {"vps_ids": [one], "vps_id": one},
        "with vps_name": {"vps_ids": [one], "vps_name": "web-01"},
    }
    tasks = [
        {**task, "name": f"{name}, {task['name']}", "ignore_errors": True}
        for name, options in lists.items()
        for task in (iso_task(state="unmounted", **options), info_task(**options))
    ]
    run = lab.play(tasks)
    assert lab.calls == []
    for task in ("iso", "info"):
        empty = run.of(f"empty, {task}")
        assert (empty["failed"], empty["changed"], empty["results"]) == (False, False, [])
        assert "vps_ids[1] is empty" in run.of(f"blank entry, {task}")["msg"]
        assert "vps_ids[0] is empty" in run.of(f"empty entry, {task}")["msg"]
        assert "mutually exclusive" in run.of(f"with vps_id, {task}")["msg"]
        assert "mutually exclusive" in run.of(f"with vps_name, {task}")["msg"]

    result = lab.iso(vps_ids=[other, one, other, other], state="mounted", url=lab.url)
    assert [item["vps_id"] for item in result["results"]] == [other, one]
    assert len(lab.calls.matching("POST", "/mount$")) == 2


# --- where nothing can be done -----------------------------------------------------------------------------------


def test_wrong_key_ends_early(lab: Lab) -> None:
    vps_ids = fleet(lab, 100)
    result = lab.iso(vps_ids=vps_ids, state="unmounted", api_key="hk-of-nobody")
    assert (result["failed"], result["changed"]) == (True, False)
    assert result["msg"].startswith("100 of 100 VPSs failed.")
    assert "HTTP 401" in result["msg"] and "Check api_key" in result["msg"]
    assert result["error"]["status"] == 401
    assert [one["vps_id"] for one in result["results"]] == vps_ids
    assert all("HTTP 401" in one["msg"] for one in result["results"])
    assert len(lab.calls) <= 40


def test_unreachable_api_ends_early(lab: Lab) -> None:
    result = lab.iso(vps_ids=fleet(lab, 100), state="unmounted", api_base="http://127.0.0.1:1", api_retries=0)
    assert (result["failed"], result["changed"]) == (True, False)
    assert "got no answer" in result["msg"]
    assert len([one for one in result["results"] if one["msg"].startswith("Not tried: ")]) >= 50
    assert all(one["failed"] and "got no answer" in one["msg"] for one in result["results"])


def test_hopeless_download_is_not_ordered_again_and_again(lab: Lab) -> None:
    result = lab.iso(vps_ids=fleet(lab, 100), state="mounted", url=f"{lab.source}/missing.iso")
    assert result["msg"].startswith("100 of 100 VPSs failed.")
    assert result["changed"] is False
    reasons = Counter(re.sub(r"job_\w+", "job", one["msg"]) for one in result["results"] if one["failed"])
    [(told, waiting), (own, failed)] = reasons.most_common()
    assert "Downloads of missing.iso have failed" in told
    assert told in result["msg"] and "The source answered 404." in result["msg"]
    assert own == "Could not download missing.iso. Job job failed: The source answered 404."
    assert (waiting, failed, lab.orders()) == (97, 3, 3)


def test_time_out_of_a_fleet(lab: Lab) -> None:
    lab.emulator.downloads.hold()
    vps_ids = fleet(lab, 50)
    late = lab.iso(vps_ids=vps_ids, state="mounted", url=lab.url, wait_timeout=lab.in_task(3))
    assert late["timed_out"] and late["msg"].startswith("50 of 50 VPSs failed.")
    assert all(one["failed"] and one["msg"] for one in late["results"])
    done = take_up(lab, vps_ids=vps_ids, state="mounted", url=lab.url)
    assert (done["failed"], actions(done), lab.orders()) == (False, {("mount",): 50}, 1)


def test_no_vps_waits_for_anothers_job(lab: Lab) -> None:
    """All are told to stop before one of them has."""
    lab.world.switches.ignores_power_button, lab.world.switches.shutdown_timeout = True, 1e6
    playing = lab.start(
        [{"name": "power", "hostup.cloud.hostup_vps_power": {"vps_ids": fleet(lab, 80), "state": "stopped"}}]
    )
    lab.until(lambda: len(lab.calls.matching("POST", "/shutdown$")) == 80)
    for vps in lab.owner.vpses:
        lab.world.machines.stop(vps)
    result = playing.finish().of("power")
    assert not result.get("failed") and {one["power_state"] for one in result["results"]} == {"stopped"}


# --- what is shown -----------------------------------------------------------------------------------------------


def test_lines_are_few(lab: Lab) -> None:
    lab.emulator.downloads.hold(0.5)
    playing = lab.start([iso_task(vps_ids=fleet(lab, 100), state="mounted", url=lab.url)])
    lab.until(lambda: polls(lab) > 2)
    lab.emulator.downloads.release()
    run = playing.finish()
    said = lines(run.output)
    assert said[0] == "ubuntu.iso: queued, 0 s" or said[0].startswith("waiting for")
    assert any(re.fullmatch(r"ubuntu.iso: 100 %, \d+ s", line) for line in said)
    assert len(said) < 30


def test_lines_under_a_rate_limit_are_few(lab: Lab) -> None:
    lab.world.switches.rate_limit, lab.world.switches.rate_window = 20, 60.0
    run = lab.play([info_task(vps_ids=fleet(lab, 60))])
    assert run.code == 0
    assert [line for line in lines(run.output) if "waiting" in line][1:] == []
    assert len([call for call in lab.calls if call.status == 429]) <= 60


def is_free(lock: Path) -> bool:
    """Whether no process holds a lock any more."""
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


@pytest.mark.usefixtures("heeded_sigint")
def test_interrupt_ends_it_soon(lab: Lab) -> None:
    lab.emulator.downloads.hold()
    playing = lab.start([iso_task(vps_ids=fleet(lab, 50), state="mounted", url=lab.url)])
    lab.until(lambda: polls(lab))
    playing.interrupt()
    run = playing.finish(20)
    assert run.code != 0 and run.results == []
    assert "Traceback" not in run.output
    [lock] = (lab.folder / ".cache" / "hostup").glob("library-*.lock")
    lab.until(lambda: is_free(lock))
    assert take_up(lab, vps_id=lab.vps.id, url=lab.url)["actions"] == []
    assert lab.orders() == 1


@SLOW_SHELLS_LAST
def test_key_is_shown_nowhere(lab: Lab, shell: str) -> None:
    """Neither where VPSs fail nor where they do not; the key comes out of a variable that no file of ours holds."""
    lab.world.add_iso(lab.owner, "ubuntu.iso", f"Bearer {KEY}")
    vps_ids = fleet(lab, 4)
    lab.world.vpses[vps_ids[2]].boot_order = [KEY, "ide2"]
    echo = f"You sent Authorization: Bearer {KEY}."
    lab.faults.add("problem", "POST", f"{vps_ids[0]}/iso/actions/mount", status=409, code=KEY, detail=echo)
    lab.faults.add("problem", "POST", f"{vps_ids[1]}/iso/actions/mount", status=400, detail=echo)
    looked_up = "{{ lookup('ansible.builtin.env', 'ELSEWHERE') }}"
    tasks = [
        iso_task(shell, vps_ids=vps_ids, state="mounted", name="ubuntu.iso", api_key=looked_up),
        info_task(shell, vps_ids=[*vps_ids, f"vps_{looked_up}"], api_key=looked_up),
    ]
    run = lab.play(
        [{**task, "ignore_errors": True} for task in tasks],
        env={"ELSEWHERE": KEY, "HOSTUP_API_KEY": None, "ANSIBLE_PIPELINING": "0"},
        args=["-vvvvv", "--diff"],
    )
    assert run.of("iso")["msg"].startswith("2 of 4 VPSs failed.")
    assert run.of("iso")["msg"].count("You sent Authorization") == 2
    assert run.of("info")["msg"].startswith("1 of 5 VPSs failed.")
    assert KEY not in run.output
    assert lab.files_with(KEY) == []
