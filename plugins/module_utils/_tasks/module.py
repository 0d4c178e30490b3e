# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module shell: runs a task inside an AnsibleModule."""

from __future__ import annotations

import threading
import typing as t
from contextlib import ExitStack

from ansible.module_utils import basic

from ansible_collections.hostup.cloud.plugins.module_utils._tasks.options import null_options
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.task import Runnable, Shell

if t.TYPE_CHECKING:  # most modules read no host keys
    from ansible_collections.hostup.cloud.plugins.module_utils._ssh.scan import RunCommand


def run_as_module(task: Runnable) -> None:
    """Validate, run without progress lines, and exit."""
    # AnsibleModule adds nulls of its own; there are no parameters where ansible-test only looks at the spec
    wrong = null_options(basic._load_params() or {})
    module = basic.AnsibleModule(**task.spec, supports_check_mode=True)
    if wrong:
        module.fail_json("; ".join(wrong))
    module.no_log_values.update(task.secrets_of(module.params))
    result = task.run(module.params, Shell(module.check_mode, lambda _line: None, _commands_of(module)))
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


def _commands_of(module: basic.AnsibleModule) -> RunCommand:
    """``AnsibleModule.run_command``, which knows no time-out, with one."""

    def run_command(command: list[str], seconds: float) -> str:
        with ExitStack() as stack:

            def bound(process: t.Any) -> None:
                timer = threading.Timer(seconds, process.kill)
                stack.callback(timer.cancel)
                timer.start()

            _code, output, _errors = module.run_command(
                command,
                errors="replace",
                expand_user_and_vars=False,
                handle_exceptions=False,
                before_communicate_callback=bound,
            )
        return str(output)

    return run_command
