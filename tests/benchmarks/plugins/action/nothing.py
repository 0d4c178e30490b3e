# SPDX-License-Identifier: GPL-3.0-or-later
"""An action that does nothing: what any action plugin costs at least."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """Succeeds."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return at once."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        return result
