# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP front: what goes over the wire, what is recorded, and every fault."""

from __future__ import annotations

import re
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import pytest
import requests
import trustme
from requests.adapters import HTTPAdapter

from hostup_emulator.faults import KINDS
from hostup_emulator.server import Emulator
from hostup_emulator.switches import Switches

if TYPE_CHECKING:
    from pathlib import Path

    from hostup_emulator.model import JsonValue

    from .conftest import Lab, Wire

BROKEN = requests.exceptions.ConnectionError, requests.exceptions.ChunkedEncodingError


def test_calls_and_log(emulator: Emulator, wire: Wire, lab: Lab, log: list[str]) -> None:
    assert wire.read().json() == lab.world.iso_read(lab.vps)
    answer = wire.act("mount", isoId=lab.iso.id)
    assert answer.headers["Content-Type"] == "application/json"
    wire.session.get(emulator.url + "/api/v2/vps?name=a%20b", headers={"Authorization": "Bearer wrong"}, timeout=10)
    [write] = emulator.calls.writes()
    assert (write.method, write.body, write.status) == ("POST", {"isoId": lab.iso.id}, 200)
    assert (write.vps_id, write.key_name, write.at) == (lab.vps.id, "ann #1", lab.now)
    assert write.user_agent == wire.session.headers["User-Agent"]
    assert emulator.calls.matching("GET", "vps$") == [emulator.calls[2]]
    assert (emulator.calls[2].query, emulator.calls[2].key_name, emulator.calls[2].status) == (
        {"name": "a b"},
        None,
        401,
    )
    assert re.fullmatch(r"\d\d:\d\d:\d\d POST   /\S+/mount 200 [\d.]+ ms  web-01: ubuntu.iso -> ide2", log[1])
    assert lab.key not in "".join(log) + repr(emulator.calls)


def test_connection_is_kept(wire: Wire, emulator: Emulator, lab: Lab) -> None:
    for _time in range(3):
        wire.read()
        wire.session.delete(f"{wire.iso_url}/{lab.world.add_iso(lab.owner, 'x').id}", timeout=10)
    assert len(emulator.calls) == 6
    adapter = wire.session.get_adapter(emulator.url)
    assert isinstance(adapter, HTTPAdapter)
    [pool] = adapter.poolmanager.pools._container.values()
    assert pool.num_connections == 1


def test_many_at_once(wire: Wire, emulator: Emulator, lab: Lab) -> None:
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: wire.act("mount", isoId=lab.iso.id).status_code, range(40)))
    assert sorted(answers) == [200, 200] + [409] * 38
    assert len(emulator.calls) == 40


def test_tls(lab: Lab, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Emulator(lab.world, tls=context) as emulator:
        assert emulator.url.startswith("https://")
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(emulator.url, timeout=10)
        assert requests.get(emulator.url, timeout=10, verify=str(tmp_path / "ca.pem")).status_code == 401
        assert emulator.crashes == []


def test_crash_of_the_emulator_is_recorded(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab.world, "handle", lambda _: 1 / 0)
    with Emulator(lab.world) as emulator:
        answer = requests.get(emulator.url + "/api/v2/vps", timeout=10)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "ZeroDivisionError" in emulator.crashes[0]


def test_date_is_the_worlds(emulator: Emulator, wire: Wire, lab: Lab) -> None:
    lab.now += 0.9
    answers = [wire.read(), wire.session.get(emulator.url + "/control/world", timeout=10)]
    emulator.faults.add("html")
    answers.append(wire.read())
    dates = [answer.raw.headers.getlist("Date") for answer in answers]
    assert dates == [["Tue, 14 Nov 2023 22:13:20 GMT"]] * 3
    emulator.faults.add("headers", headers={"date": "Tue, 14 Nov 2023 00:00:00 GMT"})
    assert wire.read().raw.headers.getlist("Date") == ["Tue, 14 Nov 2023 00:00:00 GMT"]


def test_a_date_to_come_back_is_after_the_answers_own(wire: Wire, lab: Lab) -> None:
    lab.switches.rate_limit, lab.switches.rate_window, lab.switches.rate_says = 1, 0.5, "date"
    wire.read()
    refused = wire.read()
    assert refused.status_code == 429
    dates = [parsedate_to_datetime(refused.headers[name]) for name in ("Retry-After", "Date")]
    assert (dates[0] - dates[1]).total_seconds() == 1


def test_latency(emulator: Emulator, wire: Wire, lab: Lab) -> None:
    """It holds back no other answer, and not the control route."""
    lab.switches.latency = 0.5
    both_wait = threading.Barrier(2, timeout=10)
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        both_wait.wait()

    emulator.wait = wait
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda _number: wire.read().status_code, range(2))) == [200, 200]
    assert waits == [0.5, 0.5]
    lab.switches.latency = 30
    assert wire.session.post(emulator.url + "/control/reset", timeout=10).status_code == 200
    assert lab.switches.latency == 0.0


def test_latency_is_the_owners(emulator: Emulator, lab: Lab, wire: Wire) -> None:
    lab.switches.latency = 30
    bob = lab.world.add_owner("bob", Switches())
    headers = {"Authorization": f"Bearer {lab.world.add_key(bob)}"}
    assert wire.session.get(emulator.url + "/api/v2/vps", headers=headers, timeout=10).status_code == 200


# Faults


def test_rules_count(emulator: Emulator, wire: Wire) -> None:
    emulator.faults.add("problem", "GET", "/iso$", after=1, times=2, status=503)
    assert [wire.read().status_code for _time in range(4)] == [200, 503, 503, 200]
    emulator.faults.add("problem", "POST", times=None, status=500)
    assert [wire.act("unmount").status_code for _time in range(3)] == [500, 500, 500]
    assert wire.read().status_code == 200
    emulator.faults.clear()
    emulator.faults.add("problem", owner="bob")
    assert wire.act("unmount").status_code == 200


@pytest.mark.parametrize(
    "kind", ["problem", "legacy", "html", "edge", "not_json", "wrong_shape", "redirect", "dropped"]
)
@pytest.mark.parametrize("commit", [False, True])
def test_before_and_after_the_commit(emulator: Emulator, wire: Wire, lab: Lab, kind: str, commit: bool) -> None:
    emulator.faults.add(kind, "POST", commit=commit)
    try:
        wire.act("mount", isoId=lab.iso.id)
    except BROKEN:
        assert kind == "dropped"
    assert len(lab.vps.mounts()) == (1 if commit else 0)


def test_too_many_requests_with_and_without_retry_after(emulator: Emulator, wire: Wire) -> None:
    emulator.faults.add("problem", status=429, headers={"Retry-After": "3"})
    emulator.faults.add("problem", status=429, code="rate_limited")
    first, second = wire.read(), wire.read()
    assert (first.headers["Retry-After"], first.json()["code"]) == ("3", "rate_limit_exceeded")
    assert ("Retry-After" in second.headers, second.json()["code"]) == (False, "rate_limited")


def test_texts(emulator: Emulator, wire: Wire, lab: Lab) -> None:
    emulator.faults.add("problem", status=418, detail=f"Bad key {lab.key}")
    assert lab.key in wire.read().json()["detail"]
    emulator.faults.add("problem", status=400, body={"detail": "mine"})
    assert wire.read().json() == {"detail": "mine"}
    emulator.faults.add("legacy", status=400, code="old")
    assert wire.read().json().keys() == {"error", "message", "code", "requestId", "timestamp"}
    fields = {"retryAfter": 7, "code": None, "timestamp": None}
    emulator.faults.add("legacy", status=429, extra=fields)
    assert wire.read().json().keys() == {"error", "message", "retryAfter", "requestId"}
    emulator.faults.add("problem", status=409, extra={"blockerReasons": ["a"]})
    assert wire.read().json()["blockerReasons"] == ["a"]
    emulator.faults.add("html", status=200)
    page = wire.read()
    assert (page.status_code, page.headers["Content-Type"], page.text[:6]) == (
        200,
        "text/html; charset=utf-8",
        "<html>",
    )
    emulator.faults.add("not_json")
    broken = wire.read()
    assert (broken.status_code, broken.headers["Content-Type"]) == (200, "application/json")
    with pytest.raises(ValueError, match="Expecting value"):
        broken.json()
    emulator.faults.add("wrong_shape")
    emulator.faults.add("wrong_shape", body={"available": None})
    assert [wire.read().json() for _time in range(2)] == [[], {"available": None}]
    emulator.faults.add("redirect", location="https://elsewhere.invalid/", status=307)
    moved = wire.read()
    assert (moved.status_code, moved.headers["Location"]) == (307, "https://elsewhere.invalid/")


@pytest.mark.parametrize(("status", "code"), [(403, "1010"), (429, "1015"), (522, "522")])
def test_a_page_of_the_edge(emulator: Emulator, wire: Wire, status: int, code: str) -> None:
    emulator.faults.add("edge", status=status)
    page = wire.read()
    ray_id, _dash, _place = page.headers["CF-RAY"].partition("-")
    assert (page.status_code, page.raw.headers.getlist("Server")) == (status, ["cloudflare"])
    assert page.headers["Content-Type"].startswith("text/html")
    assert f">{code}<" in page.text and f"Ray ID: <strong>{ray_id}<" in page.text


def test_other_answers_of_the_edge(emulator: Emulator, wire: Wire) -> None:
    emulator.faults.add("edge", code="1020", headers={"CF-RAY": None})
    page = wire.read()
    assert ">1020<" in page.text and "CF-RAY" not in page.headers
    emulator.faults.add("edge", body="error code: 1010", headers={"Content-Type": "text/plain"})
    page = wire.read()
    assert (page.text, page.headers["Content-Type"]) == ("error code: 1010", "text/plain")
    emulator.faults.add("edge", body={"cloudflare_error": True})
    page = wire.read()
    assert (page.json(), page.headers["Server"]) == ({"cloudflare_error": True}, "cloudflare")


def test_broken_transport(emulator: Emulator, wire: Wire, lab: Lab) -> None:
    emulator.faults.add("truncated", "POST")
    with pytest.raises(BROKEN):
        wire.act("mount", isoId=lab.iso.id)
    assert len(lab.vps.mounts()) == 1
    emulator.faults.add("dropped")
    with pytest.raises(BROKEN):
        wire.read()
    emulator.faults.add("slow", seconds=20)
    waits: list[float] = []
    emulator.wait = waits.append
    assert wire.read().status_code == 200
    assert waits == [20]


def test_headers(emulator: Emulator, wire: Wire) -> None:
    emulator.faults.add("headers", headers={"X-RateLimit-Remaining": "0", "Content-Type": "text/plain"})
    answer = wire.read()
    assert (answer.headers["X-RateLimit-Remaining"], answer.headers["Content-Type"]) == ("0", "text/plain")
    assert answer.json()


def test_fault_that_does_not_exist(emulator: Emulator) -> None:
    with pytest.raises(ValueError, match=", ".join(KINDS)):
        emulator.faults.add("earthquake")
    with pytest.raises(ValueError, match="a fault has no colour"):
        emulator.faults.add("html", colour="red")


# The control route


def test_control(emulator: Emulator, wire: Wire, lab: Lab) -> None:
    control = emulator.url + "/control/"
    post = wire.session.post
    assert post(control + "faults", json={"kind": "html", "path": "iso$"}, timeout=10).status_code == 200
    assert post(control + "switches", json={"mount": "job", "job": {"hangs": True}}, timeout=10).status_code == 200
    assert wire.read().status_code == 502
    assert wire.act("mount", isoId=lab.iso.id).status_code == 202
    calls = wire.session.get(control + "calls", timeout=10).json()
    assert [(call["method"], call["status"]) for call in calls] == [("GET", 502), ("POST", 202)]
    world = wire.session.get(control + "world", timeout=10).json()
    assert world["ann"]["vps"][0]["iso"] == lab.world.iso_read(lab.vps)
    assert [job["kind"] for job in world["ann"]["jobs"]] == ["mount"]
    for _time in range(2):
        post(control + "switches", json={"job": {"hangs": True}}, timeout=10)
        post(control + "reset", timeout=10)
        assert (emulator.calls, lab.switches.mount, lab.switches.job.hangs) == ([], "sync", False)


def test_what_only_the_control_route_can_do(emulator: Emulator, wire: Wire) -> None:
    control = emulator.url + "/control/"
    order = {"vps": "web-01", "order": ["ide2", "scsi0"]}
    assert wire.session.post(control + "boot-order", json=order, timeout=10).status_code == 200
    assert wire.read().json()["bootOrder"]["order"] == ["ide2", "scsi0"]
    refusal = wire.session.get(control + "screenshot?vps=web-01", timeout=10)
    assert (refusal.status_code, refusal.json()["detail"]) == (409, "web-01 has no screen, or is off.")
    assert wire.session.get(control + "screenshot", timeout=10).status_code == 400


def test_jobs_end_though_nobody_asks(emulator: Emulator, lab: Lab) -> None:
    lab.vps.power_state = "stopped"
    lab.ask("POST", f"/api/v2/vps/{lab.vps.id}/actions/start")
    lab.now += 1
    emulator.calls.wait_for(lambda: lab.vps.power_state == "running")
    assert emulator.crashes == []


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("faults", {"kind": "earthquake"}, 400),
        ("faults", {}, 400),
        ("faults", 5, 400),
        ("switches", {"mount": "maybe"}, 400),
        ("switches", {"rate_kind": "leaky"}, 400),
        ("switches", {"rate_says": None}, 400),
        ("switches", {"latency": "long"}, 400),
        ("switches", None, 400),
        ("boot-order", {"vps": "nobody", "order": ["ide2"]}, 400),
        ("boot-order", {"vps": "web-01", "order": "ide2"}, 400),
        ("boot-order", {"vps": "web-01"}, 400),
        ("boot-order", None, 400),
        ("nothing", None, 404),
    ],
)
def test_control_refusals(emulator: Emulator, wire: Wire, path: str, body: JsonValue, status: int) -> None:
    assert wire.session.post(f"{emulator.url}/control/{path}", json=body, timeout=10).status_code == status


def test_control_is_off_unless_asked_for(lab: Lab) -> None:
    with Emulator(lab.world) as emulator:
        assert requests.get(emulator.url + "/control/world", timeout=10).status_code == 404
