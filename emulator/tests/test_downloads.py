# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads over real sockets into a real folder."""

from __future__ import annotations

import bz2
import gzip
import shutil
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
import zstandard

from hostup_emulator.downloads import Downloads
from hostup_emulator.server import Emulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hostup_emulator.jobs import Job

    from .conftest import Lab

CONTENT = b"a bootable image " * 20_000
FILES = {
    "/plain": CONTENT,
    "/gzip": gzip.compress(CONTENT[:100]) + gzip.compress(CONTENT[100:]),
    "/bzip2": bz2.compress(CONTENT),
    "/zstd": zstandard.compress(CONTENT),
    "/unsized": CONTENT,
    "/short": CONTENT,
}


Run = Callable[..., "Job"]


class Mirror(BaseHTTPRequestHandler):
    """Serves the files above, some of them badly."""

    def do_GET(self) -> None:
        if self.path not in FILES:
            self.send_response(302 if self.path == "/moved" else 404)
            self.send_header("Location", "/plain")
            self.end_headers()
            return
        body = FILES[self.path]
        self.send_response(200)
        if self.path != "/unsized":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:1000] if self.path == "/short" else body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def mirror() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def downloads(tmp_path: Path) -> Downloads:
    return Downloads(tmp_path / "library")


@pytest.fixture
def run(lab: Lab, downloads: Downloads, mirror: str) -> Iterator[Run]:
    """Download something, and return the job when it has ended."""
    with Emulator(lab.world, downloads=downloads) as emulator:
        lab.handle = lambda request: emulator.answer(request)[0]

        def run(url: str, decompress: str = "none") -> Job:
            started = lab.download(url=url if "://" in url else mirror + url, decompress=decompress)
            job = lab.world.jobs[started.body["operation"]["jobId"]]
            emulator.calls.wait_for(lambda: job.finished)
            return job

        yield run
        assert emulator.crashes == []


@pytest.mark.parametrize(
    ("path", "decompress"),
    [("/plain", "none"), ("/unsized", "none"), ("/gzip", "gzip"), ("/bzip2", "bzip2"), ("/zstd", "zstd")],
)
def test_download(lab: Lab, run: Run, downloads: Downloads, path: str, decompress: str) -> None:
    job = run(path, decompress)
    assert (job.status, job.reason) == ("completed", "")
    assert downloads.path("ann", "new.iso").read_bytes() == CONTENT
    assert lab.read()["available"][-1]["sizeGb"] == len(CONTENT) / 1e9
    assert [file.name for file in downloads.path("ann", "new.iso").parent.iterdir()] == ["new.iso"]


def test_lzo_is_read_or_refused_with_the_reason(
    run: Run, downloads: Downloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not shutil.which("lzop"):  # optional, says the README
        assert run("/plain", "lzo").reason.startswith("This emulator cannot read lzo: the program lzop is missing")
        return
    assert run("/plain", "lzo").reason.startswith("The file cannot be decompressed as lzo")
    packed = subprocess.run(["lzop", "-c"], input=CONTENT, check=True, stdout=subprocess.PIPE).stdout
    monkeypatch.setitem(FILES, "/lzo", packed)
    assert run("/lzo", "lzo").status == "completed"
    assert downloads.path("ann", "new.iso").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (("/moved", "none"), "answered 302; redirects are not followed"),
        (("/absent", "none"), "answered 404."),
        (("/short", "none"), "ended after 1000 of 340000 bytes"),
        (("/plain", "gzip"), "cannot be decompressed as gzip"),
        (("/plain", "bzip2"), "cannot be decompressed as bzip2"),
        (("/plain", "zstd"), "cannot be decompressed as zstd"),
        (("http://127.0.0.1:1/", "none"), "refused"),
    ],
)
def test_failures_leave_nothing(lab: Lab, run: Run, downloads: Downloads, source: tuple[str, str], reason: str) -> None:
    job = run(*source)
    assert job.status == "failed"
    assert reason in job.reason
    assert [iso["name"] for iso in lab.read()["available"]] == ["ubuntu.iso"]
    assert list(downloads.path("ann", "new.iso").parent.iterdir()) == []


@pytest.mark.parametrize(("path", "decompress"), [("/plain", "none"), ("/unsized", "none"), ("/gzip", "gzip")])
def test_too_large(run: Run, downloads: Downloads, path: str, decompress: str) -> None:
    downloads.max_bytes = 100_000
    assert "larger than 0.0001 GB" in run(path, decompress).reason


@pytest.mark.parametrize("slow", [{"rate": 5_000_000.0}, {"min_seconds": 0.05}])
def test_slow_downloads_show_progress(
    lab: Lab, run: Run, downloads: Downloads, slow: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    vars(downloads).update(slow)
    seen = set()
    report = lab.world.download_progress

    def watch(job_id: str, done: int, total: int | None) -> None:
        seen.add((done, total))
        report(job_id, done, total)

    monkeypatch.setattr(lab.world, "download_progress", watch)
    assert run("/plain").status == "completed"
    assert len(seen) >= 5
    assert {total for _done, total in seen} == {len(CONTENT)}


def test_download_that_is_held(lab: Lab, downloads: Downloads, mirror: str) -> None:
    with Emulator(lab.world, downloads=downloads) as emulator:
        lab.handle = lambda request: emulator.answer(request)[0]
        downloads.hold(0.5)
        job = lab.world.jobs[lab.download(url=mirror + "/plain").body["operation"]["jobId"]]
        emulator.calls.wait_for(lambda: (job.progress or 0) >= 49)
        with pytest.raises(TimeoutError):
            emulator.calls.wait_for(lambda: job.finished, 0.05)
        assert job.progress in (49, 50)
        downloads.release()
        emulator.calls.wait_for(lambda: job.finished)
        assert (job.status, job.progress) == ("completed", 100)


def test_delete_removes_the_file(lab: Lab, run: Run, downloads: Downloads) -> None:
    run("/plain")
    iso = lab.owner.iso_named("new.iso")
    assert iso
    assert downloads.path("ann", "new.iso").exists()
    lab.ask("DELETE", f"{lab.iso_path}/{iso.id}")
    assert not downloads.path("ann", "new.iso").exists()


def test_stop_ends_downloads(lab: Lab, downloads: Downloads, mirror: str) -> None:
    downloads.hold()
    with Emulator(lab.world, downloads=downloads) as emulator:
        lab.handle = lambda request: emulator.answer(request)[0]
        job = lab.world.jobs[lab.download(url=mirror + "/plain").body["operation"]["jobId"]]
    emulator.calls.wait_for(lambda: job.finished)
    assert job.reason == "The emulator is being stopped."
