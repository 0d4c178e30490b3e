# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTP to the HostUp API: origin, key, TLS, time-outs, retries by safety class, answers and paging."""

from __future__ import annotations

import contextlib
import copy
import ipaddress
import random
import re
import typing as t
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from urllib.parse import unquote, urlsplit

from ansible_collections.hostup.cloud.plugins.module_utils import _clock, _interruption
from ansible_collections.hostup.cloud.plugins.module_utils._api import transport
from ansible_collections.hostup.cloud.plugins.module_utils._api.edge import parse_edge
from ansible_collections.hostup.cloud.plugins.module_utils._clock import Deadline
from ansible_collections.hostup.cloud.plugins.module_utils._errors import (
    HostUpError,
    Problem,
    describe,
    parse_problem,
    visible,
)
from ansible_collections.hostup.cloud.plugins.module_utils._sharing.notes import Notes
from ansible_collections.hostup.cloud.plugins.module_utils._sharing.pacing import Pace
from ansible_collections.hostup.cloud.plugins.module_utils._sharing.rate_gate import LONGEST_PAUSE

SILENT_PATIENCE = 5.0  # seconds of waiting between tries before a line tells of them
NOT_READY_PATIENCE = 60.0  # seconds of "vps_not_ready" before it is told
LONGEST_BACKOFF = 30.0  # seconds
PAGE_SIZE = 100  # the API's largest
# compiled here, before Ansible forks
KEY_PATTERN = re.compile(r"[\x21-\x7e]+")
BEARER_PATTERN = re.compile(r"bearer(\s|$)", re.IGNORECASE)
SECONDS_PATTERN = re.compile(r"[0-9]+(\.[0-9]+)?")
DELIMITER = re.compile(r"[/\\]")
POWER_PATTERN = re.compile(r"/api/v2/vps/[^/]+/actions/.*")
SCOPES = {"GET": "read:vm", "POST": "write:vm and write:storage", "DELETE": "write:vm and write:storage"}
ADVICE = {
    "account_inactive": "The account of this key is not active: log in at HostUp, or write to their support.",
    "verification_failed": "HostUp wants the account to be verified first: log in there, or write to their support.",
    "cloud_storage_limit_exceeded": "The account's storage is used up: delete what is not needed, such as ISOs with "
    "state=absent, or have HostUp raise the limit.",
    "vps_not_found": "IDs start with vps_; to select a VPS by its name or address use vps_name or vps_ip. For vps_ids, "
    "the inventory hostup.cloud.hostup_vps has the IDs of all, as hostup_vps_id.",
}


@dataclass(frozen=True)
class Connection:
    """The connection options, checked."""

    origin: str
    api_key: str
    timeout: float
    retries: int
    ca_path: str | None
    validate_certs: bool

    @classmethod
    def from_params(cls, params: t.Mapping[str, t.Any]) -> Connection:
        """Check the connection options. Raises HostUpError, and never quotes the key."""
        if not params["api_key"]:
            raise HostUpError("api_key is required: set the option or the environment variable HOSTUP_API_KEY.")
        if BEARER_PATTERN.match(params["api_key"]):
            raise HostUpError("api_key begins with the word Bearer: give the key alone, the word is added here.")
        if not KEY_PATTERN.fullmatch(params["api_key"]):
            raise HostUpError(
                "api_key holds a blank, a line break or a character beyond ASCII. "
                "An API key has none: look for a stray line end where the key comes from."
            )
        if params["api_timeout"] < 1:
            raise HostUpError(f"api_timeout must be at least 1 second, not {params['api_timeout']}.")
        if params["api_retries"] < 0:
            raise HostUpError(f"api_retries must be 0 or more, not {params['api_retries']}.")
        return cls(
            origin=parse_origin(params["api_base"]),
            api_key=params["api_key"],
            timeout=params["api_timeout"],
            retries=params["api_retries"],
            ca_path=params["ca_path"],
            validate_certs=params["validate_certs"],
        )


def parse_origin(api_base: str) -> str:
    """``https://host[:port]`` of an ``api_base`` that may end in ``/``, ``/api`` or ``/api/v2``. Raises HostUpError."""
    expected = "expected an origin such as https://cloud.hostup.se, with or without /api or /api/v2"
    try:
        parts = urlsplit(api_base)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise HostUpError(f"api_base is not a URL: {expected}.") from None
    if "@" in parts.netloc:
        raise HostUpError(f"api_base holds credentials: {expected}. The API key goes into api_key.")
    if parts.scheme not in ("http", "https") or not host or port == 0 or parts.query or parts.fragment:
        raise HostUpError(f"api_base {api_base!r} is not usable: {expected}.")
    if parts.path.rstrip("/") not in ("", "/api", "/api/v2"):
        raise HostUpError(f"api_base {api_base!r} has an unknown path {parts.path!r}: {expected}.")
    if parts.scheme == "http" and not _is_loopback(host):
        raise HostUpError(
            f"api_base {api_base!r} is plain http to another machine: the API key would travel in clear. Use https."
        )
    return f"{parts.scheme}://{parts.netloc}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def leads_elsewhere(path: str) -> bool:
    """Whether a path, or an ID for one, has a dot segment, percent-encoded or not: libraries and servers resolve it."""
    return any(segment in (".", "..") for segment in DELIMITER.split(unquote(path)))


class Answer(t.NamedTuple):
    """A success: the status, the JSON object of the body (empty for none) and ``Retry-After`` in seconds."""

    status: int
    body: dict[str, t.Any]
    retry_after: float | None = None


class Client:
    """The API for one task, whose threads may share it. The key goes to the configured origin only.

    ``say`` is given lines that tell what is waited for, ``warn`` what the user should know though nothing fails.
    """

    def __init__(
        self,
        connection: Connection,
        deadline: Deadline,
        say: t.Callable[[str], None],
        warn: t.Callable[[str], None],
    ) -> None:
        if not transport.HAS_REQUESTS:
            raise HostUpError(transport.tell_missing_requests())
        self.origin = connection.origin
        self.api_key = connection.api_key
        self.deadline = deadline
        self.retries = connection.retries
        self.say: t.Callable[[str], None] = lambda line: say(visible(line))
        self.warn: t.Callable[[str], None] = lambda line: warn(visible(line))
        self.idle: t.Callable[[], t.ContextManager[None]] = contextlib.nullcontext  # a fleet has others to let ahead
        self.watch: t.Callable[[t.Any], None] = lambda _response: None  # is shown each answer as it came
        self.notes = Notes(warn)
        self._said: set[str] = set()
        self._timeout = connection.timeout
        self._pace = Pace(self.notes, self.origin, self.api_key, deadline, self.say)
        self._proxies: dict[str, str] = {}  # none for plain http, where a proxy would see the key
        bundle, validate_certs = None, True
        if self.origin.startswith("https:"):
            bundle, validate_certs = transport.ca_bundle(connection.ca_path), connection.validate_certs
            self._proxies = transport.proxies_for(self.origin)
        self._adapter = transport.adapter_with(bundle, validate_certs)

    def within(self, seconds: float, option: str) -> Client:
        """This client with another deadline, for a part of a task that has an option of its own for that."""
        client = copy.copy(self)
        client.deadline = Deadline(seconds, option)
        client._pace = Pace(self.notes, self.origin, self.api_key, client.deadline, self.say)
        return client

    def say_once(self, line: str) -> None:
        """Say a line that other threads may have to say too."""
        if line not in self._said:
            self._said.add(line)
            self.say(line)

    def pause(self, seconds: float) -> None:
        """Wait, no longer than to the deadline, while others of this task go ahead."""
        with self.idle():
            _clock.sleep(min(seconds, self.deadline.left()))

    @property
    def timeout(self) -> float:
        """The seconds that one request may take now."""
        return min(self._timeout, max(transport.SHORTEST_TIMEOUT, self.deadline.left()))

    def close(self) -> None:
        """Close the connections."""
        self._adapter.close()

    def get(self, path: str, query: t.Mapping[str, str] | None = None) -> Answer:
        """Read ``path`` (from the origin's root). Repeated after transport faults and 5xx. Raises HostUpError."""
        return self._request("GET", path, query=query)

    def post(self, path: str, body: t.Mapping[str, t.Any]) -> Answer:
        """Write. Repeated only when the API has refused it; HostUpError.outcome_unknown tells what cannot be known."""
        return self._request("POST", path, body=body)

    def delete(self, path: str) -> Answer:
        """Delete, with the retries of ``post``. Raises HostUpError."""
        return self._request("DELETE", path)

    def pages(self, path: str, query: t.Mapping[str, str]) -> t.Iterator[dict[str, t.Any]]:
        """The items of all pages of a cursor list (contract, ``GET /api/v2/vps``). Raises HostUpError."""
        cursor: str | None = None
        seen: set[str] = set()
        while True:
            page = {"limit": str(PAGE_SIZE), **query, **({"cursor": cursor} if cursor else {})}
            body = self.get(path, page).body
            items = body.get("data")
            if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
                raise unexpected_shape("GET", path, "data is not a list of objects")
            yield from items
            cursor = body.get("nextCursor")
            if not cursor or not isinstance(cursor, str) or cursor in seen:
                return
            seen.add(cursor)

    def _request(
        self,
        method: str,
        path: str,
        query: t.Mapping[str, str] | None = None,
        body: t.Mapping[str, t.Any] | None = None,
    ) -> Answer:
        if leads_elsewhere(path.partition("?")[0]):
            raise HostUpError(
                f"{method} {path} was not sent: with a segment . or .. it would lead elsewhere.",
                Problem(method=method, path=path),
            )
        faults = refusals = not_ready = 0
        waited = 0.0
        not_ready_until = _clock.monotonic() + NOT_READY_PATIENCE
        while True:
            sent_at = self._pace.wait()
            _interruption.check()
            try:
                return self._once(method, path, query, body, sent_at)
            except HostUpError as error:
                is_refused = error.problem.status == 429
                if is_refused:
                    # the spread is for those who are refused with us and share no gate with us
                    delay = max(backoff(refusals), error.retry_after or 0.0)
                    delay += random.uniform(0.0, backoff(refusals - 1))
                    refusals += 1
                    self._pace.refused(sent_at, delay, error.rate_limit)  # the others are to know, whatever we do
                elif error.problem.code == "vps_not_ready" and _clock.monotonic() < not_ready_until:
                    delay = _jittered(backoff(not_ready))
                    not_ready += 1
                elif method == "GET" and error.transient and faults < self.retries:
                    delay = _jittered(max(backoff(faults), error.retry_after or 0.0))
                    faults += 1
                else:
                    raise
                if delay > self.deadline.left():
                    raise HostUpError(
                        f"{error.msg} The next try is due in {delay:.0f} s, "
                        f"after the end of the {self.deadline.seconds:.0f} s that this task may take.",
                        error.problem,
                        timed_out=True,
                    ) from None
            if not is_refused:  # else the gate makes it wait
                waited += delay
                if waited >= SILENT_PATIENCE:
                    self.say_once(f"{self.origin} does not answer as it should: asking again for a while")
                _clock.sleep(delay)

    def _once(
        self,
        method: str,
        path: str,
        query: t.Mapping[str, str] | None,
        body: t.Mapping[str, t.Any] | None,
        sent_at: float,
    ) -> Answer:
        timeout = self.timeout
        headers = {
            "Accept": "application/json",
            "Authorization": f"Bearer {self.api_key}",
            "User-Agent": transport.USER_AGENT,
        }
        try:
            response = self._adapter.exchange(
                method,
                self.origin + path,
                query=query,
                body=body,
                headers=headers,
                timeout=timeout,
                proxies=self._proxies,
            )
        except transport.TRANSPORT_ERRORS as error:
            way, fault = transport.tell_proxy(self._proxies), transport.explain_fault(error, timeout)
            hint = " Is api_base right?" if transport.is_unknown_host(error) and not way else ""
            raise HostUpError(
                f"{method} {path} at {self.origin}{way} got no answer: {fault}.{hint}",
                Problem(method=method, path=path),
                transient=not transport.is_tls_fault(error),
                outcome_unknown=method != "GET",
            ) from None
        self.watch(response)
        if response.status_code != 429:
            self._pace.went_through(sent_at, used_up_for(response.headers), rate_limit(response.headers))
        return _read_answer(method, path, response)


def _read_answer(method: str, path: str, response: t.Any) -> Answer:
    status = response.status_code
    wait = retry_after(response.headers)
    if status == 204 or (200 <= status < 300 and not response.content):
        return Answer(status, {}, wait)
    content_type = response.headers.get("Content-Type", "")
    if not 200 <= status < 300:
        problem = parse_problem(method, path, status, content_type, response.text)
        edge = parse_edge(status, response.headers, response.text)
        if edge:
            marks = {name: mark for name, mark in (("server", edge.server), ("ray_id", edge.ray_id)) if mark}
            problem = replace(problem, code=edge.code, extra={**problem.extra, **marks})
        is_unsettled = status >= 500 or problem.code == "upstream_failed"  # which comes with 409, too
        raise HostUpError(
            describe(problem) + (edge.explain(status) if edge else _advice(method, problem)),
            problem,
            transient=is_unsettled,
            outcome_unknown=is_unsettled and method != "GET",
            from_edge=edge is not None,
            retry_after=_seconds(problem.extra.get("retryAfter")) if wait is None and status == 429 else wait,
            rate_limit=rate_limit(response.headers),
        )
    with contextlib.suppress(ValueError):
        try:
            body = response.json()
        except RecursionError:
            raise unexpected_shape(method, path, "JSON that is nested too deeply") from None
        if isinstance(body, dict):
            return Answer(status, body, wait)
        raise unexpected_shape(method, path, f"a JSON {type(body).__name__} instead of an object")
    # JSON that breaks off may be whole next time, a proxy's HTML page will not
    problem = parse_problem(method, path, status, content_type, "")
    raise HostUpError(
        f"{describe(problem)} Expected JSON: is {response.url.partition('/api/')[0]} the HostUp API?",
        problem,
        transient="json" in content_type,
        outcome_unknown=method != "GET",
    )


def unexpected_shape(method: str, path: str, what: str) -> HostUpError:
    """An answer that is JSON, but not what the contract says."""
    return HostUpError(
        f"{method} {path} was answered with JSON of an unexpected shape: {what}. "
        "Is api_base the HostUp API, and is this collection up to date?",
        Problem(title="unexpected shape", detail=what, method=method, path=path),
        outcome_unknown=method != "GET",
    )


def _advice(method: str, problem: Problem) -> str:
    """What the user can do about a refusal."""
    if problem.status is not None and 300 <= problem.status < 400:
        return " Redirects are not followed, the API key must not leave its origin: check api_base."
    if problem.status == 401:
        return (
            " Check api_key (or HOSTUP_API_KEY): the API does not know this key, or does not take it. "
            "It may have expired, or be bound to other addresses."
        )
    if problem.code in ADVICE:
        return f" {ADVICE[problem.code]}"
    if problem.status == 409 and method == "DELETE" and problem.code not in ("vps_not_ready", "upstream_failed"):
        return (
            " What is mounted is not deleted: unmount it there first. hostup.cloud.hostup_vps_iso_info with the "
            "vps_ids of all your VPSs tells where, as the playbook hostup.cloud.library does."
        )
    if problem.status == 403:
        scope = "power:vm" if POWER_PATTERN.fullmatch(problem.path or "") else SCOPES[method]
        return f" This request needs an API key with the scope {scope}, minted by the owner of the VPS" + (
            " and of the ISO." if method == "DELETE" else "."
        )
    return ""


def backoff(tries: int) -> float:
    """Seconds before try number ``tries`` + 2: 0.5, 1, 2, 4, … at most half a minute."""
    return min(0.5 * 2.0 ** min(tries, 10), LONGEST_BACKOFF)


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(1.0, 1.2)


def retry_after(headers: t.Mapping[str, str]) -> float | None:
    """Seconds to wait by ``Retry-After`` (seconds or a date), else by ``X-RateLimit-Reset`` when nothing remains.

    A server that asks for more than `LONGEST_PAUSE` is asked again after that.
    """
    value = headers.get("Retry-After", "").strip()
    seconds = _seconds(value)
    if seconds is None and value:
        with contextlib.suppress(ValueError, TypeError):
            seconds = (parsedate_to_datetime(value) - _server_time(headers)).total_seconds()
    if seconds is None:
        seconds = used_up_for(headers)
    return None if seconds is None else min(max(0.0, seconds), LONGEST_PAUSE)


def _seconds(value: object) -> float | None:
    """A number of seconds, as a header or a legacy document tells it; no more than `LONGEST_PAUSE`."""
    return min(float(str(value)), LONGEST_PAUSE) if SECONDS_PATTERN.fullmatch(str(value)) else None


def used_up_for(headers: t.Mapping[str, str]) -> float | None:
    """Seconds to ``X-RateLimit-Reset``, where the headers say that no request remains (contract, "Errors")."""
    if headers.get("X-RateLimit-Remaining") == "0":
        with contextlib.suppress(ValueError, TypeError):
            reset = datetime.fromisoformat(headers.get("X-RateLimit-Reset", "").replace("Z", "+00:00"))
            return (reset - _server_time(headers)).total_seconds()
    return None


def rate_limit(headers: t.Mapping[str, str]) -> int | None:
    """Requests per window, as ``X-RateLimit-Limit`` tells (contract, "Errors")."""
    value = headers.get("X-RateLimit-Limit", "")
    return int(value) if value.isdecimal() and len(value) < 10 else None


def _server_time(headers: t.Mapping[str, str]) -> datetime:
    """What the server's clock said; ours may differ. Raises ValueError or TypeError for a date that is none."""
    if "Date" in headers:
        return parsedate_to_datetime(headers["Date"])
    return datetime.fromtimestamp(_clock.now(), timezone.utc)
