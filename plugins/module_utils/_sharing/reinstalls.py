# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reinstallations: one at a time for a VPS, a note of what each may leave behind, and how long each ISO took."""

from __future__ import annotations

import typing as t

from ansible_collections.hostup.cloud.plugins.module_utils import _clock
from ansible_collections.hostup.cloud.plugins.module_utils._sharing.notes import Notes, name_of


class ReinstallNote(t.NamedTuple):
    """What a reinstallation that did not come to its end may have left. ``began_at`` is in seconds since the epoch.

    The ISO ``iso`` may be in ``device``; with ``has_booted``, its installer was booted, and may be what runs.
    ``host_keys`` are those of the system that it wipes. ``installed_at`` is when its installer was done, the ISO is
    out, and what is missing is a proof.
    """

    began_at: float
    iso_id: str | None
    iso: str
    device: str
    has_booted: bool = False
    is_mounted: bool = True
    host_keys: t.Sequence[str] = ()
    installed_at: float | None = None

    def without_iso(self) -> ReinstallNote | None:
        """What is left when the ISO is out."""
        return self._replace(is_mounted=False) if self.has_booted else None

    def tell(self, vps: str) -> str:
        """What the user has to know, in sentences."""
        minutes = max(0.0, _clock.now() - self.began_at) / 60
        told = f"A reinstallation of {vps} that began {minutes:.0f} minutes ago did not come to its end."
        if self.is_mounted:
            told += (
                f" {self.iso} may still be in {self.device}, so that whoever restarts the VPS boots into the "
                "installer. Reinstall it again, or take the ISO out: hostup_vps_iso with state=unmounted."
            )
        return told + (" Its installer was booted, and may be what runs there now." if self.has_booted else "")


def parse_reinstall_note(note: object) -> ReinstallNote | None:
    """Read what was noted; ``None`` for nothing, and for what cannot have been noted."""
    if not isinstance(note, list) or len(note) != len(ReinstallNote._fields):
        return None
    kinds = ((float, int), (str, type(None)), (str,), (str,), (bool,), (bool,), (list,), (float, type(None)))
    if not all(type(value) in kind for value, kind in zip(note, kinds)):
        return None
    found = ReinstallNote(*note)
    return found if all(isinstance(key, str) for key in found.host_keys) else None


class Reinstalls:
    """The reinstallations by way of one origin."""

    def __init__(self, notes: Notes, origin: str) -> None:
        self._notes = notes
        self._origin = origin

    def try_to_begin(self, vps_id: str) -> t.Callable[[], None] | None:
        """Have the VPS for oneself. Returns what ends that, ``None`` while another run has it."""
        return self._notes.try_to_hold(self._name(vps_id))

    def left_behind(self, vps_id: str) -> ReinstallNote | None:
        """What a run that is no more has left behind, if any; what lacks nothing but a proof does not count."""
        note = self.noted(vps_id)
        end = self.try_to_begin(vps_id) if note and note.installed_at is None else None
        if end is None:
            return None
        end()
        return note

    def noted(self, vps_id: str) -> ReinstallNote | None:
        """What was noted of a VPS last."""
        name = self._name(vps_id)
        return parse_reinstall_note(self._notes.read(name)) if self._notes.may_hold(name) else None

    def keep(self, vps_id: str, note: ReinstallNote | None) -> None:
        """Note what may be left behind; ``None`` for nothing any more."""
        name = self._name(vps_id)
        if note is not None or self._notes.may_hold(name):
            self._notes.change(name, lambda _note: (note and list(note), None))

    def seconds_of(self, owner: str, iso: str) -> float | None:
        """How long the installer of this ISO took last, in seconds."""
        name = name_of("installer", self._origin, owner, iso)
        seconds = self._notes.read(name) if self._notes.may_hold(name) else None
        return seconds if isinstance(seconds, float) and seconds > 0.0 else None

    def took(self, owner: str, iso: str, seconds: float) -> None:
        """Note how long it took."""
        self._notes.change(name_of("installer", self._origin, owner, iso), lambda _note: (seconds, None))

    def _name(self, vps_id: str) -> str:
        return name_of("reinstall", self._origin, vps_id)
