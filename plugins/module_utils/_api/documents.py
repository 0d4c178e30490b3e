# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the API's documents have in common: fields that may be null or missing, and gates."""

from __future__ import annotations

import typing as t

from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError, Problem

Document = t.Mapping[str, t.Any]


class Gate(t.NamedTuple):
    """Whether the API would take an action now."""

    allowed: bool
    reason: str | None = None
    code: str | None = None


def text(document: Document, key: str) -> str | None:
    """A text; ``None`` for an empty one and for anything else."""
    value = document.get(key)
    return value if isinstance(value, str) and value else None


def number(document: Document, key: str) -> float | None:
    """A number, as it is; ``None`` for anything else."""
    value = document.get(key)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def flag(document: Document, key: str) -> bool | None:
    """Yes or no; ``None`` for anything else."""
    value = document.get(key)
    return value if isinstance(value, bool) else None


def part(document: Document, key: str) -> Document | None:
    """An object; ``None`` for anything else."""
    value = document.get(key)
    return value if isinstance(value, dict) else None


def parse_gate(actions: Document, name: str) -> Gate | None:
    """One of the gates; ``None`` where the API says nothing of it."""
    gate = part(actions, name)
    return Gate(gate.get("allowed") is True, text(gate, "reason"), text(gate, "code")) if gate is not None else None


def check_gate(gate: Gate, action: str, what: str) -> None:
    """Raise HostUpError for an action that the API would not take. ``what`` names it in a sentence."""
    if not gate.allowed:
        code = f" (code {gate.code})" if gate.code else ""
        raise HostUpError(
            f"The API does not allow {what} on this VPS now: {gate.reason or 'it gives no reason'}{code}. "
            "Nothing was changed.",
            Problem(code=gate.code, title=f"{action} not allowed", detail=gate.reason),
        )
