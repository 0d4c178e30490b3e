# SPDX-License-Identifier: GPL-3.0-or-later
"""The things in the emulated world, and how the API shows them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .switches import Switches

JSON = dict[str, Any]
JsonValue = Any

DEVICES = ("ide0", "ide1", "ide2", "ide3")


def label(device: str) -> str:
    """Return the name that a person sees for a device."""
    return f"CD/DVD {DEVICES.index(device) + 1}" if device in DEVICES else "Disk"


class Content(Enum):
    """What is in a CD/DVD slot."""

    NO_DRIVE = "no drive"
    NOTHING = "nothing"
    MEDIA = "media"
    CLOUD_INIT = "cloud-init"
    UNNAMED = "in use, and the API does not say by what"


@dataclass(frozen=True)
class Drive:
    """One CD/DVD slot that the API lists."""

    content: Content
    iso_id: str | None = None

    @classmethod
    def slot(cls) -> Drive:
        """A slot in which there is no drive yet."""
        return cls(Content.NO_DRIVE)

    @classmethod
    def empty(cls) -> Drive:
        """A drive with nothing in it."""
        return cls(Content.NOTHING)

    @classmethod
    def holding(cls, iso_id: str | None) -> Drive:
        """A drive that holds an ISO; None for one that the API cannot name."""
        return cls(Content.MEDIA, iso_id)

    @classmethod
    def cloud_init(cls, iso_id: str | None = None) -> Drive:
        """The drive that brings the VPS its first configuration."""
        return cls(Content.CLOUD_INIT, iso_id)

    @classmethod
    def busy(cls) -> Drive:
        """A drive that is in use without a word about it in `mounted`."""
        return cls(Content.UNNAMED)

    @property
    def free(self) -> bool:
        """Whether an ISO could go in here."""
        return self.content in (Content.NO_DRIVE, Content.NOTHING)


@dataclass(frozen=True)
class Mount:
    """One entry of `mounted`. Given by hand, it can be as odd as the documents allow."""

    device: str | None
    iso_id: str | None
    mounted: bool = True
    is_cloud_init: bool = False

    def document(self) -> JSON:
        """Return it as the API shows it."""
        return {
            "device": self.device,
            "isoId": self.iso_id,
            "mounted": self.mounted,
            "isCloudInit": self.is_cloud_init,
        }


@dataclass(frozen=True)
class Gate:
    """Whether an action is allowed at present, and if not, why."""

    allowed: bool = True
    reason: str | None = None
    code: str | None = None

    def document(self) -> JSON:
        """Return it as the API shows it."""
        return {"allowed": self.allowed, "reason": self.reason} | ({"code": self.code} if self.code else {})


@dataclass
class Iso:
    """A file in an owner's library."""

    id: str
    name: str | None
    display_name: str | None
    size_gb: float
    format: str | None
    deletable: bool = True

    def document(self) -> JSON:
        """Return it as the API shows it."""
        return {
            "id": self.id,
            "name": self.name,
            "displayName": self.display_name,
            "sizeGb": self.size_gb,
            "format": self.format,
        }


@dataclass(eq=False)
class Owner:
    """A customer: has keys, VPSs, one ISO library, and possibly switches of their own."""

    name: str
    switches: Switches
    library: dict[str, Iso] = field(default_factory=dict)
    vpses: list[Vps] = field(default_factory=list)

    def iso_named(self, name: str) -> Iso | None:
        """Return the file of that name, if it is in the library."""
        return next((iso for iso in self.library.values() if iso.name == name), None)


@dataclass
class Key:
    """What an API key may do, and what it has used of its rate limit. The key itself is not kept here."""

    name: str
    owner: Owner
    scopes: frozenset[str]
    window_start: float = 0.0
    used: int = 0
    tokens: float = math.inf
    refilled_at: float = 0.0


@dataclass(eq=False)
class Vps:
    """A virtual server, as far as this API shows it."""

    id: str
    owner: Owner
    name: str
    primary_ip: str | None
    drives: dict[str, Drive]
    boot_order: list[str] | None
    can_mount: Gate
    can_upload: Gate
    extra_mounts: list[Mount]
    power_state: str | None = "running"
    gates: dict[str, Gate] = field(default_factory=dict)
    started_at: float = 0.0
    powers_off_at: float | None = None
    powers_off_after: int | None = None  # so many more reads
    stale_power_state: str | None = None
    stale_power_reads_left: int = 0
    service_status: str = "active"
    operating_system: JSON | None = None
    tags: list[str] = field(default_factory=list)
    cloud_init_unmounts: list[str] = field(default_factory=list)
    stale_document: JSON = field(default_factory=dict)
    stale_reads_left: int = 0

    def mounts(self) -> list[Mount]:
        """Return what `mounted` shows."""
        shown = (Content.MEDIA, Content.CLOUD_INIT)
        return [
            Mount(device, drive.iso_id, is_cloud_init=drive.content is Content.CLOUD_INIT)
            for device, drive in sorted(self.drives.items())
            if drive.content in shown
        ] + self.extra_mounts

    def first(self, contents: Iterable[Content]) -> str | None:
        """Return the first device that has one of the contents; the order of the contents goes first."""
        return next(
            (device for content in contents for device in DEVICES if self._content(device) is content),
            None,
        )

    def boots_from_cd(self) -> bool:
        """Whether an ISO in a drive comes before the disk."""
        for device in self.boot_order or ():
            if device not in DEVICES:
                return False
            if self._content(device) is Content.MEDIA:
                return True
        return False

    def document(self, power_state: str | None) -> JSON:
        """Return it as the inventory shows it."""
        return {
            "id": self.id,
            "name": self.name,
            "primaryIp": self.primary_ip,
            "serviceStatus": self.service_status,
            "powerState": power_state,
            "operatingSystem": self.operating_system,
            "billing": {"amount": 49.0, "currencyCode": "SEK", "billingCycle": "monthly", "isPayg": False},
            "resources": {"cpuCores": 2, "memoryGb": 4, "storageGb": 50},
            "tags": list(self.tags),
        }

    def iso_document(self) -> JSON:
        """Return library, mounts, boot order, slots and gates, as the ISO read shows them."""
        return {
            "available": [iso.document() for iso in self.owner.library.values()],
            "mounted": [mount.document() for mount in self.mounts()],
            "bootOrder": self._boot_document() if self.owner.switches.boot_order_at == "iso" else None,
            "availableDevices": [
                {
                    "device": device,
                    "type": "available" if drive.content is Content.NO_DRIVE else "existing_cdrom",
                    "description": label(device),
                    "inUse": not drive.free,
                }
                for device, drive in sorted(self.drives.items())
            ],
            "actions": {"canMount": self.can_mount.document(), "canUpload": self.can_upload.document()},
        }

    def storage_document(self) -> JSON:
        """Return the disks and drives, as the storage read shows them."""
        order = self.boot_order if self.boot_order and self.owner.switches.boot_order_at == "storage" else []
        attached = [device for device in sorted(self.drives) if self._content(device) is not Content.NO_DRIVE]
        return {
            "disks": [
                {
                    "id": f"vpsdisk_{device}",
                    "name": label(device),
                    "type": "cdrom" if device in DEVICES else "disk",
                    "device": device,
                    "isCdrom": device in DEVICES,
                    "bootOrder": order.index(device) + 1 if device in order else None,
                }
                for device in dict.fromkeys(["scsi0", *(self.boot_order or []), *attached])
            ]
        }

    def _content(self, device: str) -> Content | None:
        drive = self.drives.get(device)
        return drive.content if drive else None

    def _boot_document(self) -> JSON | None:
        if self.boot_order is None:
            return None
        attached = [device for device in sorted(self.drives) if self._content(device) is not Content.NO_DRIVE]
        bootable = list(dict.fromkeys(self.boot_order + attached))
        return {
            "order": list(self.boot_order),
            "devices": {device: label(device) for device in bootable},
            "availableDevices": [
                {"id": device, "name": label(device), "type": "cdrom" if device in DEVICES else "disk"}
                for device in bootable
            ],
        }
