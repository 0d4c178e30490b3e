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
      - If it is not set or empty, the environment variable E(HOSTUP_API_KEY) is used. One of the two is needed.
    type: str
  api_base:
    description:
      - Where the API is. A trailing V(/), V(/api) or V(/api/v2) makes no difference.
      - Must be V(https), except on a loopback address. The key is sent to this origin and to no other.
      - If it is not set or empty, the environment variable E(HOSTUP_API_BASE) is used.
    type: str
    default: https://cloud.hostup.se
  api_timeout:
    description:
      - Seconds to wait for a connection, and then for a whole answer.
      - If it is not set or empty, the environment variable E(HOSTUP_API_TIMEOUT) is used.
    type: int
    default: 30
  api_retries:
    description:
      - How often a read is repeated when it got no answer or a server error.
      - The same number bounds how often a write that got no usable answer is sent again, after re-reads have shown
        that it did not happen. Whatever the number, a download and the restart of a VPS are sent again once at most,
        the restart only where the uptime of the VPS proves that there was none, and the reset of a VPS never.
      - Waiting for the API's rate limit is not counted here. It is bounded by the time that the task may take.
      - If it is not set or empty, the environment variable E(HOSTUP_API_RETRIES) is used.
    type: int
    default: 5
  ca_path:
    description:
      - A file or folder of CA certificates to trust, where the task runs.
      - If it is not set or empty, the environment variables E(REQUESTS_CA_BUNDLE) and then E(CURL_CA_BUNDLE) are used,
        and without them the certificates that come with the requests library, which need not be the system's.
      - Means nothing for plain C(http), and nothing for where an ISO is downloaded from.
    type: path
  validate_certs:
    description:
      - Whether to check the API's TLS certificate. V(false) exposes the API key to anybody in between.
      - With V(false), O(ca_path) means nothing.
    type: bool
    default: true
requirements:
  - requests
notes:
  - The API is reached through the proxy in the environment variable E(HTTPS_PROXY), else in E(ALL_PROXY), unless
    E(NO_PROXY) exempts its host. These may be in lower case, too, and may come from the task's C(environment).
    E(NO_PROXY) is V(*), or has commas between names, which hold for all hosts below them as well, addresses,
    networks such as V(10.0.0.0/8), and any of the first two with a port.
    A proxy is one like C(http://user:password@host:port), with special characters of user and password
    percent-encoded. Only the environment is asked, and not what the operating system has set.
    Where O(api_base) is plain C(http), which only a loopback address may be, there is no proxy.
  - Tasks of one user that use the same API key share its rate limit. When the API has refused one of them,
    the others wait too, and then take turns. They tell each other through files in C(~/.cache/hostup),
    or in C($XDG_CACHE_HOME/hostup) if that is set, which only the user can read and which hold neither the key nor
    any name. What nobody can need any more is removed after six hours, and the folder may be deleted when no task runs.
    Where it cannot be used, there is a warning and tasks go on without.
"""
