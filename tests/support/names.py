# SPDX-License-Identifier: GPL-3.0-or-later
"""The name under which the collection speaks to servers, as tests expect it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hostup_emulator.server import Call

OURS = re.compile(r"hostup\.cloud/\d+\.\d+\.\d+\S* ansible-core/\d+\.\d+\.\d+\S*")
OF_ANSIBLES_URI = "ansible-httpget"  # tests use it to mark where they are in the record of calls


def strange_names(calls: Iterable[Call]) -> set[str]:
    """The User-Agents in a record of calls that are not ours."""
    names = {call.user_agent for call in calls}
    return {name for name in names if name != OF_ANSIBLES_URI and not OURS.fullmatch(name)}
