# SPDX-License-Identifier: GPL-3.0-or-later
"""Real downloads into a folder: what `from-url` sets going, with real progress and real failures."""

from __future__ import annotations

import bz2
import gzip
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from .model import Vps
    from .world import StartDownload

CHUNK = 1024 * 1024


class DownloadError(Exception):
    """The download cannot succeed; the text is what the user is told."""


@dataclass(frozen=True)
class Report:
    """Whom to tell how a download goes. Called from the download's own thread."""

    progress: Callable[[int, int | None], None]
    done: Callable[[int], None]
    failed: Callable[[str], None]


class _Readable(Protocol):
    """What all decompressors have in common."""

    def read(self, size: int, /) -> bytes:
        """Return at most so many bytes."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Turns a redirect into an error."""

    def redirect_request(self, *_: object) -> None:
        return None


class Downloads:
    """Fetches files, each in a thread of its own, into one folder per owner.

    `rate` (bytes a second) and `min_seconds` slow a download down so that its progress can be watched.
    """

    def __init__(
        self, library: Path, *, rate: float | None = None, min_seconds: float = 0.0, max_bytes: int = 20 * 10**9
    ) -> None:
        self.library = library
        self.rate = rate
        self.min_seconds = min_seconds
        self.max_bytes = max_bytes
        self._share = 1.0
        self._stopping = False
        self._changed = threading.Condition()
        # No proxies: a test must not depend on the environment it happens to run in.
        self._opener = urllib.request.build_opener(_NoRedirects, urllib.request.ProxyHandler({}))

    def path(self, owner: str, filename: str) -> Path:
        """Return where a library file lies."""
        return self.library / quote(owner, safe=" ") / filename

    def find(self, vps: Vps, iso_id: str) -> Path | None:
        """Return where an ISO of this VPS's owner lies, if it was downloaded."""
        iso = vps.owner.library.get(iso_id)
        path = self.path(vps.owner.name, iso.name) if iso and iso.name else None
        return path if path and path.is_file() else None

    def start(self, order: StartDownload, report: Report) -> None:
        """Begin a download; `report` hears of its progress and its end."""
        threading.Thread(target=self._run, args=(order, report), name=order.job_id, daemon=True).start()

    def remove(self, owner: str, filename: str) -> None:
        """Remove a library file."""
        self.path(owner, filename).unlink(missing_ok=True)

    def hold(self, share: float = 0.0) -> None:
        """Let no download get further than this share of its bytes, be it running or yet to come."""
        with self._changed:
            self._share = share
            self._changed.notify_all()

    def release(self) -> None:
        """Let all downloads go on to their ends."""
        self.hold(1.0)

    def stop(self) -> None:
        """Make every running download fail soon."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def _run(self, order: StartDownload, report: Report) -> None:
        target = self.path(order.owner, order.filename)
        fetched = target.with_name(f".{order.job_id}.fetched")
        unpacked = target.with_name(f".{order.job_id}.unpacked")
        try:
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                self._fetch(order.url, fetched, report.progress)
                self._unpack(fetched, order.decompress, unpacked)
                size = unpacked.stat().st_size
                unpacked.replace(target)
            finally:
                fetched.unlink(missing_ok=True)
                unpacked.unlink(missing_ok=True)
        except DownloadError as failure:
            report.failed(str(failure))
        except Exception as failure:  # noqa: BLE001 - a job that silently stays open would be worse
            report.failed(f"The download failed: {type(failure).__name__}: {failure}")
        else:
            report.done(size)

    def _fetch(self, url: str, target: Path, progress: Callable[[int, int | None], None]) -> None:
        """Stream a URL to a file."""
        begin = time.monotonic()
        try:
            response = self._opener.open(urllib.request.Request(url, headers={"User-Agent": "emulator"}), timeout=30)
        except urllib.error.HTTPError as error:
            error.close()
            hint = "; redirects are not followed" if 300 <= error.code < 400 else ""
            raise DownloadError(f"The source answered {error.code}{hint}.") from None
        with response, target.open("wb") as file:
            told = response.headers.get("Content-Length", "")
            total = int(told) if told.isdecimal() else None
            self._check_size(total or 0)
            # Small steps for small files, so that there is progress to see.
            step = CHUNK if total is None else min(CHUNK, total // 100 + 1)
            done = 0
            progress(done, total)
            while chunk := response.read1(step):
                done += len(chunk)
                self._check_size(done)
                file.write(chunk)
                self._pace(begin, done, total)
                progress(done, total)
        if total is None:
            self._wait(begin + self.min_seconds, 1.0)
        elif done != total:
            raise DownloadError(f"The source ended after {done} of {total} bytes.")

    def _unpack(self, source: Path, compression: str, target: Path) -> None:
        """Turn what was fetched into what was asked for."""
        if compression == "none":
            source.replace(target)
            return
        try:
            with _opened(source, compression) as packed, target.open("wb") as file:
                while chunk := packed.read(CHUNK):
                    file.write(chunk)
                    self._check_size(file.tell())
        except DownloadError:
            raise
        except Exception as error:  # each library has its own
            raise DownloadError(f"The file cannot be decompressed as {compression}: {error}") from error

    def _check_size(self, size: int) -> None:
        if size > self.max_bytes:
            raise DownloadError(f"The file is larger than {self.max_bytes / 1e9:g} GB.")

    def _pace(self, begin: float, done: int, total: int | None) -> None:
        """Wait until so many bytes may have arrived."""
        by_rate = done / self.rate if self.rate else 0.0
        by_duration = self.min_seconds * done / total if total else 0.0
        self._wait(begin + max(by_rate, by_duration), done / total if total else 0.0)

    def _wait(self, until: float, share: float) -> None:
        """Wait for a time, and until so large a share is allowed."""
        with self._changed:
            while not self._stopping and (self._share < share or time.monotonic() < until):
                self._changed.wait(max(0.0, until - time.monotonic()) or None)
            if self._stopping:
                raise DownloadError("The emulator is being stopped.")


@contextmanager
def _opened(path: Path, compression: str) -> Iterator[_Readable]:
    """Open a compressed file for reading what is in it."""
    if compression == "gzip":
        with gzip.open(path) as file:
            yield file
    elif compression == "bzip2":
        with bz2.open(path) as file:
            yield file
    elif compression == "zstd":
        try:
            import zstandard  # noqa: PLC0415 - optional
        except ImportError:
            raise DownloadError("This emulator cannot read zstd: the Python package zstandard is missing.") from None
        with zstandard.open(path, "rb") as file:
            yield file
    else:
        if not shutil.which("lzop"):
            raise DownloadError("This emulator cannot read lzo: the program lzop is missing.")
        with subprocess.Popen(["lzop", "-dc", str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as lzop:
            assert lzop.stdout is not None
            assert lzop.stderr is not None
            yield lzop.stdout
            complaint = lzop.stderr.read().decode(errors="replace").strip()
        if lzop.returncode:
            raise ValueError(complaint or f"lzop ended with {lzop.returncode}")
