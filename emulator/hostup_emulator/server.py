# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP front of the emulated world."""

from __future__ import annotations

import json
import re
import sys
import tempfile
import threading
import time
import traceback
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import parse_qsl, urlsplit

from .downloads import Downloads, Report
from .faults import Fault, Faults
from .switches import change
from .world import Answer, Problem, RemoveFile, Request, StartDownload, World

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable

    from .model import JSON, JsonValue, Vps

Found = TypeVar("Found")

_VPS_IN_PATH = re.compile(r"/api/v2/vps/([^/]+)")
CONTROL = "/control/"
LOOK_AGAIN = 0.01  # seconds between looks at what no request tells


@dataclass(frozen=True)
class Call:
    """One request, as it was recorded. The API key is not in it, only the key's name."""

    method: str
    path: str
    query: dict[str, str]
    body: JsonValue
    status: int
    key_name: str | None
    at: float
    vps_id: str | None
    user_agent: str


class Calls(list[Call]):
    """The recorded requests, in the order in which they were answered."""

    def __init__(self, calls: Iterable[Call] = ()) -> None:
        super().__init__(calls)
        self._came = threading.Condition()

    def record(self, call: Call) -> None:
        """Add one, and wake those who wait."""
        with self._came:
            self.append(call)
            self._came.notify_all()

    def wait_for(self, condition: Callable[[], Found], seconds: float = 60.0) -> Found:
        """Wait until something is so, looked at with each request, and now and then. Raises TimeoutError."""
        give_up = time.monotonic() + seconds
        with self._came:
            while not (found := condition()):
                if time.monotonic() > give_up:
                    raise TimeoutError(f"{seconds:g} s have passed, and it was never so")
                self._came.wait(LOOK_AGAIN)
        return found

    def writes(self) -> list[Call]:
        """Return those that could have changed something."""
        return [call for call in self if call.method not in ("GET", "HEAD", "OPTIONS")]

    def matching(self, method: str = ".*", path: str = ".*") -> list[Call]:
        """Return those whose method matches and in whose path the expression is found."""
        return [call for call in self if re.fullmatch(method, call.method) and re.search(path, call.path)]


class Emulator:
    """Serves a world over HTTP, in threads of this process. Use it as a context manager, or start() and stop() it."""

    def __init__(
        self,
        world: World,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
        control: bool = False,
        log: Callable[[str], None] | None = None,
        downloads: Downloads | None = None,
    ) -> None:
        self.world = world
        self.control = control
        self.log = log
        self.calls = Calls()
        self.faults = Faults()
        self.crashes: list[str] = []
        self.lock = threading.RLock()
        self.wait: Callable[[float], None] = time.sleep  # what holds answers back
        self._cleanup = ExitStack()
        if downloads is None:
            folder = self._cleanup.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
            downloads = Downloads(Path(folder))
        self.downloads = downloads
        self._server = _Server((host, port), self, tls)
        self.url = f"{'https' if tls else 'http'}://{host}:{self._server.server_port}"
        world.origin = self.url
        self._first_switches = deepcopy(world.switches)

    def start(self) -> Emulator:
        """Begin to answer."""
        threading.Thread(target=self._server.serve_forever, args=(0.02,), name="emulator", daemon=True).start()
        return self

    def stop(self) -> None:
        """Answer no more, and end the downloads."""
        self._server.shutdown()
        self._server.server_close()
        self.downloads.stop()
        self.world.machines.close()
        self._cleanup.close()

    def __enter__(self) -> Emulator:  # noqa: PYI034 - typing.Self came with Python 3.11
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def answer(self, request: Request) -> tuple[Answer, Fault | None]:
        """Answer a request, and tell which fault it fell under."""
        if request.path.startswith(CONTROL):
            return self._answer_control(request), None
        with self.lock:
            key = self.world.keys.get(request.token or "")
            fault = self.faults.take(request.method, request.path, key.owner.name if key else "")
            answer = Answer(200)
            if fault is None or fault.commit:
                answer = self.world.handle(request)
                self._run_errands()
            if fault:
                answer = fault.spoil(answer, self.world, request.path)
            vps = _VPS_IN_PATH.match(request.path)
            self.calls.record(
                Call(
                    method=request.method,
                    path=request.path,
                    query=dict(request.query),
                    body=_json_or_none(request.body),
                    status=answer.status,
                    key_name=key.name if key else None,
                    at=self.world.clock(),
                    vps_id=vps[1] if vps else None,
                    user_agent=request.user_agent,
                )
            )
        return answer, fault

    def latency(self, request: Request) -> float:
        """Return how long the answer to a request is held back."""
        if request.path.startswith(CONTROL):
            return 0.0
        key = self.world.keys.get(request.token or "")
        return (key.owner.switches if key else self.world.switches).latency

    def crashed(self, path: str) -> Answer:
        """Record the exception that is being handled, and return the answer for it."""
        self.crashes.append(traceback.format_exc())
        return self.world.problem_answer(Problem(500, "The emulator itself failed; see its `crashes`."), path)

    def tick(self) -> None:
        """Let what is due happen, though nobody asks."""
        try:
            with self.lock:
                self.world.finish_due_jobs()
        except Exception:  # noqa: BLE001 - the server is to go on, and the test to hear of it
            self.crashed("")

    def _run_errands(self) -> None:
        while self.world.errands:
            errand = self.world.errands.pop(0)
            if isinstance(errand, RemoveFile):
                self.downloads.remove(errand.owner, errand.filename)
            else:
                self.downloads.start(errand, self._report(errand))

    def _report(self, errand: StartDownload) -> Report:
        """Return what carries a download's news into the world."""

        def progress(done: int, total: int | None) -> None:
            with self.lock:
                self.world.download_progress(errand.job_id, done, total)

        def done(size: int) -> None:
            with self.lock:
                self.world.download_done(errand.job_id, size)

        def failed(reason: str) -> None:
            with self.lock:
                self.world.download_failed(errand.job_id, reason)

        return Report(progress, done, failed)

    def _answer_control(self, request: Request) -> Answer:
        try:
            if not self.control:
                raise Problem(404, "There is no such route.")
            with self.lock:
                what = f"{request.method} {request.path.removeprefix(CONTROL)}"
                if what == "GET screenshot":
                    return self._screenshot(self._vps_named(request.query.get("vps")))
                return Answer(200, self._control(what, _json_or_none(request.body)), note="control")
        except (ValueError, AttributeError, TypeError) as error:
            return self.world.problem_answer(Problem(400, str(error)), request.path)
        except Problem as problem:
            return self.world.problem_answer(problem, request.path)

    def _control(self, what: str, body: JsonValue) -> JsonValue:
        """Do what the control route was asked for; a ValueError says what is wrong with the body."""
        if what == "GET calls":
            return [asdict(call) for call in self.calls]
        if what == "GET world":
            return self._world_document()
        if what == "POST faults":
            for rule in body if isinstance(body, list) else [body]:
                self.faults.add(**rule)
        elif what == "POST switches":
            change(self.world.switches, body)
        elif what == "POST boot-order":
            if not isinstance(body.get("order"), list):
                raise ValueError("order is a list of devices")
            self.world.set_boot_order(self._vps_named(body.get("vps")), body["order"])
        elif what == "POST reset":
            self.calls.clear()
            self.faults.clear()
            vars(self.world.switches).update(vars(deepcopy(self._first_switches)))
        else:
            known = "GET calls, GET world, GET screenshot, POST faults, POST switches, POST boot-order, POST reset"
            raise Problem(404, f"The control route knows {known}.")
        return {}

    def _vps_named(self, name: str | None) -> Vps:
        found = [vps for vps in self.world.vpses.values() if name in (vps.name, vps.id)]
        if len(found) != 1:
            raise ValueError(f"vps is the ID or the only name of a VPS, not {name!r}")
        return found[0]

    def _screenshot(self, vps: Vps) -> Answer:
        image = self.world.machines.screenshot(vps)
        if image is None:
            raise Problem(409, f"{vps.name} has no screen, or is off.")
        return Answer(200, image, content_type="image/png", note=f"{vps.name}: screenshot")

    def _world_document(self) -> JSON:
        return {
            owner.name: {
                "vps": [self.world.vps_document(vps) | {"iso": self.world.iso_read(vps)} for vps in owner.vpses],
                "jobs": [
                    {"id": job.id, "kind": job.kind, "status": job.status, "reason": job.reason}
                    for job in self.world.jobs.values()
                    if job.owner is owner
                ],
            }
            for owner in self.world.owners.values()
        }


class _Server(ThreadingHTTPServer):
    """Knows its emulator, and speaks TLS where it is asked to."""

    request_queue_size = 256

    def __init__(self, address: tuple[str, int], emulator: Emulator, tls: ssl.SSLContext | None) -> None:
        super().__init__(address, _Handler)
        self.emulator = emulator
        if tls:
            # The handshake belongs to the connection's thread: here it would keep everybody else waiting.
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def service_actions(self) -> None:
        """Called between requests, many times a second."""
        self.emulator.tick()

    def handle_error(self, *_: object) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            self.emulator.crashed("")


class _Handler(BaseHTTPRequestHandler):
    """Translates between HTTP and the emulator."""

    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 64 * 1024

    def __getattr__(self, name: str) -> Callable[[], None]:
        """Take every method there is: it is the world that knows which ones it has."""
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def _serve(self) -> None:
        begin = time.perf_counter()
        emulator = self.server.emulator
        parts = urlsplit(self.path)
        fault, delay = None, 0.0
        try:
            scheme, _blank, token = self.headers.get("Authorization", "").partition(" ")
            request = Request(
                method=self.command,
                path=parts.path,
                query=dict(parse_qsl(parts.query, keep_blank_values=True)),
                body=self.rfile.read(int(self.headers.get("Content-Length") or 0)),
                token=token.strip() if scheme.lower() == "bearer" else None,
                user_agent=self.headers.get("User-Agent", ""),
            )
            answer, fault = emulator.answer(request)
            delay = emulator.latency(request) + (fault.seconds if fault else 0.0)
        except OSError:
            raise
        except Exception:  # noqa: BLE001 - the test that caused it must hear of it
            answer = emulator.crashed(parts.path)
        if delay > 0:
            emulator.wait(delay)
        if fault and fault.kind == "dropped":
            self.close_connection = True
        else:
            self._send(answer, truncated=fault is not None and fault.kind == "truncated")
        if emulator.log:
            milliseconds = 1000 * (time.perf_counter() - begin)
            now = time.strftime("%H:%M:%S")
            status = "---" if self.close_connection and fault else answer.status
            emulator.log(f"{now} {self.command:6} {parts.path} {status} {milliseconds:.1f} ms  {answer.note}".rstrip())

    def _send(self, answer: Answer, *, truncated: bool) -> None:
        body = b""
        if answer.body is not None:
            body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        headers = dict(answer.headers)
        if body:
            headers = {"Content-Type": answer.content_type, **headers}
        if answer.status != 204:
            headers["Content-Length"] = str(len(body))
        given = {name.lower() for name in headers}  # a fault may bring its own
        for name, value in (("Server", self.version_string()), ("Date", self.date_time_string())):
            if name.lower() not in given:
                headers[name] = value
        self.send_response_only(answer.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if truncated:
            body = body[: len(body) // 2]
            self.close_connection = True
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Return a time, by default the world's present one, as HTTP writes it."""
        return super().date_time_string(self.server.emulator.world.clock() if timestamp is None else timestamp)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the emulator writes its own line for each request."""


def _json_or_none(body: bytes) -> JsonValue:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return None
