# SPDX-License-Identifier: GPL-3.0-or-later
"""Power in every shell: foretold in check mode, done, done again at the cost of one request; and what goes wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import pytest

from hostup_emulator.model import Gate
from hostup_emulator.switches import change
from support.lab import EVERY_SHELL, FORKS, KEY, SHELLS, SLOW_SHELLS_LAST, Lab
from support.modules import run_module


def power_task(shell: str = "controller", /, **options: Any) -> dict[str, Any]:
    """A task called `power`."""
    return {"name": "power", "hostup.cloud.hostup_vps_power": options, **SHELLS[shell]}


def power(lab: Lab, shell: str = "controller", /, **options: Any) -> dict[str, Any]:
    """Run `hostup_vps_power` once, on this VPS unless others are selected, and return its result."""
    selected = {} if "vps_ids" in options or "vps_name" in options else {"vps_id": lab.vps.id}
    return lab.play([power_task(shell, **selected, **options)]).of("power")


# Where a VPS is, the wish, the action that leads there, and where the VPS is then.
TABLE: list[tuple[str | None, dict[str, Any], str | None, str]] = [
    ("running", {"state": "started"}, None, "running"),
    ("running", {"state": "stopped"}, "shutdown", "stopped"),
    ("running", {"state": "stopped", "force": True}, "stop", "stopped"),
    ("running", {"state": "restarted"}, "restart", "running"),
    ("running", {"state": "restarted", "force": True}, "reset", "running"),
    ("stopped", {"state": "started"}, "start", "running"),
    ("stopped", {"state": "started", "force": True}, "start", "running"),
    ("stopped", {"state": "stopped"}, None, "stopped"),
    ("stopped", {"state": "restarted"}, "start", "running"),
    ("paused", {"state": "started"}, "start", "running"),
    ("unknown", {"state": "stopped", "force": True}, "stop", "stopped"),
    ("error", {"state": "restarted"}, "restart", "running"),
    (None, {"state": "stopped"}, "shutdown", "stopped"),
]


ROWS = {f"vm-{number}": row for number, row in enumerate(TABLE)}
# For the shells in which a task takes long: asked; nothing to do, and forced.
REPRESENTATIVE = {"async": ["vm-1"], "delegated": ["vm-0", "vm-4"]}

Results = dict[str, dict[str, Any]]  # by the names of the rows


def build_rows(lab: Lab, names: Iterable[str]) -> dict[str, str]:
    """Put rows into the world; returns their VPSs' IDs."""
    ids = {}
    for name in names:
        vps = lab.world.add_vps(lab.owner, name)
        vps.power_state = ROWS[name][0]
        ids[name] = vps.id
    return ids


def play_once(lab: Lab, ids: Mapping[str, str], way: str = "controller", *, check_mode: bool = False) -> Results:
    """Have Ansible do them all in one task."""
    hosts = {name: {"vps_id": vps_id, "wish": ROWS[name][1]} for name, vps_id in ids.items()}
    options = {"vps_id": "{{ vps_id }}", "state": "{{ wish.state }}", "force": "{{ wish.force | default(omit) }}"}
    task = {**power_task(way, **options), "check_mode": check_mode}
    run = lab.play([task], hosts=hosts, args=["--diff"], env={"ANSIBLE_FORKS": FORKS[way]})
    return {name: run.of("power", name) for name in ids}


def call_once(lab: Lab, ids: Mapping[str, str], *, check_mode: bool = False) -> Results:
    """The same by the module's `main()`, in this process."""
    connection = {"api_base": lab.emulator.url, "api_key": lab.key}
    return {
        name: run_module("hostup_vps_power", {**connection, "vps_id": vps_id, **ROWS[name][1]}, check_mode=check_mode)
        for name, vps_id in ids.items()
    }


def hold_to_table(lab: Lab, ids: Mapping[str, str], once: Callable[..., Results]) -> None:
    """Have them all foretold, done and done again, and compare with the table."""
    foretold = once(lab, ids, check_mode=True)
    assert lab.calls.writes() == []
    done = once(lab, ids)
    before_again = len(lab.calls)
    again = once(lab, ids)
    for name, vps_id in ids.items():
        state, wish, action, end = ROWS[name]
        first, second, third = foretold[name], done[name], again[name]
        actions = [action] if action else []
        assert (first["changed"], first["actions"], first["power_state"]) == (bool(action), actions, end), name
        assert (second["changed"], second["actions"], second["power_state"]) == (bool(action), actions, end), name
        assert first["diff"] == second["diff"] == {"before": {"power_state": state}, "after": {"power_state": end}}
        sent = [call.path.rpartition("/")[2] for call in lab.calls.writes() if call.vps_id == vps_id]
        if wish["state"] == "restarted":
            assert third["changed"] is True and sent[0] == action, name
        else:
            assert third["changed"] is False and sent == actions, name
            asked = [call.path for call in lab.calls[before_again:] if call.vps_id == vps_id]
            assert asked == [f"/api/v2/vps/{vps_id}/status"], name


SWITCHES = pytest.mark.parametrize(
    "switches",
    [
        {},
        {"poll_shape": "legacy", "job_seconds": 0.0, "shutdown_seconds": 0.0, "stale_power_reads": 1},
        {"poll_shape": "flat", "poll_url": "missing", "forget_after_polls": 0},
        {"job": {"claims_completed": True}},
    ],
)


@SWITCHES
@pytest.mark.usefixtures("in_process")
def test_module(lab: Lab, switches: dict[str, Any]) -> None:
    change(lab.world.switches, switches)
    hold_to_table(lab, build_rows(lab, ROWS), call_once)


@pytest.mark.smoke
def test_playbook(lab: Lab) -> None:
    hold_to_table(lab, build_rows(lab, ROWS), play_once)


@pytest.mark.parametrize(("shell", "names"), REPRESENTATIVE.items())
def test_some_in_slow_shells(lab: Lab, shell: str, names: list[str]) -> None:
    hold_to_table(lab, build_rows(lab, names), partial(play_once, way=shell))


@pytest.mark.exhaustive
@pytest.mark.timeout(2700)
@EVERY_SHELL
@SWITCHES
def test_all_in_every_shell(lab: Lab, shell: str, switches: dict[str, Any]) -> None:
    change(lab.world.switches, switches)
    hold_to_table(lab, build_rows(lab, ROWS), partial(play_once, way=shell))


def test_a_name_costs_one_request_more(lab: Lab) -> None:
    assert power(lab, vps_name="WEB-01", state="started")["vps_id"] == lab.vps.id
    assert [call.path for call in lab.calls] == ["/api/v2/vps", f"/api/v2/vps/{lab.vps.id}/status"]


@SLOW_SHELLS_LAST
@pytest.mark.parametrize("args", [[], ["--check"]])
def test_a_closed_gate_is_told_before_any_write(lab: Lab, shell: str, args: list[str]) -> None:
    lab.vps.gates["restart"] = Gate(False, "An order is pending.", "pending_order")
    run = lab.play([power_task(shell, vps_id=lab.vps.id, state="restarted")], args=args)
    result = run.of("power")
    assert "An order is pending. (code pending_order)" in result["msg"] and result["error"]["code"] == "pending_order"
    assert (result["changed"], result["actions"], lab.calls.writes()) == (False, [], [])


@SLOW_SHELLS_LAST
def test_a_guest_that_does_not_listen_is_not_forced(lab: Lab, shell: str) -> None:
    lab.world.switches.ignores_power_button = True
    lab.world.switches.shutdown_timeout = 30.0
    result = power(lab, shell, state="stopped")
    assert re.match(r"Could not shut down the VPS\. Job job_\w+ failed: The guest did not", result["msg"])
    assert "Nothing was forced; force=true would cut its power." in result["msg"]
    assert (result["changed"], result["power_state"], result["job"]["status"]) == (False, "running", "failed")
    assert power(lab, shell, state="stopped", force=True)["actions"] == ["stop"]
    assert [call.path.rpartition("/")[2] for call in lab.calls.writes()] == ["shutdown", "stop"]


@SLOW_SHELLS_LAST
def test_a_time_out_says_so(lab: Lab, shell: str) -> None:
    lab.world.switches.ignores_power_button = True
    result = power(lab, shell, state="restarted", wait_timeout=lab.in_task(2, shell))
    assert result["timed_out"] and "It goes on at HostUp" in result["msg"] and "would reset it" in result["msg"]
    assert (result["changed"], result["actions"], result["power_state"]) == (True, ["restart"], "stopping")


@SLOW_SHELLS_LAST
def test_a_lost_answer_is_settled_by_a_re_read(lab: Lab, shell: str) -> None:
    lab.faults.add("dropped", "POST", "/restart$", commit=True)
    result = power(lab, shell, state="restarted")
    assert (result["changed"], result["actions"], result["power_state"]) == (True, ["restart"], "running")
    assert len(lab.calls.writes()) == 1


def test_wait_false_returns_the_job_and_the_next_task_waits_for_it(lab: Lab) -> None:
    lab.world.switches.ignores_power_button = True
    lab.world.switches.shutdown_timeout = 1e6
    ordered = power(lab, state="stopped", wait=False)
    assert (ordered["changed"], ordered["power_state"]) == (True, "running")
    assert ordered["job"]["status"] in ("queued", "in_progress")
    before = len(lab.calls)
    playing = lab.start([power_task(vps_id=lab.vps.id, state="started")])
    lab.until(lambda: len(lab.calls) > before + 1)
    lab.world.machines.stop(lab.vps)
    run = playing.finish()
    assert (run.of("power")["actions"], lab.world.power_state(lab.vps)) == (["start"], "running")
    assert f"web-01: waiting while {lab.vps.id} is stopping" in run.output


@SLOW_SHELLS_LAST
def test_one_failure_in_a_fleet_stops_nobody(lab: Lab, shell: str) -> None:
    vps_ids = [host["vps_id"] for host in lab.add_fleet(40).values()]
    closed = vps_ids[7]
    lab.world.vpses[closed].gates["shutdown"] = Gate(False, "A backup is running.", "backup_running")
    lab.world.vpses[vps_ids[3]].power_state = "stopped"
    task = power_task(shell, vps_ids=vps_ids, state="stopped")
    foretold = lab.play([task], args=["--check", "--diff"]).of("power")
    assert lab.calls.writes() == []
    done = lab.play([task], args=["--diff"]).of("power")
    for result in (foretold, done):
        assert result["failed"] and result["msg"].startswith(f"1 of 40 VPSs failed. {closed}: ")
        assert [one["vps_id"] for one in result["results"]] == vps_ids
        assert [one["vps_id"] for one in result["results"] if one["failed"]] == [closed]
        assert [one["vps_id"] for one in result["results"] if not one["changed"]] == [vps_ids[3], closed]
        assert result["error"]["code"] == "backup_running"
    assert foretold["diff"] == done["diff"] and len(done["diff"]) == 38
    assert {lab.world.power_state(lab.world.vpses[vps_id]) for vps_id in vps_ids if vps_id != closed} == {"stopped"}
    assert len(lab.calls.writes()) == 38


@SLOW_SHELLS_LAST
def test_the_key_is_shown_nowhere(lab: Lab, shell: str) -> None:
    lab.vps.power_state = KEY
    lab.vps.gates["stop"] = Gate(False, f"Not with {KEY}", KEY)
    run = lab.play([power_task(shell, vps_id=lab.vps.id, state="stopped", force=True)], args=["-vvvvv"])
    assert "Not with" in run.of("power")["msg"]
    assert KEY not in run.output and lab.files_with(KEY) == []


def test_a_key_without_the_scope(lab: Lab) -> None:
    key = lab.world.add_key(lab.owner, scopes=["read:vm", "write:vm", "write:storage"])
    result = power(lab, state="stopped", api_key=key)
    assert result["error"]["status"] == 403 and "the scope power:vm," in result["msg"]
