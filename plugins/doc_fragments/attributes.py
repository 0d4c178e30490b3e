# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options: {}
attributes:
  action:
    description: Has an action plugin of the same name, so that parts of it run on the controller.
    support: full
    details:
      - All of it runs on the controller, unless C(async) or C(delegate_to) asks for the module.
  async:
    description: Can be run with the C(async) keyword.
    support: partial
    details:
      - Not on the host itself, which is a VPS as a rule, and must not get the API key. The task needs
        C(delegate_to), such as C(delegate_to=localhost), or a host with a local connection; else it is refused.
  check_mode:
    description: Can run in C(check_mode) and tell what would change without changing it.
  diff_mode:
    description: Tells what has changed, or would change in C(check_mode), when in diff mode.
  idempotent:
    description: Run again with the same options, outside C(check_mode), it finds nothing to change.
  platform:
    description: The operating systems that it can be run against.
    support: full
    platforms: all
notes:
  - Runs inside the Ansible controller by default. Nothing is installed on the host of the task,
    which may even be down, and no C(delegate_to) is needed.
  - With C(async), or delegated to a host that is not local, it runs as an ordinary module there
    and needs Python 3.9 or later and the requests library there.
    C(async) on a remote host needs C(delegate_to), so that the API key is not copied to the VPS.
  - An option that is given and null, as a variable with nothing in it leaves it, is an error, and nothing is done.
    To leave an option out, use C(omit). Only connection options may be empty.
"""

    # For modules that never change anything.
    INFO = r"""
options: {}
attributes:
  check_mode:
    support: full
    details:
      - This module never changes anything.
  diff_mode:
    support: N/A
    details:
      - This module never changes anything.
  idempotent:
    support: full
    details:
      - This module never changes anything.
"""

    ACTION_GROUP = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/hostup.cloud.hostup) in C(module_defaults) to set options for all modules of the group.
    support: full
    membership:
      - hostup.cloud.hostup
"""
