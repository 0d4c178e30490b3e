# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The power state of a VPS, as one read of the live state tells it (contract, "Power")."""

from __future__ import annotations

import typing as t

RUNNING, STOPPED, STARTING, STOPPING = "running", "stopped", "starting", "stopping"


class Status(t.NamedTuple):
    """What one read of the live state tells. Uptime and the time of the read, ``at``, are in seconds."""

    state: str | None
    uptime: float | None = None
    is_busy: bool = False
    at: float = 0.0
