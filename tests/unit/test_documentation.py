# SPDX-License-Identifier: GPL-3.0-or-later
"""What every plugin's page has."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.vars.reserved import get_reserved_names

CLONE = Path(__file__).resolve().parents[2]
PLUGINS = sorted([*(CLONE / "plugins" / "modules").glob("*.py"), *(CLONE / "plugins" / "inventory").glob("*.py")])
MODULES = [path for path in PLUGINS if path.parent.name == "modules"]
ROLE = "hostup_reinstall"
GUIDE = "ansible_collections.hostup.cloud.docsite."


def text_of(path: Path, name: str) -> Any:
    """One of the texts in a plugin's file, as data."""
    body = ast.parse(path.read_text()).body
    [text] = (node.value for node in body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name)
    return next(yaml.safe_load_all(ast.literal_eval(text)))


def see_also() -> dict[str, list[dict[str, str]]]:
    """What each page refers to."""
    role = CLONE / "roles" / "hostup_reinstall" / "meta" / "argument_specs.yml"
    pages = {path.stem: text_of(path, "DOCUMENTATION") for path in PLUGINS}
    pages[ROLE] = yaml.safe_load(role.read_text())["argument_specs"]["main"]
    return {name: page["seealso"] for name, page in pages.items()}


def test_what_else_to_see_is_described_and_refers_back() -> None:
    pages = see_also()
    targets = {
        name: set(re.findall(r"hostup\.cloud\.(\w+)", str(entries))) & pages.keys() for name, entries in pages.items()
    }
    assert [entry for entries in pages.values() for entry in entries if not entry.get("description")] == []
    assert {(name, other) for name in pages for other in targets[name] if name not in targets[other]} == set()


@pytest.mark.parametrize("name", sorted(see_also()))
def test_each_page_leads_to_a_guide(name: str) -> None:
    assert [entry for entry in see_also()[name] if entry.get("ref", "").startswith(GUIDE)]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_each_module_says_whether_it_can_be_repeated(path: Path) -> None:
    page = text_of(path, "DOCUMENTATION")
    is_info = "hostup.cloud.attributes.info" in page["extends_documentation_fragment"]
    assert is_info or page["attributes"]["idempotent"]["support"] in {"full", "partial", "none"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_examples_are_tasks_whose_variables_nobody_is_warned_of(path: Path) -> None:
    assert [task["name"] for task in text_of(path, "EXAMPLES") if "hosts" in task] == []
    assert set(re.findall(r"register: (\w+)", path.read_text())) & get_reserved_names() == set()


def test_addresses_follow_from_galaxy_yml() -> None:
    """Whoever moves the project changes these in all files, and this finds what was forgotten."""
    galaxy = yaml.safe_load((CLONE / "galaxy.yml").read_text())
    owner, name = galaxy["repository"].split("/")[-2:]
    files = subprocess.run(["git", "ls-files"], cwd=CLONE, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    told = {
        address
        for path in map(CLONE.joinpath, files)
        if path.suffix in {".md", ".rst", ".py", ".yml"} and path.is_file()  # git lists what has just been deleted, too
        for address in re.findall(rf"https://[\w.-]+/(?:[\w-]+/)?{re.escape(name)}\b", path.read_text())
    }
    raw = f"https://raw.githubusercontent.com/{owner}/{name}"
    assert told == {galaxy["repository"], galaxy["documentation"].rstrip("/"), raw}
