# SPDX-License-Identifier: GPL-3.0-or-later
"""The page on troubleshooting has every code of the contract and every message of ours, and no other.

A message is what is written in the code, with … for what varies. Where the page breaks off with …, the message begins
with its words.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.hostup.cloud.plugins.module_utils._api.client import ADVICE
from ansible_collections.hostup.cloud.plugins.module_utils._api.edge import _REASONS
from support.contract import OPENAPI

CLONE = Path(__file__).resolve().parents[2]
PAGE = (CLONE / "docs/docsite/rst/troubleshooting.rst").read_text()
_BEFORE, _CODES, _REST = PAGE.partition("\nCodes\n-----\n")
CODES, _MESSAGES, MESSAGES = _REST.partition("\nMessages\n--------\n")
TERM = re.compile(r"^``([^`]+)``$", re.MULTILINE)
LITERAL = re.compile(r"``([^`]+)``")

# What acceptance finds goes into its report. The rest is what a task would do or has done, and no failure.
NO_MESSAGES = {"_acceptance/report.py", "_acceptance/schema.py", "_acceptance/mask.py", "_acceptance/contract.py"}
NO_FUNCTIONS = {"Trial", "_differences", "foretell", "_diff"}
DOCUMENTATION = {"DOCUMENTATION", "EXAMPLES", "RETURN"}
DESCRIBING = ("name", "description")  # keys in YAML
FEWEST_WORDS = {True: 2, False: 3}  # of what begins like a sentence, and of anything else
GOES_ON = re.compile(r"[,;.]| [^A-Z…]")  # how a text begins that another one is followed by


def varying(node: ast.AST) -> str | None:
    """A text of the code, with … for what varies; ``None`` for what is no text."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(varying(part) or "…" for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        parts = varying(node.left), varying(node.right)
        return None if parts == (None, None) else "".join(part or "…" for part in parts)
    return None


def texts(node: ast.AST) -> Iterator[str]:
    """All texts below a node but documentation and patterns; a text within what varies is one, too."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a docstring
    if isinstance(node, ast.Assign) and {getattr(target, "id", "") for target in node.targets} & DOCUMENTATION:
        return
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name in NO_FUNCTIONS:
        return
    if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "compile":
        return
    found = varying(node)
    if found is not None:
        yield found
    for child in ast.iter_child_nodes(node):
        if found is None or varying(child) is None:
            yield from texts(child)


def yaml_texts(node: Any, key: str = "") -> Iterator[str]:
    """The sentences in tasks, with … for what is templated."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield from yaml_texts(value, name)
    elif isinstance(node, list):
        for part in node:
            yield from yaml_texts(part, key)
    elif isinstance(node, str) and (key == "fail_msg" or (key not in DESCRIBING and re.match(r"[A-Z{]", node))):
        yield re.sub(r"\{\{.*?\}\}", "…", node, flags=re.DOTALL)


def normal(text: str) -> str:
    """One spelling: blanks are alike, and what varies twice in a row is once enough."""
    return re.sub(r"…(\s*…)+", "…", " ".join(text.split()))


def is_told(text: str) -> bool:
    words = [word for word in text.split() if re.search(r"[^\W\d_]", word)]
    return len(words) >= FEWEST_WORDS[text.strip()[:1].isupper()] and not GOES_ON.match(text)


@functools.cache
def messages() -> frozenset[str]:
    """Every text of ours that a user may meet when something is wrong."""
    found: set[str] = set()
    for path in (CLONE / "plugins").rglob("*.py"):
        if "doc_fragments" not in path.parts and "/".join(path.parts[-2:]) not in NO_MESSAGES:
            found.update(texts(ast.parse(path.read_text())))
    for path in [*CLONE.glob("roles/*/tasks/*.yml"), *CLONE.glob("playbooks/*.yml")]:
        found.update(yaml_texts(yaml.safe_load(path.read_text())))
    return frozenset(normal(text) for text in found if is_told(text))


def meant(literal: str) -> set[str]:
    """The messages that the page means: one, or those that begin like this where it breaks off."""
    if literal in messages():
        return {literal}
    return {one for one in messages() if literal.endswith("…") and one.startswith(literal[:-1].rstrip())}


def literals(pattern: re.Pattern[str]) -> set[str]:
    """What the page quotes of messages, on its own or in the text about another one."""
    return {normal(literal) for literal in pattern.findall(MESSAGES) if is_told(literal)}


def codes() -> set[str]:
    """Every code that the contract knows, and those of Cloudflare that have words of ours."""

    def below(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            code = node.get("code")
            yield from code.get("examples", ()) if isinstance(code, dict) else ()
            node = list(node.values())
        for part in node if isinstance(node, list) else ():
            yield from below(part)

    return {*below(OPENAPI["components"]["schemas"]), *_REASONS}


def test_every_code_is_told() -> None:
    assert set(TERM.findall(CODES)) == codes()


def test_no_advice_is_for_a_code_that_nobody_knows() -> None:
    assert set(ADVICE) <= codes()


def test_every_message_is_told() -> None:
    assert sorted(messages() - set().union(*map(meant, literals(LITERAL)))) == []


def test_no_message_is_told_that_there_is_not() -> None:
    assert sorted(literal for literal in literals(LITERAL) if not meant(literal)) == []


def test_every_entry_is_about_one_message() -> None:
    assert {term: found for term in literals(TERM) if len(found := meant(term)) != 1} == {}
