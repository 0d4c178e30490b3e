# SPDX-License-Identifier: GPL-3.0-or-later
"""What the collection ships of the contract, made from the emulator's OpenAPI file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

import hostup_emulator

OPENAPI = yaml.safe_load(Path(hostup_emulator.__file__).with_name("openapi.yaml").read_text())
NOTES = ("x-known", "description", "examples", "format")  # they say something, and ask for nothing
NO_SCHEMA: dict[str, Any] = {}


def bare(node: Any) -> Any:
    """A schema without its notes."""
    if isinstance(node, list):
        return [bare(part) for part in node]
    if not isinstance(node, dict):
        return node
    return {
        name: {field: bare(schema) for field, schema in part.items()} if name == "properties" else bare(part)
        for name, part in node.items()
        if name not in NOTES
    }


def shipped() -> dict[str, Any]:
    """The constants of `_acceptance/contract.py`."""
    operations = {
        operation["operationId"]: {
            "known": operation["x-known"],
            "answers": {
                status: _schema(answer) for status, answer in operation["responses"].items() if status != "default"
            },
        }
        for path, methods in OPENAPI["paths"].items()
        for method, operation in methods.items()
        if method != "parameters" and "{id}/actions/" not in path  # acceptance leaves the power alone
    }
    problem = OPENAPI["components"]["responses"]["Problem"]["content"]
    return {
        "OPERATIONS": operations,
        "PROBLEM": {kind: bare(problem[kind]["schema"]) for kind in problem if kind.startswith("application/")},
        "SCHEMAS": {name: bare(schema) for name, schema in OPENAPI["components"]["schemas"].items()},
    }


def _schema(answer: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in answer:
        answer = OPENAPI["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    content = answer.get("content")
    return bare(content["application/json"]["schema"]) if content else NO_SCHEMA
