# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  vps_id:
    description:
      - The VPS, by its ID. This costs no request.
      - Exactly one of O(vps_id), O(vps_name) and O(vps_ip) is required, or C(vps_ids) instead where a module has it.
    type: str
  vps_name:
    description:
      - The VPS, by its name. Upper and lower case make no difference. This costs one more request.
    type: str
  vps_ip:
    description:
      - The VPS, by its primary IP address. This costs one more request.
    type: str
"""

    # For modules that can work on many VPSs in one task.
    FLEET = r"""
options:
  vps_ids:
    description:
      - Many VPSs, by their IDs, instead of one. The task works on up to 32 of them at a time.
      - The failure of one VPS stops no other. The task fails at the end, and its message counts and names those that
        failed. Only a key that the API does not know, or eight VPSs in a row for which the API gives no answer,
        end it earlier.
      - Meant for a play with C(hosts=localhost), which takes the IDs from the inventory and runs the task once.
      - In a play of many hosts it needs C(run_once), or each of them does the work for all VPSs. Ansible heeds that
        only with the strategy C(linear), and with C(serial) it runs the task once for each batch. Where the strategy
        is C(free) or C(host_pinned), the task is refused.
    type: list
    elements: str
    version_added: 0.2.0
"""
