#!/usr/bin/python
# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: hostup_vps_power
short_description: Start, stop and restart a HostUp VPS
version_added: 0.2.0
author:
  - HostUp Cloud collection contributors (@hostup-cloud)
description:
  - Starts, shuts down and restarts VPSs, by their live power state.
  - What is already as wished costs one request and is not changed. An action costs four as a rule, which are a read
    of the power state, one of whether the API would take the action, the action, and a read that confirms it. While its
    job runs, it is polled. In check mode the first two are sent, with O(wait=false) the first three.
  - Asks the guest, unless O(force=true), and never goes over to force by itself.
extends_documentation_fragment:
  - hostup.cloud.connection
  - hostup.cloud.vps
  - hostup.cloud.vps.fleet
  - hostup.cloud.attributes
  - hostup.cloud.attributes.action_group
attributes:
  check_mode:
    support: full
    details:
      - A VPS that is on its way from one state to another is not waited for.
        What would be done when it has arrived is foretold without asking whether the API would take it.
  diff_mode:
    support: full
  idempotent:
    support: partial
    details:
      - V(state=restarted) restarts each time.
requirements:
  - An API key with the scopes C(read:vm) and C(power:vm)
options:
  state:
    description:
      - V(started) - the VPS is running.
      - V(stopped) - it is stopped. Unless O(force=true), the guest is asked to shut down, which it may do late or
        never.
      - V(restarted) - it has been restarted by this task, each time that the task is run. One that is stopped is
        started instead. The guest is asked, as above, unless O(force=true).
      - A VPS that is neither running nor stopped nor on its way there, for instance V(paused), V(error) or unknown,
        is not as wished, so that the action is sent if the API allows it.
    type: str
    required: true
    choices: [started, stopped, restarted]
  force:
    description:
      - Do not ask the guest. V(stopped) cuts the power, V(restarted) resets the VPS, and neither waits for a guest
        that is already stopping. What the guest has not written to its disk may be lost.
      - Has no effect on V(started).
    type: bool
    default: false
  wait:
    description:
      - Whether to wait for the job and to check its outcome.
      - With V(false), a VPS that is already on its way to what is wished is left alone, and one that is on its way
        elsewhere is an error, for the action could be sent only when it has arrived.
    type: bool
    default: true
  wait_timeout:
    description:
      - Seconds that the whole task may take, all VPSs included. A job that is not finished by then goes on at HostUp.
    type: int
    default: 300
seealso:
  - module: hostup.cloud.hostup_vps_info
    description: Shows the power state, and which actions the API would take now.
  - module: hostup.cloud.hostup_vps_iso
    description: Mounts what the VPS is to boot from.
  - module: hostup.cloud.hostup_vps_reinstall
    description: Restarts a VPS into an installer, and takes that out again.
  - ref: ansible_collections.hostup.cloud.docsite.first_steps
    description: From the API key to the first play.
notes:
  - A VPS that is starting, stopping or being provisioned is waited for, up to O(wait_timeout), before anything is
    decided. With V(state=restarted), one that was starting is then restarted.
  - An action that got no answer is settled by reading the power state again. Whether a V(reset) has happened does not
    show there, nor does a V(restart) always. Then the task fails and does not send it again.
  - While a shutdown or restart takes longer than half a minute, progress lines are written to the standard error.
    There are none when it runs as a module.
"""

EXAMPLES = r"""
# The API key comes from HOSTUP_API_KEY, which an AWX credential or your shell can set.
- name: Start a server
  hostup.cloud.hostup_vps_power:
    vps_name: web-01
    state: started

- name: Shut it down, and cut the power if the guest does not listen
  block:
    - name: Ask the guest
      hostup.cloud.hostup_vps_power:
        vps_name: web-01
        state: stopped
        wait_timeout: 120
  rescue:
    - name: Do not ask it
      hostup.cloud.hostup_vps_power:
        vps_name: web-01
        state: stopped
        force: true

- name: Restart every server of a group with one task (in a play of localhost)
  hostup.cloud.hostup_vps_power:
    vps_ids: "{{ groups['hostup'] | map('extract', hostvars, 'hostup_vps_id') | list }}"
    state: restarted
"""

RETURN = r"""
vps_id:
  description: The VPS's ID. Null when it was not found.
  returned: for a single VPS
  type: str
  sample: vps_01hxa3b4c5d6e7f8g9h0j1k2m3
power_state:
  description:
    - The power state as it was last read, in the API's words, for instance V(running), V(stopped), V(starting) or
      V(stopping). Null if the API does not tell, or before it was read.
    - In check mode, as it would be.
  returned: for a single VPS
  type: str
  sample: running
job:
  description: The job that did it, null if there was none.
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
    - What was done, or in check mode what would be done. One of V(start), V(shutdown), V(stop), V(restart) and
      V(reset), or nothing.
  returned: for a single VPS
  type: list
  elements: str
  sample: [restart]
actions_unknown:
  description:
    - Actions that got no usable answer, and of which no read has shown whether they have happened. The task has failed
      then. Have a look at the VPS before running it again.
  returned: for a single VPS
  type: list
  elements: str
  sample: []
  version_added: 0.2.0
diff:
  description:
    - The power state before the action and after it. Empty when the state was never read.
    - With O(vps_ids), a list with one for each VPS that differs.
  returned: always
  type: dict
  sample:
    before:
      power_state: stopped
    after:
      power_state: running
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
      msg: "GET /api/v2/vps/vps_01hxb4c5d6e7f8g9h0j1k2m3n4/status was answered with HTTP 404: Not found."
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
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.power import VPS_POWER


def main() -> None:
    run_as_module(VPS_POWER)


if __name__ == "__main__":
    main()
