# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything printed runs: the YAML and the console blocks of all pages, and the EXAMPLES of all plugins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.lab import Lab, serve
from support.printed import CLONE, AnyIso, NotAsPrinted, Stage, blocks_of, pages, reinstalling
from support.sshd import bound_socket, serve_ssh


def name_of(page: Path) -> str:
    """What a page is called."""
    return str(page.relative_to(CLONE))


@pytest.fixture(scope="session")
def any_iso() -> Iterator[str]:
    """Where every ISO can be downloaded from."""
    yield from serve(AnyIso)


def run_page(lab: Lab, any_iso: str, page: Path, *, reinstalls: bool) -> None:
    """Run what a page prints, in its order and in one world."""
    with bound_socket("127.0.2.1") as free:
        port = free.getsockname()[1]
    with serve_ssh(lambda address: (address, port)) as sshds:
        stage, problem = Stage(lab, sshds, port, any_iso, page.read_text()), ""
        try:
            stage.run(blocks_of(page), reinstalls=reinstalls)
        except NotAsPrinted as error:
            problem = str(error)
        finally:
            stage.close()
    if problem:
        pytest.fail(problem, pytrace=False)


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_runs_as_printed(lab: Lab, any_iso: str, page: Path) -> None:
    """All but what reinstalls, and what says why it is not run."""
    run_page(lab, any_iso, page, reinstalls=False)


@pytest.mark.parametrize("page", [page for page in pages() if reinstalling(blocks_of(page))], ids=name_of)
@pytest.mark.exhaustive
def test_reinstalls_as_printed(lab: Lab, any_iso: str, page: Path) -> None:
    """All of the page."""
    run_page(lab, any_iso, page, reinstalls=True)
