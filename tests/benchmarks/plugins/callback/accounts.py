# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes down when each host's task ended and how, and at the end the memory, to the file that ACCOUNTS_FILE names."""

from __future__ import annotations

DOCUMENTATION = r"""
name: accounts
type: notification
short_description: Write the ends of tasks as JSON lines
description:
  - For the benchmarks.
"""

import json
import os
import re
import resource
import time
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    """One line a result, and one at the end."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "accounts"
    CALLBACK_NEEDS_ENABLED = True

    def _write(self, **line: Any) -> None:
        with Path(os.environ["ACCOUNTS_FILE"]).open("a") as file:
            file.write(json.dumps(line) + "\n")

    def _end(self, well: bool, result: Any) -> None:
        fields = result._result
        self._write(
            host=result._host.name,
            well=well,
            at=time.monotonic(),  # one clock for all processes of a machine
            changed=bool(fields.get("changed")),
            why="" if well else str(fields.get("msg", ""))[:300],
        )

    def v2_runner_on_ok(self, result: Any) -> None:
        """Called by Ansible."""
        self._end(True, result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:  # noqa: ARG002 - Ansible's signature
        """Called by Ansible."""
        self._end(False, result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Called by Ansible."""
        self._end(False, result)

    def v2_playbook_on_stats(self, stats: Any) -> None:  # noqa: ARG002 - Ansible's signature
        """Called by Ansible. What a parent reads of its child's peak may be the parent's own: so it is read here."""
        own = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        self._write(peak_kb=max(int(own[1]) if own else 0, workers))
