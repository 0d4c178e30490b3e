# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes ISO images from which a BIOS boots."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pycdlib

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def write_iso(
    path: Path,
    boot: bytes,
    *,
    volume: str,
    files: Mapping[str, bytes | Path] | None = None,
    boot_info_table: bool = False,
    load_sectors: int | None = None,
) -> None:
    """Write an image that boots this code (El Torito, no emulation) and holds these files in its only folder.

    The BIOS loads so many 512-byte sectors of the code to 0000:7C00, by default all of it. A boot info table, which
    some boot loaders look for in themselves, overwrites the bytes from 8 to 63.
    """
    every: dict[str, bytes | Path] = {"boot.bin": boot, **(files or {})}
    image = pycdlib.PyCdlib()
    image.new(interchange_level=3, vol_ident=volume, rock_ridge="1.09", joliet=3)
    for name, content in every.items():
        plain = f"/{name.upper().replace('-', '_')};1"
        if isinstance(content, bytes):
            image.add_fp(io.BytesIO(content), len(content), plain, rr_name=name, joliet_path=f"/{name}")
        else:
            image.add_file(str(content), plain, rr_name=name, joliet_path=f"/{name}")
    image.add_eltorito("/BOOT.BIN;1", boot_info_table=boot_info_table, boot_load_size=load_sectors)
    image.write(str(path))
    image.close()
