# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input: a message that says what was wrong and what was expected, and no write before it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from hostup_emulator.server import Call
from support.lab import SLOW_SHELLS_LAST, Lab, iso_task
from support.modules import run_module


@dataclass(frozen=True)
class Bad:
    """Options that are wrong, what the message must say, and how many requests may have been sent."""

    name: str
    options: dict[str, Any]
    says: tuple[str, ...]
    requests: int = 0
    error: dict[str, Any] = field(default_factory=dict)


# A VPS that is asked for after each task, so that the record shows which requests were whose.
MARK = "vps_after-"
NULL = object()  # given, and nothing in it; None is not given
URL = "http://192.0.2.80/images/ubuntu.iso"
BAD = [
    Bad("wrong-key", {"api_key": "wrong"}, ("HTTP 401", "Check api_key"), 1, {"status": 401, "code": "unauthorized"}),
    Bad("broken-key", {"api_key": "broken\nkey"}, ("api_key holds", "stray line end")),
    Bad(
        "unknown-vps",
        {"vps_id": "vps_nowhere"},
        ("HTTP 404", "use vps_name or vps_ip", "as hostup_vps_id"),
        1,
        {"code": "vps_not_found"},
    ),
    Bad("foreign-vps", {"vps_id": "{{ foreign }}"}, ("HTTP 403", "read:vm"), 1, {"status": 403}),
    Bad("path-as-vps", {"vps_id": "../../jobs"}, ("vps_id: '../../jobs' cannot be an ID", "vps_01h")),
    Bad("dots-as-vps", {"vps_id": None, "vps_ids": ["vps_1", ".."]}, ("vps_ids[1]: '..' cannot be an ID",)),
    Bad("dots-as-iso", {"name": None, "iso_id": ".", "state": "absent"}, ("iso_id: '.' cannot be an ID",)),
    Bad("empty-vps", {"vps_id": ""}, ("vps_id is empty", "vps_01h")),
    Bad(
        "unknown-name",
        {"vps_id": None, "vps_name": "web-99"},
        ("vps_name", "no VPS with the name 'web-99'. hostup.cloud.hostup_vps_info lists them."),
        1,
    ),
    Bad("names-as-ids", {"vps_id": None, "vps_ids": ["web-01"]}, ("web-01", "For vps_ids, the inventory"), 1),
    Bad("key-and-word", {"api_key": "Bearer x"}, ("begins with the word Bearer", "the key alone")),
    Bad("unknown-ip", {"vps_id": None, "vps_ip": "192.0.2.99"}, ("vps_ip", "no VPS with the primary address"), 1),
    Bad("no-ip", {"vps_id": None, "vps_ip": "web-01"}, ("vps_ip: 'web-01' is not an IP address",)),
    Bad("no-vps", {"vps_id": None}, ("one of the following is required: vps_id, vps_name, vps_ip",)),
    Bad("two-vps", {"vps_name": "web-01"}, ("mutually exclusive", "vps_id|vps_name|vps_ip")),
    Bad(
        "unknown-iso", {"name": "nothing.iso"}, ("no ISO named 'nothing.iso'", "no url", "library holds: ubuntu.iso"), 1
    ),
    Bad("name-and-id", {"iso_id": "iso_1"}, ("mutually exclusive", "name|iso_id")),
    Bad("empty-id", {"name": None, "iso_id": "", "state": "unmounted"}, ("iso_id is empty", "leave it out")),
    Bad("empty-name", {"name": "", "state": "unmounted"}, ("cannot be a file name",)),
    Bad("null-name", {"name": NULL, "state": "unmounted"}, ("name is null", "leave it out")),
    Bad("null-alias", {"name": None, "filename": NULL, "state": "unmounted"}, ("filename is null",)),
    Bad("null-id", {"name": None, "iso_id": NULL, "state": "unmounted"}, ("iso_id is null",)),
    Bad("null-url", {"url": NULL}, ("url is null",)),
    Bad(
        "null-device", {"name": None, "device": NULL, "state": "unmounted"}, ("device",)
    ),  # a module without its action hears of it from Ansible
    Bad("null-vps", {"vps_id": NULL}, ("vps_id is null",)),
    Bad("null-vps-ids", {"vps_id": None, "vps_ids": NULL}, ("vps_ids is null",)),
    Bad("null-among-them", {"vps_id": None, "vps_ids": ["vps_1", NULL]}, ("vps_ids[1] is null",)),
    Bad("null-by-a-variable", {"name": "{{ nothing }}", "state": "unmounted"}, ("name is null",)),
    Bad("empty-vps-name", {"vps_id": None, "vps_name": ""}, ("vps_name is empty",)),
    Bad("url-and-id", {"name": None, "iso_id": "iso_1", "url": URL}, ("mutually exclusive", "url|iso_id")),
    Bad(
        "neither", {"name": None, "state": "mounted"}, ("state is mounted but any of the following are missing", "url")
    ),
    Bad(
        "job-without-a-name",
        {"name": None, "iso_id": "iso_1", "job_id": "job_1"},
        ("mutually exclusive", "job_id|iso_id"),
    ),
    Bad("job-for-nothing", {"state": "absent", "job_id": "job_1"}, ("job_id", "state=present", "state=mounted")),
    Bad("refresh-from-nowhere", {"refresh": True}, ("refresh compares the length", "use it with url")),
    Bad("empty-job", {"job_id": " "}, ("job_id", "the ID of a job")),
    Bad("job-elsewhere", {"job_id": "../vps"}, ("job_id: '../vps' cannot be an ID",)),
    Bad("ftp", {"url": "ftp://192.0.2.80/ubuntu.iso"}, ("not an http or https URL",)),
    Bad("local-file", {"url": "/srv/ubuntu.iso"}, ("not an http or https URL",)),
    Bad("no-file-name", {"name": None, "url": "http://192.0.2.80/images/"}, ("no file name", "give one with name")),
    Bad("blank-in-url", {"url": "http://192.0.2.80/a b.iso"}, ("percent-encoded",)),
    Bad("no-url-at-all", {"url": "http://[192.0.2.80/a.iso"}, ("url is not a URL",)),
    Bad("slash-in-name", {"name": "a/b.iso", "url": URL}, ("cannot be a file name", "without slashes")),
    Bad("device", {"device": "sda"}, ("value of device must be one of: ide0, ide1, ide2, ide3, got: sda",)),
    Bad(
        "device-not-there", {"state": "mounted", "device": "ide0"}, ("no such drive", "ide2: empty, ide3: no drive"), 1
    ),
    Bad("state", {"state": "gone"}, ("value of state must be one of",)),
    Bad("unknown-option", {"nmae": "x"}, ("Unsupported parameters for", "nmae", "Supported")),
    Bad(
        "no-wait",
        {"name": "new.iso", "url": URL, "state": "mounted", "wait": False},
        ("wait=false", "state=present"),
        1,
    ),
    Bad("no-time", {"wait_timeout": 0}, ("wait_timeout must be at least 1 second, not 0",)),
    Bad("no-timeout", {"api_timeout": 0}, ("api_timeout must be at least 1 second",)),
    Bad("no-retries", {"api_retries": -1}, ("api_retries must be 0 or more",)),
    Bad("http-far-away", {"api_base": "http://cloud.example.com"}, ("plain http", "travel in clear", "Use https")),
    Bad("base-with-password", {"api_base": "https://u:p@cloud.example.com"}, ("holds credentials", "api_key")),
    Bad("base-with-path", {"api_base": "https://cloud.example.com/v3"}, ("unknown path '/v3'", "/api/v2")),
    Bad("base-is-none", {"api_base": "cloud.example.com"}, ("not usable", "https://cloud.hostup.se")),
    Bad("nobody-there", {"api_base": "http://127.0.0.1:1", "api_retries": 0}, ("got no answer", "refused")),
    Bad("no-ca", {"api_base": "https://127.0.0.1:1", "ca_path": "/nowhere.pem"}, ("nowhere.pem cannot be loaded",)),
    Bad("no-mount", {"state": "mounted", "api_key": "{{ reader }}"}, ("HTTP 403", "write:vm and write:storage"), 2),
    Bad("no-read", {"api_key": "{{ writer }}"}, ("HTTP 403", "scope read:vm"), 1, {"code": "forbidden"}),
]


# One of each way to be wrong, for the shells in which a task takes long.
REPRESENTATIVE = {"async": {"wrong-key", "two-vps"}, "delegated": {"unknown-iso", "nobody-there"}}


def nulled(value: Any) -> Any:
    """An option as a playbook has it."""
    if isinstance(value, list):
        return [nulled(one) for one in value]
    return None if value is NULL else value


@pytest.fixture
def variables(lab: Lab) -> dict[str, str | None]:
    """What some of the options are made of."""
    lab.world.add_iso(lab.owner, "ubuntu.iso")
    return {
        "foreign": lab.world.add_vps(lab.world.add_owner("bob"), "db-01").id,
        "reader": lab.world.add_key(lab.owner, scopes={"read:vm"}),
        "writer": lab.world.add_key(lab.owner, scopes={"write:vm", "write:storage"}),
        "nothing": None,
    }


def given(lab: Lab, bad: Bad) -> dict[str, Any]:
    """All options of a task."""
    options = {"vps_id": lab.vps.id, "name": "ubuntu.iso", **bad.options}
    return {name: nulled(value) for name, value in options.items() if value is not None}


def complaint(bad: Bad, result: dict[str, Any], sent: list[Call]) -> str | None:
    """What is wrong with the end of a task."""
    missing = [words for words in bad.says if words not in result.get("msg", "")]
    differs = {key: result.get("error", {}).get(key) for key, value in bad.error.items()} != bad.error
    refused_writes = [call for call in sent if call.method != "GET" and call.status < 400]
    if not result["failed"] or missing or differs or len(sent) != bad.requests or refused_writes:
        return f"{missing} {result.get('msg')} {[(call.method, call.path) for call in sent]}"
    return None


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_module(lab: Lab, variables: dict[str, str | None], bad: Bad) -> None:
    options = {"api_key": lab.key, "api_base": lab.emulator.url, **given(lab, bad)}
    for name, value in variables.items():
        options = {key: value if text == f"{{{{ {name} }}}}" else text for key, text in options.items()}
    assert complaint(bad, run_module("hostup_vps_iso", options), lab.calls) is None
    assert lab.owner.library.keys() and lab.vps.drives["ide2"].free


def play_all(lab: Lab, variables: dict[str, str | None], shell: str, cases: list[Bad]) -> None:
    """Have Ansible do them one after the other, and look at the end of each."""
    tasks = []
    for bad in cases:
        tasks.append({**iso_task(shell, **given(lab, bad)), "name": bad.name, "ignore_errors": True})
        mark = iso_task(vps_id=f"{MARK}{bad.name}", state="unmounted")
        tasks.append({**mark, "name": f"count {bad.name}", "ignore_errors": True})
    run = lab.play(tasks, play={"vars": variables})
    ends = [number for number, call in enumerate(lab.calls) if MARK in call.path]
    complaints = {}
    for bad, begin, end in zip(cases, [-1, *ends], ends, strict=False):
        assert f"{MARK}{bad.name}" in lab.calls[end].path
        if found := complaint(bad, run.of(bad.name), lab.calls[begin + 1 : end]):
            complaints[bad.name] = found
    assert complaints == {}
    assert len(run.results) == 2 * len(cases) == 2 * len(ends)
    assert lab.owner.library.keys() and lab.vps.drives["ide2"].free


@pytest.mark.smoke
def test_playbook(lab: Lab, variables: dict[str, str | None]) -> None:
    play_all(lab, variables, "controller", BAD)


@pytest.mark.parametrize(("shell", "names"), REPRESENTATIVE.items())
def test_some_in_slow_shells(lab: Lab, variables: dict[str, str | None], shell: str, names: set[str]) -> None:
    cases = [bad for bad in BAD if bad.name in names]
    assert len(cases) == len(names)
    play_all(lab, variables, shell, cases)


@pytest.mark.exhaustive
@pytest.mark.timeout(2700)
@pytest.mark.parametrize("shell", ["async", "delegated"])
def test_all_in_every_shell(lab: Lab, variables: dict[str, str | None], shell: str) -> None:
    play_all(lab, variables, shell, BAD)


@SLOW_SHELLS_LAST
@pytest.mark.parametrize("key", [None, ""])
def test_no_key(lab: Lab, shell: str, key: str | None) -> None:
    run = lab.play([iso_task(shell, vps_id=lab.vps.id, state="unmounted")], env={"HOSTUP_API_KEY": key})
    assert "api_key is required: set the option or the environment variable HOSTUP_API_KEY" in run.of("iso")["msg"]
    assert lab.calls == []
