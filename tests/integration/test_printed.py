# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything printed runs: the YAML and the console blocks of all pages, and the EXAMPLES of all plugins."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.lab import Lab, do_without, serve
from support.printed import (
    CLONE,
    AnyIso,
    Block,
    NotAsPrinted,
    Stage,
    all_blocks_of,
    blocks_of,
    documents,
    pages,
    printed,
    slow_ones,
)
from support.sshd import bound_socket, serve_ssh


def name_of(page: Path) -> str:
    """What a page is called."""
    return str(page.relative_to(CLONE))


@pytest.fixture(scope="session")
def any_iso() -> Iterator[str]:
    """Where every ISO can be downloaded from."""
    yield from serve(AnyIso)


# What is in these is neither run nor looked at.
OTHER_LANGUAGES = {"hcl", "ini", "json", "python", "text"}

# Most cost a play.
WRONG = {
    "unknown option": ("yaml", "- hostup.cloud.hostup_vps_info:\n    sate: x\n", "Unsupported parameters"),
    "two in one": ("yaml", "- hosts: web-01\n- ansible.builtin.ping:\n", "plays and tasks"),
    "no command": ("console", "ansible-playbook hostup.cloud.library\n", "begins with a command"),
    "exit code": ("console", "$ true\n$ false\n", "ended with 1"),
    "other output": ("console", "$ printf 'one\\ntwo\\nthree\\n'\none\n…\nfour\n", "something else than is shown"),
}
WRONG_AT_LENGTH = {
    "warning": ("yaml", "- hostup.cloud.hostup_vps_info:\n  register: rescue\n", "[WARNING]"),
    "no task": ("yaml", "- hosts: web-01\n  gather_facts: false\n  tasks: []\n", "no task was run"),
    "no host": ("yaml", "- hosts: nobody\n  tasks: []\n", "no hosts matched"),
    "no inventory": ("console", "$ ansible-playbook hostup.cloud.rescue --limit web-01\n", "no hosts matched"),
}


@contextmanager
def staged(lab: Lab, source: str, text: str) -> Iterator[Stage]:
    """A stage for a page with this text."""
    with bound_socket("127.0.2.1") as free:
        port = free.getsockname()[1]
    with serve_ssh(lambda address: (address, port)) as sshds:
        stage = Stage(lab, sshds, port, source, text)
        try:
            yield stage
        finally:
            stage.close()


def run_page(lab: Lab, source: str, page: Path, *, slow: bool) -> None:
    """Run what a page prints, in its order and in one world."""
    if "$ curl " in page.read_text() and not shutil.which("curl"):
        do_without("curl is not installed")
    problem = ""
    with staged(lab, source, page.read_text()) as stage:
        try:
            stage.run(blocks_of(page), slow=slow)
        except NotAsPrinted as error:
            problem = str(error)
    if problem:
        pytest.fail(problem, pytrace=False)


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_runs_as_printed(lab: Lab, any_iso: str, page: Path) -> None:
    """All but what is slow, and what says why it is not run."""
    run_page(lab, any_iso, page, slow=False)


@pytest.mark.parametrize("page", [page for page in pages() if slow_ones(blocks_of(page))], ids=name_of)
@pytest.mark.exhaustive
@pytest.mark.timeout(1200)
def test_slow_ones_run_as_printed(lab: Lab, any_iso: str, page: Path) -> None:
    """All of the page."""
    run_page(lab, any_iso, page, slow=True)


def test_nothing_is_hidden_from_that() -> None:
    """As a block in a language of which nobody knows that it is to be run, or in none."""
    blocks = [block for path in documents() for block in all_blocks_of(path)]
    assert [f"{block.place} {block.language}" for block in blocks if block.language not in OTHER_LANGUAGES] == [
        f"{block.place} {block.language}" for block in blocks if block.language in ("yaml", "console")
    ]


@pytest.mark.parametrize(
    "wrong", [*WRONG, *(pytest.param(name, marks=pytest.mark.exhaustive) for name in WRONG_AT_LENGTH)]
)
def test_what_is_wrong_is_found(lab: Lab, any_iso: str, wrong: str) -> None:
    """And where it is printed."""
    language, text, complaint = {**WRONG, **WRONG_AT_LENGTH}[wrong]
    with staged(lab, any_iso, text) as stage, pytest.raises(NotAsPrinted) as raised:
        stage.run([Block("docs/page.rst:7", language, text)], slow=True)
    assert str(raised.value).startswith("docs/page.rst:7: ") and complaint in str(raised.value)


PAGE = """\
.. not run: needs
   two lines

.. code-block:: yaml
   :caption: play.yml

   plugin: one

1. Text:

   .. code-block:: console

      $ two \\
          three

   Text.
"""
SAME_IN_MARKDOWN = """\
<!-- not run: needs
   two lines -->
```yaml
# play.yml
plugin: one
```

1. Text:

   ```console
   $ two \\
       three
   ```
"""


@pytest.mark.parametrize(("text", "name"), [(PAGE, "page.rst"), (SAME_IN_MARKDOWN, "page.md")])
def test_blocks_are_found(text: str, name: str) -> None:
    first, second = printed(text, name)
    assert (first.language, first.text.splitlines()[-1], first.name) == ("yaml", "plugin: one", "play.yml")
    assert first.not_run.split() == ["needs", "two", "lines"]
    assert (second.language, second.text) == ("console", "$ two \\\n    three\n") and not second.not_run
