# SPDX-License-Identifier: GPL-3.0-or-later
"""One task for many VPSs: one result for each, whatever becomes of the others."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.hostup.cloud.plugins.module_utils._api.transport import MOST_CONNECTIONS
from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError, Problem
from ansible_collections.hostup.cloud.plugins.module_utils._tasks import fleet as _fleet
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.fleet import (
    MOST_REASONS,
    MOST_UNANSWERED,
    Deferred,
    Fleet,
    Result,
    summary,
)
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.iso import VPS_ISO
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.iso_info import VPS_ISO_INFO
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.task import Task
from hostup_emulator.world import Drive, Gate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ansible_collections.hostup.cloud.plugins.module_utils._tasks.fleet import Work
    from hostup_emulator.world import Answer, Request
    from support.site import Site, Web

BOOT = {"boot_order", "boots_from_iso", "boot_obstacle"}
ISO_KEYS = {"changed", "vps_id", "iso", "iso_name", "device", "mounts", *BOOT, "job", "diff"}
ISO_KEYS |= {"actions", "actions_unknown"}
INFO_KEYS = {"changed", "vps_id", "available", "mounted", *BOOT, "boot_devices", "available_devices", "actions"}
ERROR_FIELDS = {"status", "code", "title", "detail", "errors", "request_id", "method", "path", "extra"}
NOTHING: Result = {"changed": False, "vps_id": None, "diff": {}, "known": None}
SAME: Result = {"before": 1, "after": 1}
both_tasks = pytest.mark.parametrize("task", [VPS_ISO, VPS_ISO_INFO], ids=["iso", "info"])


def ids(number: int) -> list[str]:
    return [f"vps_{index}" for index in range(number)]


def is_fine(vps_id: str) -> Result:
    return {"changed": False, "vps_id": vps_id, "diff": {}, "known": 1}


def unanswered() -> HostUpError:
    return HostUpError("got no answer.", transient=True)


def run_fleet(site: Site, vps_ids: list[str], work: Work, seconds: float = 3600.0) -> Result:
    return Fleet(site.client(seconds), vps_ids, work, NOTHING).run()


def tried(result: Result) -> list[str]:
    return [one["vps_id"] for one in result["results"] if not one["msg"].startswith("Not tried")]


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_fleet, "MOST_CONNECTIONS", 1)


class AtOnce:
    """Counts how many are in here at once, and remembers the order."""

    def __init__(self, together: int = 1) -> None:
        """``together``: so many stay until all of them are inside."""
        self.now = self.most = 0
        self.order: list[str] = []
        self.most_in_order: list[int] = []
        self._lock = threading.Lock()
        self._barrier = threading.Barrier(together, timeout=30)

    def stay(self, name: str) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.order.append(name)
            self.most_in_order.append(self.now)
        self._barrier.wait()
        with self._lock:
            self.now -= 1


# --- a fleet of plain functions


def test_results_are_in_order(site: Site) -> None:
    others = iter(ids(95))
    all_others = threading.Event()

    def work(vps_id: str) -> Result:
        if vps_id in ids(5):
            assert all_others.wait(30)
        elif next(others) == "vps_94":
            all_others.set()
        return is_fine(vps_id)

    result = run_fleet(site, ids(100), work)
    assert [one["vps_id"] for one in result["results"]] == ids(100)
    assert result == {
        "changed": False,
        "diff": [],
        "results": [{**is_fine(vps_id), "failed": False, "msg": ""} for vps_id in ids(100)],
    }


def test_no_vps_at_all(site: Site) -> None:
    assert run_fleet(site, [], is_fine) == {"changed": False, "results": [], "diff": []}


def test_one_that_changes(site: Site) -> None:
    result = run_fleet(site, ids(9), lambda vps_id: {**is_fine(vps_id), "changed": vps_id == "vps_7"})
    assert result["changed"] is True and "failed" not in result


def test_failures_are_counted_and_named(site: Site) -> None:
    def work(vps_id: str) -> Result:
        if vps_id in ("vps_3", "vps_1"):
            raise HostUpError(f"No such thing as {vps_id}.", Problem(409, code=vps_id))
        return is_fine(vps_id)

    result = run_fleet(site, ids(5), work)
    assert result["failed"] is True
    assert result["msg"] == ("2 of 5 VPSs failed. vps_1: No such thing as vps_1. vps_3: No such thing as vps_3.")
    assert result["error"]["code"] == "vps_1" and result["error"].keys() == ERROR_FIELDS
    assert "timed_out" not in result
    failed = result["results"][3]
    assert failed == {**NOTHING, "vps_id": "vps_3", "failed": True, "msg": "No such thing as vps_3."} | {
        "error": failed["error"]
    }
    assert failed["error"]["status"] == 409
    assert result["results"][4] == {**is_fine("vps_4"), "failed": False, "msg": ""}


@pytest.mark.parametrize("failures", [MOST_REASONS, MOST_REASONS + 1, 40])
def test_of_many_failures_only_some_are_quoted(site: Site, failures: int) -> None:
    def work(vps_id: str) -> Result:
        raise HostUpError(f"reason of {vps_id}!", Problem(409))

    result = run_fleet(site, ids(failures), work)
    assert result["msg"].startswith(f"{failures} of {failures} VPSs failed. vps_0: reason of vps_0! vps_1: ")
    assert result["msg"].count("reason") == MOST_REASONS
    assert ("see results" in result["msg"]) == (failures > MOST_REASONS)
    assert all(vps_id in result["msg"] for vps_id in ids(failures))


def test_what_a_failure_knows_is_told(site: Site) -> None:
    def work(_vps_id: str) -> Result:
        error = HostUpError("half way.", Problem(500), timed_out=True)
        error.so_far = {"changed": True, "known": 5, "diff": {"before": 1, "after": 2}}
        raise error

    result = run_fleet(site, ids(2), work)
    assert result["changed"] is True and result["timed_out"] is True
    assert [one["known"] for one in result["results"]] == [5, 5]
    assert [one["timed_out"] for one in result["results"]] == [True, True]
    assert len(result["diff"]) == 2


def test_the_diff_is_of_what_differs(site: Site) -> None:
    diffs: dict[str, Any] = {"vps_0": {}, "vps_1": SAME, "vps_2": {"before": {"a": 1}, "after": {"a": 2}}}
    result = run_fleet(site, ids(3), lambda vps_id: {**is_fine(vps_id), "diff": diffs[vps_id]})
    assert result["diff"] == [
        {"before_header": "vps_2", "after_header": "vps_2", "before": {"a": 1}, "after": {"a": 2}}
    ]


@pytest.mark.parametrize("with_diff", [False, True])
def test_a_result_without_a_diff(with_diff: bool) -> None:
    one = {"changed": False, "vps_id": "vps_0", "failed": False, "msg": ""}
    assert summary([one], with_diff=with_diff) == {
        "changed": False,
        "results": [one],
        **({"diff": []} if with_diff else {}),
    }


def test_an_interruption_ends_the_threads(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Ansible's `timeout` raises one; else they would go on beside the next task."""
    begun: list[str] = []
    go_on = threading.Event()

    def work(vps_id: str) -> Result:
        begun.append(vps_id)
        go_on.wait(30)
        return is_fine(vps_id)

    def interrupt(_thread: threading.Thread, _seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "join", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_fleet(site, ids(100), work)
    monkeypatch.undo()
    go_on.set()
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and "work" in thread.name:
            thread.join(30)
    assert len(begun) <= MOST_CONNECTIONS


def test_the_first_error_is_the_tasks(site: Site) -> None:
    others = iter(ids(9))
    all_others = threading.Event()

    def work(vps_id: str) -> Result:
        if vps_id == "vps_0":
            assert all_others.wait(30)
        elif next(others) == "vps_8":
            all_others.set()
        raise HostUpError("no.", Problem(409, code=vps_id))

    assert run_fleet(site, ids(10), work)["error"]["code"] == "vps_0"


@pytest.mark.parametrize("number", [3, MOST_CONNECTIONS, 4 * MOST_CONNECTIONS])
def test_so_many_at_once_and_no_more(site: Site, number: int) -> None:
    inside = AtOnce(together=min(number, MOST_CONNECTIONS))

    def work(vps_id: str) -> Result:
        inside.stay(vps_id)
        return is_fine(vps_id)

    run_fleet(site, ids(number), work)
    assert inside.most == min(number, MOST_CONNECTIONS)
    assert sorted(inside.order) == sorted(ids(number))


def test_threads_end_with_the_task(site: Site) -> None:
    before = threading.active_count()
    run_fleet(site, ids(50), is_fine)
    assert threading.active_count() <= before


# --- ended early


@pytest.mark.usefixtures("one_by_one")
def test_a_key_that_is_not_known_ends_it(site: Site) -> None:
    def work(vps_id: str) -> Result:
        if vps_id == "vps_2":
            raise HostUpError("The API does not know this key.", Problem(401))
        return is_fine(vps_id)

    result = run_fleet(site, ids(50), work)
    assert tried(result) == ids(3)
    assert "48 of 50 VPSs failed" in result["msg"] and result["error"]["status"] == 401
    assert result["results"][49]["msg"] == "Not tried: The API does not know this key."
    assert result["results"][49].keys() == NOTHING.keys() | {"failed", "msg"}


@pytest.mark.usefixtures("one_by_one")
@pytest.mark.parametrize("status", [400, 403, 404, 409, 429, 500, 503])
def test_other_answers_do_not_end_it(site: Site, status: int) -> None:
    def work(_vps_id: str) -> Result:
        raise HostUpError("no.", Problem(status), transient=status >= 500)

    assert tried(run_fleet(site, ids(30), work)) == ids(30)


@pytest.mark.usefixtures("one_by_one")
def test_an_api_that_is_down_ends_it(site: Site) -> None:
    def work(_vps_id: str) -> Result:
        raise unanswered()

    result = run_fleet(site, ids(50), work)
    assert tried(result) == ids(MOST_UNANSWERED)
    assert result["results"][-1]["msg"] == "Not tried: got no answer."


@pytest.mark.usefixtures("one_by_one")
@pytest.mark.parametrize(
    "between", [None, HostUpError("no.", Problem(409)), HostUpError("no.", Problem(502), transient=True)]
)
def test_an_answer_in_between_shows_that_it_is_not_down(site: Site, between: HostUpError | None) -> None:
    def work(vps_id: str) -> Result:
        if int(vps_id[4:]) % MOST_UNANSWERED != MOST_UNANSWERED - 1:
            raise unanswered()
        if between:
            raise between
        return is_fine(vps_id)

    assert tried(run_fleet(site, ids(5 * MOST_UNANSWERED), work)) == ids(5 * MOST_UNANSWERED)


def test_an_api_that_is_down_ends_it_with_threads_too(site: Site) -> None:
    def work(_vps_id: str) -> Result:
        raise unanswered()

    result = run_fleet(site, ids(500), work)
    assert MOST_UNANSWERED <= len(tried(result)) <= MOST_UNANSWERED + MOST_CONNECTIONS
    assert len(result["results"]) == 500


@pytest.mark.usefixtures("one_by_one")
def test_the_deadline_ends_it(site: Site) -> None:
    def work(vps_id: str) -> Result:
        site.clock.now += 11
        return is_fine(vps_id)

    result = run_fleet(site, ids(9), work, seconds=30)
    assert tried(result) == ids(3), "what has begun is finished"
    assert "the 30 s that this task may take" in result["results"][3]["msg"]
    assert result["timed_out"] is True and result["results"][3]["timed_out"] is True


@pytest.mark.parametrize("crash", [ValueError("oops"), AssertionError(), SystemExit(3)])
def test_a_crash_is_raised(site: Site, crash: BaseException) -> None:
    count = AtOnce()

    def work(vps_id: str) -> Result:
        count.stay(vps_id)
        if vps_id == "vps_7":
            raise crash
        return is_fine(vps_id)

    with pytest.raises(type(crash)) as caught:
        run_fleet(site, ids(1000), work)
    assert caught.value is crash
    assert len(count.order) < 1000, "and the rest is not worked on"


def test_a_crash_in_a_rest_is_raised(site: Site) -> None:
    def go_on() -> Result:
        raise ValueError("oops")

    with pytest.raises(ValueError, match="oops"):
        run_fleet(site, ids(3), lambda _vps_id: Deferred({}, go_on))


# --- what comes last


@pytest.mark.parametrize("number", [1, 2, 40])
def test_rests_come_after_all_and_the_first_alone(site: Site, number: int) -> None:
    firsts, rests = AtOnce(), AtOnce()

    def work(vps_id: str) -> Result | Deferred:
        firsts.stay(vps_id)
        if vps_id.endswith("5"):
            return is_fine(vps_id)

        def go_on() -> Result:
            assert len(firsts.order) == number and firsts.now == 0
            rests.stay(vps_id)
            return {**is_fine(vps_id), "changed": True}

        return Deferred({}, go_on)

    result = run_fleet(site, ids(number), work)
    with_rest = [vps_id for vps_id in ids(number) if not vps_id.endswith("5")]
    assert sorted(rests.order) == sorted(with_rest)
    assert rests.order[0] == "vps_0" and rests.most_in_order[:2] in ([1], [1, 1])
    assert rests.most <= MOST_CONNECTIONS
    assert [one["vps_id"] for one in result["results"] if one["changed"]] == with_rest


def test_a_rest_may_fail(site: Site) -> None:
    def work(vps_id: str) -> Deferred:
        def go_on() -> Result:
            if vps_id == "vps_0":
                raise HostUpError("no.", Problem(409))
            return is_fine(vps_id)

        return Deferred({}, go_on)

    result = run_fleet(site, ids(4), work)
    assert [one["failed"] for one in result["results"]] == [True, False, False, False]


@pytest.mark.usefixtures("one_by_one")
@pytest.mark.parametrize("how", ["hopeless", "late"])
def test_a_rest_that_is_not_tried_tells_what_was_done(site: Site, how: str) -> None:
    so_far = {**is_fine("vps_0"), "changed": True, "known": 7}

    def work(vps_id: str) -> Result | Deferred:
        if vps_id == "vps_0":
            return Deferred(so_far, lambda: is_fine(vps_id))
        if how == "hopeless":
            raise HostUpError("The API does not know this key.", Problem(401))
        site.clock.now += 100
        return is_fine(vps_id)

    result = run_fleet(site, ids(2), work, seconds=60)
    first = result["results"][0]
    assert first == {**so_far, "failed": True, "msg": first["msg"]} | ({"timed_out": True} if how == "late" else {})
    assert first["msg"].startswith("Not tried: ") and result["changed"] is True


# --- lines


@pytest.mark.usefixtures("one_by_one")
def test_lines_tell_the_progress(site: Site) -> None:
    def work(vps_id: str) -> Result:
        site.clock.now += 1
        if vps_id == "vps_3":
            raise HostUpError("no.")
        return is_fine(vps_id)

    run_fleet(site, ids(100), work)
    assert site.said[0] == "10 of 100 VPSs done, 1 of them failed, 10 s"
    assert len(site.said) == 10


@pytest.mark.usefixtures("one_by_one")
@pytest.mark.parametrize(("pause", "least", "most"), [(0.01, 0, 4), (25.0, 50, 100)])
def test_lines_are_neither_many_nor_rare(site: Site, pause: float, least: int, most: int) -> None:
    def work(vps_id: str) -> Result:
        site.clock.now += pause
        return is_fine(vps_id)

    run_fleet(site, ids(1000 if pause < 1 else 100), work, seconds=1e6)
    assert least <= len(site.said) <= most


def test_a_quick_fleet_says_nothing(site: Site) -> None:
    run_fleet(site, ids(20), is_fine)
    assert site.said == []


# --- through the tasks


def run(site: Site, task: Task[Any] = VPS_ISO, check_mode: bool = False, **options: Any) -> Result:
    """Validate the options and run the task, as the shells do."""
    given: dict[str, Any] = {"vps_ids": [vps.id for vps in site.owner.vpses]}
    if task is VPS_ISO:  # the clock runs as fast as there are threads that wait
        given["wait_timeout"] = 10**8
    result = site.run(task, check_mode, **{**given, **options})
    assert site.key not in json.dumps(result)
    check_result(result, task)
    return result


def check_result(result: Result, task: Task[Any]) -> None:
    """What every result of the list form has to have."""
    optional = {"warnings", "timed_out", "error"}
    keys = (
        {"changed", "results"}
        | ({"diff"} if task is VPS_ISO else set())
        | ({"failed", "msg"} if result.get("failed") else set())
    )
    if result["results"]:
        assert ("error" in result) is any("error" in one for one in result["results"])
    assert result.keys() - optional == keys
    assert result.get("failed", True) is True and result.get("timed_out", True) is True
    for one in result["results"]:
        keys = (ISO_KEYS if task is VPS_ISO else INFO_KEYS) | {"failed", "msg"}
        if one["failed"]:
            keys = {"changed", "vps_id", "failed", "msg"} | (ISO_KEYS if task is VPS_ISO else set())
            assert one["msg"]
        if "error" in one:
            assert one["failed"] and one["error"].keys() == ERROR_FIELDS and any(one["error"].values())
        assert one.keys() - optional == keys
        assert one["vps_id"]


def add_vpses(site: Site, number: int) -> list[str]:
    return [site.vps.id, *(site.world.add_vps(site.owner, f"web-{index + 2}").id for index in range(number - 1))]


def each(result: Result, name: str) -> list[Any]:
    return [one[name] for one in result["results"]]


@both_tasks
def test_a_converged_fleet_costs_one_read_each(site: Site, task: Task[Any]) -> None:
    fleet = add_vpses(site, 40)
    result = run(site, task, name="ubuntu.iso")
    assert each(result, "vps_id") == fleet and "failed" not in result and result["changed"] is False
    assert result.get("diff", []) == [] and len(site.calls) == 40
    assert {call.vps_id for call in site.calls} == set(fleet)


@both_tasks
@pytest.mark.parametrize("check_mode", [True, False])
def test_each_result_is_that_of_a_single_call(site: Site, task: Task[Any], check_mode: bool) -> None:
    add_vpses(site, 3)
    options: dict[str, Any] = {"name": "ubuntu.iso"} | ({"state": "mounted"} if task is VPS_ISO else {})
    alone = site.run(task, check_mode, vps_id=site.vps.id, **options)
    site.vps.drives["ide2"] = Drive.empty()
    result = run(site, task, check_mode, **options)
    assert result["results"][0] == {**alone, "failed": False, "msg": ""}


@pytest.mark.parametrize("check_mode", [True, False])
def test_check_mode_and_diff_are_each_vpss(site: Site, check_mode: bool) -> None:
    fleet = add_vpses(site, 5)
    site.vps.drives["ide2"] = Drive.holding(site.iso.id)
    result = run(site, check_mode=check_mode, name="ubuntu.iso", state="mounted")
    assert each(result, "actions") == [[], *[["mount"]] * 4] and result["changed"] is True
    assert [diff["before_header"] for diff in result["diff"]] == fleet[1:]
    assert result["diff"][0]["after"]["drives"] == ["ide2: ubuntu.iso"]
    assert len(site.calls.writes()) == (0 if check_mode else 4)


@both_tasks
def test_who_is_named_twice_is_worked_on_once(site: Site, task: Task[Any]) -> None:
    first, second = add_vpses(site, 2)
    result = run(site, task, vps_ids=[second, first, second, first], name="ubuntu.iso")
    assert each(result, "vps_id") == [second, first] and len(site.calls) == 2


@both_tasks
@pytest.mark.parametrize("empty", ["", " "])
def test_an_empty_entry(site: Site, task: Task[Any], empty: str) -> None:
    result = run(site, task, vps_ids=[site.vps.id, empty], name="ubuntu.iso")
    assert result["failed"] is True and "vps_ids[1] is empty" in result["msg"]
    assert result["results"] == [] and site.calls == []


@both_tasks
def test_an_empty_list(site: Site, task: Task[Any]) -> None:
    result = run(site, task, vps_ids=[], name="ubuntu.iso")
    assert result.pop("diff", []) == [] and result == {"changed": False, "results": []} and site.calls == []


def test_ninety_eight_converge_and_two_are_named(site: Site) -> None:
    fleet = add_vpses(site, 99)
    fleet.insert(50, "vps_missing")
    site.owner.vpses[20].can_mount = Gate(False, "An order is pending.", "pending_order")
    result = run(site, vps_ids=fleet, name="ubuntu.iso", state="mounted")
    assert each(result, "vps_id") == fleet
    assert result["msg"].startswith("2 of 100 VPSs failed.")
    assert f"{site.owner.vpses[20].id}: " in result["msg"] and "An order is pending." in result["msg"]
    assert "vps_missing: " in result["msg"] and "There is no such VPS" in result["msg"]
    assert result["error"]["code"] == "pending_order"
    assert sum(vps.drives["ide2"] == Drive.holding(site.iso.id) for vps in site.owner.vpses) == 98
    assert [one["failed"] for one in result["results"]].count(True) == 2


def test_one_download_for_all(site: Site, web: Web) -> None:
    add_vpses(site, 50)
    result = run(site, url=web.add("/new.iso", body=b"x" * 5000), state="mounted")
    assert "failed" not in result
    assert len(site.sent("POST", "from-url")) == 1 and len(site.sent("POST", "mount")) == 50
    assert sorted(map(tuple, each(result, "actions"))) == [("download", "mount"), *[("mount",)] * 49]
    assert {one["iso"]["name"] for one in result["results"]} == {"new.iso"}


def test_only_who_downloads_has_changed_something(site: Site, web: Web) -> None:
    add_vpses(site, 20)
    result = run(site, url=web.add("/new.iso", body=b"x" * 5000))
    assert each(result, "changed").count(True) == 1 and result["changed"] is True
    assert len(site.sent("POST", "from-url")) == 1
    assert len([line for line in site.said if "waiting" in line]) <= 1, "one line, not one for each thread"


def test_a_download_that_fails_is_not_tried_for_all(site: Site, web: Web) -> None:
    add_vpses(site, 30)
    result = run(site, url=f"{web.url}/missing.iso")
    assert len(set(each(result, "failed"))) == 1 and "The source answered 404" in result["msg"]
    assert len(site.sent("POST", "from-url")) < 15


@pytest.mark.parametrize("mounted", [0, 1, 5, 12])
def test_absent_deletes_once_and_after_all_unmounts(site: Site, mounted: int) -> None:
    add_vpses(site, 12)
    for vps in site.owner.vpses[:mounted]:
        vps.drives["ide2"] = Drive.holding(site.iso.id)
    result = run(site, name="ubuntu.iso", state="absent")
    assert "failed" not in result and site.owner.library == {}
    sent = [call.method for call in site.calls.writes()]
    assert sent == [*["POST"] * mounted, "DELETE"]
    assert sum("delete" in actions for actions in each(result, "actions")) == 1
    assert sum("unmount" in actions for actions in each(result, "actions")) == mounted
    assert each(result, "changed") == [bool(actions) for actions in each(result, "actions")]
    assert each(result, "iso") == [None] * 12 and each(result, "mounts") == [[]] * 12
    assert len(result["diff"]) == 12, "the library is everybody's"


def test_absent_where_somebody_else_uses_it(site: Site) -> None:
    fleet = add_vpses(site, 3)
    site.owner.vpses[2].drives["ide2"] = site.vps.drives["ide2"] = Drive.holding(site.iso.id)
    result = run(site, vps_ids=fleet[:2], name="ubuntu.iso", state="absent")
    assert each(result, "failed") == [True, True] and result["error"]["code"] == "media_in_use"
    assert each(result, "actions") == [["unmount"], []] and result["changed"] is True


@pytest.mark.usefixtures("one_by_one")
def test_what_was_done_is_told_when_the_rest_is_not_tried(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second VPS takes all the time that was left, and the ISO is not deleted."""
    add_vpses(site, 2)
    for vps in site.owner.vpses:
        vps.drives["ide2"] = Drive.holding(site.iso.id)
    handle = site.world.handle

    def be_slow(request: Request) -> Answer:
        site.clock.now += 16 if request.method == "POST" else 0
        return handle(request)

    monkeypatch.setattr(site.world, "handle", be_slow)
    result = run(site, name="ubuntu.iso", state="absent", wait_timeout=30)
    assert site.calls.matching("DELETE") == [] and result["timed_out"] is True
    assert each(result, "failed") == each(result, "changed") == each(result, "timed_out") == [True, True]
    assert each(result, "actions") == [["unmount"], ["unmount"]] and each(result, "mounts") == [[], []]
    assert "2 of 2 VPSs failed" in result["msg"] and result["msg"].count("Not tried") == 1
    assert [one["iso"]["id"] for one in result["results"]] == [site.iso.id] * 2
    assert len(result["diff"]) == 2


def test_a_rate_limit_loses_no_vps(site: Site) -> None:
    add_vpses(site, 30)
    site.switches.rate_limit = 40
    result = run(site, name="ubuntu.iso", state="mounted")
    assert "failed" not in result and each(result, "changed") == [True] * 30
    assert len([call for call in site.calls if call.status == 429]) <= 60


def test_an_order_that_nobody_can_look_up_is_not_made_again(site: Site) -> None:
    add_vpses(site, 10)
    site.fault("problem", "POST", "/from-url$", status=502, times=None)
    site.fault("problem", "GET", "/iso$", after=10, status=500, times=None)
    result = run(site, url="http://127.0.0.1:9/new.iso", api_retries=0)
    assert len(site.sent("POST", "/from-url$")) == 1
    assert each(result, "failed") == [True] * 10
    assert sorted(each(result, "actions_unknown")) == [[]] * 9 + [["download"]]


def test_faults_hit_single_vpss_only(site: Site) -> None:
    fleet = add_vpses(site, 10)
    site.fault("problem", "GET", f"{fleet[3]}/iso$", status=500, times=None)
    site.fault("wrong_shape", "GET", f"{fleet[6]}/iso$", times=None)
    result = run(site, VPS_ISO_INFO)
    assert [number for number, one in enumerate(result["results"]) if one["failed"]] == [3, 6]
    assert result["error"]["status"] == 500


@both_tasks
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"api_key": "wrong-key-of-nobody"}, "does not know this key,"),
        ({"api_base": "http://cloud.hostup.se"}, "in clear"),
        ({"api_base": "http://127.0.0.1:9"}, "got no answer"),
        ({"api_timeout": 0}, "api_timeout"),
        ({"ca_path": "/nowhere", "api_base": "https://127.0.0.1:9"}, "cannot be loaded"),
        ({"vps_ids": ["vps_unknown"]}, "There is no such VPS"),
        ({"vps_ids": [""]}, "is empty"),
        ({"name": ""}, "name"),
    ],
)
def test_every_failure_has_results(site: Site, task: Task[Any], options: dict[str, Any], says: str) -> None:
    """And an error, if a request has failed."""
    result = run(site, task, **{"name": "ubuntu.iso", **options})
    assert result["failed"] is True and says in result["msg"] and result["changed"] is False
    assert ("error" in result) is bool(site.calls or "got no answer" in says) and isinstance(result["results"], list)
    assert site.calls.writes() == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"name": "none.iso"}, "no url to download it from"),
        ({"name": "a/b"}, "cannot be a file name"),
        ({"iso_id": " "}, "iso_id is empty"),
        ({"name": "ubuntu.iso", "wait_timeout": 0}, "wait_timeout"),
        ({"url": "ftp://example.com/x.iso"}, "not an http or https URL"),
        ({"url": "http://127.0.0.1:9/x.iso", "resolve_redirects": True}, "cannot be reached"),
        ({"name": "ubuntu.iso", "state": "mounted", "device": "ide0"}, "no such drive"),
        ({"url": "http://127.0.0.1:9/x.iso", "state": "mounted", "wait": False}, "wait=false"),
    ],
)
@pytest.mark.parametrize("check_mode", [True, False])
def test_failures_before_any_write(site: Site, options: dict[str, Any], says: str, check_mode: bool) -> None:
    add_vpses(site, 3)
    result = run(site, check_mode=check_mode, **options)
    assert result["failed"] is True and says in result["msg"]
    assert (result["changed"], result["diff"], site.calls.writes()) == (False, [], [])
    assert len(result["results"]) in (0, 3)


def test_a_wrong_key_is_not_tried_for_all(site: Site) -> None:
    add_vpses(site, 200)
    result = run(site, api_key="wrong-key-of-nobody", name="ubuntu.iso")
    assert len(result["results"]) == 200 and "200 of 200 VPSs failed" in result["msg"]
    assert len(site.calls) <= 2 * MOST_CONNECTIONS


def test_a_timeout_of_some(site: Site, web: Web) -> None:
    add_vpses(site, 4)
    site.switches.job.hangs = True
    result = run(site, url=web.add("/new.iso"), wait_timeout=60)
    assert result["timed_out"] is True and len(site.sent("POST", "from-url")) == 1
    assert each(result, "failed") == [True] * 4
    assert each(result, "changed").count(True) == 1


def nothing(_cache: Path) -> None:
    """Leave the folder as it is."""


def spoil(cache: Path) -> None:
    cache.write_bytes(b"")


@pytest.mark.parametrize(("do", "warnings"), [(nothing, 0), (spoil, 1)])
@pytest.mark.parametrize("name", ["ubuntu.iso", "none.iso"])
def test_warnings_are_in_the_result(
    site: Site, cache: Path, do: Callable[[Path], None], warnings: int, name: str
) -> None:
    do(cache)
    add_vpses(site, 40)
    result = run(site, name=name)
    assert ("failed" in result) == (name == "none.iso")
    assert len(result.get("warnings", [])) == warnings


@pytest.mark.parametrize("state", ["present", "mounted", "unmounted", "absent"])
@pytest.mark.parametrize("check_mode", [True, False])
def test_an_api_that_echoes_the_key_everywhere(site: Site, state: str, check_mode: bool) -> None:
    add_vpses(site, 3)
    site.iso.display_name = f"Ubuntu {site.key}"
    site.world.add_iso(site.owner, f"{site.key}.iso")
    for vps in site.owner.vpses:
        vps.boot_order = [site.key]
    assert "failed" not in run(site, name="ubuntu.iso", state=state, check_mode=check_mode)
    assert "failed" not in run(site, VPS_ISO_INFO)


@both_tasks
def test_refusals_that_echo_the_key(site: Site, task: Task[Any]) -> None:
    fleet = add_vpses(site, 8)
    site.fault("problem", status=400, detail=f"Bearer {site.key} is no good", code=site.key, times=None)
    result = run(site, task, vps_ids=[*fleet, f"vps_{site.key}"], name="ubuntu.iso")
    assert result["msg"].count("is no good") == MOST_REASONS


@pytest.mark.parametrize("resolve_redirects", [False, True])
def test_secrets_of_a_url(site: Site, resolve_redirects: bool) -> None:
    add_vpses(site, 3)
    url = "http://ann:sesame@127.0.0.1:9/x.iso?sig=s3cr3t-t0ken-0123"
    site.switches.job.fails = f"GET {url} with s3cr3t-t0ken-0123 of ann:sesame: refused"
    shown = json.dumps(run(site, url=url, resolve_redirects=resolve_redirects)) + str(site.said)
    assert "sesame" not in shown and "s3cr3t" not in shown and "failed" in shown


def test_secrets_of_where_a_redirect_leads(site: Site, web: Web) -> None:
    add_vpses(site, 3)
    end = web.add("/y.iso?sig=s3cr3t-t0ken-0123")
    start = web.add("/x.iso", 302, Location="/y.iso?sig=s3cr3t-t0ken-0123")
    site.switches.job.fails = f"{end} gave nothing"
    shown = json.dumps(run(site, url=start, resolve_redirects=True))
    assert "gave nothing" in shown and "s3cr3t" not in shown
