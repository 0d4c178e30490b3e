# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SSH host keys: read, named and compared. A key is its type and itself, as in ``ssh-ed25519 AAAA…``."""

from __future__ import annotations

import base64
import hashlib
import re
import typing as t
from contextlib import suppress

from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError

NONE, SAME, OTHER_TYPES, NEW = "none", "same", "other_types", "new"  # verdicts
ANSWERED, REMEMBERED, KNOWN_HOSTS = "answered", "remembered", "known_hosts"  # sources

_KEY = re.compile(r"(?<!\S)(?:ssh|ecdsa|sk)-\S+ AAAA[A-Za-z0-9+/]+=*")


def parse_keys(text: str) -> list[str]:
    """The keys in the output of ``ssh-keyscan``, or in lines of a known_hosts file, each once."""
    return sorted({key for key in _KEY.findall(text) if _is_whole(key)})


def _is_whole(key: str) -> bool:
    """Whether a key was not cut off."""
    with suppress(ValueError):
        return bool(fingerprint(key))
    return False


def known_name(host: str, port: int) -> str:
    """How a known_hosts file names a host."""
    return host if port == 22 else f"[{host}]:{port}"


def fingerprint(key: str) -> str:
    """The fingerprint of a key, as ``ssh-keygen -l`` shows it. Raises ValueError for what is no key."""
    digest = hashlib.sha256(base64.b64decode(key.split()[1], validate=True)).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def check_keys(option: str, keys: t.Iterable[str]) -> tuple[str, ...]:
    """The keys that a user gives. Raises HostUpError for what is none: it would never be the same as any."""
    for key in keys:
        if parse_keys(key) != [key]:
            raise HostUpError(f"{option}: {key[:60]!r} is no host key: expected one like 'ssh-ed25519 AAAA…'.")
    return tuple(keys)


def check_address(host: str, port: int) -> None:
    """Raise HostUpError for what is no host, or would pass for an option of a program, and for what is no port."""
    if not host.strip() or host.startswith("-"):
        raise HostUpError(f"{host!r} cannot be a host name or an address.")
    if not 0 < port < 65536:
        raise HostUpError(f"A port is between 1 and 65535, not {port}.")


def judge_keys(keys: t.Collection[str], unlike: t.Collection[str]) -> str:
    """What keys say of the system that has them, compared with one that had those of ``unlike``.

    Keys of types of which none was known prove nothing: a system may have keys that nobody has seen.
    """
    if not keys:
        return NONE
    if set(keys) & set(unlike):
        return SAME
    types = {key.split()[0] for key in keys}
    return OTHER_TYPES if unlike and not types & {key.split()[0] for key in unlike} else NEW


def explain(verdict: str, name: str, waited: int) -> str:
    """Why a verdict is no proof of a new system; empty where it is one. ``waited`` is in seconds."""
    after = f" after {waited} s" if waited else ""
    return {
        NONE: f"No SSH server answers at {name}{after}. The console of the VPS shows what it does instead.",
        SAME: (
            f"The old system answers: {name} has an SSH host key that it had before{after}. Either nothing was "
            "installed, or the VPS was started from something else, or the installer keeps host keys."
        ),
        OTHER_TYPES: (
            f"{name} answers with SSH host keys of other types than those that were known of the old system, and has "
            f"none to compare{after}. Look yourself which system it is."
        ),
    }.get(verdict, "")


def choose_keys(answered: list[str], remembered: list[str], known: list[str]) -> tuple[list[str], list[str]]:
    """The keys by which a system is to be known again, and where they are from.

    What answers counts, and what was noted when it did; a known_hosts file may be about a system that is long gone.
    """
    sources = [name for name, keys in ((ANSWERED, answered), (REMEMBERED, remembered)) if keys]
    if sources:
        return sorted({*answered, *remembered}), sources
    return known, [KNOWN_HOSTS] if known else []
