# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asks OpenSSH's programs for host keys: those that answer, and those in a known_hosts file."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError
from ansible_collections.hostup.cloud.plugins.module_utils._ssh.keys import known_name, parse_keys

TYPES = "ed25519,ecdsa,rsa"


def answering_keys(host: str, port: int, timeout: int) -> list[str]:
    """The keys that answer, none where nothing does. ``timeout`` is in seconds. Raises HostUpError without the program.

    All types are asked for at the same time, each by a connection of its own.
    """
    return parse_keys(_run(["ssh-keyscan", "-T", str(timeout), "-t", TYPES, "-p", str(port), "--", host], timeout * 3))


def known_keys(host: str, port: int, path: str) -> list[str]:
    """The keys that a known_hosts file has for a host, hashed or not. Raises HostUpError without the program."""
    if not Path(path).is_file():
        return []
    return parse_keys(_run(["ssh-keygen", "-F", known_name(host, port), "-f", path], 30))


def _run(command: list[str], timeout: int) -> str:
    """The standard output; what else a command says is that there is nothing."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False)
    except FileNotFoundError:
        raise HostUpError(
            f"There is no {command[0]} where Ansible runs, and without it nobody can tell one system from another. "
            "Install OpenSSH's client there (Debian: openssh-client, Fedora: openssh-clients)."
        ) from None
    except subprocess.TimeoutExpired as expired:
        return (expired.stdout or b"").decode(errors="replace")
    return done.stdout.decode(errors="replace")
