#!/usr/bin/python
# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: hostup_acceptance
short_description: Tell what the HostUp API keeps to of what is known of it
version_added: 0.2.0
author:
  - HostUp Cloud collection contributors (@hostup-cloud)
description:
  - This collection is written against a contract, in which each line is stated by the provider, public elsewhere, seen
    in clients, or inferred. This module tries the lines with your account, and tells which hold.
  - It is what the playbook C(hostup.cloud.acceptance) runs, which also writes the report to a file.
  - Without O(iso_url) and O(confirm) it only reads.
  - With them, it downloads an ISO into the library as C(hostup-acceptance.iso), mounts it, unmounts it and deletes it,
    each twice, and leaves the VPS and the library as they were, after a failure too. It uses a drive with nothing in
    it, or failing that a slot without a drive, in which the API may then leave an empty one. It touches nothing else,
    restarts nothing, and writes nothing where the name C(hostup-acceptance.iso) is in use, no drive is free, or the
    API allows no mount or no download at present.
extends_documentation_fragment:
  - hostup.cloud.connection
  - hostup.cloud.attributes
  - hostup.cloud.attributes.action_group
attributes:
  check_mode:
    support: full
    details:
      - Only reads.
  diff_mode:
    support: none
  idempotent:
    support: partial
    details:
      - Without O(iso_url) it changes nothing. With it, it writes each time, and leaves everything as it was.
requirements:
  - An API key with the scope C(read:vm), and with C(write:vm) and C(write:storage) for what writes
options:
  vps_name:
    description:
      - The VPS that is read, and with O(iso_url) written to. Without it, the first one of the list is read.
    type: str
  confirm:
    description:
      - The same name as O(vps_name), to confirm that its drives and the library may be written to.
      - Required with O(iso_url).
    type: str
  iso_url:
    description:
      - Where the API can download a small ISO from. It must not redirect. The ISO is never booted.
      - Required with O(confirm).
    type: str
  wait_timeout:
    description:
      - How long all of it may take, in seconds. To clean up, it takes up to five minutes more.
    type: int
    default: 3600
notes:
  - A line that does not hold is no failure of the task.
seealso:
  - module: hostup.cloud.hostup_vps_iso
    description: What the writes are tried with.
  - ref: ansible_collections.hostup.cloud.docsite.the_api
    description: What is known of the API, and how.
"""

EXAMPLES = r"""
- name: Try the reads
  hostup.cloud.hostup_acceptance:
  register: acceptance

- name: Show what does not hold
  ansible.builtin.debug:
    msg: "{{ acceptance.lines | selectattr('outcome', 'eq', 'does not hold') }}"

- name: Try the writes, too
  hostup.cloud.hostup_acceptance:
    vps_name: test-01
    confirm: test-01
    iso_url: https://example.com/tiny.iso
"""

RETURN = r"""
lines:
  description: The lines of the contract, always all of them and in the same order.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: The line's name.
      type: str
    checks:
      description: What it checks.
      type: str
    known:
      description: How the contract knows it. One of V(stated), V(public), V(seen) and V(inferred).
      type: str
    outcome:
      description: One of V(holds), V(does not hold) and V(could not be tried).
      type: str
    says:
      description: Why it does not hold, or could not be tried.
      type: list
      elements: str
  sample:
    - id: iso
      checks: the ISO read
      known: stated
      outcome: does not hold
      says: ["available[0].sizeGb: expected number, got string"]
report:
  description:
    - The lines as a table, and what the API answered to writes and polls, in Markdown.
    - The key, names, addresses, IDs, URLs and all texts are replaced by what they are, so that it can be published.
  returned: success
  type: str
  sample: "# What the HostUp API keeps to of the contract …"
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

from ansible_collections.hostup.cloud.plugins.module_utils._tasks.acceptance import ACCEPTANCE
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.module import run_as_module


def main() -> None:
    run_as_module(ACCEPTANCE)


if __name__ == "__main__":
    main()
