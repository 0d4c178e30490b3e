#!/usr/bin/python
# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: hostup_vps_iso
short_description: Download, mount, unmount and delete the ISO media of a HostUp VPS
version_added: 0.1.0
author:
  - HostUp Cloud collection contributors (@hostup-cloud)
description:
  - Downloads ISO media from a URL into the library of the owner of a VPS, mounts them on the VPS, unmounts and deletes
    them.
  - What is already as wished costs one request and is not changed. A write costs one more and a read that confirms it,
    so that mounting an ISO of the library costs three. While a job runs, it is polled.
  - Never reboots a VPS, and never touches its cloud-init drive.
extends_documentation_fragment:
  - hostup.cloud.connection
  - hostup.cloud.vps
  - hostup.cloud.vps.fleet
  - hostup.cloud.iso
  - hostup.cloud.attributes
  - hostup.cloud.attributes.action_group
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
requirements:
  - An API key with the scopes C(read:vm), C(write:vm) and C(write:storage)
options:
  state:
    description:
      - V(present) - the ISO is in the library. If it is not, it is downloaded from O(url), or the download of O(job_id)
        is waited for. Both are for this state and the next.
      - V(mounted) - it is in the library, as for V(present), and in a CD/DVD drive of the VPS.
      - V(unmounted) - it is in no drive of the VPS, or not in O(device).
        Without O(name), O(iso_id) and O(url) every drive is emptied, or just O(device).
        A name that is not known is no error.
      - V(absent) - it is not in the library. It is unmounted from this VPS first.
        What the API refuses to delete stays, and its refusal is shown.
    type: str
    choices: [present, mounted, unmounted, absent]
    default: present
  device:
    description:
      - The CD/DVD drive.
      - With V(state=mounted) it defaults to the drive that holds the ISO already, else to a free one,
        else to the only one that holds another ISO (see O(on_conflict)).
        Drives that already hold the same ISO beside it are left as they are.
      - With V(state=unmounted) only this drive is looked at.
    type: str
    choices: [ide0, ide1, ide2, ide3]
  keep_drive:
    description:
      - With V(state=unmounted), have an empty drive at O(device), or at each drive that was just emptied,
        so that the next mount needs no new drive.
      - Whether a drive goes when its ISO is unmounted is up to HostUp. In check mode the return value RV(actions) holds
        V(attach_drive) only where there is no drive before.
    type: bool
    default: false
  wait:
    description:
      - Whether to wait for the job of the last step and to check its outcome.
      - V(false) with V(state=mounted) is an error when the ISO has to be downloaded first.
      - Where V(false) leaves a job running, RV(diff) tells what it will lead to, as in check mode, and the other return
        values tell what is so.
    type: bool
    default: true
  wait_timeout:
    description:
      - Seconds that the whole task may take. A job that is not finished by then goes on at HostUp.
      - The next task takes a download up where all of this is so. It is run by the same user with the same home folder
        (or E(XDG_CACHE_HOME)), with the same O(api_key) and O(api_base). It wants the same file name, from the same
        O(url) but for its query, with the same O(decompress). And no more than six hours have passed since the download
        was ordered. Everywhere else O(job_id) is needed.
    type: int
    default: 3600
seealso:
  - module: hostup.cloud.hostup_vps_iso_info
    description: Looks, and changes nothing.
  - module: hostup.cloud.hostup_vps_power
    description: Restarts the VPS, so that it boots from what is mounted.
  - module: hostup.cloud.hostup_vps_reinstall
    description: Does all of a reinstallation in one task.
  - module: hostup.cloud.hostup_acceptance
    description: Tries whether the API does what this module takes it to do.
  - plugin: hostup.cloud.hostup_vps
    plugin_type: inventory
    description: Has the IDs of all VPSs.
  - ref: ansible_collections.hostup.cloud.docsite.first_steps
    description: From the API key to the first play.
  - ref: ansible_collections.hostup.cloud.docsite.iso_recipes
    description: What is done with ISOs, and a play for each.
notes:
  - A VPS boots from a mounted ISO only if the boot order has the drive before the disk (see RV(boots_from_iso)),
    and only after a restart that this module never does.
  - Of all tasks of a user that want the same file with the same API key, one downloads it, and the others wait for it.
    Only the one that ordered the download has V(download) in RV(actions), as only the one that deleted the ISO has
    V(delete); in check mode each of them has.
  - Tasks that share no home folder may both order a file. Where HostUp refuses the second order, that task waits for
    the file. Where it takes both, files of the same name, size and format pass for one, but for O(state=absent), and a
    warning tells of them.
  - While a download runs, progress lines are written to the standard error. There are none when it runs as a module.
"""

EXAMPLES = r"""
# The API key comes from HOSTUP_API_KEY, which an AWX credential or your shell can set.
# No task needs a connection to the VPS, so the play takes gather_facts: false.
- name: Have an installer in the library, and in a drive of a server
  hostup.cloud.hostup_vps_iso:
    vps_name: web-01
    state: mounted
    url: https://releases.example.com/24.04/ubuntu-24.04-live-server-amd64.iso

- name: Empty all drives, whatever is in them, and keep them for the next time
  hostup.cloud.hostup_vps_iso:
    vps_name: web-01
    state: unmounted
    keep_drive: true

- name: Download through a mirror that redirects, under a name of our own
  hostup.cloud.hostup_vps_iso:
    vps_name: web-01
    name: rescue.iso
    url: https://releases.example.com/rescue-latest.iso.gz
    decompress: gzip
    resolve_redirects: true

- name: Mount what is in the library, unless the drive is in use, by the ID that the inventory plugin sets
  hostup.cloud.hostup_vps_iso:
    vps_id: "{{ hostvars['web-01'].hostup_vps_id }}"
    state: mounted
    name: rescue.iso
    device: ide2
    on_conflict: fail

- name: Mount it on every server with one task, which is quicker where there are many (in a play of localhost)
  hostup.cloud.hostup_vps_iso:
    vps_ids: "{{ groups['hostup'] | map('extract', hostvars, 'hostup_vps_id') | list }}"
    state: mounted
    name: rescue.iso
  register: fleet

- name: Show what was done for each of them
  ansible.builtin.debug:
    msg: "{{ item.actions }}"
  loop: "{{ fleet.results }}"
  loop_control:
    label: "{{ item.vps_id }}"

- name: Unmount it everywhere, and delete it from the library
  hostup.cloud.hostup_vps_iso:
    vps_ids: "{{ groups['hostup'] | map('extract', hostvars, 'hostup_vps_id') | list }}"
    state: absent
    name: rescue.iso

- name: Have the installer as it is on our own server now, however it was when it was downloaded
  hostup.cloud.hostup_vps_iso:
    vps_name: web-01
    url: https://releases.example.com/debian-unattended.iso
    refresh: true

- name: Give connection options once, for several tasks
  module_defaults:
    group/hostup.cloud.hostup:
      api_retries: 10
  block:
    - name: Order a large download and do not wait for it
      hostup.cloud.hostup_vps_iso:
        vps_name: web-01
        url: https://releases.example.com/windows-server.iso
        wait: false
      register: download

    - name: Wait for it later, perhaps in another playbook that was handed the ID
      hostup.cloud.hostup_vps_iso:
        vps_name: web-01
        name: windows-server.iso
        job_id: "{{ download.job.id }}"
"""

RETURN = r"""
vps_id:
  description: The VPS's ID. Null when it was not found.
  returned: for a single VPS
  type: str
  sample: vps_01hxa3b4c5d6e7f8g9h0j1k2m3
iso:
  description: The ISO in the library, null if it is not there. In check mode, as it would be.
  returned: for a single VPS
  type: dict
  contains:
    id:
      description: Its ID. Null in check mode for an ISO that would be downloaded.
      type: str
    name:
      description: Its file name, or null.
      type: str
    display_name:
      description: Its display name, or null.
      type: str
    size_gb:
      description: Its size in GB.
      type: float
    format:
      description: Its format, or null.
      type: str
  sample:
    id: iso_01hxa3b4c5d6e7f8g9h0j1k2m3
    name: ubuntu-24.04-live-server-amd64.iso
    display_name: Ubuntu 24.04 LTS
    size_gb: 5.9
    format: iso
iso_name:
  description:
    - The name that the ISO has in the library, or will have when it was downloaded. Null if there is none.
    - With RV(job.id), this is what a later task needs that was not to wait here.
  returned: for a single VPS
  type: str
  sample: ubuntu-24.04-live-server-amd64.iso
  version_added: 0.2.0
device:
  description: The drive of the VPS that holds the ISO, null if none does.
  returned: for a single VPS
  type: str
  sample: ide2
mounts:
  description: Everything that is mounted on the VPS.
  returned: for a single VPS
  type: list
  elements: dict
  contains:
    device:
      description: The drive, or null if the API does not name it.
      type: str
    iso_id:
      description: The ID of the ISO in it, or null.
      type: str
    is_cloud_init:
      description: Whether it is the cloud-init drive, which is never touched.
      type: bool
  sample:
    - device: ide2
      iso_id: iso_01hxa3b4c5d6e7f8g9h0j1k2m3
      is_cloud_init: false
boot_order:
  description: The devices in the order in which the VPS tries to boot from them, null if the API does not tell.
  returned: for a single VPS
  type: list
  elements: str
  sample: [scsi0, ide2]
boots_from_iso:
  description:
    - With O(state=mounted), whether the VPS would boot from the ISO at its next start, by the boot order that the API
      tells. Drives without media are passed over, and so is the network.
    - Null in other states, and where the API does not tell. Where only its storage read tells, it is null too, unless
      this task has mounted the ISO.
  returned: for a single VPS
  type: bool
  sample: false
  version_added: 0.2.0
boot_obstacle:
  description: Why it would not, or why nobody can tell. Null otherwise. No public endpoint sets the boot order.
  returned: for a single VPS
  type: str
  sample: scsi0 comes first in the boot order scsi0, ide2
  version_added: 0.2.0
job:
  description: The last job that the task saw, null if there was none.
  returned: for a single VPS
  type: dict
  contains:
    id:
      description: The job's ID. Null if the API names none, so that only its reads can tell how it ends.
      type: str
    status:
      description: >-
        The API's word for where it is, as V(queued), V(in_progress), V(completed) or V(failed);
        V(forgotten) when the API does not know the job any more.
      type: str
    progress:
      description: How far it is, in percent. Null if the API does not tell.
      type: float
  sample:
    id: job_01hxa3b4c5d6e7f8g9h0j1k2m3
    status: completed
    progress: 100.0
actions:
  description:
    - What was done, in order. In check mode, what would be done.
    - V(download), V(unmount), V(mount), V(attach_drive) and V(delete) are possible.
    - Whether a slot without a drive can be mounted on, and whether a drive goes when its ISO is unmounted, is up to
      HostUp. Where it turns out that a drive has to be attached, V(attach_drive) was not foreseen in check mode.
  returned: for a single VPS
  type: list
  elements: str
  sample: [download, mount]
actions_unknown:
  description:
    - Writes that got no usable answer, and of which no read has shown whether they have happened. The task has failed
      then. Have a look, for example with M(hostup.cloud.hostup_vps_iso_info), before running it again.
  returned: for a single VPS
  type: list
  elements: str
  sample: []
  version_added: 0.2.0
diff:
  description:
    - The library and the drives before and after. Empty when the state was never read.
    - With O(vps_ids), a list with one for each VPS that differs.
  returned: always
  type: dict
  sample:
    before:
      in_library: false
      drives: ["ide2: empty"]
    after:
      in_library: true
      drives: ["ide2: ubuntu-24.04-live-server-amd64.iso"]
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
      changed: true
      failed: false
      msg: ""
    - vps_id: vps_01hxb4c5d6e7f8g9h0j1k2m3n4
      changed: false
      failed: true
      msg: "GET /api/v2/vps/vps_01hxb4c5d6e7f8g9h0j1k2m3n4/iso was answered with HTTP 404: Not found."
error:
  description:
    - The fields of the failure, where a request has failed. Those that do not apply are null.
    - With O(vps_ids), those of the first VPS that failed.
  returned: when a request has failed
  type: dict
  contains:
    status:
      description: The HTTP status.
      type: int
    code:
      description: The API's machine-readable code, or the error code of what stands in front of the API.
      type: str
    title:
      description: What kind of failure it is.
      type: str
    detail:
      description: The API's explanation.
      type: str
    errors:
      description: What is wrong with single fields of the request, each with C(pointer), C(detail) and C(code).
      type: list
      elements: dict
    request_id:
      description: What HostUp's support will ask for.
      type: str
    method:
      description: The HTTP method.
      type: str
    path:
      description: The path that was requested.
      type: str
    extra:
      description:
        - What else the API says, under the names that it uses, as far as it is not very long.
        - For an answer that comes from what stands in front of the API, such as Cloudflare, C(server) and C(ray_id),
          where they are known.
      type: dict
      version_added: 0.2.0
  sample:
    status: 403
    code: forbidden
    title: Forbidden
    detail: The caller lacks a required scope or does not own the resource.
    errors: []
    request_id: req_01hxa3b4c5d6e7f8g9h0j1k2m3
    method: POST
    path: /api/v2/vps/vps_01hxa3b4c5d6e7f8g9h0j1k2m3/iso/actions/mount
    extra: {}
timed_out:
  description: That the task gave up waiting. A job that was started goes on at HostUp.
  returned: when the task ran out of time
  type: bool
  sample: true
"""

from ansible_collections.hostup.cloud.plugins.module_utils._tasks.iso import VPS_ISO
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.module import run_as_module


def main() -> None:
    run_as_module(VPS_ISO)


if __name__ == "__main__":
    main()
