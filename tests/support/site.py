# SPDX-License-Identifier: GPL-3.0-or-later
"""What the unit tests work with: an emulator on a socket, a clock that costs nothing, and a small web server."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.hostup.cloud.plugins.module_utils._api.client import Client, Connection
from ansible_collections.hostup.cloud.plugins.module_utils._clock import Deadline
from ansible_collections.hostup.cloud.plugins.module_utils._sharing.downloads import Downloads
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.task import Runnable, Shell
from hostup_emulator.server import Emulator
from hostup_emulator.world import World

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

Page = tuple[int, dict[str, str], bytes]
MOST_WAITS = 300


def is_alone() -> bool:
    """Whether no threads wait for one another: how often they do depends on how busy the machine is."""
    pools = any(thread.name.startswith("ThreadPoolExecutor") for thread in threading.enumerate())
    return threading.current_thread() is threading.main_thread() and not pools


class Clock:
    """Stands in for `time` in the module utils and for the world's clock: waits are written down, not waited."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.jumped = 0.0
        self.waits: list[float] = []
        self.at_wait: Callable[[], object] = lambda: None  # is called at the end of each

    def sleep(self, seconds: float) -> None:
        """Let time pass. Real threads get a moment too, and the emulator's downloads a longer one."""
        assert len(self.waits) < MOST_WAITS or not is_alone(), "this waits without end"
        self.waits.append(seconds)
        self.now += seconds
        time.sleep(0.001)
        for thread in threading.enumerate():
            if thread.name.startswith("job_") and thread.is_alive():
                thread.join(0.05)
        self.at_wait()

    def monotonic(self) -> float:
        """The time of this clock."""
        return self.now

    def time(self) -> float:
        """The same, as far as nobody has set the clock."""
        return self.now + self.jumped


class QuickEmulator(Emulator):
    """One that ends at once: there are hundreds of them in a test run."""

    def start(self) -> Emulator:
        """Begin to answer."""
        threading.Thread(target=self._server.serve_forever, args=(0.002,), daemon=True).start()
        return self


class Site:
    """A running emulator with one owner, one VPS (ide2 empty, ide3 without a drive) and one ISO."""

    def __init__(self, clock: Clock, stack: ExitStack, tls: ssl.SSLContext | None = None) -> None:
        self.clock = clock
        self.world = World(clock=clock.monotonic)
        self.switches = self.world.switches
        self.owner = self.world.add_owner("ann")
        self.key = self.world.add_key(self.owner, "secret-key-of-ann")
        self.vps = self.world.add_vps(self.owner, "web-01", "192.0.2.1")
        self.iso = self.world.add_iso(self.owner, "ubuntu.iso", "Ubuntu 24.04 LTS")
        self.emulator = stack.enter_context(QuickEmulator(self.world, tls=tls))
        self.calls = self.emulator.calls
        self.fault = self.emulator.faults.add
        self.iso_path = f"/api/v2/vps/{self.vps.id}/iso"
        self.said: list[str] = []
        self.warned: list[str] = []
        self.programs: dict[str, Callable[[list[str]], str]] = {}  # that a task may run, by what they answer
        self._stack = stack

    def run(self, task: Runnable, check_mode: bool = False, /, **options: Any) -> dict[str, Any]:
        """Validate the options and run the task, as the shells do. None stands for an option that is not given."""
        given = {"api_key": self.key, "api_base": self.emulator.url, "api_retries": 2, **options}
        checked = ArgumentSpecValidator(**task.spec).validate({k: v for k, v in given.items() if v is not None})
        assert not checked.error_messages
        shell = Shell(check_mode, self.said.append, lambda command, _seconds: self.programs[command[0]](command))
        return task.run(checked.validated_parameters, shell)

    def params(self, **changes: Any) -> dict[str, Any]:
        """Parameters as an argument spec leaves them, for this emulator and VPS."""
        params = {
            "api_key": self.key,
            "api_base": self.emulator.url,
            "api_timeout": 5,
            "api_retries": 2,
            "ca_path": None,
            "validate_certs": True,
            "vps_id": self.vps.id,
            "vps_name": None,
            "vps_ip": None,
        }
        return params | changes

    def client(self, seconds: float = 3600.0, **changes: Any) -> Client:
        """A client of ours, with a deadline."""
        connection = Connection.from_params(self.params(**changes))
        client = Client(connection, Deadline(seconds), self.said.append, self.warned.append)
        return self._stack.enter_context(closing(client))

    @staticmethod
    def downloads(client: Client) -> Downloads:
        """The downloads of a task with this client."""
        return Downloads(client.notes, (client.origin, client.api_key), client.deadline, client.pause, client.say_once)

    def sent(self, method: str = ".*", path: str = ".*") -> list[str]:
        """The last part of the path of each matching request."""
        return [call.path.rpartition("/")[2] for call in self.calls.matching(method, path)]


class Web:
    """A web server whose pages are functions of the request; keeps the headers that it was sent."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.pages: dict[str, Callable[[BaseHTTPRequestHandler], Page]] = {}
        self.asked: list[tuple[str, str, dict[str, str]]] = []

    def add(self, path: str, status: int = 200, body: bytes = b"", **headers: str) -> str:
        """Put a page up and return its URL."""
        self.pages[path] = lambda _request: (status, headers, body)
        return self.url + path


@contextmanager
def serve_web(tls: ssl.SSLContext | None = None) -> Iterator[Web]:
    """Run a web server on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        """Answers from `web.pages`."""

        def _serve(self) -> None:
            web.asked.append((self.command, self.path, dict(self.headers)))
            page = web.pages.get(self.path)
            status, headers, body = page(self) if page else (404, {}, b"")
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_POST = do_CONNECT = _serve  # noqa: N815 - the names that http.server calls

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        web = Web(f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, args=(0.002,), daemon=True).start()
        yield web
        server.shutdown()
