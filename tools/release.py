# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a release: changelog, version, checks, a tarball that anybody can build again, a tag; then the next version.

Nothing is pushed or published. What the checks refuse leaves the clone as it was.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from check import CLONE, TOOLS

GALAXY, VERSION_FILE = "galaxy.yml", "plugins/module_utils/_version.py"
RELEASES = CLONE / "tests" / "output" / "releases"
SEMVER = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
ENV = {**os.environ, "PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}"}


def call(*command: str, cwd: Path = CLONE) -> None:
    """Run a command that says on the screen what it does."""
    subprocess.run(command, cwd=cwd, env=ENV, check=True)


def git(*arguments: str) -> str:
    """What git says of the clone."""
    return subprocess.run(["git", *arguments], cwd=CLONE, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def numbers(version: str) -> tuple[int, ...]:
    """A version, to be compared."""
    return tuple(map(int, version.split(".")))


def refusal(version: str, released: Sequence[str], changed: str, fragments: str) -> str:
    """Why no release can be made; nothing where it can."""
    if not SEMVER.fullmatch(version):
        return f"{version!r} is no version such as 1.2.3."
    if late := [other for other in released if numbers(other) >= numbers(version)]:
        return f"{version} does not come after {late[-1]}, which has been released."
    if changed:
        return f"The clone has changes that are not committed:\n{changed}"
    if "release_summary:" not in fragments:
        return "No fragment in changelogs/fragments has a release_summary: a sentence or two about this release."
    return ""


def set_version(version: str) -> None:
    """In its two places; a test compares them."""
    for name, pattern in ((GALAXY, r"(?m)^version: .*"), (VERSION_FILE, r'(?m)^VERSION = ".*"')):
        path = CLONE / name
        new = f"version: {version}" if name == GALAXY else f'VERSION = "{version}"'
        text, count = re.subn(pattern, new, path.read_text())
        assert count == 1, name
        path.write_text(text)


def member(name: str, content: bytes, mode: int, when: int) -> tuple[tarfile.TarInfo, io.BytesIO]:
    """A file for a tarball, that tells nothing of who packed it."""
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = len(content), mode, when
    return info, io.BytesIO(content)


def pack_again(tarball: bytes, when: int) -> bytes:
    """The same collection, packed so that whoever builds it from the same commit has the same bytes.

    ansible-galaxy writes times and, in FILES.json, the order in which the file system names the files.
    """
    with tarfile.open(fileobj=io.BytesIO(tarball)) as archive:
        modes = {entry.name: entry.mode for entry in archive if entry.isfile()}
        contents = {name: file.read() for name in modes if (file := archive.extractfile(name))}
        folders = sorted(entry.name for entry in archive if entry.isdir())
    files, manifest = json.loads(contents["FILES.json"]), json.loads(contents["MANIFEST.json"])
    files["files"].sort(key=lambda entry: entry["name"])
    contents["FILES.json"] = json.dumps(files, indent=1).encode()
    manifest["file_manifest_file"]["chksum_sha256"] = hashlib.sha256(contents["FILES.json"]).hexdigest()
    contents["MANIFEST.json"] = json.dumps(manifest, indent=1).encode()
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=buffer, mtime=when) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for name in folders:
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.mtime = tarfile.DIRTYPE, 0o755, when
            archive.addfile(info)
        # ansible-galaxy looks for these two first.
        for name in sorted(contents, key=lambda name: (name != "MANIFEST.json", name != "FILES.json", name)):
            archive.addfile(*member(name, contents[name], modes[name], when))
    return buffer.getvalue()


def build(commit: str) -> bytes:
    """The tarball of a commit, out of a clone of its own."""
    with tempfile.TemporaryDirectory(prefix="hostup-release-") as folder:
        clone = Path(folder, "clone")
        call("git", "clone", "--quiet", str(CLONE), str(clone))
        call("git", "-c", "advice.detachedHead=false", "checkout", "--quiet", commit, cwd=clone)
        call("ansible-galaxy", "collection", "build", "--output-path", folder, cwd=clone)
        [tarball] = Path(folder).glob("*.tar.gz")
        return pack_again(tarball.read_bytes(), int(git("log", "-1", "--format=%ct", commit)))


def release(version: str) -> Path:
    """All of it; returns the tarball."""
    set_version(version)
    (CLONE / "changelogs" / ".plugin-cache.yaml").unlink(missing_ok=True)  # or no new modules are looked for
    call("antsibull-changelog", "release")
    call(sys.executable, "tools/check.py", "test")
    call(sys.executable, "tools/check.py", "certified")
    call(sys.executable, "tools/matrix.py", "certification")
    git("add", "--all")
    git("commit", "--quiet", "--message", f"Release {version}")
    commit = git("rev-parse", "HEAD")
    tarball, again = build(commit), build(commit)
    assert tarball == again, "two builds of the commit differ"
    RELEASES.mkdir(parents=True, exist_ok=True)
    path = RELEASES / f"hostup-cloud-{version}.tar.gz"
    path.write_bytes(tarball)
    git("tag", "--annotate", version, "--message", f"hostup.cloud {version}")
    return path


def main() -> int:
    """Make the release that is asked for, or say why not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("version")
    version = parser.parse_args().version
    released = re.findall(r"(?m)^  (\d+\.\d+\.\d+):$", (CLONE / "changelogs" / "changelog.yaml").read_text())
    fragments = "".join(path.read_text() for path in sorted((CLONE / "changelogs" / "fragments").glob("*.y*ml")))
    if reason := refusal(version, released, git("status", "--porcelain"), fragments):
        print(reason, file=sys.stderr)
        return 1
    before = git("rev-parse", "HEAD")
    try:
        path = release(version)
    except BaseException:
        git("reset", "--hard", "--quiet", before)
        raise
    major, minor, _patch = numbers(version)
    set_version(f"{major}.{minor + 1}.0")
    git("commit", "--quiet", "--all", "--message", f"Go on to {major}.{minor + 1}.0")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    print(f"\n{path}\nsha256 {digest}\n\nIf all is well:\n  git push --follow-tags")
    print(f"  ansible-galaxy collection publish {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
