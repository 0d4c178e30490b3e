# SPDX-License-Identifier: GPL-3.0-or-later
"""Power: what each action does to a machine, when it is allowed, and when it is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .model import Gate

if TYPE_CHECKING:
    from collections.abc import Callable

    from .machines import Machines
    from .model import JSON, Vps

ACTIONS = ("start", "shutdown", "stop", "restart", "reset")
SOFT = ("shutdown", "restart")
# These go through while another action is under way, and end it.
HARD = ("stop", "reset")
SWITCHED_OFF = Gate(False, "The VPS is stopped.", "vps_stopped")
SWITCHED_ON = Gate(False, "The VPS is running.", "vps_running")


def gates(vps: Vps, state: str | None) -> dict[str, Gate]:
    """Return which actions are allowed in a state, unless the VPS says otherwise."""
    closed_by_state = {
        action: SWITCHED_ON if action == "start" and state == "running" else SWITCHED_OFF
        for action in ACTIONS
        if state == ("running" if action == "start" else "stopped")
    }
    return {action: vps.gates.get(action) or closed_by_state.get(action) or Gate() for action in ACTIONS}


def gates_document(found: dict[str, Gate]) -> JSON:
    """Return gates as the API shows them."""
    return {f"can{action.capitalize()}": gate.document() for action, gate in found.items()}


@dataclass
class Change:
    """One action on one machine, from the moment at which it is accepted."""

    action: str
    vps: Vps
    machines: Machines
    clock: Callable[[], float]
    forces: bool = False
    give_up_at: float = 0.0

    def begin(self) -> None:
        """What happens at once: the guest is asked."""
        self.give_up_at = self.clock() + self.vps.owner.switches.shutdown_timeout
        if self.action in SOFT:
            self.machines.press_power_button(self.vps)

    def is_ready(self) -> bool:
        """Whether the guest has done its part, or has had its time."""
        return self.action not in SOFT or self._is_off() or self.clock() >= self.give_up_at

    def finish(self) -> str:
        """Do the rest; return what went wrong."""
        if self.action in SOFT and not self._is_off():
            if not self.forces:
                return f"The guest did not shut down within {self.vps.owner.switches.shutdown_timeout:.0f} s."
            self.machines.stop(self.vps)
        if self.action == "stop":
            self.machines.stop(self.vps)
        elif self.action == "reset":
            self.machines.reset(self.vps)
        elif self.action in ("start", "restart"):
            self.machines.start(self.vps)
        return ""

    def shown_state(self, state: str | None) -> str | None:
        """What the API tells while it is under way."""
        if self.action == "start":
            return "starting"
        return state if self.action == "reset" or state == "stopped" else "stopping"

    def _is_off(self) -> bool:
        return self.machines.power_state(self.vps) == "stopped"
