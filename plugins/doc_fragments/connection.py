# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  api_key:
    description:
      - The API key. It needs the scopes named under B(Requirements).
      - If it is not set or empty, the environment variable E(HOSTUP_API_KEY) is used.
    type: str
    required: true
  api_base:
    description:
      - Where the API is. A trailing V(/), V(/api) or V(/api/v2) makes no difference.
      - Must be V(https), except on a loopback address. The key is sent to this origin and to no other.
      - If it is not set or empty, the environment variable E(HOSTUP_API_BASE) is used.
    type: str
    default: https://cloud.hostup.se
  api_timeout:
    description:
      - Seconds to wait for a connection, and for each piece of an answer.
      - If it is not set or empty, the environment variable E(HOSTUP_API_TIMEOUT) is used.
    type: int
    default: 30
  api_retries:
    description:
      - How often a read is repeated when it got no answer or a server error.
        The same number bounds how often a write other than a download is sent again
        after a re-read has shown that it did not happen; a download is sent again once at most.
      - Waiting for the API's rate limit is not counted here. It is bounded by the time that the task may take.
      - If it is not set or empty, the environment variable E(HOSTUP_API_RETRIES) is used.
    type: int
    default: 5
  ca_path:
    description:
      - A file or folder of CA certificates to trust instead of the system's.
    type: path
  validate_certs:
    description:
      - Whether to check the API's TLS certificate. V(false) exposes the API key to anybody in between.
    type: bool
    default: true
requirements:
  - requests
notes:
  - Tasks of one user that use the same API key share its rate limit. When the API has refused one of them,
    the others wait too, and then take turns. They tell each other through files in C(~/.cache/hostup),
    or in C($XDG_CACHE_HOME/hostup) if that is set, which only the user can read and which hold neither the key nor
    any name. What nobody can need any more is removed after six hours, and the folder may be deleted when no task runs.
    Where it cannot be used, there is a warning and tasks go on without.
"""
