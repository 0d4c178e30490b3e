# SPDX-License-Identifier: GPL-3.0-or-later
"""Where tasks run, what they need there, and that the key shows nowhere."""

from __future__ import annotations

import json
import re
import sys
from itertools import pairwise

import pytest

from hostup_emulator.model import Drive
from support.lab import KEY, SHELLS, SLOW_SHELLS_LAST, Lab, iso_task


@pytest.mark.smoke
def test_hosts_may_be_down(lab: Lab) -> None:
    lab.world.add_vps(lab.owner, "web-02")
    run = lab.play(
        [
            {"name": "ping", "ansible.builtin.ping": {}, "ignore_unreachable": True},
            iso_task(vps_name="{{ inventory_hostname }}", state="unmounted"),
        ],
        hosts={"web-01": {}, "web-02": {}},
    )
    assert [item.status for item in run.results] == ["unreachable", "unreachable", "ok", "ok"]


@SLOW_SHELLS_LAST
def test_all_states_one_after_the_other(lab: Lab, shell: str) -> None:
    wishes = [{"url": lab.url}, {"name": "ubuntu.iso", "state": "mounted"}, {"state": "unmounted"}]
    wishes.append({"name": "ubuntu.iso", "state": "absent"})
    run = lab.play([iso_task(shell, vps_id=lab.vps.id, **wish) for wish in wishes])
    assert [item.result["actions"] for item in run.results] == [["download"], ["mount"], ["unmount"], ["delete"]]
    assert lab.owner.library == {}


@SLOW_SHELLS_LAST
def test_names_and_addresses_cost_one_request_more(lab: Lab, shell: str) -> None:
    assert lab.iso(shell, vps_name="WEB-01", state="unmounted")["vps_id"] == lab.vps.id
    assert lab.iso(shell, vps_ip="192.0.2.10", state="unmounted")["vps_id"] == lab.vps.id
    assert [call.path for call in lab.calls] == ["/api/v2/vps", f"/api/v2/vps/{lab.vps.id}/iso"] * 2


@pytest.mark.parametrize("selection", ["vps_id", "vps_name", "vps_ip"])
def test_converged_state_costs_one_request_or_two(lab: Lab, selection: str) -> None:
    iso = lab.world.add_iso(lab.owner, "ubuntu.iso")
    lab.vps.drives["ide2"] = Drive.holding(iso.id)
    vps = {selection: {"vps_id": lab.vps.id, "vps_name": "web-01", "vps_ip": "192.0.2.10"}[selection]}
    wishes = [
        {"state": "present", "name": "ubuntu.iso"},
        {"state": "mounted", "iso_id": iso.id},
        {"state": "unmounted", "name": "another.iso"},
        {"state": "absent", "name": "another.iso"},
    ]
    info = {"name": "info", "hostup.cloud.hostup_vps_iso_info": vps}
    run = lab.play([*({**iso_task(**vps, **wish), "name": wish["state"]} for wish in wishes), info])
    assert [(item.status, item.result["changed"]) for item in run.results] == [("ok", False)] * 5
    assert len(lab.calls) == (5 if selection == "vps_id" else 10)


@pytest.mark.smoke
@SLOW_SHELLS_LAST
def test_verified_mount_costs_three_requests(lab: Lab, shell: str) -> None:
    iso = lab.world.add_iso(lab.owner, "ubuntu.iso")
    result = lab.iso(shell, name="ubuntu.iso", state="mounted")
    assert (result["device"], result["iso"]["id"]) == ("ide2", iso.id)
    assert [call.method for call in lab.calls] == ["GET", "POST", "GET"]


def test_task_environment_is_honoured(lab: Lab) -> None:
    environment = {"HOSTUP_API_KEY": lab.key, "HOSTUP_API_RETRIES": 2, "PORT": 8080, "DEBUG": True}
    task = {**iso_task(vps_id=lab.vps.id, state="unmounted"), "environment": environment}
    assert lab.play([task], env={"HOSTUP_API_KEY": None}).code == 0
    wrong = {**task, "environment": {"HOSTUP_API_KEY": "wrong"}}
    assert lab.play([wrong]).of("iso")["error"]["status"] == 401


def test_empty_option_leaves_the_environment_its_say(lab: Lab) -> None:
    assert lab.iso(api_key="", api_base="", state="unmounted")["changed"] is False


def test_module_defaults_reach_the_group(lab: Lab) -> None:
    info = {"name": "info", "hostup.cloud.hostup_vps_iso_info": {"vps_id": lab.vps.id}}
    run = lab.play(
        [iso_task(vps_id=lab.vps.id, state="unmounted"), info],
        env={"HOSTUP_API_KEY": None},
        play={"module_defaults": {"group/hostup.cloud.hostup": {"api_key": lab.key}}},
    )
    assert run.code == 0


@SLOW_SHELLS_LAST
def test_vaulted_options(lab: Lab, shell: str) -> None:
    """They are decrypted wherever the task runs, and shown nowhere."""
    lab.world.add_iso(lab.owner, "ubuntu.iso")
    vps_id, name, key = (lab.vaulted(text) for text in (lab.vps.id, "ubuntu.iso", KEY))
    inline = iso_task(shell, api_key=key, vps_ids=[vps_id], name=name, state="mounted", device=lab.vaulted("ide3"))
    by_default = {**iso_task(shell, vps_id=lab.vps.id, name=name, state="unmounted"), "name": "by default"}
    run = lab.play(
        [inline, by_default],
        env={"HOSTUP_API_KEY": None},
        args=["--vault-password-file", "password", "-vvv"],
        play={"module_defaults": {"group/hostup.cloud.hostup": {"api_key": key}}},
    )
    assert [item.result.get("msg") for item in run.results if item.status != "ok"] == []
    assert run.of("iso")["results"][0]["device"] == "ide3"
    assert run.of("by default")["actions"] == ["unmount"]
    assert KEY not in run.output


def test_async_on_the_host_itself_is_refused(lab: Lab) -> None:
    task = {**iso_task(vps_id=lab.vps.id, state="unmounted"), "async": 10, "poll": 1}
    result = lab.play([task]).of("iso")
    assert result["failed"] and "add delegate_to: localhost" in result["msg"]
    assert lab.calls == []


def test_async_without_polling_can_be_asked_for_later(lab: Lab) -> None:
    start = {**iso_task(vps_id=lab.vps.id, url=lab.url), "async": 60, "poll": 0, "delegate_to": "localhost"}
    ask = {
        "name": "ask",
        "ansible.builtin.async_status": {"jid": "{{ started.ansible_job_id }}"},
        "delegate_to": "localhost",
        "register": "answer",
        "until": "answer.finished",
        "retries": 30,
        "delay": 1,
    }
    assert lab.play([{**start, "register": "started"}, ask]).of("ask")["actions"] == ["download"]


@SLOW_SHELLS_LAST
def test_missing_requests_is_told(lab: Lab, shell: str) -> None:
    """A library of that name which cannot be imported stands in for its absence, wherever the task runs."""
    (lab.folder / "without" / "requests").mkdir(parents=True)
    (lab.folder / "without" / "requests" / "__init__.py").write_text("raise ImportError('not here')\n")
    interpreter = lab.folder / "python-without"
    interpreter.write_text(f'#!/bin/sh\nPYTHONPATH="{lab.folder}/without" exec "{lab.python}" "$@"\n')
    interpreter.chmod(0o755)
    task = iso_task(shell, vps_id=lab.vps.id, state="unmounted")
    if shell == "controller":
        run = lab.play([task], env={"PYTHONPATH": f"{lab.folder}/without"})
    else:
        lab.python = str(interpreter)
        run = lab.play([task])
    missing = f"The Python library requests is needed, and {sys.executable} does not have it. Install it: "
    assert run.of("iso")["msg"].startswith(missing)
    assert lab.calls == []


# --- the key -----------------------------------------------------------------------------------------------------


def echo_the_key(lab: Lab) -> None:
    """Have the API show the key wherever it can."""
    lab.world.add_iso(lab.owner, f"x {KEY}.iso", KEY)
    lab.world.add_iso(lab.owner, "ubuntu.iso", f"Bearer {KEY}")
    lab.vps.boot_order = [KEY, "ide2"]
    lab.faults.add(
        "problem", "POST", "/mount", status=409, code=KEY, detail=f"You sent Authorization: Bearer {KEY}.", times=1
    )


@pytest.mark.parametrize("shell", ["controller", "delegated", pytest.param("async", marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize(
    "way",
    [
        "task environment",
        *(pytest.param(way, marks=pytest.mark.exhaustive) for way in ("environment variable", "option")),
    ],
)
def test_key_is_shown_nowhere(lab: Lab, shell: str, way: str) -> None:
    echo_the_key(lab)
    # the key comes out of a variable of another name, so that no file of ours holds it
    looked_up = "{{ lookup('ansible.builtin.env', 'ELSEWHERE') }}"
    options = {"vps_id": lab.vps.id, **({"api_key": looked_up} if way == "option" else {})}
    keywords = {"environment": {"HOSTUP_API_KEY": looked_up}} if way == "task environment" else {}
    tasks = [
        {**iso_task(shell, state="mounted", name="ubuntu.iso", **options), "ignore_errors": True, "name": "refused"},
        iso_task(shell, state="mounted", name="ubuntu.iso", **options),
        {"name": "info", "hostup.cloud.hostup_vps_iso_info": options, **SHELLS[shell]},
        {
            **iso_task(shell, state="absent", name="nothing", device="ide9", **options),
            "ignore_errors": True,
            "name": "bad",
        },
    ]
    env: dict[str, str | None] = (
        {"HOSTUP_API_KEY": KEY} if way == "environment variable" else {"ELSEWHERE": KEY, "HOSTUP_API_KEY": None}
    )
    # without pipelining, modules and their arguments come as files
    env["ANSIBLE_PIPELINING"] = "0" if way == "option" else "1"
    run = lab.play([{**task, **keywords} for task in tasks], env=env, args=["-vvvvv", "--diff"])
    assert [item.status for item in run.results] == ["failed", "ok", "ok", "failed"]
    assert "You sent Authorization" in run.of("refused")["msg"]
    assert KEY not in run.output
    assert lab.files_with(KEY) == []


def test_key_is_not_on_a_command_line(lab: Lab) -> None:
    """What a module is started with shows at -vvv; the rest of the environment is still sent."""
    task = {
        **iso_task("delegated", vps_id=lab.vps.id, state="unmounted"),
        "environment": {"HOSTUP_API_KEY": lab.key, "HOSTUP_API_RETRIES": "2", "OTHER": "is-sent"},
    }
    run = lab.play([task], env={"HOSTUP_API_KEY": None}, args=["-vvv"])
    assert run.code == 0
    assert "OTHER=is-sent" in run.output
    assert "HOSTUP_API_" not in "".join(re.findall(r"<jump-host> EXEC .*", run.output))


@SLOW_SHELLS_LAST
def test_credentials_in_a_url_are_passed_on_and_masked(lab: Lab, shell: str) -> None:
    secret = "signature-of-this-download"
    url = lab.url.replace("http://", "http://user:pass-of-the-mirror@") + f"?sig={secret}"
    lab.faults.add("problem", "POST", "/from-url", status=400, detail=f"cannot fetch {url}, {secret} is stale", times=1)
    run = lab.play(
        [iso_task(shell, vps_id=lab.vps.id, url="{{ lookup('ansible.builtin.env', 'ELSEWHERE') }}")],
        env={"ELSEWHERE": url},
        args=["-vvvvv"],
    )
    assert run.of("iso")["error"]["status"] == 400
    assert lab.calls.writes()[0].body["url"] == url
    assert secret not in run.output and "pass-of-the-mirror" not in run.output
    assert lab.files_with(secret) == []


# --- progress ----------------------------------------------------------------------------------------------------


def wait_for_a_poll(lab: Lab) -> None:
    """Wait until the API has been asked for a job once more."""
    polls = len(lab.calls.matching("GET", "/jobs/"))
    lab.until(lambda: len(lab.calls.matching("GET", "/jobs/")) > polls)


def test_download_shows_its_progress(lab: Lab) -> None:
    lab.emulator.downloads.hold()
    playing = lab.start([iso_task(vps_id=lab.vps.id, url=lab.url)])
    for share in (0.25, 0.5, 0.75, 1.0):
        wait_for_a_poll(lab)
        lab.emulator.downloads.hold(share)
    lines = re.findall(r"^web-01: .*", playing.finish().output, re.MULTILINE)
    assert lines[0] == "web-01: ubuntu.iso: queued, 0 s"
    assert re.fullmatch(r"web-01: ubuntu.iso: 100 %, \d+ s", lines[-1])
    assert all(re.fullmatch(r"web-01: ubuntu.iso: \d+ %, \d+ s", line) for line in lines[1:])
    shown = [int(re.findall(r"(\d+) %", line)[0]) for line in lines[1:]]
    assert len(shown) >= 3 and all(later - earlier >= 10 for earlier, later in pairwise(shown))


def test_progress_does_not_spoil_the_output(lab: Lab) -> None:
    """Callbacks that write JSON, and `-o`, have the standard output for themselves."""
    run = lab.play(
        [iso_task(vps_id=lab.vps.id, url=lab.url)],
        env={"ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.oneline"},
        apart=True,
    )
    host, result = run.output.split(" | CHANGED => ")
    assert (host, json.loads(result)["actions"]) == ("web-01", ["download"])
    assert run.errors and "web-01: ubuntu.iso: queued, 0 s" in run.errors.splitlines()


@pytest.mark.parametrize(("shell", "keywords"), [("controller", {"no_log": True}), ("async", {}), ("delegated", {})])
def test_no_progress_lines(lab: Lab, shell: str, keywords: dict[str, object]) -> None:
    run = lab.play([{**iso_task(shell, vps_id=lab.vps.id, url=lab.url), **keywords}])
    assert run.code == 0
    assert not re.search(r"^web-01: ubuntu", run.output, re.MULTILINE)
