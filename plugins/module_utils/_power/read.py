# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the power state of a VPS."""

from __future__ import annotations

from ansible_collections.hostup.cloud.plugins.module_utils import _clock
from ansible_collections.hostup.cloud.plugins.module_utils._api.client import Client, unexpected_shape
from ansible_collections.hostup.cloud.plugins.module_utils._api.documents import Document
from ansible_collections.hostup.cloud.plugins.module_utils._api.vps import parse_power, unwrapped, vps_path
from ansible_collections.hostup.cloud.plugins.module_utils._power.state import Status


def parse_status(body: Document, at: float) -> Status:
    """Read the answer of ``GET /api/v2/vps/{id}/status``. Raises ValueError for one that has no power state."""
    document, power = unwrapped(body), parse_power(body)
    if "powerState" not in document:
        raise ValueError("there is no powerState")
    return Status(power.state, power.uptime, bool(document.get("pendingTasks")), at)


def read_status(client: Client, vps_id: str) -> Status:
    """The live state. Raises HostUpError."""
    path, at = f"{vps_path(vps_id)}/status", _clock.monotonic()
    body = client.get(path).body
    try:
        return parse_status(body, at)
    except ValueError as error:
        raise unexpected_shape("GET", path, str(error)) from None
