# SPDX-License-Identifier: GPL-3.0-or-later
"""SSH servers whose host keys can be changed while they run: what reinstalled systems look like from outside."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import asyncssh


async def run_command(process: asyncssh.SSHServerProcess[bytes]) -> None:
    """Run what is asked for in a shell of this machine."""
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_shell(process.command or "true", stdin=pipe, stdout=pipe, stderr=pipe)
    await process.redirect(stdin=child.stdin, stdout=child.stdout, stderr=child.stderr)
    process.exit(await child.wait())
    await process.wait_closed()


def bound_socket(address: str, port: int = 0) -> socket.socket:
    """A socket of this machine's; 0 for any port."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((address, port))
    return bound


class Sshd:
    """Listens on one port, with the key that it was last given; at first with none, which is not at all."""

    def __init__(self, loop: asyncio.AbstractEventLoop, address: str, port: int) -> None:
        self._loop = loop
        self._address = address
        self._listener: asyncssh.SSHAcceptor | None = None
        self.visits = 0  # since it was last given a key
        self.open: set[asyncssh.SSHServerConnection] = set()
        # bound all the time, or somebody else may be given the port while nobody answers
        self._holder = bound_socket(address, port)
        self._socket: socket.socket | None = None
        self.port: int = self._holder.getsockname()[1]

    def answer(self, key: asyncssh.SSHKey | None) -> None:
        """Answer with this host key from now on, or with `None` not at all."""
        asyncio.run_coroutine_threadsafe(self._answer(key), self._loop).result(timeout=30)

    def close(self) -> None:
        """End it, with all who are connected, and give the port back."""
        self.answer(None)
        asyncio.run_coroutine_threadsafe(self._turn_out(), self._loop).result(timeout=30)
        self._holder.close()

    async def _turn_out(self) -> None:
        while self.open:
            connection = self.open.pop()
            connection.abort()
            await connection.wait_closed()
        await asyncio.sleep(0)  # only now are their sockets closed

    async def _answer(self, key: asyncssh.SSHKey | None) -> None:
        if self._listener and self._socket:
            # asyncio forgets to close the socket of whoever has been accepted, but not yet attached when it closes
            self._loop.remove_reader(self._socket)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            self._listener.close()
            await self._listener.wait_closed()
        self._listener, self.visits = None, 0
        if key:
            self._socket = bound_socket(self._address, self.port)
            self._listener = await asyncssh.listen(
                sock=self._socket,
                server_factory=lambda: Visit(self),
                server_host_keys=[key],
                process_factory=run_command,
                encoding=None,
            )


class Visit(asyncssh.SSHServer):
    """Lets everybody in without a password."""

    def __init__(self, sshd: Sshd) -> None:
        self._sshd = sshd

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Count it."""
        self._sshd.visits += 1
        self._sshd.open.add(conn)

    def begin_auth(self, username: str) -> bool:  # noqa: ARG002 - the signature of asyncssh
        """Ask for nothing."""
        return False


class Sshds(dict[str, Sshd]):
    """Servers by name, each made when it is first named."""

    def __init__(self, make: Callable[[str], Sshd]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, name: str) -> Sshd:
        self[name] = made = self._make(name)
        return made


def new_key() -> asyncssh.SSHKey:
    """A host key like no other."""
    return asyncssh.generate_private_key("ssh-ed25519")


@contextmanager
def serve_ssh(place: Callable[[str], tuple[str, int]] = lambda _name: ("127.0.0.1", 0)) -> Iterator[Sshds]:
    """Run servers, each at the address and the port that belong to its name; 0 for any port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    sshds = Sshds(lambda name: Sshd(loop, *place(name)))
    try:
        yield sshds
    finally:
        for sshd in sshds.values():
            sshd.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
