# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.hostup.cloud.plugins.module_utils._tasks.iso import VPS_ISO
from ansible_collections.hostup.cloud.plugins.modules import hostup_vps_iso
from ansible_collections.hostup.cloud.plugins.plugin_utils._action import HostUpActionBase

main = hostup_vps_iso.main  # ansible-lint looks here for what checks the options of a playbook


class ActionModule(HostUpActionBase):
    """hostup_vps_iso in the controller."""

    task = VPS_ISO
