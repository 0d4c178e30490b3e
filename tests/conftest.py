# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes `ansible_collections.hostup.cloud` importable, wherever the clone lies."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# Made while this file is imported: the conftest files below import from it.
TREE = tempfile.TemporaryDirectory(prefix="hostup-")
NAMESPACE = Path(TREE.name, "ansible_collections", "hostup")
NAMESPACE.mkdir(parents=True)
(NAMESPACE / "cloud").symlink_to(Path(__file__).resolve().parent.parent)
sys.path.insert(0, TREE.name)
os.environ["ANSIBLE_COLLECTIONS_PATH"] = TREE.name


@pytest.fixture
def heeded_sigint() -> Iterator[None]:
    """Let commands begin with SIGINT as usual, even where these tests themselves were started to ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def pytest_unconfigure(config: pytest.Config) -> None:  # noqa: ARG001 - the hook's signature
    """Remove the tree; the clone behind the link stays."""
    TREE.cleanup()
