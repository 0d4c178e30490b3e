# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine that is not this one, as far as Ansible can tell: local processes that inherit no environment."""

from __future__ import annotations

DOCUMENTATION = r"""
name: elsewhere
short_description: Run on this machine, but as if it were another
description:
  - For the integration tests. Nothing of the controller's environment reaches the processes.
"""

import shlex
from typing import Any

from ansible.plugins.connection.local import Connection as LocalConnection


class Connection(LocalConnection):
    """The local connection behind another name."""

    transport = "elsewhere"

    def exec_command(self, cmd: str, in_data: Any = None, sudoable: bool = True) -> Any:
        """Run a command with nothing but a PATH and a HOME."""
        bare = f'env -i PATH="$PATH" HOME="$HOME" LC_ALL=C.UTF-8 /bin/sh -c {shlex.quote(cmd)}'
        return super().exec_command(bare, in_data=in_data, sudoable=sudoable)
