# SPDX-License-Identifier: GPL-3.0-or-later
"""A tiny ISO whose boot code installs a system to the disk, or is itself the system. It boots in a tenth of a second.

The code is for QEMU's machine `pc`, whose ACPI registers SeaBIOS puts where `PM1` says. It is put together from pieces
of 16-bit machine code that work wherever they lie: each brings its data along, and jumps only within itself.

It writes through the BIOS, which knows the disk only if that is in the boot order.

In the folder `tests`, `python -m media.tiny FILE` writes such an ISO.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .iso import write_iso

PM1 = 0x600  # the status register; two bytes on, the one that enables events; four on, the one that switches off
SECTOR = 512

# The registers are as the BIOS leaves them, but for these.
BEGIN = bytes.fromhex(
    "fa"  # cli
    "31c0"  # xor ax, ax
    "8ed8"  # mov ds, ax
    "8ed0"  # mov ss, ax
    "bc007c"  # mov sp, 0x7c00
    "fb"  # sti
    "fc"  # cld
)
HANG = bytes.fromhex(
    "fa"  # cli
    "f4"  # hlt
    "ebfd"  # jmp to the hlt
)
POWER_OFF = (
    bytes.fromhex("ba")  # mov dx, ...
    + (PM1 + 4).to_bytes(2, "little")
    + bytes.fromhex(
        "b80020"  # mov ax, 0x2000: the sleep state that is off
        "ef"  # out dx, ax
    )
    + HANG
)
REBOOT = (
    bytes.fromhex(
        "baf90c"  # mov dx, 0xcf9: reset control
        "b006"  # mov al, 6: a full reset, now
        "ee"  # out dx, al
    )
    + HANG
)
LISTEN_TO_POWER_BUTTON = (
    bytes.fromhex("ba")  # mov dx, ...
    + (PM1 + 2).to_bytes(2, "little")
    + bytes.fromhex(
        "b80001"  # mov ax, 0x100: the power button
        "ef"  # out dx, ax
    )
)
AWAIT_POWER_BUTTON = (
    bytes.fromhex("ba")  # mov dx, ...
    + PM1.to_bytes(2, "little")
    + bytes.fromhex(
        "f4"  # hlt: until the next tick of the clock
        "ed"  # in ax, dx
        "f6c401"  # test ah, 1: pressed?
        "74f9"  # jz to the hlt
    )
)
AFTER = {"poweroff": POWER_OFF, "reboot": REBOOT, "hang": HANG}


def say(line: str) -> bytes:
    """Code that prints a line on the screen and on the first serial port."""
    text = line.encode("ascii") + b"\r\n\0"
    return _push_address_of(text) + bytes.fromhex(
        "5e"  # pop si
        "ac"  # lodsb
        "84c0"  # test al, al
        "740e"  # jz past the end
        "b40e"  # mov ah, 0x0e
        "31db"  # xor bx, bx
        "cd10"  # int 0x10: print al
        "b401"  # mov ah, 1
        "31d2"  # xor dx, dx
        "cd14"  # int 0x14: send al
        "ebed"  # jmp to the lodsb
    )


def write_first_sector(sector: bytes, on_failure: bytes) -> bytes:
    """Code that writes the first sector of the first disk, or goes through other code if it cannot."""
    return (
        _push_address_of(sector)
        + bytes.fromhex(
            "5b"  # pop bx
            "31c0"  # xor ax, ax
            "50505050"  # push ax four times: to sector 0,
            "1e"  # push ds:
            "53"  # push bx: from here,
            "6a01"  # push 1: one sector
            "6a10"  # push 16: the size of all this, which is a packet for the BIOS
            "89e6"  # mov si, sp
            "b80043"  # mov ax, 0x4300: write
            "b280"  # mov dl, 0x80: the first disk
            "cd13"  # int 0x13
            "73"  # jnc past the failure
        )
        + bytes([len(on_failure)])
        + on_failure
    )


def system(marker: str) -> bytes:
    """The code of a system that says that it is up, and powers off at the power button."""
    # Who reads the marker may press the button at once.
    return BEGIN + LISTEN_TO_POWER_BUTTON + say(marker) + AWAIT_POWER_BUTTON + say("POWER BUTTON") + POWER_OFF


def boot_sector(marker: str) -> bytes:
    """The first sector of a disk with this system on it."""
    code = system(marker)
    room = 446  # then comes the partition table
    if len(code) > room:
        raise ValueError(f"the marker is {len(code) - room} characters too long")
    return code.ljust(SECTOR - 2, b"\0") + b"\x55\xaa"


def installer(marker: str, *, after: str = "poweroff") -> bytes:
    """The code of an installer. Its system will print the marker; `after` says what follows the installation."""
    failure = say("INSTALLATION FAILED") + HANG
    installation = write_first_sector(boot_sector(marker), on_failure=failure)
    return BEGIN + say("INSTALLER") + installation + say("INSTALLED") + AFTER[after]


def write_installer_iso(path: Path, marker: str = "SYSTEM UP", *, after: str = "poweroff") -> None:
    """Write an ISO that installs."""
    write_iso(path, installer(marker, after=after), volume="TINY_INSTALLER")


def write_live_iso(path: Path, marker: str = "SYSTEM UP") -> None:
    """Write an ISO that is a system, and leaves the disk alone."""
    write_iso(path, system(marker), volume="TINY_LIVE")


def _push_address_of(data: bytes) -> bytes:
    """Code that jumps over some data and pushes its address."""
    return b"\xe8" + len(data).to_bytes(2, "little") + data  # call, which pushes what follows it


def main() -> None:
    """Write the ISO that the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m media.tiny", description="Writes a tiny ISO that boots.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--marker", default="SYSTEM UP", help="what the system prints (default: %(default)s)")
    parser.add_argument("--live", action="store_true", help="the ISO itself is the system: it installs nothing")
    parser.add_argument(
        "--after", choices=AFTER, default="poweroff", help="what follows the installation (default: %(default)s)"
    )
    arguments = parser.parse_args()
    if arguments.live:
        write_live_iso(arguments.file, arguments.marker)
    else:
        write_installer_iso(arguments.file, arguments.marker, after=arguments.after)


if __name__ == "__main__":
    main()
