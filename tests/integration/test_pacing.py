# SPDX-License-Identifier: GPL-3.0-or-later
"""Many tasks at once: one download for all, a rate limit that loses nobody, and what the tasks share to get there."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hostup_emulator.switches import change
from support.lab import SHELLS, SLOW_SHELLS_LAST, Lab, Run, iso_task

VPS = "{{ vps_id }}"
# What differs from one host to the other comes from its variables.
APART = {"environment": {"XDG_CACHE_HOME": "{{ folder }}"}}


def shared_folder(home: Path) -> Path:
    """Where the tasks of a user share what they know."""
    return home / ".cache" / "hostup"


def forks(count: int) -> dict[str, str | None]:
    """The environment for so many hosts at once."""
    return {"ANSIBLE_FORKS": str(count)}


def failures(run: Run) -> list[str]:
    """Why hosts were lost."""
    return [item.result["msg"] for item in run.results if item.status != "ok"]


def actions(run: Run, task: str = "iso") -> Counter[tuple[str, ...]]:
    """How many hosts have done what, counting only what agrees with `changed`."""
    results = [item.result for item in run.results if item.task == task]
    return Counter(tuple(one["actions"]) for one in results if one["changed"] == bool(one["actions"]))


def waits(output: str) -> Counter[str]:
    """How often each host has told that it waits for the rate limit."""
    return Counter(re.findall(r"^(\S+): waiting \d+ s for the API's rate limit$", output, re.MULTILINE))


def warnings_of(result: Mapping[str, Any]) -> list[str]:
    """The warnings in a result."""
    return [str(warning) for warning in result.get("warnings", [])]


def polls(lab: Lab) -> int:
    """How often jobs were asked after."""
    return len(lab.calls.matching("GET", "/jobs/"))


def limit(lab: Lab, requests: int, seconds: float, **more: Any) -> None:
    """Limit the rate of requests in so many real seconds."""
    change(lab.world.switches, {"rate_limit": requests, "rate_window": float(lab.in_task(seconds)), **more})


def refusals(lab: Lab) -> int:
    """How many requests were refused for the rate limit."""
    return sum(call.status == 429 for call in lab.calls)


# --- one download ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [30, pytest.param(100, marks=pytest.mark.exhaustive)])
def test_many_hosts_cause_one_download(lab: Lab, count: int) -> None:
    lab.emulator.downloads.hold(0.5)
    playing = lab.start(
        [
            iso_task(vps_id=VPS, state="mounted", url=lab.url),
            {**iso_task(vps_id=VPS, url=f"{lab.source}/wanted.iso"), "name": "another"},
        ],
        hosts=lab.add_fleet(count),
        env=forks(count // 2),
    )
    lab.until(lambda: len({call.vps_id for call in lab.calls}) >= count // 2)
    lab.emulator.downloads.release()
    run = playing.finish()
    assert failures(run) == []
    assert actions(run) == {("download", "mount"): 1, ("mount",): count - 1}
    assert actions(run, "another") == {("download",): 1, (): count - 1}
    assert lab.orders() == 2
    # whoever waits does so beside the API: two reads, and two more around the mount
    assert len(lab.calls.matching("GET", "/iso$")) <= count * 5
    assert polls(lab) <= 20


@pytest.mark.wall_clock
def test_processes_share_one_download(lab: Lab) -> None:
    """Wherever the tasks run."""
    lab.world.switches.second_download = "again"
    lab.emulator.downloads.hold()
    running = [
        lab.start([iso_task(shell, vps_id=VPS, state="mounted", url=lab.url)], hosts=lab.add_fleet(2, shell))
        for shell in SHELLS
    ]
    lab.until(lambda: len({call.vps_id for call in lab.calls.matching("GET", "/iso$")}) == 6, 120)
    lab.emulator.downloads.release()
    runs = [playing.finish() for playing in running]
    assert [failures(run) for run in runs] == [[], [], []]
    assert sum((actions(run) for run in runs), Counter()) == {("download", "mount"): 1, ("mount",): 5}
    assert lab.orders() == 1


@pytest.mark.parametrize("answer", ["join", "conflict", "again"])
def test_jobs_that_share_no_home_want_one_iso(lab: Lab, answer: str) -> None:
    """As AWX runs them. Both succeed, and so does whoever comes later; two orders may have left two files."""
    lab.world.switches.second_download = answer
    lab.emulator.downloads.hold()
    names = ("one", "two", "three")
    homes: list[dict[str, str | None]] = [{"XDG_CACHE_HOME": str(lab.folder / name)} for name in names]
    hosts = lab.add_fleet(3)
    mounted = iso_task(vps_id=VPS, state="mounted", url=lab.url)
    playing = [
        lab.start([mounted], hosts={name: hosts[name]}, env=home) for name, home in zip(hosts, homes[:2], strict=False)
    ]
    lab.until(lambda: len(lab.calls.matching("POST", "/from-url$")) == 2)
    lab.emulator.downloads.release()
    runs = [each.finish() for each in playing]
    runs.append(lab.play([mounted, iso_task(vps_id=VPS, state="unmounted", url=lab.url)], hosts=hosts, env=homes[2]))
    assert [failures(run) for run in runs] == [[], [], []]
    twins = [iso for iso in lab.owner.library.values() if iso.name == "ubuntu.iso"]
    assert len(twins) == lab.orders() - (answer == "join") == (2 if answer == "again" else 1)
    assert ("ISOs in the library have the name ubuntu.iso" in runs[2].output) is (len(twins) > 1)
    assert [vps.mounts() for vps in lab.owner.vpses[1:]] == [[], [], []]


def test_killed_process_leaves_its_download_to_others(lab: Lab) -> None:
    """The job's ID is in a note, and the lock goes with the process."""
    lab.world.switches.second_download = "again"
    lab.emulator.downloads.hold()
    killed = lab.start([iso_task(vps_id=lab.vps.id, url=lab.url)])
    lab.until(lambda: polls(lab))
    others = lab.start([iso_task(vps_id=VPS, state="mounted", url=lab.url)], hosts=lab.add_fleet(5))
    lab.until(lambda: len({call.vps_id for call in lab.calls.matching("GET", "/iso$")}) == 6)
    killed.kill()
    assert killed.finish().results == []
    before = polls(lab)
    lab.until(lambda: polls(lab) > before)
    lab.emulator.downloads.release()
    run = others.finish()
    assert failures(run) == []
    assert actions(run) == {("mount",): 5}
    assert lab.orders() == 1


def test_killed_before_it_knew_the_job(lab: Lab) -> None:
    """Then nobody can know it, and one of the others orders for itself."""
    lab.emulator.downloads.hold()
    lab.faults.add("slow", "POST", "/from-url$", seconds=30)
    killed = lab.start([iso_task(vps_id=lab.vps.id, url=lab.url)])
    lab.until(lab.orders)
    others = lab.start([iso_task(vps_id=VPS, state="mounted", url=lab.url)], hosts=lab.add_fleet(3))
    lab.until(lambda: len({call.vps_id for call in lab.calls}) == 4)
    assert lab.orders() == 1
    killed.kill()
    killed.finish()
    lab.until(lambda: lab.orders() == 2)
    lab.emulator.downloads.release()
    run = others.finish()
    assert failures(run) == []
    assert actions(run) == {("download", "mount"): 1, ("mount",): 2}
    assert lab.orders() == 2


@SLOW_SHELLS_LAST
def test_download_is_taken_up_after_a_time_out(lab: Lab, shell: str) -> None:
    lab.world.switches.second_download = "again"
    lab.emulator.downloads.hold()
    first = lab.iso(shell, url=lab.url, wait_timeout=lab.in_task(3, shell))
    assert first["timed_out"] and "The next run takes it up" in first["msg"]
    before = polls(lab)
    playing = lab.start([iso_task(shell, vps_id=lab.vps.id, url=lab.url)])
    lab.until(lambda: polls(lab) > before)
    lab.emulator.downloads.release()
    again = playing.finish().of("iso")
    assert (again["failed"], again["changed"], again["actions"]) == (False, False, [])
    assert again["iso"]["name"] == "ubuntu.iso"
    assert lab.orders() == 1


def test_failed_download_is_taken_over(lab: Lab) -> None:
    change(lab.world.switches, {"job_seconds": 20.0, "job": {"fails": "Storage is full.", "times": 1}})
    run = lab.play([iso_task(vps_id=VPS, url=lab.url)], hosts=lab.add_fleet(20), env=forks(20))
    assert [re.sub(r"job_\w+", "job", msg) for msg in failures(run)] == [
        "Could not download ubuntu.iso. Job job failed: Storage is full."
    ]
    assert actions(run) == {("download",): 1, (): 19}
    assert lab.orders() == 2


def test_without_waiting_all_hosts_return_the_same_job(lab: Lab) -> None:
    lab.emulator.downloads.hold()
    run = lab.play([iso_task(vps_id=VPS, url=lab.url, wait=False)], hosts=lab.add_fleet(20), env=forks(20))
    assert failures(run) == []
    assert actions(run) == {("download",): 1, (): 19}
    [order] = lab.world.jobs
    assert {item.result["job"]["id"] for item in run.results} == {order}
    assert lab.orders() == 1


# --- the rate limit ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "switches", "most_refusals"),
    [
        ("mounted", {"rate_kind": "window", "rate_says": "seconds"}, 30),
        pytest.param(
            "mounted",
            {"rate_kind": "bucket", "rate_says": "reset", "rate_headers": True},
            30,
            marks=pytest.mark.exhaustive,
        ),
        pytest.param("present", {"rate_kind": "window", "rate_says": "date"}, 30, marks=pytest.mark.exhaustive),
        ("present", {"rate_kind": "bucket", "rate_says": "nothing"}, 90),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_rate_limit_loses_nobody(lab: Lab, state: str, switches: dict[str, Any], most_refusals: int) -> None:
    """Sixty hosts with one request each, or three, and an API that takes 7 or 13 a second."""
    lab.world.add_iso(lab.owner, "ubuntu.iso")
    limit(lab, *((40, 3.0) if state == "mounted" else (20, 3.0)), **switches)
    task = iso_task(vps_id=VPS, state=state, name="ubuntu.iso", url=lab.url)
    run = lab.play([task], hosts=lab.add_fleet(60), env=forks(30))
    assert failures(run) == []
    assert actions(run) == ({("mount",): 60} if state == "mounted" else {(): 60})
    assert refusals(lab) <= most_refusals
    assert set(waits(run.output).values()) <= {1}
    assert len(list(shared_folder(lab.folder).glob("gate-*"))) == 1


def test_retry_after_is_enough_where_nothing_is_shared(lab: Lab) -> None:
    """Such as job slices, which run in containers of their own."""
    lab.world.add_iso(lab.owner, "ubuntu.iso")
    limit(lab, 12, 2.0)
    hosts = lab.add_fleet(40)
    for name, variables in hosts.items():
        variables["folder"] = str(lab.folder / name)
    task = {**iso_task(vps_id=VPS, state="present", name="ubuntu.iso"), **APART}
    run = lab.play([task], hosts=hosts, env=forks(40))
    assert failures(run) == []
    assert refusals(lab) > 0
    assert all(len(list((lab.folder / name / "hostup").iterdir())) == 1 for name in hosts)
    assert not shared_folder(lab.folder).exists()


def test_users_do_not_disturb_each_other(lab: Lab) -> None:
    """Two share a key and its limit, the third has another."""
    limit(lab, 20, 2.0)
    lab.emulator.downloads.hold()
    keys = {"ann": lab.key, "bob": lab.key, "cay": lab.world.add_key(lab.owner)}
    running = []
    for user, key in keys.items():
        (lab.folder / user).mkdir()
        env = {**forks(10), "HOME": str(lab.folder / user), "HOSTUP_API_KEY": key}
        task = iso_task(vps_id=VPS, state="mounted", url=lab.url)
        running.append(lab.start([task], hosts=lab.add_fleet(10, user), env=env))
    lab.until(lambda: lab.orders() == 3)
    lab.emulator.downloads.release()
    runs = [playing.finish() for playing in running]
    assert [failures(run) for run in runs] == [[], [], []]
    assert [actions(run)["download", "mount"] for run in runs] == [1, 1, 1]
    # a gate, a note and a lock each; their names say, to who knows key and origin, what they are about
    ann, bob, cay = ({path.name for path in shared_folder(lab.folder / user).iterdir()} for user in keys)
    assert ann == bob and len(ann) == len(cay) == 3 and not ann & cay
    assert not shared_folder(lab.folder).exists()


@pytest.mark.wall_clock  # a clock that runs faster than requests do would have many sent before the first refusal
@pytest.mark.parametrize(
    "headers",
    [pytest.param({"Retry-After": "4"}, id="Retry-After"), pytest.param({}, marks=pytest.mark.exhaustive, id="none")],
)
def test_endless_refusals_end_at_the_deadline(lab: Lab, headers: dict[str, str]) -> None:
    lab.faults.add("problem", status=429, headers=headers, times=None)
    fleet = [variables["vps_id"] for variables in lab.add_fleet(20).values()]
    one = iso_task(vps_id=lab.vps.id, state="unmounted", wait_timeout=10)
    many = iso_task(vps_ids=fleet, state="unmounted", wait_timeout=10)
    run = lab.play([{**one, "name": "one", "ignore_errors": True}, {**many, "name": "many", "ignore_errors": True}])
    for result in (run.of("one"), run.of("many"), *run.of("many")["results"]):
        assert result["failed"] and result["timed_out"] and result["changed"] is False
        assert re.search(r"rate.limit", result["msg"])
        assert re.search(r"after the end of the 10 s that this task may take|Not tried: .* 10 s", result["msg"])
    assert len(run.of("many")["results"]) == 20
    assert len(lab.calls) <= 60


def test_wait_is_told_once(lab: Lab) -> None:
    lab.faults.add("problem", status=429, headers={"Retry-After": "3"}, times=2)
    lab.faults.add("problem", status=429, headers={"Retry-After": "3"}, after=1)
    task = iso_task(vps_id=lab.vps.id, state="unmounted")
    run = lab.play([task, {**task, "name": "secret", "no_log": True}])
    assert [call.status for call in lab.calls] == [429, 429, 200, 429, 200]
    assert [item.status for item in run.results] == ["ok", "ok"]
    assert waits(run.output) == {"web-01": 1}


# --- the shared folder -------------------------------------------------------------------------------------------


def test_shared_files_are_private(lab: Lab) -> None:
    """While a download goes on, all that there ever is lies there."""
    lab.emulator.downloads.hold()
    lab.faults.add("problem", status=429, headers={"Retry-After": "1"})
    url = lab.url.replace("http://", "http://user:word@") + "?signature=stamp"
    assert lab.iso(url=url, wait=False)["actions"] == ["download"]
    folder = shared_folder(lab.folder)
    files = list(folder.iterdir())
    kinds = {path.name: re.sub(r"[0-9a-f]{32}", "", path.name) for path in files}
    assert sorted(kinds.values()) == ["download-", "gate-", "library-.lock"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    all_of_it = "".join([*kinds, *(path.read_text() for path in files)])
    assert "job_" in all_of_it
    for secret in (lab.key, "ubuntu", lab.source, lab.source.rpartition(":")[2], "user", "word", "signature", "stamp"):
        assert secret not in all_of_it


def test_folder_is_made_private(lab: Lab) -> None:
    shared_folder(lab.folder).mkdir(parents=True, mode=0o755)
    lab.iso(state="unmounted")
    assert stat.S_IMODE(shared_folder(lab.folder).stat().st_mode) == 0o700


def unusable_folders(lab: Lab) -> dict[str, Path]:
    """Folders in which nothing can be shared, by what is wrong with them."""
    bases = {name: lab.folder / "caches" / name for name in ("link", "file", "below a file", "foreign")}
    for base in bases.values():
        base.mkdir(parents=True)
    (lab.folder / "elsewhere").mkdir()
    (bases["link"] / "hostup").symlink_to(lab.folder / "elsewhere")
    (bases["file"] / "hostup").write_text("of no use")
    (bases["below a file"] / "file").write_text("of no use")
    bases["below a file"] /= "file"
    if os.geteuid() == 0:
        (bases["foreign"] / "hostup").mkdir()
        os.chown(bases["foreign"] / "hostup", 65534, 65534)
    else:  # what only root can make: then one in which nothing can be made
        bases["foreign"].chmod(0o500)
    return bases


def contents(folder: Path) -> dict[str, str]:
    """All that lies below a folder."""
    return {str(path): path.read_text() if path.is_file() else "" for path in folder.rglob("*")}


def test_unusable_folder_is_told_and_stops_nobody(lab: Lab) -> None:
    bases = unusable_folders(lab)
    before = contents(lab.folder / "caches")
    hosts = lab.add_fleet(len(bases))
    for variables, base in zip(hosts.values(), bases.values(), strict=True):
        variables["folder"] = str(base)
    lab.faults.add("problem", status=429, headers={"Retry-After": "1"}, times=len(hosts))
    lab.emulator.downloads.hold()
    fleet = [variables["vps_id"] for variables in hosts.values()]
    playing = lab.start(
        [
            {**iso_task(vps_id=VPS, state="mounted", url=lab.url), **APART},
            {**iso_task(vps_ids=fleet, state="unmounted"), **APART, "name": "many", "run_once": True},
        ],
        hosts=hosts,
        env=forks(len(hosts)),
    )
    lab.until(lambda: lab.orders() == len(hosts))
    lab.emulator.downloads.release()
    run = playing.finish()
    assert failures(run) == []
    for item in run.results:
        assert item.result["changed"] is True
        [warning] = warnings_of(item.result)
        assert "Tasks cannot share" in warning and str(lab.folder / "caches") in warning
    assert contents(lab.folder / "caches") == before
    assert list((lab.folder / "elsewhere").iterdir()) == []


NEWER = json.dumps({"version": 2, "anything": {"else": [1, 2, 3]}})
# what is in the place of each file, and how many warnings that is worth
NOTES = {
    "newer": (NEWER, 1),
    "a link": (None, 1),
    "a folder": (None, 1),
    "empty": ("", 0),
    "no JSON": ("\0\ufffdnonsense{", 0),
    "cut off": ('{"version": 1, "note": [1', 0),
    "list": ("[]", 0),
    "no note": ('{"version": 1}', 0),
    "odd note": ('{"version": 1, "note": {"job_id": 5, "done_at": "x", "fruitless": true, "poll_url": []}}', 0),
    "numbers": (json.dumps({"version": 1, "note": [float("nan"), float("inf"), -1, 1e300, 10**400, 0, 0, 0]}), 0),
    "far future": (json.dumps({"version": 1, "note": [9e11, 9e11, 5, 9e11, 9e11, 9e11, 9e11, 9e11]}), 0),
    "future job": (json.dumps({"version": 1, "note": {"done_at": 9e11, "ordered_at": 9e11, "job_id": "job_1"}}), 0),
    "too long": (json.dumps({"version": 1, "note": "x" * 100_000}), 0),
    "deep": ("[" * 4000, 0),
}


def spoil(path: Path, how: str, precious: Path) -> None:
    """Put something else in the place of a shared file."""
    content, _warnings = NOTES[how]
    if content is not None:
        path.write_text(content)
        return
    path.unlink()
    if how == "a link":
        path.symlink_to(precious)
    else:
        path.mkdir()


def test_odd_notes_stop_nobody(lab: Lab) -> None:
    """What a newer version has written is left as it is, and so is what is no file of ours, and that is told.

    Everything else that cannot be a note counts for nothing.
    """
    lab.faults.add("problem", status=429, headers={"Retry-After": "1"})
    lab.iso(url=lab.url)
    precious = lab.folder / "precious"
    precious.write_text("precious")
    hosts = lab.add_fleet(len(NOTES))
    for variables, how in zip(hosts.values(), NOTES, strict=True):
        folder = lab.folder / "caches" / how
        variables.update(how=how, folder=str(folder))
        for path in shutil.copytree(shared_folder(lab.folder), folder / "hostup").iterdir():
            spoil(path, how, precious)
    lab.owner.library.clear()
    lab.emulator.downloads.hold()
    lab.faults.add("problem", status=429, headers={"Retry-After": "1"}, times=len(hosts))
    task = {**iso_task(vps_id=VPS, state="mounted", url=lab.url), **APART}
    playing = lab.start([task], hosts=hosts, env=forks(len(hosts)))
    lab.until(lambda: lab.orders() == 1 + len(hosts))
    lab.emulator.downloads.release()
    run = playing.finish()
    assert failures(run) == []
    assert actions(run) == {("download", "mount"): len(hosts)}
    told = {hosts[item.host]["how"]: len(warnings_of(item.result)) for item in run.results}
    assert told == {how: warnings for how, (_content, warnings) in NOTES.items()}
    left = [path.read_text() for path in (lab.folder / "caches" / "newer" / "hostup").iterdir()]
    assert left == [NEWER] * 3
    assert precious.read_text() == "precious"
