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
      - Exactly one of O(vps_id), O(vps_name) and O(vps_ip) is required.
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
