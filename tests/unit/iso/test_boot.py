# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a VPS would boot from an ISO."""

from __future__ import annotations

import pytest

from ansible_collections.hostup.cloud.plugins.module_utils._iso.boot import Boot, judge_boot
from ansible_collections.hostup.cloud.plugins.module_utils._iso.state import BootOrder, Media, Mount

TYPES = {"scsi0": "disk", "net0": "network", "ide0": "cdrom", "ide1": "cdrom", "ide2": "cdrom", "ide3": "cdrom"}


def media(order: str | None, *loaded: str, cloud_init: str = "") -> Media:
    """A VPS with ISOs in some drives; the others are there and empty."""
    mounts = [Mount(device, f"iso_{device}", True, False) for device in loaded]
    mounts += [Mount(device, None, True, True) for device in cloud_init.split()]
    devices: list[dict[str, str | None]] = [{"id": device, "type": kind} for device, kind in TYPES.items()]
    return Media((), tuple(mounts), (), BootOrder(order.split(), devices) if order is not None else None)


@pytest.mark.parametrize(
    ("order", "loaded", "obstacle"),
    [
        ("ide2 scsi0", ["ide2"], None),
        ("net0 ide2 scsi0", ["ide2"], None),
        ("ide0 ide1 ide3 ide2 scsi0", ["ide2"], None),
        ("scsi0 ide2", ["ide2"], "scsi0 comes first in the boot order scsi0, ide2"),
        ("ide3 ide2 scsi0", ["ide2", "ide3"], "ide3 comes first in the boot order ide3, ide2, scsi0"),
        ("virtio0 scsi0 ide2", ["ide2"], "virtio0 comes first in the boot order virtio0, scsi0, ide2"),
        ("scsi0 net0", ["ide2"], "ide2 is not in the boot order scsi0, net0"),
    ],
)
def test_one_drive(order: str, loaded: list[str], obstacle: str | None) -> None:
    assert judge_boot(media(order, *loaded), ["ide2"]) == Boot(obstacle is None, obstacle)


@pytest.mark.parametrize("order", [None, ""])
def test_an_order_that_is_not_told(order: str | None) -> None:
    assert judge_boot(media(order, "ide2"), ["ide2"]) == Boot(None, "the API does not tell the boot order")


def test_the_cloud_init_drive_boots_nothing() -> None:
    assert judge_boot(media("ide0 ide2", "ide2", cloud_init="ide0"), ["ide2"]) == Boot(True, None)


def test_one_of_several_drives_will_do() -> None:
    several = media("ide3 scsi0 ide2", "ide2", "ide3")
    assert judge_boot(several, ["ide2", "ide3"]) == Boot(True, None)
    assert judge_boot(several, ["ide2"]).boot_obstacle == "ide3 comes first in the boot order ide3, scsi0, ide2"


def test_no_iso() -> None:
    assert judge_boot(media("ide2 scsi0"), []) == Boot(False, "no ISO that was asked for is mounted")


def test_a_drive_without_a_name() -> None:
    obstacle = judge_boot(media("ide2 scsi0"), [None]).boot_obstacle
    assert obstacle == "a drive that the API does not name is not in the boot order ide2, scsi0"
