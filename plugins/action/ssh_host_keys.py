# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.hostup.cloud.plugins.module_utils._tasks.ssh_host_keys import SSH_HOST_KEYS
from ansible_collections.hostup.cloud.plugins.modules import ssh_host_keys
from ansible_collections.hostup.cloud.plugins.plugin_utils._action import HostUpActionBase

main = ssh_host_keys.main  # ansible-lint looks here for what checks the options of a playbook


class ActionModule(HostUpActionBase):
    """ssh_host_keys in the controller."""

    task = SSH_HOST_KEYS
