# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the tasks of one user share: notes and locks, as files in a private folder.

The folder is ``hostup`` in ``$XDG_CACHE_HOME`` or ``~/.cache``, mode 0700. A note is a file of mode 0600 that
holds ``{"version": 1, "note": …}`` and is read and written under its ``flock``, which a process lets go of however it
ends. Names are hashed, so no key and no file name can be read there. Whoever makes a file removes the old ones.

Nothing here stops a task: what cannot be used safely (a link, somebody else's file, a full disk, a note of another
version) is left alone. This process then goes on with a note in its memory, and says so once.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import itertools
import json
import os
import random
import re
import stat
import threading
import typing as t
from contextlib import contextmanager, suppress
from pathlib import Path

from ansible_collections.hostup.cloud.plugins.module_utils import _clock

VERSION = 1
PATIENCE = 10.0  # seconds for somebody else's read and write of a note, which take a fraction of a millisecond
LARGEST = 65536  # bytes of a note
MEMORY = 6 * 3600.0  # seconds after which nobody needs a file any more that nobody has written to …
LONG_MEMORY = 30 * 86400.0  # … but what a reinstallation has left behind may be found after a holiday
LONG_LIVED = ("reinstall-", "installer-")
MOST_LOOKED_AT = 1000  # files, when old ones are removed
NAME = re.compile(r"[a-z]+-[0-9a-f]{32}(\.lock)?")

T = t.TypeVar("T")
# from what a note holds, None for nothing, to what it is to hold, and an answer
Change = t.Callable[[t.Any], tuple[t.Any, T]]

_one_thread = threading.RLock()
_memory: dict[str, t.Any] = {}  # the notes of this process, where files cannot be used
_held: set[str] = set()


def name_of(kind: str, *parts: str) -> str:
    """The file name of what is shared by those who have these parts in common."""
    return f"{kind}-{hashlib.sha256(chr(0).join(parts).encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def private_folder() -> Path:
    """The folder, made if need be. Raises OSError when it is not ours alone."""
    base = os.environ.get("XDG_CACHE_HOME") or ""
    folder = Path(base if base.startswith("/") else Path("~").expanduser() / ".cache", "hostup")
    if not folder.is_absolute():
        raise OSError(errno.ENOENT, "HOME is not set", "~/.cache")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise OSError(errno.ENOTDIR, "it is a link", str(folder))
    if status.st_uid != os.geteuid():
        raise OSError(errno.EPERM, "it belongs to somebody else", str(folder))
    if stat.S_IMODE(status.st_mode) != 0o700:
        folder.chmod(0o700)
    return folder


class Notes:
    """The notes and locks. ``warn`` is told once, and only when they cannot be shared."""

    def __init__(self, warn: t.Callable[[str], None]) -> None:
        self._warn: t.Callable[[str], None] | None = warn
        self._folder: Path | None = None
        try:
            self._folder = private_folder()
        except (OSError, RuntimeError) as error:  # RuntimeError: there is no home
            self._complain(error)

    def change(self, name: str, work: Change[T]) -> T:
        """Change a note while nobody else can. ``work`` may be called twice. What has not changed is not written."""
        with _one_thread:
            note = _memory.get(name)
            if self._folder and name not in _memory:
                try:
                    path = self._folder / name
                    with _locked(path) as descriptor:
                        note = _read(descriptor, path)
                        changed, answer = work(note)
                        if changed != note:
                            _write(descriptor, changed)
                        return answer
                except OSError as error:
                    self._complain(error)
            _memory[name], answer = work(note)
            return answer

    def read(self, name: str) -> t.Any:
        """What a note holds, ``None`` for nothing."""
        return self.change(name, lambda note: (note, note))

    def may_hold(self, name: str) -> bool:
        """Whether it is worth while to read a note: to look costs less, and makes no file."""
        return name in _memory or (self._folder is not None and (self._folder / name).exists())

    def is_kept(self, name: str) -> bool:
        """Whether a note outlasts this process, as far as is known."""
        return self._folder is not None and name not in _memory

    def try_to_hold(self, name: str) -> t.Callable[[], None] | None:
        """Take a lock, for as long as it takes. Returns what releases it, ``None`` while somebody else has it."""
        if self._folder:
            try:
                descriptor = _lock(self._folder / f"{name}.lock")
                return lambda: os.close(descriptor)
            except BlockingIOError:
                return None
            except OSError as error:
                self._complain(error)
        with _one_thread:
            if name in _held:
                return None
            _held.add(name)
        return lambda: _held.discard(name)

    def _complain(self, error: Exception) -> None:
        warn, self._warn = self._warn, None
        if warn:
            where = (error.filename if isinstance(error, OSError) else None) or self._folder or "a private folder"
            why = (error.strerror if isinstance(error, OSError) else None) or str(error)
            warn(
                f"Tasks cannot share the API's rate limit and their downloads, for {where} cannot be used: {why}. "
                "They go on without."
            )


def _open(path: Path, flags: int = 0) -> int:
    """Open a file of ours alone. Raises OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | flags, 0o600)
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid():
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EPERM, "it is not a file of ours", str(path))


def _lock(path: Path) -> int:
    """Open a file, made if need be, and lock it. Raises BlockingIOError while somebody else has it, and OSError."""
    while True:
        try:
            descriptor = _open(path)
        except FileNotFoundError:
            descriptor = _open(path, os.O_CREAT)
            _tidy_up(path.parent, os.fstat(descriptor).st_mtime)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # it was removed before it was locked


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether a file that was opened is still there."""
    with suppress(FileNotFoundError):
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    return False


@contextmanager
def _locked(path: Path) -> t.Iterator[int]:
    """Lock a note. Raises OSError, also when somebody does not let go of it."""
    give_up = _clock.monotonic() + PATIENCE
    descriptor = None
    while descriptor is None:
        try:
            descriptor = _lock(path)
        except BlockingIOError:
            if _clock.monotonic() > give_up:
                raise OSError(errno.EAGAIN, "somebody keeps it locked", str(path)) from None
            _clock.sleep(random.uniform(0.0005, 0.005))
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _tidy_up(folder: Path, now: float) -> None:
    """Remove what nobody can need any more. Done by whoever makes a new file; ``now`` is the file system's time.

    But never what somebody has locked, nor what is not ours. Who has opened a file and not locked it yet sees in
    `_lock` that it is gone.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in itertools.islice(entries, MOST_LOOKED_AT):
            with suppress(OSError):
                oldest = now - (LONG_MEMORY if entry.name.startswith(LONG_LIVED) else MEMORY)
                if NAME.fullmatch(entry.name) and entry.stat(follow_symlinks=False).st_mtime < oldest:
                    _remove_old(Path(entry.path), oldest)


def _remove_old(path: Path, oldest: float) -> None:
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _read(descriptor, path)  # raises where it is another version's
        if _is_at(path, descriptor) and os.fstat(descriptor).st_mtime < oldest:
            path.unlink()
    finally:
        os.close(descriptor)


def _read(descriptor: int, path: Path) -> t.Any:
    """What a note holds; ``None`` for what cannot be read. Raises OSError for another version, which is left alone."""
    document = None
    with suppress(ValueError, RecursionError):
        document = json.loads(os.pread(descriptor, LARGEST, 0) or b"null")
    if not isinstance(document, dict) or "version" not in document:
        return None
    if document["version"] != VERSION:
        raise OSError(errno.EINVAL, "another version of this collection has written to it", str(path))
    return document.get("note")


def _write(descriptor: int, note: t.Any) -> None:
    content = json.dumps({"version": VERSION, "note": note}).encode()
    os.ftruncate(descriptor, os.pwrite(descriptor, content, 0))
