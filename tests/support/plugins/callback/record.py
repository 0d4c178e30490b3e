# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes every task result, whole, to the file that RECORD_FILE names: the default output leaves fields out."""

from __future__ import annotations

DOCUMENTATION = r"""
name: record
type: notification
short_description: Write task results as JSON lines
description:
  - For the integration tests.
"""

import json
import os
from pathlib import Path
from typing import Any

from ansible.parsing.ajson import AnsibleJSONEncoder
from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    """One line a result."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "record"
    CALLBACK_NEEDS_ENABLED = True

    def _write(self, status: str, result: Any) -> None:
        whole = {"failed": status != "ok", **result._result}
        line = {"host": result._host.name, "task": result._task.name, "status": status, "result": whole}
        with Path(os.environ["RECORD_FILE"]).open("a") as file:
            file.write(json.dumps(line, cls=AnsibleJSONEncoder) + "\n")

    def v2_runner_on_ok(self, result: Any) -> None:
        """Called by Ansible."""
        self._write("ok", result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:  # noqa: ARG002 - Ansible's signature
        """Called by Ansible."""
        self._write("failed", result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Called by Ansible."""
        self._write("unreachable", result)
