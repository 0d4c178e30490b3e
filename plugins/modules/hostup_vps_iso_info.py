#!/usr/bin/python
# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: hostup_vps_iso_info
short_description: Show the ISO media of a HostUp VPS
version_added: 0.1.0
author:
  - HostUp Cloud collection contributors (@hostup-cloud)
description:
  - Shows the ISO library of a VPS's owner, what is mounted on the VPS, its boot order, its CD/DVD slots,
    and whether the API would take a mount or a download now.
  - Costs one request.
extends_documentation_fragment:
  - hostup.cloud.connection
  - hostup.cloud.vps
  - hostup.cloud.vps.fleet
  - hostup.cloud.attributes
  - hostup.cloud.attributes.info
  - hostup.cloud.attributes.action_group
requirements:
  - An API key with the scope C(read:vm)
options:
  name:
    description:
      - Show only the ISO with this file name, or failing that with this display name, and the drives that hold it.
    type: str
    aliases: [filename]
  iso_id:
    description:
      - Show only the ISO with this ID, and the drives that hold it.
    type: str
notes:
  - Waits up to an hour for the API's rate limit.
seealso:
  - module: hostup.cloud.hostup_vps_iso
    description: Downloads, mounts, unmounts and deletes.
  - module: hostup.cloud.hostup_vps_info
    description: Shows the VPSs themselves.
  - ref: ansible_collections.hostup.cloud.docsite.iso_recipes
    description: What is done with ISOs, and a play for each.
"""

EXAMPLES = r"""
- name: Read the ISO state of a server
  hostup.cloud.hostup_vps_iso_info:
    vps_name: web-01
  register: media

- name: Tell whether the server would boot from the ISO that is mounted
  ansible.builtin.debug:
    msg: "{{ media.boot_obstacle or 'It would.' }}"

- name: Find out which drives hold an ISO
  hostup.cloud.hostup_vps_iso_info:
    vps_name: web-01
    name: rescue.iso
  register: found

- name: Show them
  ansible.builtin.debug:
    msg: "{{ found.mounted | map(attribute='device') }}"
"""

RETURN = r"""
vps_id:
  description: The VPS's ID.
  returned: success, for a single VPS
  type: str
  sample: vps_01hxa3b4c5d6e7f8g9h0j1k2m3
available:
  description: The ISO media that are available to the VPS.
  returned: success, for a single VPS
  type: list
  elements: dict
  contains:
    id:
      description: The ID.
      type: str
    name:
      description: The file name, or null.
      type: str
    display_name:
      description: The display name, or null.
      type: str
    size_gb:
      description: The size in GB.
      type: float
    format:
      description: The format, or null.
      type: str
  sample:
    - id: iso_01hxa3b4c5d6e7f8g9h0j1k2m3
      name: ubuntu-24.04-live-server-amd64.iso
      display_name: Ubuntu 24.04 LTS
      size_gb: 5.9
      format: iso
mounted:
  description: The drives that the API lists as mounted.
  returned: success, for a single VPS
  type: list
  elements: dict
  contains:
    device:
      description: The drive, or null.
      type: str
    iso_id:
      description: The ID of the ISO in it, or null.
      type: str
    mounted:
      description: Whether there are media in it.
      type: bool
    is_cloud_init:
      description: Whether it is the cloud-init drive.
      type: bool
  sample:
    - device: ide2
      iso_id: iso_01hxa3b4c5d6e7f8g9h0j1k2m3
      mounted: true
      is_cloud_init: false
boot_order:
  description: The devices in the order in which the VPS tries to boot from them, null if the API does not tell.
  returned: success, for a single VPS
  type: list
  elements: str
  sample: [scsi0, ide2]
boot_devices:
  description: The devices that the VPS could boot from, null if the API does not tell.
  returned: success, for a single VPS
  type: list
  elements: dict
  contains:
    id:
      description: The name of the device, as in RV(boot_order).
      type: str
    name:
      description: Its label.
      type: str
    type:
      description: What it is, such as V(disk), V(cdrom) or V(network).
      type: str
  sample:
    - id: scsi0
      name: Disk
      type: disk
    - id: ide2
      name: CD/DVD 3
      type: cdrom
  version_added: 0.2.0
boots_from_iso:
  description:
    - Whether the VPS would boot from an ISO that is shown as mounted at its next start, by the boot order that the API
      tells. Drives without media are passed over, and so is the network. The cloud-init drive does not count.
    - Null where the API does not tell.
  returned: success, for a single VPS
  type: bool
  sample: false
  version_added: 0.2.0
boot_obstacle:
  description: Why it would not, or why nobody can tell. Null when it would.
  returned: success, for a single VPS
  type: str
  sample: scsi0 comes first in the boot order scsi0, ide2
  version_added: 0.2.0
available_devices:
  description: The CD/DVD slots of the VPS.
  returned: success, for a single VPS
  type: list
  elements: dict
  contains:
    device:
      description: The device, or null.
      type: str
    type:
      description: The API's word for what the slot is, such as V(existing_cdrom) or V(available); or null.
      type: str
    description:
      description: A label, or null.
      type: str
    in_use:
      description: Whether something is in it.
      type: bool
  sample:
    - device: ide3
      type: available
      description: CD/DVD 4
      in_use: false
actions:
  description: What the API would take now.
  returned: success, for a single VPS
  type: dict
  contains:
    can_mount:
      description: Whether an ISO can be mounted, as C(allowed), with C(reason) and C(code) if not.
      type: dict
    can_upload:
      description: Whether an ISO can be downloaded, as C(allowed), with C(reason) and C(code) if not.
      type: dict
  sample:
    can_mount:
      allowed: true
      reason: null
      code: null
    can_upload:
      allowed: false
      reason: An order is pending.
      code: pending_order
results:
  description:
    - One entry for each VPS, in the order of O(vps_ids), with the same keys as the result for a single VPS.
      An ID that is given twice has one entry.
    - In addition, C(failed) tells whether this VPS failed, and C(msg) why; it is empty if it did not.
  returned: with O(vps_ids)
  type: list
  elements: dict
  sample:
    - vps_id: vps_01hxa3b4c5d6e7f8g9h0j1k2m3
      changed: false
      failed: false
      msg: ""
    - vps_id: vps_01hxb4c5d6e7f8g9h0j1k2m3n4
      changed: false
      failed: true
      msg: "GET /api/v2/vps/vps_01hxb4c5d6e7f8g9h0j1k2m3n4/iso was answered with HTTP 404: Not found."
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
    path: /api/v2/vps/vps_01hxa3b4c5d6e7f8g9h0j1k2m3/iso
    extra: {}
timed_out:
  description: That the task gave up waiting for the API's rate limit.
  returned: when the task ran out of time
  type: bool
  sample: true
"""

from ansible_collections.hostup.cloud.plugins.module_utils._tasks.iso_info import VPS_ISO_INFO
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.module import run_as_module


def main() -> None:
    run_as_module(VPS_ISO_INFO)


if __name__ == "__main__":
    main()
