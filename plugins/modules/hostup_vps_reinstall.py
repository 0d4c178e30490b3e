#!/usr/bin/python
# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: hostup_vps_reinstall
short_description: Reinstall HostUp VPSs from an ISO, in one task
version_added: 0.2.0
author:
  - HostUp Cloud collection contributors (@hostup-cloud)
description:
  - Has an installer's ISO in the library and in a drive, restarts the VPS into it, waits until the installer is done,
    takes the ISO out, and starts the VPS from its disk. All data on the VPS is lost.
  - The ISO leaves the drive whatever ends the task, which is a failure, a time-out, C(SIGINT) or C(SIGTERM), and
    whatever other hosts do. What nobody can catch, such as a power cut, is noted. The next task of this user for that
    VPS warns of it, whichever module it is, and running this one again goes on from there.
  - Whether another system answers afterwards is not proven here.
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
    details:
      - Asks what the task would ask before it changes anything, and returns an account of what would be done.
  diff_mode:
    support: full
  idempotent:
    support: partial
    details:
      - Reinstalls each time, but with O(proof=follows) what lacks nothing but its proof.
requirements:
  - An API key with the scopes C(read:vm), C(write:vm), C(write:storage) and C(power:vm)
options:
  confirm:
    description:
      - The names of the VPSs whose data may be lost, exactly as the API tells them. A name that several VPSs have
        confirms none of them; then it is the ID that has to be in the list.
      - A VPS that is not in it is not touched.
      - An entry may have several lines, with a name in each.
    type: list
    elements: str
    required: true
  expect_ip:
    description:
      - The address that the VPS has to have as its primary one. If it has another, nothing is done. Guards against an
        inventory in which a host has the ID of another one.
      - For a single VPS.
    type: str
  device:
    description:
      - The CD/DVD drive. It defaults to the drive that holds the ISO already, else to a free one, else to the only one
        that holds another ISO (see O(on_conflict)).
    type: str
    choices: [ide0, ide1, ide2, ide3]
  keep_drive:
    description:
      - Have an empty drive where the ISO was, should HostUp remove it with the ISO.
    type: bool
    default: false
  boot_order:
    description:
      - What to do about the boot order, in which the drive has to come before the disk. No public endpoint sets it.
      - V(check) - look before anything is changed, and again when the ISO is mounted. The VPS is not restarted if it is
        wrong, or if the API does not tell it.
      - V(after_mount) - look only when the ISO is mounted, for VPSs whose boot order follows the mount.
      - V(ignore) - do not look.
    type: str
    choices: [check, after_mount, ignore]
    default: check
  force:
    description:
      - Reset the VPS into the installer, and do not ask the old system to restart.
      - Without it, only an installer that this user's earlier task has booted is reset, and only if it does not listen.
    type: bool
    default: false
  until:
    description:
      - How to know that the installer is done.
      - V(power_off) - the VPS is off.
      - V(delay) - O(delay) is over. The VPS is reset then, or started if it is off.
      - V(none) - not at all. The task ends when the VPS has restarted, with the ISO in the drive. Take it out with
        M(hostup.cloud.hostup_vps_iso) when the installer is done, or it begins again.
    type: str
    choices: [power_off, delay, none]
    default: power_off
  delay:
    description:
      - With O(until=delay), the seconds that the installer surely does not exceed.
    type: int
  start:
    description:
      - Whether to start the VPS from its disk at the end.
    type: bool
    default: true
  host_keys:
    description:
      - SSH host keys of the old system, as M(hostup.cloud.ssh_host_keys) returns them. They are noted until the
        reinstallation has come to its end, so that a later task knows the old system though it is gone (see
        RV(host_keys)).
      - If the list is empty, and none is noted, nothing is done, for nothing could prove later that another system
        answers.
    type: list
    elements: str
  ssh_host:
    description:
      - Where the SSH server of the VPS is reached. Nothing may answer there while the VPS is off, or it is another
        machine's address, and whatever is proven there is proven of that one. Then nothing is begun, or the task fails
        in the end.
      - For a single VPS. Needs ssh-keyscan of OpenSSH where the task runs.
    type: str
  ssh_port:
    description:
      - The port of that server.
    type: int
    default: 22
  proof:
    description:
      - Whether something after this task proves that the new system answers.
      - V(none) - nothing does, or nobody has to know.
      - V(follows) - something does. Until then it is noted that the VPS has been installed. For a day, a task with the
        same ISO finds that, does not wipe the new system for want of its proof, and does no more than to start the VPS
        if it is off. Where O(host_keys) has a key of the old system, that answers, and is reinstalled.
      - V(given) - it has. The note is removed, and nothing else is done.
    type: str
    choices: [none, follows, given]
    default: none
  again:
    description:
      - With O(proof=follows), reinstall a VPS also where it is noted that it lacks nothing but its proof.
    type: bool
    default: false
  download_timeout:
    description:
      - Seconds that a download may take.
    type: int
    default: 3600
  shutdown_timeout:
    description:
      - Seconds that the old system may take to shut down and restart. If it takes longer, the ISO is taken out again,
        so that it restarts from its disk should it do so later.
    type: int
    default: 300
  install_timeout:
    description:
      - With O(until=power_off), the seconds that the installer may take.
    type: int
    default: 3600
seealso:
  - module: hostup.cloud.hostup_vps_iso
    description: The ISO alone.
  - module: hostup.cloud.hostup_vps_power
    description: The power alone.
  - module: hostup.cloud.ssh_host_keys
    description: Proves that another system answers.
  - ref: ansible_collections.hostup.cloud.docsite.reinstalling
    description: The guide to the role P(hostup.cloud.hostup_reinstall#role), which has what comes before and after.
  - ref: ansible_collections.hostup.cloud.docsite.unattended
    description: How to make an ISO that installs without asking.
notes:
  - One VPS costs three requests before anything is changed, and two where its ID is in O(confirm). In all, that is
    about twelve, and more while an installer runs of which it is not known how long it takes, or where something has to
    be downloaded.
  - The installer is first looked at when it was done the last time that this user has installed the same ISO, or else
    after 20 seconds, then every seven seconds, and later after a tenth of the time that has passed. A line about it is
    written to the standard error every half minute. There is none when it runs as a module.
  - A user reinstalls a VPS once at a time. This, and what an earlier task has left, is known by files in C(hostup) in
    E(XDG_CACHE_HOME) or C(~/.cache). Where that does not outlast the task, as in AWX, an ISO in a drive that comes
    first in the boot order is warned of.
"""

EXAMPLES = r"""
# The API key comes from HOSTUP_API_KEY, which an AWX credential or your shell can set.
- name: See what a reinstallation would do
  hostup.cloud.hostup_vps_reinstall:
    vps_name: web-01
    confirm: [web-01]
    url: https://releases.example.com/debian-12-unattended.iso
  check_mode: true
  register: foreseen

- name: Reinstall a server from an unattended installer that powers off when it is done
  hostup.cloud.hostup_vps_reinstall:
    vps_name: web-01
    confirm: [web-01]
    url: https://releases.example.com/debian-12-unattended.iso
    install_timeout: 1800

- name: Reinstall many at once (in a play of localhost), from what is in the library
  hostup.cloud.hostup_vps_reinstall:
    vps_ids: "{{ ['web-01', 'db-01'] | map('extract', hostvars, 'hostup_vps_id') | list }}"
    confirm: [web-01, db-01]
    name: debian-12-unattended.iso
"""

RETURN = r"""
vps_id:
  description: The VPS's ID. Null when it was not found.
  returned: for a single VPS
  type: str
  sample: vps_01hxa3b4c5d6e7f8g9h0j1k2m3
vps_name:
  description: Its name. Null before it was read, and for one without.
  returned: for a single VPS
  type: str
  sample: web-01
outcome:
  description:
    - V(reinstalled), V(handed_over) with O(until=none), V(proven) with O(proof=given), V(foreseen) in check mode, or
      V(failed).
  returned: for a single VPS
  type: str
  sample: reinstalled
phase:
  description:
    - The phase that was the last one, or that has failed. One of V(preflight), V(download), V(mount), V(boot),
      V(install), V(unmount) and V(start).
  returned: for a single VPS
  type: str
  sample: start
seconds:
  description: How long each phase took, in seconds.
  returned: for a single VPS
  type: dict
  sample: {preflight: 0.4, mount: 0.3, boot: 12.2, install: 312.0, unmount: 0.3, start: 4.1}
host_keys:
  description: The keys of O(host_keys), and those that a task has noted which did not come to its end.
  returned: for a single VPS
  type: list
  elements: str
  sample: []
account:
  description: What would be done, in sentences.
  returned: in check mode, empty otherwise
  type: list
  elements: str
  sample: ["find debian-12-unattended.iso in the library", mount it on ide2]
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
source_size_gb:
  description: The size that the file at O(url) has now, in units of 10^9 bytes. V(null) where it is not known.
  returned: for a single VPS
  type: float
  sample: 0.367
device:
  description: The drive that the ISO was in, or in check mode the one that it would be in.
  returned: for a single VPS
  type: str
  sample: ide2
boots_from_iso:
  description: Whether the VPS boots from that drive, by the boot order that the API tells. Null where it does not tell.
  returned: for a single VPS
  type: bool
  sample: true
boot_obstacle:
  description: Why it would not, or why nobody can tell. Null otherwise.
  returned: for a single VPS
  type: str
  sample: scsi0 comes first in the boot order scsi0, ide2
power_state:
  description: The power state as it was last read, in the API's words.
  returned: for a single VPS
  type: str
  sample: running
stopped_at:
  description: When the installer was seen to have switched the VPS off. Null with another O(until).
  returned: for a single VPS
  type: str
  sample: "2026-11-26T03:12:45+00:00"
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
    - What was done, in order, or in check mode what would be done.
    - V(download), V(unmount), V(mount), V(attach_drive), V(restart), V(reset) and V(start) are possible.
  returned: for a single VPS
  type: list
  elements: str
  sample: [mount, restart, unmount, start]
actions_unknown:
  description:
    - Actions that got no usable answer, and of which no read has shown whether they have happened. The task has failed
      then.
  returned: for a single VPS
  type: list
  elements: str
  sample: []
warnings:
  description: What the user should know though the task may have succeeded.
  returned: for a single VPS
  type: list
  elements: str
  sample: []
diff:
  description:
    - The power state and the disk before and after. Empty when the state was never read.
    - With O(vps_ids), a list with one for each VPS that differs.
  returned: always
  type: dict
  sample:
    before: {power_state: running, disk: as it is}
    after: {power_state: running, disk: installed anew from debian-12-unattended.iso}
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
      outcome: reinstalled
      changed: true
      failed: false
      msg: ""
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
    path: /api/v2/vps/vps_01hxa3b4c5d6e7f8g9h0j1k2m3/actions/shutdown
    extra: {}
timed_out:
  description: That the task gave up waiting. A job that was started goes on at HostUp.
  returned: when the task ran out of time
  type: bool
  sample: true
"""

from ansible_collections.hostup.cloud.plugins.module_utils._tasks.module import run_as_module
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.reinstall import VPS_REINSTALL


def main() -> None:
    run_as_module(VPS_REINSTALL)


if __name__ == "__main__":
    main()
