# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pure core: which action a wish takes, and what a read says of one that was sent."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.hostup.cloud.plugins.module_utils._api.documents import Gate
from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError
from ansible_collections.hostup.cloud.plugins.module_utils._power.state import (
    RUNNING,
    STARTING,
    STOPPED,
    STOPPING,
    Status,
)

START, SHUTDOWN, STOP, RESTART, RESET = "start", "shutdown", "stop", "restart", "reset"

# Where a transition leads, and where an action does.
LEADS_TO = {STARTING: RUNNING, "provisioning": RUNNING, STOPPING: STOPPED}
TARGETS = {START: RUNNING, SHUTDOWN: STOPPED, STOP: STOPPED, RESTART: RUNNING, RESET: RUNNING}
# The states that an action passes through.
_ON_THE_WAY = {
    START: (STARTING, RUNNING),
    SHUTDOWN: (STOPPING, STOPPED),
    STOP: (STOPPING, STOPPED),
    RESTART: (STOPPING, STOPPED, STARTING, RUNNING),
    RESET: (STOPPING, STOPPED, STARTING, RUNNING),
}
UPTIME_SLACK = 2.0  # seconds by which an uptime may be off, for it is rounded


@dataclass(frozen=True)
class PowerWish:
    """What the user asked for."""

    state: str
    force: bool = False
    wait: bool = True


# --- deciding --------------------------------------------------------------------------------------------------------


def settled(state: str | None, wish: PowerWish) -> str | None:
    """The state after a transition that has to be waited out; the state itself if there is none.

    Who wants the power cut does not wait for a guest that is stopping: it may never be done.
    """
    if state == STOPPING and wish.force and wish.state != "started":
        return state
    return LEADS_TO.get(state or "", state)


def make_plan(state: str | None, wish: PowerWish) -> str | None:
    """The action that leads to the wish, once a transition is over; ``None`` when it will be so by itself.

    A state that is neither running nor stopped nor leads there is not what was wished. Raises HostUpError when the
    transition would have to be waited for, and must not be.
    """
    end = settled(state, wish)
    action: str | None
    if wish.state == "started":
        action = None if end == RUNNING else START
    elif wish.state == "stopped":
        action = None if end == STOPPED else STOP if wish.force else SHUTDOWN
    elif end == STOPPED:
        action = START
    else:
        action = RESET if wish.force else RESTART
    if action and end != state and not wish.wait:
        raise HostUpError(
            f"The VPS is {state}, and the action {action} has to wait until that is over, which wait=false forbids. "
            "Let the task wait, or run it again later. Nothing was changed."
        )
    return action


def gate_of(gates: t.Mapping[str, Gate], action: str) -> Gate:
    """The gate of an action. One that the API does not mention is open."""
    return gates.get(action, Gate(True))


# --- checking --------------------------------------------------------------------------------------------------------


def has_begun(action: str, before: Status, now: Status) -> bool:
    """Whether a read shows that an action was taken, be it done or not.

    A restart also shows in the uptime.
    """
    if now.state != before.state:
        return now.state in _ON_THE_WAY[action]
    return action == RESTART and has_booted_since(before, now)


def has_booted_since(before: Status, now: Status) -> bool:
    """Whether a VPS that runs has booted since an earlier read, as far as its uptime tells, which goes on over a reset.

    One that has grown by less than the time that has passed shows nothing: a stale read has it, too. Only where the
    earlier one is not known, an uptime of less than the time since then has to do.
    """
    if now.state != RUNNING or now.uptime is None:
        return False
    if before.uptime is not None:
        return now.uptime < before.uptime
    return now.uptime + UPTIME_SLACK < now.at - before.at


def did_nothing(action: str, before: Status, now: Status) -> bool:
    """Whether an action that no read has shown for a while has surely not happened, so that it may be sent again.

    For a restart and a reset that matters; the others do no harm when they are sent twice.
    """
    if action not in (RESTART, RESET):
        return True
    if action == RESET or now.is_busy or before.uptime is None or now.uptime is None:
        return False  # the uptime goes on over a reset
    return UPTIME_SLACK < before.uptime <= now.uptime - (now.at - before.at) + UPTIME_SLACK
