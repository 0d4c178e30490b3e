# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the ISO state of a VPS, and the boot order from where else it may be told."""

from __future__ import annotations

from contextlib import suppress

from ansible_collections.hostup.cloud.plugins.module_utils._api.client import Client, unexpected_shape
from ansible_collections.hostup.cloud.plugins.module_utils._api.vps import vps_path
from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError
from ansible_collections.hostup.cloud.plugins.module_utils._iso.state import Media, parse_media, parse_storage


def read_media(client: Client, vps_id: str) -> Media:
    """The one read that holds everything. Raises HostUpError."""
    path = f"{vps_path(vps_id)}/iso"
    body = client.get(path).body
    try:
        return parse_media(body)
    except ValueError as error:
        raise unexpected_shape("GET", path, str(error)) from None


def with_boot_order(client: Client, vps_id: str, media: Media) -> Media:
    """The same with the boot order of the storage read, if it has none and that one tells. Raises nothing.

    What the storage read is like is public, but not stated (contract): where it is refused, nothing is known.
    """
    if media.boot_order is not None:
        return media
    with suppress(HostUpError):
        return media._replace(boot_order=parse_storage(client.get(f"{vps_path(vps_id)}/storage").body))
    return media
