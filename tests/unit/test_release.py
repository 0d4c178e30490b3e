# SPDX-License-Identifier: GPL-3.0-or-later
"""What a release is refused for, and that its tarball depends on nothing but its contents."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Sequence

import pytest

from release import pack_again, refusal


@pytest.mark.parametrize(
    ("version", "released", "changed", "fragments", "reason"),
    [
        ("0.2.0", ["0.1.0"], "", "release_summary: New.", ""),
        ("1.10.0", ["0.1.0", "1.9.0"], "", "release_summary: New.", ""),
        ("0.2", ["0.1.0"], "", "release_summary: New.", "is no version"),
        ("0.2.0 ; rm", [], "", "release_summary: New.", "is no version"),
        ("0.1.0", ["0.1.0"], "", "release_summary: New.", "does not come after 0.1.0"),
        ("1.9.0", ["1.10.0"], "", "release_summary: New.", "does not come after 1.10.0"),
        ("0.2.0", [], " M galaxy.yml", "release_summary: New.", "M galaxy.yml"),
        ("0.2.0", [], "", "bugfixes: []", "release_summary"),
    ],
)
def test_refusals(version: str, released: Sequence[str], changed: str, fragments: str, reason: str) -> None:
    said = refusal(version, released, changed, fragments)
    assert reason in said and bool(said) is bool(reason)


def tarball(names: Sequence[str], when: int) -> bytes:
    """As ansible-galaxy packs it, in whatever order the file system has."""
    files = json.dumps({"files": [{"name": name} for name in names], "format": 1}).encode()
    manifest = json.dumps({"file_manifest_file": {"chksum_sha256": hashlib.sha256(files).hexdigest()}}).encode()
    contents = {"MANIFEST.json": manifest, "FILES.json": files}
    contents |= {name: name.encode() for name in names if name != "plugins"}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in [*contents, "plugins"]:
            info = tarfile.TarInfo(name)
            info.mtime, info.mode = when, 0o755 if name in ("plugins", "plugins/a.sh") else 0o644
            if name == "plugins":
                info.type = tarfile.DIRTYPE
            else:
                info.size = len(contents[name])
            archive.addfile(info, io.BytesIO(contents.get(name, b"")))
    return buffer.getvalue()


def test_the_same_bytes_from_the_same_contents() -> None:
    names = ["plugins", "plugins/a.sh", "README.md"]
    one, other = tarball(names, 1), tarball(names[::-1], 2)
    assert one != other
    assert pack_again(one, 5) == pack_again(other, 5)


def test_what_is_packed_again_is_whole() -> None:
    packed = pack_again(tarball(["plugins", "README.md", "plugins/a.sh"], 1), 5)
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        names = archive.getnames()
        contents = {entry.name: file.read() for entry in archive if (file := archive.extractfile(entry))}
        modes = {entry.name: entry.mode for entry in archive}
    assert names[:3] == ["plugins", "MANIFEST.json", "FILES.json"] and sorted(names[3:]) == [
        "README.md",
        "plugins/a.sh",
    ]
    wanted = json.loads(contents["MANIFEST.json"])["file_manifest_file"]["chksum_sha256"]
    assert hashlib.sha256(contents["FILES.json"]).hexdigest() == wanted
    assert (modes["plugins/a.sh"], modes["README.md"], contents["README.md"]) == (0o755, 0o644, b"README.md")
