# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module shell: runs a task inside an AnsibleModule."""

from __future__ import annotations

from ansible.module_utils import basic

from ansible_collections.hostup.cloud.plugins.module_utils._tasks.options import null_options
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.task import Runnable


def run_as_module(task: Runnable) -> None:
    """Validate, run without progress lines, and exit."""
    # AnsibleModule adds nulls of its own; there are no parameters where ansible-test only looks at the spec
    wrong = null_options(basic._load_params() or {})
    module = basic.AnsibleModule(**task.spec, supports_check_mode=True)
    if wrong:
        module.fail_json("; ".join(wrong))
    module.no_log_values.update(task.secrets_of(module.params))
    result = task.run(module.params, module.check_mode, lambda _line: None)
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)
