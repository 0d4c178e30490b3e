# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells run.py of each task and each result, beside Ansible's own output."""

from __future__ import annotations

DOCUMENTATION = r"""
name: tell
type: notification
short_description: Write tasks and results as JSON lines to the standard error
description:
  - For the demo.
"""

import json
import sys
import time
from functools import partialmethod
from typing import Any

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):  # type: ignore[misc]  # Ansible has no types
    """One line for each task that begins, and one for each result."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "tell"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:  # noqa: ARG002 - Ansible's signature
        """Called by Ansible; the time tells which requests are the task's."""
        self._tell(task=task.name, at=time.time())

    def _result(self, status: str, result: Any, **_more: Any) -> None:
        said = result._result
        if not result._task.action.endswith("include_tasks"):
            status = "changed" if said.get("changed") and status == "ok" else status
            self._tell(host=result._host.name, status=status, msg=said.get("msg", ""), diff=said.get("diff") or {})

    v2_runner_on_ok = partialmethod(_result, "ok")
    v2_runner_on_skipped = partialmethod(_result, "skipped")
    v2_runner_on_failed = partialmethod(_result, "failed")
    v2_runner_on_unreachable = partialmethod(_result, "unreachable")

    def _tell(self, **event: Any) -> None:
        sys.stderr.write(f"event {json.dumps(event, default=str)}\n")  # one write: other processes write there, too
