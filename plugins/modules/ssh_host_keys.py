#!/usr/bin/python
# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ssh_host_keys
short_description: Read the SSH host keys of a host, and tell whether another system answers than before
version_added: 0.2.0
author:
  - HostUp Cloud collection contributors (@hostup-cloud)
description:
  - Asks a host for its SSH host keys, without logging in, and compares them with others.
  - An open port proves nothing after a reinstallation, for the old system may answer, or something in front of the VPS.
    A host key that the old system did not have proves something.
extends_documentation_fragment:
  - hostup.cloud.attributes
  - hostup.cloud.attributes.info
requirements:
  - ssh-keyscan and ssh-keygen of OpenSSH where the task runs, which is the controller
options:
  host:
    description:
      - Where its SSH server is reached.
    type: str
    required: true
  port:
    description:
      - The port of that server.
    type: int
    default: 22
  known_hosts:
    description:
      - A known_hosts file. What it has for this host and port counts where nothing answers, and the task warns then,
        for it may be about a system that is long gone.
    type: path
  remembered:
    description:
      - Keys that are known to have answered before, which count beside those that answer now.
    type: list
    elements: str
  unlike:
    description:
      - Keys of the old system, such as RV(host_keys) of a task before the reinstallation.
    type: list
    elements: str
  wait_timeout:
    description:
      - How many seconds to wait until RV(verdict) is V(new). With V(0) the host is asked once.
      - It is no error if that does not come about. Look at RV(verdict).
    type: int
    default: 0
  scan_timeout:
    description:
      - How many seconds to wait for one answer. While nothing answers, this grows to 20.
    type: int
    default: 5
seealso:
  - module: hostup.cloud.hostup_vps_reinstall
    description: Reinstalls a VPS, and does not prove that another system answers.
  - ref: ansible_collections.hostup.cloud.docsite.reinstalling
    description: The guide to the role P(hostup.cloud.hostup_reinstall#role), which uses both.
notes:
  - The keys of the types ed25519, ecdsa and rsa are asked for, by one connection each at the same time.
"""

EXAMPLES = r"""
- name: Note the keys of the old system
  hostup.cloud.ssh_host_keys:
    host: web-01.example.com
    known_hosts: ~/.ssh/known_hosts
  register: old_system

- name: Reinstall the server
  hostup.cloud.hostup_vps_reinstall:
    vps_name: web-01
    confirm: [web-01]
    name: debian-12-unattended.iso

- name: Wait until a new one answers
  hostup.cloud.ssh_host_keys:
    host: web-01.example.com
    unlike: "{{ old_system.host_keys }}"
    wait_timeout: 600
  register: new_system
  failed_when: new_system.verdict != 'new'
"""

RETURN = r"""
name:
  description: How a known_hosts file names the host.
  returned: success
  type: str
  sample: "[web-01.example.com]:2222"
answered:
  description: The keys that answer.
  returned: success
  type: list
  elements: str
  sample: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHfQ9QWmLrtXn1qB2p2C8Zt4vX8Yw2n4uS3rF1o6k7aB]
host_keys:
  description:
    - The keys by which this system is to be known again, which are those that answer and those of O(remembered). Where
      there are none of these, those in O(known_hosts).
  returned: success
  type: list
  elements: str
  sample: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHfQ9QWmLrtXn1qB2p2C8Zt4vX8Yw2n4uS3rF1o6k7aB]
fingerprints:
  description: Their fingerprints, as C(ssh-keygen -l) shows them.
  returned: success
  type: list
  elements: str
  sample: ["SHA256:0Yp0hZ2tq0cZ8l4y6m0s2m0oN1b7Uo0kM3rj2H5v9aE"]
sources:
  description: Where RV(host_keys) come from, which is V(answered), V(remembered), both of them, or V(known_hosts).
  returned: success
  type: list
  elements: str
  sample: [answered]
verdict:
  description:
    - V(none) - nothing answers.
    - V(same) - a key of O(unlike) answers. It is the old system, or one that has taken its keys over.
    - V(other_types) - what answers has only keys of types of which none is in O(unlike), and so there is nothing to
      compare.
    - V(new) - it is another system, or O(unlike) is empty.
  returned: success
  type: str
  sample: new
msg:
  description: Why RV(verdict) is no proof of a new system. Empty if it is V(new).
  returned: always
  type: str
  sample: ""
"""

from ansible_collections.hostup.cloud.plugins.module_utils._tasks.module import run_as_module
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.ssh_host_keys import SSH_HOST_KEYS


def main() -> None:
    run_as_module(SSH_HOST_KEYS)


if __name__ == "__main__":
    main()
