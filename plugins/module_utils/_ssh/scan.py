# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asks OpenSSH's programs for host keys: those that answer, and those in a known_hosts file."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError
from ansible_collections.hostup.cloud.plugins.module_utils._ssh.keys import known_name, parse_keys

TYPES = "ed25519,ecdsa,rsa"

# Runs a command for so many seconds at most, and returns its standard output, whatever its end. Raises
# FileNotFoundError. It is handed down by the shells, for a module has to use AnsibleModule.run_command.
RunCommand = t.Callable[[list[str], float], str]


def answering_keys(run_command: RunCommand, host: str, port: int, timeout: int) -> list[str]:
    """The keys that answer, none where nothing does. ``timeout`` is in seconds. Raises HostUpError without the program.

    All types are asked for at the same time, each by a connection of its own.
    """
    command = ["ssh-keyscan", "-T", str(timeout), "-t", TYPES, "-p", str(port), "--", host]
    # a server that never ends its greeting holds ssh-keyscan for longer than it says
    return _keys(run_command, command, timeout * 3.0)


def known_keys(run_command: RunCommand, host: str, port: int, path: str) -> list[str]:
    """The keys that a known_hosts file has for a host, hashed or not. Raises HostUpError without the program."""
    if not Path(path).is_file():
        return []
    return _keys(run_command, ["ssh-keygen", "-F", known_name(host, port), "-f", path], 30.0)


def _keys(run_command: RunCommand, command: list[str], seconds: float) -> list[str]:
    """The keys in the output; what else a command says is that there is nothing."""
    try:
        return parse_keys(run_command(command, seconds))
    except FileNotFoundError:
        raise HostUpError(
            f"There is no {command[0]} where Ansible runs, and without it nobody can tell one system from another. "
            "Install OpenSSH's client there (Debian: openssh-client, Fedora: openssh-clients)."
        ) from None
