#!/usr/bin/python
# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: hostup_vps_info
short_description: Show VPSs at HostUp
version_added: 0.2.0
author:
  - HostUp Cloud collection contributors (@hostup-cloud)
description:
  - Shows all VPSs of the API key's owner, or those with an ID, a name or an address.
  - A list costs one request for each hundred VPSs, O(details) one more for each VPS.
extends_documentation_fragment:
  - hostup.cloud.connection
  - hostup.cloud.vps
  - hostup.cloud.attributes
  - hostup.cloud.attributes.info
  - hostup.cloud.attributes.action_group
requirements:
  - An API key with the scope C(read:vm)
options:
  vps_id:
    description:
      - Show only the VPS with this ID.
      - Where O(vps_id), O(vps_name) or O(vps_ip) fits no VPS, the list is empty.
  vps_name:
    description:
      - Show only the VPSs with this name. Upper and lower case make no difference.
  vps_ip:
    description:
      - Show only the VPSs with this primary IP address.
  details:
    description:
      - Read the live power state of each VPS, too, and which power actions the API would take now.
      - Up to 32 VPSs are read at a time. One that cannot be read is listed all the same, and stops no other.
        The task fails at the end, and its message counts and names those that failed.
    type: bool
    default: false
notes:
  - Waits up to an hour for the API's rate limit.
seealso:
  - module: hostup.cloud.hostup_vps_iso_info
    description: Shows library, drives and boot order.
  - module: hostup.cloud.hostup_vps_power
    description: Starts, stops and restarts.
  - plugin: hostup.cloud.hostup_vps
    plugin_type: inventory
    description: Makes hosts of the VPSs.
  - ref: ansible_collections.hostup.cloud.docsite.first_steps
    description: From the API key to the first play.
"""

EXAMPLES = r"""
- name: List all servers
  hostup.cloud.hostup_vps_info:
  register: servers

- name: Show the names of those that are not running
  ansible.builtin.debug:
    msg: "{{ servers.vps | rejectattr('power_state', 'eq', 'running') | map(attribute='name') }}"

- name: Look up the ID of a server
  hostup.cloud.hostup_vps_info:
    vps_name: web-01
  register: found

- name: Stop unless there is exactly one of that name
  ansible.builtin.assert:
    that: found.vps | length == 1

- name: Ask whether a server can be started now
  hostup.cloud.hostup_vps_info:
    vps_id: "{{ found.vps[0].id }}"
    details: true
  register: server

- name: Show the answer
  ansible.builtin.debug:
    msg: "{{ server.vps[0].actions.can_start }}"
"""

RETURN = r"""
vps:
  description: The VPSs. What the API does not tell is null.
  returned: success, and when only O(details) could not be read
  type: list
  elements: dict
  contains:
    id:
      description: The ID.
      type: str
    name:
      description: The name.
      type: str
    primary_ip:
      description: The primary IP address.
      type: str
    service_status:
      description: The API's word for the state of the contract, such as V(active), V(suspended) or V(pending).
      type: str
    power_state:
      description:
        - The API's word for the power state, such as V(running), V(stopped) or V(starting).
        - With O(details) the live one, as far as it could be read.
      type: str
    operating_system:
      description: The operating system, with C(display_name), C(family), C(version) and C(variant).
      type: dict
    billing:
      description: The price, with C(amount), C(currency_code), C(billing_cycle) and C(is_payg).
      type: dict
    resources:
      description: The size, with C(cpu_cores), C(memory_gb) and C(storage_gb).
      type: dict
    tags:
      description: The tags.
      type: list
      elements: str
    actions:
      description:
        - Whether the API would take an action now, as C(allowed), with C(reason) and C(code) if not.
        - Null for those that it says nothing of, and as a whole if they could not be read.
      returned: with O(details)
      type: dict
      contains:
        can_start:
          description: Whether it can be started.
          type: dict
        can_shutdown:
          description: Whether it can be asked to shut down.
          type: dict
        can_stop:
          description: Whether it can be switched off.
          type: dict
        can_restart:
          description: Whether it can be asked to restart.
          type: dict
        can_reset:
          description: Whether it can be reset.
          type: dict
    failed:
      description: Whether the details could not be read.
      returned: with O(details)
      type: bool
    msg:
      description: Why the details could not be read. Empty if they could.
      returned: with O(details)
      type: str
  sample:
    - id: vps_01hxa3b4c5d6e7f8g9h0j1k2m3
      name: web-01
      primary_ip: 192.0.2.10
      service_status: active
      power_state: running
      operating_system:
        display_name: Debian 13
        family: debian
        version: "13"
        variant: null
      billing:
        amount: 49.0
        currency_code: SEK
        billing_cycle: monthly
        is_payg: false
      resources:
        cpu_cores: 2
        memory_gb: 4
        storage_gb: 50
      tags: [web]
      actions:
        can_start:
          allowed: false
          reason: The VPS is running.
          code: null
        can_shutdown:
          allowed: true
          reason: null
          code: null
        can_stop:
          allowed: true
          reason: null
          code: null
        can_restart:
          allowed: true
          reason: null
          code: null
        can_reset: null
      failed: false
      msg: ""
error:
  description: The fields of a failure. See the module M(hostup.cloud.hostup_vps_iso).
  returned: when a request has failed
  type: dict
  sample:
    status: 401
    code: unauthorized
    title: Unauthorized
    detail: Authentication is required.
    errors: []
    request_id: req_01hxa3b4c5d6e7f8g9h0j1k2m3
    method: GET
    path: /api/v2/vps
    extra: {}
timed_out:
  description: That the task gave up waiting for the API's rate limit.
  returned: when the task ran out of time
  type: bool
  sample: true
"""

from ansible_collections.hostup.cloud.plugins.module_utils._tasks.info import VPS_INFO
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.module import run_as_module


def main() -> None:
    run_as_module(VPS_INFO)


if __name__ == "__main__":
    main()
