# SPDX-License-Identifier: GPL-3.0-or-later
"""The rooms of `module_utils`: imports only go down, and what decides knows no network and no Ansible."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
UTILS = PLUGINS / "module_utils"
OURS = "ansible_collections.hostup.cloud.plugins.module_utils."
# Each floor may use those below it, and its own rooms may not use each other.
FLOORS = [
    {"_errors", "_clock", "_interruption", "_version"},
    {"_sharing"},
    {"_api"},
    {"_acceptance", "_iso", "_power", "_ssh"},
    {"_reinstall"},
    {"_tasks"},
]
PURE = [
    *("_sharing/rate_gate", "_api/documents", "_iso/state", "_iso/boot", "_iso/plan"),
    *("_power/state", "_power/plan", "_reinstall/plan", "_ssh/keys"),
]
FILES = sorted(str(path.relative_to(UTILS).with_suffix("")) for path in UTILS.rglob("*.py"))


def imports(file: str) -> set[str]:
    """What a file imports; of ours, the files, as in `_api/client`."""
    found = set()
    for node in ast.walk(ast.parse((UTILS / f"{file}.py").read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = f"{node.module}."
            if not module.startswith(OURS):
                found.add(str(node.module))
                continue
            path = module.removeprefix(OURS).replace(".", "/").rstrip("/")
            found |= {path} if path in FILES else {f"{path}/{name.name}".lstrip("/") for name in node.names}
    return found


def floor_of(room: str) -> int:
    [floor] = (number for number, rooms in enumerate(FLOORS) if room in rooms)
    return floor


@pytest.mark.parametrize("file", FILES)
def test_imports_only_go_down(file: str) -> None:
    room = file.partition("/")[0]
    for used in imports(file) & set(FILES):
        other = used.partition("/")[0]
        assert other == room or floor_of(other) < floor_of(room) or floor_of(room) == 0, f"{file} uses {used}"


def test_there_is_no_circle() -> None:
    left = {file: imports(file) & set(FILES) for file in FILES}
    while free := [file for file, used in left.items() if not used & left.keys()]:
        for file in free:
            del left[file]
    assert left == {}


@pytest.mark.parametrize("file", PURE)
def test_what_decides_knows_no_network_and_no_ansible(file: str) -> None:
    used = imports(file)
    assert used - set(FILES) <= {"__future__", "base64", "contextlib", "dataclasses", "hashlib", "re", "typing"}
    assert used & set(FILES) <= {"_errors", *PURE}


@pytest.mark.parametrize(
    "room", sorted(path.name for path in UTILS.iterdir() if path.is_dir() and any(path.glob("*.py")))
)
def test_each_room_is_known(room: str) -> None:
    assert floor_of(room) > 0
    assert room.startswith("_"), "it is private"
