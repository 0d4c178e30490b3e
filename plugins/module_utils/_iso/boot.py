# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a VPS would boot from an ISO at its next start, as far as one read tells it."""

from __future__ import annotations

import typing as t

from ansible_collections.hostup.cloud.plugins.module_utils._iso.state import Media


class Boot(t.NamedTuple):
    """The names are those of the return values. ``boots_from_iso`` is ``None`` where the API does not tell."""

    boots_from_iso: bool | None
    boot_obstacle: str | None


def judge_boot(media: Media, devices: t.Sequence[str | None]) -> Boot:
    """Whether the VPS would boot from the ISO in one of these drives; else what the first of them is up against."""
    order = media.boot_order.order if media.boot_order else []
    if not devices:
        return Boot(False, "no ISO that was asked for is mounted")
    if not order:
        return Boot(None, "the API does not tell the boot order")
    obstacles = [_obstacle(media, order, device or "a drive that the API does not name") for device in devices]
    return Boot(True, None) if None in obstacles else Boot(False, obstacles[0])


def _obstacle(media: Media, order: list[str], device: str) -> str | None:
    listed = ", ".join(order)
    if device not in order:
        return f"{device} is not in the boot order {listed}"
    first = next(rival for rival in order if rival == device or not _is_passed_over(media, rival))
    return None if first == device else f"{first} comes first in the boot order {listed}"


def _is_passed_over(media: Media, device: str) -> bool:
    """A drive without bootable media is, and so is the network where nothing answers."""
    bootable = media.boot_order.available_devices if media.boot_order else []
    is_drive = any(each["id"] == device and each["type"] == "cdrom" for each in bootable)
    return device.startswith("net") or (is_drive and media.mount_of(device) is None)
