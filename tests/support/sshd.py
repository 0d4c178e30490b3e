# SPDX-License-Identifier: GPL-3.0-or-later
"""SSH servers whose host keys can be changed while they run: what reinstalled systems look like from outside."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import asyncssh


async def run_command(process: asyncssh.SSHServerProcess[bytes]) -> None:
    """Run what is asked for in a shell of this machine."""
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_shell(process.command or "true", stdin=pipe, stdout=pipe, stderr=pipe)
    await process.redirect(stdin=child.stdin, stdout=child.stdout, stderr=child.stderr)
    process.exit(await child.wait())
    await process.wait_closed()


class Sshd:
    """Listens on one port, with the key that it was last given; at first with none, which is not at all."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._listener: asyncssh.SSHAcceptor | None = None
        self.visits = 0  # since it was last given a key
        # bound all the time, or somebody else may be given the port while nobody answers
        self._holder = socket.socket()
        self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._holder.bind(("127.0.0.1", 0))
        self.port: int = self._holder.getsockname()[1]

    def answer(self, key: asyncssh.SSHKey | None) -> None:
        """Answer with this host key from now on, or with `None` not at all."""
        asyncio.run_coroutine_threadsafe(self._answer(key), self._loop).result(timeout=30)

    def close(self) -> None:
        """Give the port back."""
        self.answer(None)
        self._holder.close()

    async def _answer(self, key: asyncssh.SSHKey | None) -> None:
        if self._listener:
            self._listener.close()
            await self._listener.wait_closed()
        self._listener, self.visits = None, 0
        if key:
            self._listener = await asyncssh.listen(
                "127.0.0.1",
                self.port,
                server_factory=lambda: Visit(self),
                server_host_keys=[key],
                process_factory=run_command,
                encoding=None,
                reuse_address=True,
            )


class Visit(asyncssh.SSHServer):
    """Lets everybody in without a password."""

    def __init__(self, sshd: Sshd) -> None:
        self._sshd = sshd

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:  # noqa: ARG002 - the signature of asyncssh
        """Count it."""
        self._sshd.visits += 1

    def begin_auth(self, username: str) -> bool:  # noqa: ARG002 - the signature of asyncssh
        """Ask for nothing."""
        return False


Sshds = defaultdict[str, Sshd]


def new_key() -> asyncssh.SSHKey:
    """A host key like no other."""
    return asyncssh.generate_private_key("ssh-ed25519")


@contextmanager
def serve_ssh() -> Iterator[Sshds]:
    """Run servers, each made when it is first named."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    sshds: Sshds = defaultdict(lambda: Sshd(loop))
    try:
        yield sshds
    finally:
        for sshd in sshds.values():
            sshd.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
