# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP client against a real emulator: origin, key, TLS, retries by safety class, answers and paging."""

from __future__ import annotations

import base64
import json
import re
import socket
import socketserver
import ssl
import sys
import threading
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timezone
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from ansible.module_utils.ansible_release import __version__ as ansible_version

from ansible_collections.hostup.cloud.plugins.module_utils._api import client as _client
from ansible_collections.hostup.cloud.plugins.module_utils._api import transport
from ansible_collections.hostup.cloud.plugins.module_utils._api.client import (
    Connection,
    parse_origin,
    retry_after,
)
from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError
from ansible_collections.hostup.cloud.plugins.module_utils._iso.source import find_source
from ansible_collections.hostup.cloud.plugins.module_utils._version import VERSION
from support.site import Site, serve_web

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.site import Clock, Web

UNMOUNT = {"device": "ide2"}
READ, WRITE = "read", "write"


def send(site: Site, kind: str, seconds: float = 3600.0, **options: Any) -> int:
    """Send the ISO read or an unmount; return the status."""
    client = site.client(seconds, **options)
    path = site.iso_path
    answer = client.get(path) if kind == READ else client.post(f"{path}/actions/unmount", UNMOUNT)
    return answer.status


def refused(site: Site, kind: str, seconds: float = 3600.0, **options: Any) -> HostUpError:
    with pytest.raises(HostUpError) as caught:
        send(site, kind, seconds, **options)
    assert site.key not in caught.value.msg
    return caught.value


# --- options


@pytest.mark.parametrize("tail", ["", "/", "//", "/api", "/api/", "/api/v2", "/api/v2/"])
@pytest.mark.parametrize(
    "origin",
    [
        "https://cloud.hostup.se",
        "https://example.com:8443",
        "http://127.0.0.1:8080",
        "http://localhost",
        "http://[::1]:80",
    ],
)
def test_good_origins(origin: str, tail: str) -> None:
    assert parse_origin(origin + tail) == origin


@pytest.mark.parametrize(
    ("api_base", "says"),
    [
        ("ftp://cloud.hostup.se", "not usable"),
        ("cloud.hostup.se", "not usable"),
        ("https://", "not usable"),
        ("https:///api", "not usable"),
        ("", "not usable"),
        ("https://cloud.hostup.se?x=1", "not usable"),
        ("https://cloud.hostup.se#x", "not usable"),
        ("https://ann:sesame@cloud.hostup.se", "holds credentials"),
        ("https://sesame@cloud.hostup.se", "holds credentials"),
        ("https://cloud.hostup.se/api/v1", "unknown path"),
        ("https://cloud.hostup.se/api/v2/vps", "unknown path"),
        ("http://cloud.hostup.se", "in clear"),
        ("http://192.0.2.1", "in clear"),
        ("http://localhost.example.com", "in clear"),
        ("http://127.0.0.1.example.com", "in clear"),
        ("https://cloud.hostup.se:port", "not a URL"),
        ("https://cloud.hostup.se:99999", "not a URL"),
        ("https://[::1", "not a URL"),
    ],
)
def test_bad_origins(api_base: str, says: str) -> None:
    with pytest.raises(HostUpError, match=says) as caught:
        parse_origin(api_base)
    assert "sesame" not in caught.value.msg


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"api_key": ""}, "HOSTUP_API_KEY"),
        ({"api_key": None}, "HOSTUP_API_KEY"),
        ({"api_key": "sesame\n"}, "line break"),
        ({"api_key": "ses ame"}, "blank"),
        ({"api_key": "sesåme"}, "beyond ASCII"),
        ({"api_timeout": 0}, "api_timeout must be at least 1"),
        ({"api_retries": -1}, "api_retries must be 0 or more"),
        ({"api_key": "Bearer sesame"}, "give the key alone"),
        ({"api_key": "bearer"}, "give the key alone"),
        ({"api_base": "ftp://x"}, "api_base"),
    ],
)
def test_bad_options(site: Site, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(HostUpError, match=says) as caught:
        Connection.from_params(site.params(**changes))
    assert "ses" not in caught.value.msg


def test_api_retries_may_be_none_at_all(site: Site) -> None:
    site.fault("problem", times=None)
    assert refused(site, READ, api_retries=0).problem.status == 500
    assert len(site.calls) == 1


# --- retries by safety class

FAULTS = {
    "500": {"kind": "problem", "status": 500},
    "502": {"kind": "problem", "status": 502},
    "503": {"kind": "problem", "status": 503},
    "504": {"kind": "legacy", "status": 504},
    "html 502": {"kind": "html"},
    "dropped": {"kind": "dropped"},
    "truncated": {"kind": "truncated"},
    "not json": {"kind": "not_json"},
}
every_fault = pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())


@every_fault
def test_reads_are_repeated(site: Site, fault: dict[str, Any]) -> None:
    site.fault(**fault, times=2)
    assert send(site, READ) == 200
    assert len(site.calls) == 3
    assert site.clock.waits == [pytest.approx(0.55, rel=0.1), pytest.approx(1.1, rel=0.1)]


@every_fault
def test_reads_are_repeated_no_more_than_asked(site: Site, fault: dict[str, Any]) -> None:
    site.fault(**fault, times=None)
    error = refused(site, READ, api_retries=3)
    assert len(site.calls) == 4
    assert (error.transient, error.outcome_unknown, error.timed_out) == (True, False, False)
    assert (error.problem.method, error.problem.path) == ("GET", site.iso_path)


def test_tries_that_take_long_are_told_once(site: Site) -> None:
    site.fault("problem", times=None)
    refused(site, READ, api_retries=2)
    assert site.said == [], "that took 1.7 s"
    client = site.client(api_retries=7)
    for _time in range(2):
        with pytest.raises(HostUpError):
            client.get(site.iso_path)
    assert site.said == [f"{site.emulator.url} does not answer as it should: asking again for a while"]


@every_fault
@pytest.mark.parametrize("commit", [False, True])
def test_writes_are_not_repeated(site: Site, fault: dict[str, Any], commit: bool) -> None:
    site.fault(**fault, commit=commit)
    assert refused(site, WRITE).outcome_unknown
    assert len(site.calls) == 1 and site.clock.waits == []


@pytest.mark.parametrize("kind", [READ, WRITE])
@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "invalid_request"), (401, "unauthorized"), (403, "forbidden"), (404, "vps_not_found"), (409, "in_use")],
)
def test_refusals_are_final(site: Site, kind: str, status: int, code: str) -> None:
    site.fault("problem", status=status, code=code, detail="The API's own words.", times=None)
    error = refused(site, kind)
    assert (error.problem.status, error.problem.code, error.outcome_unknown) == (status, code, False)
    assert error.problem.request_id and error.problem.request_id in error.msg
    assert "The API's own words" in error.msg
    assert len(site.calls) == 1


@pytest.mark.parametrize("status", [409, 502, 503])
def test_upstream_failed_is_no_refusal(site: Site, status: int) -> None:
    """It can mean that the request was accepted, and its result could not be loaded."""
    site.fault("problem", status=status, code="upstream_failed")
    assert send(site, READ) == 200
    site.fault("problem", status=status, code="upstream_failed")
    assert refused(site, WRITE).outcome_unknown


def test_an_upstream_that_is_not_there(site: Site) -> None:
    site.fault("problem", status=503)
    error = refused(site, WRITE)
    assert (error.problem.code, error.outcome_unknown, error.transient) == ("upstream_unavailable", True, True)


def test_a_legacy_429_is_obeyed(site: Site) -> None:
    legacy = {"retryAfter": 17, "code": None, "timestamp": None}
    site.fault("legacy", status=429, extra=legacy, times=5)
    assert send(site, WRITE, api_retries=0) == 200
    waits = [after.at - before.at for before, after in pairwise(site.calls)]
    assert len(waits) == 5 and all(17 <= wait <= 17 + 30 for wait in waits)


@pytest.mark.parametrize(("seconds", "told"), [("90", "90 s"), (90.5, "9"), (10**9, "900 s")])
def test_a_legacy_429_beyond_the_deadline(site: Site, seconds: object, told: str) -> None:
    site.fault("legacy", status=429, extra={"retryAfter": seconds})
    assert f"The next try is due in {told}" in refused(site, READ, seconds=60).msg


@pytest.mark.parametrize("seconds", [-5, "soon", None, True, {"a": 1}])
def test_an_odd_retry_after_in_a_body(site: Site, seconds: object) -> None:
    site.fault("legacy", status=429, extra={"retryAfter": seconds})
    assert send(site, READ) == 200
    assert site.calls[1].at - site.calls[0].at <= 1.0


@pytest.mark.parametrize("kind", [READ, WRITE])
@pytest.mark.parametrize("code", ["rate_limit_exceeded", "rate_limited", ""])
def test_429_obeys_retry_after(site: Site, kind: str, code: str) -> None:
    site.fault("problem", status=429, code=code, headers={"Retry-After": "17"}, times=5)
    assert send(site, kind, api_retries=0) == 200
    assert len(site.calls) == 6
    waits = [after.at - before.at for before, after in pairwise(site.calls)]
    assert all(17 <= wait <= 17 + 30 for wait in waits) and sum(waits) < 1.5 * 5 * 17


def test_429_without_retry_after_backs_off(site: Site) -> None:
    site.fault("problem", status=429, times=7)
    assert send(site, WRITE) == 200
    waits = [after.at - before.at for before, after in pairwise(site.calls)]
    # the gate lengthens what turns out too short, by half a minute at most
    assert all(least <= wait <= 2 * least + 31 for least, wait in zip((0.5, 1, 2, 4, 8, 16, 30), waits, strict=True))


def test_429_with_retry_after_zero_does_not_hammer(site: Site) -> None:
    site.fault("problem", status=429, headers={"Retry-After": "0"}, times=8)
    assert send(site, READ) == 200
    assert min(site.clock.waits) > 0


@pytest.mark.parametrize("kind", [READ, WRITE])
def test_429_beyond_the_deadline_fails_at_once(site: Site, kind: str) -> None:
    site.fault("problem", status=429, headers={"Retry-After": "120"}, times=None)
    error = refused(site, kind, seconds=60)
    assert error.timed_out and error.problem.status == 429
    assert "60 s that this task may take" in error.msg
    assert len(site.calls) == 1 and site.clock.waits == []


def test_a_rate_limit_is_waited_out(site: Site) -> None:
    site.switches.rate_limit, site.switches.rate_window = 3, 60.0
    client = site.client(api_retries=0)
    for _time in range(8):
        client.get(site.iso_path)
    assert len([call for call in site.calls if call.status == 429]) == 2
    assert 120 <= site.clock.now - site.calls[0].at <= 130


def test_vps_not_ready_is_retried_for_a_while(site: Site) -> None:
    site.switches.vps_not_ready = 3
    assert send(site, WRITE, api_retries=0) == 200
    assert len(site.calls) == 4
    site.switches.vps_not_ready = 10_000
    begin = site.clock.now
    assert refused(site, WRITE).problem.code == "vps_not_ready"
    assert 60 <= site.clock.now - begin <= 100


def test_a_slow_answer_times_out(site: Site) -> None:
    site.fault("slow", seconds=1.3, times=None)
    error = refused(site, READ, api_timeout=1, api_retries=0)
    assert "within 1 s (see api_timeout)" in error.msg and error.transient


def test_nobody_listens(clock: Clock) -> None:
    with ExitStack() as stack:
        site = Site(clock, stack)
        client = site.client(api_base="http://127.0.0.1:9")
        with pytest.raises(HostUpError, match=r"got no answer: .*refused") as caught:
            client.get("/api/v2/vps")
    assert "object at 0x" not in caught.value.msg


@pytest.mark.parametrize("api_base", ["https://a..b", f"https://{'a' * 64}.example", "https://cloud.hostup.se "])
def test_a_host_name_that_cannot_be(site: Site, api_base: str) -> None:
    with pytest.raises(HostUpError):
        site.client(api_base=api_base).get("/api/v2/vps")


def test_a_host_that_nobody_knows(site: Site) -> None:
    with pytest.raises(HostUpError, match=r"cloud.hostup.invalid got no answer: .*\. Is api_base right\?$"):
        site.client(api_base="https://cloud.hostup.invalid", api_retries=0).get("/api/v2/vps")


# --- answers


def test_json_of_a_wrong_shape(site: Site) -> None:
    site.fault("wrong_shape", times=None)
    assert "a JSON list instead of an object" in refused(site, READ).msg
    assert len(site.calls) == 1
    assert refused(site, WRITE).outcome_unknown


def test_html_with_200_is_not_the_api(site: Site) -> None:
    site.fault("html", status=200, times=None)
    error = refused(site, READ)
    assert f"is {site.emulator.url} the HostUp API?" in error.msg and "text/html" in error.msg
    assert len(site.calls) == 1


def test_html_with_502_keeps_the_status(site: Site) -> None:
    site.fault("html", times=None)
    assert refused(site, READ).problem.status == 502


def test_legacy_error(site: Site) -> None:
    site.fault("legacy", status=400, code="bad_thing", detail="Not like this.")
    problem = refused(site, READ).problem
    assert (problem.status, problem.code, problem.detail) == (400, "bad_thing", "Not like this.")


def test_words_beyond_ascii_are_read_as_utf_8(site: Site) -> None:
    """RFC 8259: JSON is UTF-8, whatever a guess from a few letters says."""
    body = '{"title": "Förfrågan nekad", "detail": "Är låst på nätet", "code": "forbidden"}'
    site.fault("html", status=403, body=body, headers={"Content-Type": "application/problem+json"})
    problem = refused(site, READ).problem
    assert (problem.title, problem.detail) == ("Förfrågan nekad", "Är låst på nätet")


@pytest.mark.parametrize("kind", [READ, WRITE])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(site: Site, web: Web, kind: str, status: int) -> None:
    site.fault("redirect", status=status, location=web.add("/elsewhere", body=b"{}"), times=None)
    error = refused(site, kind)
    assert "Redirects are not followed" in error.msg and error.problem.status == status
    assert web.asked == [] and len(site.calls) == 1


@pytest.mark.parametrize(
    ("status", "code", "advice"),
    [
        (401, "", "HOSTUP_API_KEY"),
        (401, "", "may have expired, or be bound to other addresses"),
        (403, "", "the scope read:vm"),
        (403, "account_inactive", "is not active"),
        (403, "verification_failed", "to be verified"),
        (403, "cloud_storage_limit_exceeded", "delete what is not needed"),
        (404, "vps_not_found", "vps_name or vps_ip"),
    ],
)
def test_advice(site: Site, status: int, code: str, advice: str) -> None:
    site.fault("problem", status=status, code=code, times=None)
    error = refused(site, READ)
    assert advice in error.msg and len(site.calls) == 1
    assert ("scope" in error.msg) is (status == 403 and not code)


def test_a_deletion_of_what_is_mounted(site: Site) -> None:
    site.fault("problem", status=409, code="iso_in_use", times=None)
    with pytest.raises(
        HostUpError, match=r"unmount it there first\. hostup\.cloud\.hostup_vps_iso_info .* tells where"
    ):
        site.client().delete(f"{site.iso_path}/{site.iso.id}")
    assert "unmount it there" not in refused(site, WRITE).msg


# --- the edge

CF_JSON = {
    "type": "https://developers.cloudflare.com/error-1010/",
    "title": "Error 1010: Access denied",
    "status": 403,
    "detail": "Blocked by the browser's signature.",
    "error_code": 1010,
    "ray_id": "0123456789abcdef",
    "cloudflare_error": True,
    "retryable": False,
}
PLAIN = {"Content-Type": "text/plain; charset=UTF-8"}
CF_PAGE = "<h1><span>Error</span>\n<span>1010</span></h1> <p>Cloudflare Ray ID: <strong>0123456789abcdef</strong></p>"
EDGES: dict[str, tuple[dict[str, Any], str]] = {
    "a page": ({"kind": "edge"}, "1010"),
    "a text": ({"kind": "edge", "body": "error code: 1010", "headers": PLAIN}, "1010"),
    "JSON": ({"kind": "edge", "body": CF_JSON}, "1010"),
    "a page alone": ({"kind": "edge", "body": CF_PAGE, "headers": {"Server": None, "CF-RAY": None}}, "1010"),
    "an access rule": ({"kind": "edge", "code": "1020"}, "1020"),
    "another rule": ({"kind": "edge", "code": "1009"}, "1009"),
}


@pytest.mark.parametrize("kind", [READ, WRITE])
@pytest.mark.parametrize(("fault", "code"), EDGES.values(), ids=EDGES)
def test_the_edge_refuses(site: Site, kind: str, fault: dict[str, Any], code: str) -> None:
    site.fault(**fault, times=None)
    error = refused(site, kind)
    assert (error.problem.status, error.problem.code, error.problem.request_id) == (403, code, None)
    assert f"code {code}" in error.msg and "Cloudflare, which stands in front of the API, " in error.msg
    assert f"write to HostUp, and give them the ray ID {error.problem.extra['ray_id']}." in error.msg
    assert re.match("[0-9a-f]{16}", error.problem.extra["ray_id"])
    assert "nothing was done" in error.msg and "read:vm" not in error.msg and "write:vm" not in error.msg
    assert (error.outcome_unknown, error.transient, len(site.calls)) == (False, False, 1)
    known = {"1010": "judges by User-Agent and address", "1020": "has a rule against such a request"}
    assert known.get(code, "refused the request") in error.msg


def test_a_proxy_refuses(site: Site) -> None:
    site.fault("html", status=403, headers={"Server": "squid/6.6"})
    error = refused(site, WRITE)
    assert (error.problem.code, error.problem.extra) == (None, {"server": "squid/6.6"})
    assert "A proxy in front of the API refused the request." in error.msg
    assert "look for a proxy on your side, or write to HostUp." in error.msg and "scope w" not in error.msg


def test_the_api_behind_the_edge_is_the_api(site: Site) -> None:
    """All answers bear the edge's headers."""
    headers = {"Server": "cloudflare", "CF-RAY": "0123456789abcdef-ARN"}
    site.fault("problem", status=403, headers=headers, extra={"cloudflare_error": False})
    error = refused(site, READ)
    assert "the scope read:vm" in error.msg and "Cloudflare" not in error.msg and error.problem.code == "forbidden"


@pytest.mark.parametrize("kind", [READ, WRITE])
@pytest.mark.parametrize("body", [None, "error code: 1015", {**CF_JSON, "error_code": 1015}])
def test_the_rate_limit_of_the_edge_is_waited_for(site: Site, kind: str, body: object) -> None:
    site.fault("edge", status=429, body=body, headers={"Retry-After": "30"}, times=3)
    assert send(site, kind, api_retries=0) == 200
    waits = [after.at - before.at for before, after in pairwise(site.calls)]
    assert len(waits) == 3 and all(30 <= wait <= 60 for wait in waits)
    site.fault("edge", status=429, body=body, headers={"Retry-After": "300"}, times=None)
    error = refused(site, kind, seconds=60)
    assert error.timed_out and "has a rate limit of its own, which is used up. The next try is due" in error.msg
    assert error.problem.code == "1015"


@pytest.mark.parametrize("status", [500, 502, 520, 521, 522, 523, 524, 525, 526, 530])
@pytest.mark.parametrize("kind", ["html", "edge"])
def test_the_edge_cannot_reach_the_api(site: Site, status: int, kind: str) -> None:
    site.fault(kind, status=status, times=2)
    assert send(site, READ) == 200
    site.fault(kind, status=status)
    error = refused(site, WRITE)
    assert error.outcome_unknown and error.problem.status == status
    assert "could not reach it, or got no answer to pass on. Try again later; if it lasts, write to HostUp" in error.msg
    assert error.problem.code == (str(status) if status >= 520 else None)


def test_odd_marks_are_not_shown(site: Site) -> None:
    site.fault("html", status=503, headers={"Server": "x" * 65, "CF-RAY": "<b>"})
    assert refused(site, WRITE).problem.extra == {}
    site.fault("edge", body={"cloudflare_error": True, "error_code": ["x" * 99]}, headers={"CF-RAY": None})
    error = refused(site, READ)
    assert error.problem.code is None and error.msg.endswith("To be let in, write to HostUp.")


@pytest.mark.parametrize("status", [400, 404, 409])
def test_other_pages_are_told_as_before(site: Site, status: int) -> None:
    site.fault("html", status=status)
    error = refused(site, READ)
    assert error.msg.endswith(f"with HTTP {status}: not an answer of the API (text/html).")


# --- what is sent


@pytest.mark.parametrize("path", ["/api/v2/vps/..", "/api/v2/vps/x/iso/%2E%2e", "/./x", "/a%2F..%2Fb"])
def test_a_path_with_dot_segments_is_not_sent(site: Site, path: str) -> None:
    """Libraries and servers resolve them, and so they lead elsewhere, whoever has made up the ID."""
    for send_it in (site.client().get, site.client().delete):
        with pytest.raises(HostUpError, match="was not sent") as caught:
            send_it(path)
        assert not caught.value.outcome_unknown
    assert site.calls == []


def test_dots_in_a_query_are_no_segments(site: Site) -> None:
    assert site.client().get(f"{site.iso_path}?x=/../y").status == 200


def test_netrc_does_not_replace_the_key(site: Site, web: Web, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ann password sesame\ndefault login bob password sesame\n")
    monkeypatch.setenv("NETRC", str(netrc))
    web.add("/x", body=b"{}")
    site.client(api_base=web.url).get("/x")
    [(method, path, headers)] = web.asked
    assert (method, path, headers["Authorization"]) == ("GET", "/x", f"Bearer {site.key}")
    assert headers["Accept"] == "application/json"


def test_every_request_bears_our_name(site: Site, web: Web) -> None:
    """Also those that go elsewhere, without the key."""
    web.pages["/end.iso"] = lambda request: (405 if request.command == "HEAD" else 200, {}, b"{}")
    start = web.add("/start.iso", 302, Location="/end.iso")
    assert find_source(start, 5.0).url == f"{web.url}/end.iso"
    client = site.client(api_base=web.url)
    client.get("/end.iso")
    client.post("/end.iso", {})
    assert [method for method, _path, _headers in web.asked] == ["HEAD", "HEAD", "GET", "GET", "POST"]
    ours = f"hostup.cloud/{VERSION} ansible-core/{ansible_version}"
    assert {headers["User-Agent"] for _method, _path, headers in web.asked} == {ours}


def test_a_proxy_never_sees_a_key_in_clear(site: Site, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, web.url)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert send(site, READ) == 200
    assert web.asked == []


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in the environment that this machine may have set."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.usefixtures("no_proxies")
@pytest.mark.parametrize(
    "login",
    ["ann:ses/ame", "ann:ses#ame", "ann:12#ame", "ann:12/ame", "ann:ses?ame", "ann:ses[ame", "ann:ses\N{EURO SIGN}ame"],
)
@pytest.mark.parametrize("scheme", ["http://", ""])
def test_a_proxy_that_cannot_be_is_not_quoted(
    site: Site, monkeypatch: pytest.MonkeyPatch, login: str, scheme: str
) -> None:
    """A password with a character that should have been percent-encoded must not show, not in part."""
    monkeypatch.setenv("HTTPS_PROXY", f"{scheme}{login}@127.0.0.1:9")
    for attempt in (
        lambda: site.client(api_base="https://127.0.0.1:9", api_retries=0).get("/x"),
        lambda: find_source("https://127.0.0.1:9/a.iso", 5),
    ):
        with pytest.raises(HostUpError, match=r"HTTPS_PROXY .* percent-encoded") as caught:
            attempt()
        assert not [part for part in ("ses", "ame", "12#", "\\u20ac") if part in caught.value.msg]


@pytest.mark.usefixtures("no_proxies")
def test_a_proxy_that_shows_its_password(site: Site, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(request: Any) -> tuple[int, dict[str, str], bytes]:
        request.responses = {407: ("ann:ses%2Fame, alias ses/ame, is no good", "")}
        return 407, {}, b""

    web.pages["127.0.0.1:9"] = refuse
    monkeypatch.setenv("HTTPS_PROXY", web.url.replace("//", "//ann:ses%2Fame@"))
    told = ""
    for attempt in (
        lambda: site.client(api_base="https://127.0.0.1:9", api_retries=0).get("/x"),
        lambda: find_source("https://127.0.0.1:9/a.iso", 5),
    ):
        with pytest.raises(HostUpError, match="is no good") as caught:
            attempt()
        told += caught.value.msg
    assert "ses" not in told
    assert f" through the proxy {web.url.partition('//')[2]} (HTTPS_PROXY) got no answer" in told
    assert base64.b64decode(web.asked[0][2]["Proxy-Authorization"].partition(" ")[2]) == b"ann:ses/ame"


# --- TLS


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_path(authority: trustme.CA, tmp_path: Path) -> str:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return str(tmp_path / "ca.pem")


@pytest.fixture
def tls_site(clock: Clock, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    transport.tls_context.cache_clear()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with ExitStack() as stack:
        yield Site(clock, stack, context)
    transport.tls_context.cache_clear()


def test_tls_with_its_authority(tls_site: Site, ca_path: str) -> None:
    assert send(tls_site, READ, ca_path=ca_path) == 200


def test_tls_of_an_unknown_authority(tls_site: Site) -> None:
    error = refused(tls_site, READ)
    assert "certificate verify failed" in error.msg and "see ca_path and validate_certs" in error.msg
    assert len(tls_site.calls) == 0 and tls_site.clock.waits == []


def test_tls_of_another_host(clock: Clock, authority: trustme.CA, ca_path: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("example.com").configure_cert(context)
    with ExitStack() as stack:
        site = Site(clock, stack, context)
        assert "TLS failed" in refused(site, READ, ca_path=ca_path).msg
        assert send(site, READ, validate_certs=False) == 200


def test_tls_unchecked(tls_site: Site) -> None:
    assert send(tls_site, READ, validate_certs=False) == 200
    assert "TLS failed" in refused(tls_site, READ).msg, "unchecked must not leak into the next task"


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_tls_authority_of_the_environment(
    tls_site: Site, ca_path: str, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """The action shell builds a context before it knows the task's environment."""
    refused(tls_site, READ)
    monkeypatch.setenv(variable, ca_path)
    assert send(tls_site, READ) == 200


@pytest.fixture
def tls_web(authority: trustme.CA, ca_path: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """A mirror behind TLS, whose authority the environment names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", ca_path)
    with serve_web(context) as web:
        yield web


def test_a_redirect_from_https_to_http_is_refused(tls_web: Web, web: Web) -> None:
    end = web.add("/b.iso?sig=s3cr3t-t0ken")
    start = tls_web.add("/a.iso", 302, Location=end)
    with pytest.raises(HostUpError, match="from https to http") as caught:
        find_source(start, 5)
    assert web.asked == [] and "s3cr3t" not in caught.value.msg
    assert find_source(web.add("/c.iso", 302, Location=start), 5).url == end, "whoever gives http takes the risk"


# --- proxies


def ask_the_system(*_args: object) -> None:
    pytest.fail("in a forked process of macOS, this crashes")


@pytest.fixture
def dead_proxy(no_proxies: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 - comes first
    """A proxy for everything, which nobody can reach, where the operating system must not be asked for others."""
    for module in ("urllib.request", "requests.compat", "requests.utils"):
        for name in ("getproxies", "proxy_bypass"):
            monkeypatch.setattr(f"{module}.{name}", ask_the_system)
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")


@pytest.mark.usefixtures("dead_proxy")
def test_the_proxy_of_the_environment(tls_site: Site, tls_web: Web, web: Web, ca_path: str) -> None:
    told = refused(tls_site, READ, ca_path=ca_path, api_retries=0).msg
    assert " through the proxy 127.0.0.1:9 (ALL_PROXY) got no answer: " in told and "refused" in told
    for mirror in (tls_web, web):
        with pytest.raises(HostUpError, match="cannot be reached from here"):
            find_source(mirror.add("/a.iso"), 5)
    assert tls_site.calls == [] and tls_web.asked == web.asked == []


@pytest.mark.usefixtures("dead_proxy")
@pytest.mark.parametrize(
    "no_proxy", ["127.0.0.1", "x, 127.0.0.1", ".0.0.1", "*", "127.0.0.0/8", "x/8,::1/64, 127.0.0.1/32", "HOST:PORT"]
)
def test_no_proxy(tls_site: Site, tls_web: Web, ca_path: str, monkeypatch: pytest.MonkeyPatch, no_proxy: str) -> None:
    ports = [url.rpartition(":")[2] for url in (tls_site.emulator.url, tls_web.url)]
    names = [no_proxy.replace("HOST:PORT", f"127.0.0.1:{port}") for port in ports]
    monkeypatch.setenv("NO_PROXY", "*" if no_proxy == "*" else ",".join(names))
    assert send(tls_site, READ, ca_path=ca_path) == 200
    url = tls_web.add("/a.iso")
    assert find_source(url, 5).url == url


@pytest.mark.usefixtures("dead_proxy")
@pytest.mark.parametrize("no_proxy", ["", "example.com", "27.0.0.1", "127.0.0.1:1", "10.0.0.0/8", "127.0.0.1/x"])
def test_no_proxy_for_others(tls_site: Site, ca_path: str, monkeypatch: pytest.MonkeyPatch, no_proxy: str) -> None:
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert "refused" in refused(tls_site, READ, ca_path=ca_path, api_retries=0).msg


@pytest.mark.parametrize("content", [None, "not a certificate"])
def test_unusable_ca_path(tls_site: Site, tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "other.pem"
    if content:
        path.write_text(content)
    assert re.search(
        f"{re.escape(str(path))} cannot be loaded.*ca_path", refused(tls_site, READ, ca_path=str(path)).msg
    )


# --- paging


def test_all_pages(site: Site) -> None:
    for number in range(249):
        site.world.add_vps(site.owner, f"vps-{number}")
    found = list(site.client().pages("/api/v2/vps", {}))
    assert [vps["id"] for vps in found] == [vps.id for vps in site.owner.vpses]
    assert [call.query.get("limit") for call in site.calls] == ["100"] * 3


def test_pages_keep_their_filter(site: Site) -> None:
    for _time in range(150):
        site.world.add_vps(site.owner, "twin")
    assert len(list(site.client().pages("/api/v2/vps", {"name": "twin"}))) == 150
    assert [call.query["name"] for call in site.calls] == ["twin", "twin"]


@pytest.mark.parametrize(("cursor", "items"), [("cur_00000000", 2), ("", 1), (7, 1), (None, 1)])
def test_a_cursor_that_leads_nowhere_ends(site: Site, cursor: object, items: int) -> None:
    page = {"data": [{"id": "vps_1"}], "nextCursor": cursor}
    site.fault("wrong_shape", path="/api/v2/vps$", body=page, times=None)
    assert len(list(site.client().pages("/api/v2/vps", {}))) == items


@pytest.mark.parametrize("body", [{}, {"data": None}, {"data": {}}, {"data": [{"id": "vps_1"}, "vps_2"]}])
def test_a_list_of_another_shape(site: Site, body: dict[str, Any]) -> None:
    site.fault("wrong_shape", path="/api/v2/vps$", body=body)
    with pytest.raises(HostUpError, match="data is not a list of objects"):
        list(site.client().pages("/api/v2/vps", {}))


# --- Retry-After

DATE = "Fri, 27 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": " 30 "}, 30.0),
        ({"Retry-After": "Fri, 27 Nov 2026 12:00:45 GMT", "Date": DATE}, 45.0),
        ({"Retry-After": "Fri, 27 Nov 2026 11:00:00 GMT", "Date": DATE}, 0.0),
        ({"Retry-After": "soon", "Date": DATE}, None),
        (
            {
                "Retry-After": "soon",
                "X-RateLimit-Remaining": "0",
                "X-RateLimit-Reset": "2026-11-27T12:00:30.000Z",
                "Date": DATE,
            },
            30.0,
        ),
        ({"Retry-After": "-5", "Date": DATE}, None),
        ({"Retry-After": "²"}, None),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "2026-11-27T12:01:30.500Z", "Date": DATE}, 90.5),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "2026-11-27T11:00:00.000Z", "Date": DATE}, 0.0),
        ({"X-RateLimit-Remaining": "3", "X-RateLimit-Reset": "2026-11-27T12:01:30.000Z", "Date": DATE}, None),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "tomorrow", "Date": DATE}, None),
        ({"X-RateLimit-Remaining": "0", "Date": DATE}, None),
        ({"Retry-After": "7", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "2026-11-27T12:01:30.000Z"}, 7.0),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_retry_after_by_our_own_clock() -> None:
    later = datetime.fromtimestamp(datetime.now(timezone.utc).timestamp() + 100, timezone.utc)
    seconds = retry_after({"Retry-After": later.strftime("%a, %d %b %Y %H:%M:%S GMT")})
    assert seconds is not None and 95 <= seconds <= 100


def test_backoff_is_bounded() -> None:
    waits = [_client.backoff(tries) for tries in range(2000)]
    assert waits[:4] == [0.5, 1.0, 2.0, 4.0]
    assert max(waits) == 30.0


# --- answers that do not come to an end, or are too large


@contextmanager
def serve_raw(send_rest: Callable[[socket.socket], None], head: bytes = b"HTTP/1.1 200 OK\r\n") -> Iterator[str]:
    """A server whose answers begin as they should; yields its origin."""

    class Handler(socketserver.BaseRequestHandler):
        """Answers whatever it is asked."""

        def handle(self) -> None:
            self.request.recv(65536)
            with suppress(OSError):  # the client has had enough
                self.request.sendall(head)
                send_rest(self.request)
                self.request.shutdown(socket.SHUT_WR)
                while self.request.recv(65536):  # what was not read would make it a reset
                    pass

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.002,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def drip(piece: bytes) -> Callable[[socket.socket], None]:
    """Send a piece ten times a second, for longer than anybody waits."""
    pause = threading.Event()

    def send_rest(sock: socket.socket) -> None:
        for _time in range(300):
            sock.sendall(piece)
            pause.wait(0.1)

    return send_rest


JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
DRIPS = {
    "body": (JSON + b"Content-Length: 100000\r\n\r\n{", drip(b" ")),
    "body without a length": (JSON + b"\r\n{", drip(b" ")),
    "chunks": (JSON + b"Transfer-Encoding: chunked\r\n\r\n", drip(b"1\r\n \r\n")),
    "head": (JSON, drip(b"X")),
    "head lines": (JSON, drip(b"X-Wait: 1\r\n")),
}


@pytest.mark.parametrize("name", DRIPS)
def test_an_answer_that_drips_is_cut(site: Site, name: str) -> None:
    head, rest = DRIPS[name]
    with serve_raw(rest, head) as origin:
        error = refused(site, READ, api_base=origin, api_timeout=1, api_retries=0)
    assert "within 1 s (see api_timeout)" in error.msg and error.transient


def flood(piece: bytes) -> Callable[[socket.socket], None]:
    def send_rest(sock: socket.socket) -> None:
        for _time in range(64):
            sock.sendall(piece * 1024 * 1024)

    return send_rest


def test_an_answer_that_never_ends_is_cut(site: Site) -> None:
    with serve_raw(flood(b" "), JSON + b"\r\n{") as origin:
        error = refused(site, READ, api_base=origin, api_timeout=20, api_retries=0)
    assert "the answer is larger than 8 MiB" in error.msg


def test_an_answer_of_a_megabyte_is_read(site: Site) -> None:
    body = json.dumps({"data": "x" * 1024 * 1024}).encode()
    with serve_raw(lambda sock: sock.sendall(body), JSON + b"Content-Length: %d\r\n\r\n" % len(body)) as origin:
        assert send(site, READ, api_base=origin) == 200


@pytest.mark.parametrize(("status", "kind"), [(b"200 OK", READ), (b"500 No", READ), (b"202 Accepted", WRITE)])
def test_json_that_is_nested_too_deeply(site: Site, status: bytes, kind: str) -> None:
    body = b'{"data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    head = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
    with serve_raw(lambda sock: sock.sendall(body), head) as origin:
        error = refused(site, kind, api_base=origin, api_retries=0)
    assert error.outcome_unknown is (kind == WRITE)
    assert ("unexpected shape: JSON that is nested too deeply" in error.msg) is not status.startswith(b"500")


@pytest.mark.parametrize(
    ("kind", "says"), [("machine", "-m pip install requests"), ("image", "use an image that has it")]
)
def test_missing_requests(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, says: str) -> None:
    monkeypatch.setattr(transport, "HAS_REQUESTS", False)
    monkeypatch.setattr(transport, "EXECUTION_ENVIRONMENT", str(tmp_path if kind == "image" else tmp_path / "none"))
    with pytest.raises(HostUpError, match=says) as caught:
        site.client()
    assert f"{sys.executable} does not have it" in caught.value.msg
