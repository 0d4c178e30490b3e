# SPDX-License-Identifier: GPL-3.0-or-later
"""The laboratory as a fixture."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.server import Emulator
from emulator.world import World
from lab import ISO_BYTES, Lab, QuietFiles, redirect_to, serve


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where ISOs can be downloaded from."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("ubuntu.iso", "wanted.iso", "rescue.iso"):
        (folder / name).write_bytes(ISO_BYTES)
    yield from serve(functools.partial(QuietFiles, directory=str(folder)))


@pytest.fixture
def lab(source: str, tmp_path: Path) -> Iterator[Lab]:
    """A fresh world. Its emulator must not have crashed at the end, nor any cloud-init drive been emptied."""
    with Emulator(World()) as emulator:
        yield Lab(emulator, source, tmp_path)
    assert emulator.crashes == []
    assert [vps.cloud_init_unmounts for vps in emulator.world.vpses.values() if vps.cloud_init_unmounts] == []


@pytest.fixture(scope="session")
def redirect(source: str) -> Iterator[str]:
    """A URL that redirects to one of the ISOs."""
    yield from (f"{origin}/latest.iso" for origin in serve(redirect_to(f"{source}/ubuntu.iso")))
