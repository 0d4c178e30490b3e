# SPDX-License-Identifier: GPL-3.0-or-later
"""What the VPSs run on: one small interface, and the back end that only keeps books. `qemu.py` is the other one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from .model import Vps


class Machines(Protocol):
    """The machines behind the VPSs. Nothing here waits: the world asks again."""

    def power_state(self, vps: Vps) -> str | None:
        """The live state, in the API's words."""

    def uptime(self, vps: Vps) -> int:
        """Seconds since the machine was started; 0 when it is off. A reset does not begin anew."""

    def was_read(self, vps: Vps) -> None:
        """Somebody is about to be told its power state."""

    def start(self, vps: Vps) -> None:
        """Switch it on."""

    def press_power_button(self, vps: Vps) -> None:
        """Ask the guest to power off; it may take its time, or not listen."""

    def stop(self, vps: Vps) -> None:
        """Cut the power."""

    def reset(self, vps: Vps) -> None:
        """Boot anew, without asking the guest."""

    def refit(self, vps: Vps) -> None:
        """Give the machine the drives and the boot order that the VPS has; a boot order counts from the next boot."""

    def screenshot(self, vps: Vps) -> bytes | None:
        """What the screen shows, as PNG; None where there is no screen."""

    def close(self) -> None:
        """End all machines."""


class MemoryMachines:
    """No machines at all, only their power states."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock

    def power_state(self, vps: Vps) -> str | None:
        """What was set, unless the guest has powered off since."""
        if vps.powers_off_at is not None and self._clock() >= vps.powers_off_at:
            self.stop(vps)
        return vps.power_state

    def uptime(self, vps: Vps) -> int:
        """Counts while it is on."""
        return 0 if self.power_state(vps) == "stopped" else int(self._clock() - vps.started_at)

    def was_read(self, vps: Vps) -> None:
        """An installer may be done after so many reads."""
        if vps.powers_off_after is not None:
            vps.powers_off_after -= 1
            if vps.powers_off_after < 0:
                self.stop(vps)

    def start(self, vps: Vps) -> None:
        """An installer may be booted, which powers off when it is done."""
        vps.power_state, vps.started_at = "running", self._clock()
        self.reset(vps)

    def press_power_button(self, vps: Vps) -> None:
        """The guest obeys as the switches have it."""
        switches = vps.owner.switches
        if not switches.ignores_power_button:
            vps.powers_off_at = self._clock() + switches.shutdown_seconds

    def stop(self, vps: Vps) -> None:
        """Off at once."""
        vps.power_state, vps.powers_off_at, vps.powers_off_after = "stopped", None, None

    def reset(self, vps: Vps) -> None:
        """Whatever the guest was about to do is forgotten."""
        switches = vps.owner.switches
        seconds, reads = (switches.installer_seconds, switches.installer_reads) if vps.boots_from_cd() else (None, None)
        vps.powers_off_at = None if seconds is None else self._clock() + seconds
        vps.powers_off_after = reads

    def refit(self, vps: Vps) -> None:
        """There is nothing to refit."""

    def screenshot(self, _vps: Vps) -> None:
        """There is no screen."""

    def close(self) -> None:
        """There is nothing to end."""
