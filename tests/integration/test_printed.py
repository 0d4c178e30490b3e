# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything printed runs: the YAML and the console blocks of all pages, and the EXAMPLES of all plugins."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.lab import Lab, serve
from support.printed import CLONE, AnyIso, NotAsPrinted, Stage, blocks_of, pages
from support.sshd import Sshds, bound_socket, serve_ssh


@pytest.fixture(scope="session")
def any_iso() -> Iterator[str]:
    """Where every ISO can be downloaded from."""
    yield from serve(AnyIso)


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(CLONE)))
def test_runs_as_printed(lab: Lab, any_iso: str, page: Path) -> None:
    """In the order of the page, in one world, or it is told why not."""
    with bound_socket("127.0.2.1") as free:
        port = free.getsockname()[1]
    with serve_ssh(lambda address: (address, port)) as sshds:
        stage, problem = Stage(lab, sshds, port, any_iso, page.read_text()), ""
        try:
            stage.run(blocks_of(page))
        except NotAsPrinted as error:
            problem = str(error)
        finally:
            stage.close()
    if problem:
        pytest.fail(problem, pytrace=False)
