# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of hostup_vps_iso: situations, wishes, and what is to happen.

The unit tests hold the pure core against it; the integration tests do each row for real, in every shell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hostup_emulator.model import Drive, Gate, Mount, Vps
from hostup_emulator.world import World

WANTED, OTHER, THIRD = "wanted.iso", "other.iso", "third.iso"
WANTED_ID = "iso_000000000000000000000wanted"
CLOUD_INIT_ID = "iso_0000000000000000000cloudinit"
URL = "http://192.0.2.80/images/wanted.iso"

EMPTY_AND_SLOT = {"ide2": Drive.empty(), "ide3": Drive.slot()}

# What is to happen: the actions in order, or a part of the refusal.
Outcome = tuple[str, ...] | str


@dataclass(frozen=True)
class Situation:
    """Where a VPS and its owner's library stand, and what each wish does there."""

    name: str
    outcomes: Mapping[str, Outcome]
    options: Mapping[str, Any] = field(default_factory=lambda: {"name": WANTED})
    in_library: bool = True
    wanted_names: tuple[str | None, str | None] = (WANTED, "Wanted")
    more_isos: tuple[tuple[str | None, str | None], ...] = ()
    more_gb: float = 1.0  # their size; the wanted one has 1 GB
    drives: Callable[[World, Vps], Mapping[str, Drive]] = lambda _world, _vps: EMPTY_AND_SLOT
    vps_options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    situation: Situation
    state: str
    outcome: Outcome

    @property
    def name(self) -> str:
        """A name that can be an inventory host."""
        return f"{self.situation.name}-{self.state}"

    @property
    def options(self) -> dict[str, Any]:
        """The module's options, without connection and VPS."""
        return {"state": self.state, **self.situation.options}

    def build(self, world: World) -> tuple[Vps, str]:
        """Put the case into a world, under an owner of its own. Returns the VPS and the API key."""
        situation = self.situation
        owner = world.add_owner(self.name)
        vps = world.add_vps(owner, self.name, **situation.vps_options)
        if situation.in_library:
            name, display_name = situation.wanted_names
            iso = world.add_iso(owner, name, display_name)
            owner.library = {WANTED_ID: iso}
            iso.id = WANTED_ID
        for name, display_name in situation.more_isos:
            world.add_iso(owner, name, display_name, size_gb=situation.more_gb)
        vps.drives = dict(situation.drives(world, vps))
        return vps, world.add_key(owner)


def _holding(**named: str | Drive) -> Callable[[World, Vps], Mapping[str, Drive]]:
    """Drives that hold the ISOs with these names; a Drive stands for itself."""

    def drives(world: World, vps: Vps) -> Mapping[str, Drive]:
        def drive(what: str | Drive) -> Drive:
            if isinstance(what, Drive):
                return what
            iso = vps.owner.iso_named(what) or world.add_iso(vps.owner, what)
            return Drive.holding(iso.id)

        return {device: drive(what) for device, what in named.items()}

    return drives


def _outcomes(present: Outcome, mounted: Outcome, unmounted: Outcome, absent: Outcome) -> dict[str, Outcome]:
    return {"present": present, "mounted": mounted, "unmounted": unmounted, "absent": absent}


SITUATIONS = [
    Situation(
        "nowhere",
        _outcomes(("download",), ("download", "mount"), (), ()),
        options={"name": WANTED, "url": URL},
        in_library=False,
    ),
    Situation(
        "nowhere-named-by-url",
        _outcomes(("download",), ("download", "mount"), (), ()),
        options={"url": URL},
        in_library=False,
    ),
    Situation(
        "nowhere-without-url",
        _outcomes("There is no ISO named 'wanted.iso'", "There is no ISO named 'wanted.iso'", (), ()),
        in_library=False,
    ),
    Situation(
        "unknown-id",
        _outcomes("There is no ISO with the ID iso_", "There is no ISO with the ID iso_", (), ()),
        options={"iso_id": WANTED_ID},
        in_library=False,
    ),
    Situation("in-library", _outcomes((), ("mount",), (), ("delete",))),
    Situation("in-library-by-id", _outcomes((), ("mount",), (), ("delete",)), options={"iso_id": WANTED_ID}),
    Situation(
        "in-library-with-url",
        _outcomes((), ("mount",), (), ("delete",)),
        options={"url": URL},
    ),
    Situation(
        "mounted-here",
        _outcomes((), (), ("unmount",), ("unmount", "delete")),
        drives=_holding(ide2=WANTED, ide3=Drive.slot()),
    ),
    Situation(
        "mounted-on-another-drive",
        _outcomes((), ("mount",), (), ("unmount", "delete")),
        options={"name": WANTED, "device": "ide2"},
        drives=_holding(ide2=Drive.empty(), ide3=WANTED),
    ),
    Situation(
        "mounted-twice",
        _outcomes((), (), ("unmount", "unmount"), ("unmount", "unmount", "delete")),
        drives=_holding(ide2=WANTED, ide3=WANTED),
    ),
    Situation(
        "mounted-in-a-nameless-drive",
        _outcomes((), (), "no name for", "no name for"),
        vps_options={"extra_mounts": (Mount(None, WANTED_ID),)},
    ),
    Situation(
        "drive-taken",
        _outcomes((), ("unmount", "mount"), (), ("delete",)),
        options={"name": WANTED, "device": "ide2"},
        drives=_holding(ide2=OTHER, ide3=Drive.slot()),
    ),
    Situation(
        "drive-taken-by-unnamed-media",
        _outcomes((), ("unmount", "mount"), (), ("delete",)),
        options={"name": WANTED, "device": "ide2"},
        drives=_holding(ide2=Drive.holding(None), ide3=Drive.slot()),
    ),
    Situation(
        "drive-taken-must-not",
        _outcomes((), "on_conflict=fail", (), ("delete",)),
        options={"name": WANTED, "device": "ide2", "on_conflict": "fail"},
        drives=_holding(ide2=OTHER, ide3=Drive.slot()),
    ),
    Situation(
        "drive-taken-and-nowhere",
        _outcomes(("download",), ("download", "unmount", "mount"), (), ()),
        options={"url": URL, "device": "ide2"},
        in_library=False,
        drives=_holding(ide2=OTHER, ide3=Drive.slot()),
    ),
    Situation(
        "drive-busy",
        _outcomes((), "in use by something", (), ("delete",)),
        options={"name": WANTED, "device": "ide2"},
        drives=_holding(ide2=Drive.busy(), ide3=Drive.slot()),
    ),
    Situation(
        "drive-not-there",
        _outcomes((), "no such drive", (), ("delete",)),
        options={"name": WANTED, "device": "ide0"},
    ),
    Situation(
        "only-drive-taken",
        _outcomes((), ("unmount", "mount"), (), ("delete",)),
        drives=_holding(ide2=OTHER),
    ),
    Situation(
        "all-drives-taken",
        _outcomes((), "several hold an ISO", (), ("delete",)),
        drives=_holding(ide2=OTHER, ide3=THIRD),
    ),
    Situation(
        "no-drives",
        _outcomes((), "none holds an ISO", (), ("delete",)),
        drives=_holding(),
    ),
    Situation(
        "slot-only",
        _outcomes((), ("mount",), (), ("delete",)),
        drives=_holding(ide3=Drive.slot()),
    ),
    Situation(
        "cloud-init-beside",
        _outcomes((), ("mount",), (), ("delete",)),
        drives=_holding(ide2=Drive.cloud_init(CLOUD_INIT_ID), ide3=Drive.slot()),
    ),
    Situation(
        "cloud-init-there",
        _outcomes((), "cloud-init drive", "cloud-init drive", ("delete",)),
        options={"name": WANTED, "device": "ide2"},
        drives=_holding(ide2=Drive.cloud_init(CLOUD_INIT_ID), ide3=Drive.slot()),
    ),
    Situation(
        "cloud-init-only",
        _outcomes((), "No CD/DVD drive is free", (), ("delete",)),
        drives=_holding(ide2=Drive.cloud_init(CLOUD_INIT_ID)),
    ),
    Situation(
        "cloud-init-and-other",
        _outcomes((), ("unmount", "mount"), (), ("delete",)),
        drives=_holding(ide2=Drive.cloud_init(), ide3=OTHER),
    ),
    Situation(
        "cloud-init-is-it",
        _outcomes((), ("mount",), (), "medium of the cloud-init drive"),
        drives=_holding(ide2=Drive.cloud_init(WANTED_ID), ide3=Drive.slot()),
    ),
    Situation(
        "mount-gate-closed",
        _outcomes(
            (), "does not allow a mount on this VPS now: An order is pending (code pending_order)", (), ("delete",)
        ),
        vps_options={"can_mount": Gate(False, "An order is pending", "pending_order")},
    ),
    Situation(
        "mount-gate-closed-mounted",
        _outcomes((), (), ("unmount",), ("unmount", "delete")),
        drives=_holding(ide2=WANTED),
        vps_options={"can_mount": Gate(False), "can_upload": Gate(False)},
    ),
    Situation(
        "mount-gate-closed-nowhere",
        _outcomes(("download",), "does not allow a mount", (), ()),
        options={"url": URL},
        in_library=False,
        vps_options={"can_mount": Gate(False)},
    ),
    Situation(
        "upload-gate-closed",
        _outcomes((), ("mount",), (), ("delete",)),
        options={"url": URL},
        vps_options={"can_upload": Gate(False, "The library is full")},
    ),
    Situation(
        "upload-gate-closed-nowhere",
        _outcomes("does not allow a download", "does not allow a download", (), ()),
        options={"url": URL},
        in_library=False,
        vps_options={"can_upload": Gate(False, "The library is full")},
    ),
    Situation(
        "name-twice",
        _outcomes(*["is the name of 2 ISOs in the library: iso_"] * 4),
        more_isos=((WANTED, None),),
        more_gb=2.0,
    ),
    Situation(
        "name-twice-alike",
        _outcomes((), ("mount",), (), "is the name of 2 ISOs in the library: iso_"),
        more_isos=((WANTED, None),),
    ),
    Situation(
        "name-twice-alike-mounted",
        _outcomes((), (), ("unmount",), "is the name of 2 ISOs in the library: iso_"),
        more_isos=((WANTED, None),),
        drives=_holding(ide2=WANTED),
    ),
    Situation(
        "name-twice-by-id",
        _outcomes((), ("mount",), (), ("delete",)),
        options={"iso_id": WANTED_ID},
        more_isos=((WANTED, None),),
    ),
    Situation(
        "null-name",
        _outcomes((), ("mount",), (), ("delete",)),
        wanted_names=(None, WANTED),
    ),
    Situation(
        "null-names-around",
        _outcomes((), ("mount",), (), ("delete",)),
        more_isos=((None, None), (None, "Third")),
        vps_options={"boot_order": None},
    ),
    Situation(
        "null-names-only",
        _outcomes(("download",), ("download", "mount"), (), ()),
        options={"url": URL},
        in_library=False,
        more_isos=((None, None),),
    ),
    Situation(
        "display-name-elsewhere",
        _outcomes((), ("mount",), (), "is the name of 2 ISOs in the library: iso_"),
        more_isos=((OTHER, WANTED),),
    ),
    Situation(
        "everything-out",
        {"unmounted": ("unmount", "unmount")},
        options={},
        drives=_holding(
            ide0=WANTED, ide1=Drive.cloud_init(CLOUD_INIT_ID), ide2=Drive.holding(None), ide3=Drive.empty()
        ),
    ),
    Situation(
        "one-drive-out",
        {"unmounted": ("unmount",)},
        options={"device": "ide3"},
        drives=_holding(ide2=WANTED, ide3=OTHER),
    ),
    Situation(
        "keep-drive",
        {"unmounted": ("unmount",)},
        options={"keep_drive": True},
        drives=_holding(ide2=WANTED),
    ),
    Situation("keep-drive-empty", {"unmounted": ()}, options={"keep_drive": True, "device": "ide2"}),
    Situation("keep-drive-in-slot", {"unmounted": ("attach_drive",)}, options={"keep_drive": True, "device": "ide3"}),
    Situation(
        "keep-drive-busy",
        {"unmounted": "cannot become an empty drive"},
        options={"keep_drive": True, "device": "ide3"},
        drives=_holding(ide3=Drive.busy()),
    ),
    Situation(
        "no-wait-nowhere",
        {"mounted": "wait=false"},
        options={"url": URL, "wait": False},
        in_library=False,
    ),
]

CASES = [Case(situation, state, outcome) for situation in SITUATIONS for state, outcome in situation.outcomes.items()]
