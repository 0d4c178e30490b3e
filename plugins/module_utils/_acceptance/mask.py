# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What may be shown of the API's answers: their structure, and words that are the API's own."""

from __future__ import annotations

import re
import typing as t

# Fields whose value is a word of the API's, if it looks like one.
_WORD_FIELDS = (
    *("status", "state", "code", "type", "format", "powerState", "serviceStatus", "family", "billingCycle"),
    *("decompress", "pointer", "statusKey", "progressTextKey"),
)
_WORD = re.compile(r"/?[A-Za-z][A-Za-z_-]{0,39}")
_NUMBER_FIELDS = ("status", "progress", "percentage", "retryAfter", "delay")
_DEVICE = re.compile(r"(ide|sata|scsi|virtio|net)[0-9]")
_DEVICE_FIELDS = ("device", "order", "id")
_KEY = re.compile(r"[A-Za-z]+[0-9]?")
_PATH_WORDS = (
    *("", "api", "v2", "vps", "iso", "jobs", "actions", "details", "status"),
    *("from-url", "mount", "unmount", "attach-empty"),
)
# What else a text is.
_KINDS = (
    (re.compile(r"(vps|iso|job|req|cur)_.*", re.DOTALL), "ID"),
    (re.compile(r"\d{4}-\d\d-\d\dT.*", re.DOTALL), "time"),
    (re.compile(r"[a-z][a-z0-9+.-]*://.*", re.DOTALL), "URL"),
    (re.compile(r"\d+\.\d+\.\d+\.\d+(/\d+)?|[0-9a-fA-F]*:[0-9a-fA-F:.]*:[0-9a-fA-F:.]*(/\d+)?"), "address"),
    (re.compile(""), "empty"),
)


def masked(value: t.Any, field: str = "") -> t.Any:
    """A JSON value with what is the user's replaced by what it is. ``field`` is the name under which it stands."""
    if isinstance(value, dict):
        return {masked_key(name): masked(part, name) for name, part in value.items()}
    if isinstance(value, list):
        return [masked(part, field) for part in value]
    if value is None or isinstance(value, bool):
        return value
    if not isinstance(value, str):
        return value if field in _NUMBER_FIELDS else "<number>"
    if field in _WORD_FIELDS and _WORD.fullmatch(value):
        return value
    if field in _DEVICE_FIELDS and _DEVICE.fullmatch(value):
        return value
    if value.startswith("/api/"):
        return masked_path(value)
    return f"<{next((kind for pattern, kind in _KINDS if pattern.fullmatch(value)), 'text')}>"


def masked_key(name: str) -> str:
    """The name of a field. One that does not look like the API's may be the user's word."""
    return name if _KEY.fullmatch(name) else "<name>"


def masked_path(path: str) -> str:
    """A path of the API without IDs, and without its query's values."""
    path, mark, query = path.partition("?")
    names = [part.partition("=")[0] for part in query.split("&")]
    parts = [part if part in _PATH_WORDS else "<ID>" for part in path.split("/")]
    return "/".join(parts) + mark + "&".join(f"{masked_key(name)}=…" for name in names if mark)
