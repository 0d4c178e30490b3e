# SPDX-License-Identifier: GPL-3.0-or-later
"""The least that a module with `requests` can cost: one read, no more."""

from __future__ import annotations

import requests
from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    """Read an address, and return what it holds."""
    spec = {"url": {"type": "str"}, "api_key": {"type": "str", "no_log": True}, "ca_path": {"type": "path"}}
    module = AnsibleModule(spec)
    given = module.params
    headers = {"Authorization": f"Bearer {given['api_key']}"}
    answer = requests.get(given["url"], headers=headers, verify=given["ca_path"], timeout=30)
    answer.raise_for_status()
    module.exit_json(answer=answer.json())


main()
