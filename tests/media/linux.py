# SPDX-License-Identifier: GPL-3.0-or-later
"""A small Linux, as an ISO whose installer writes it to the first disk without asking anything."""

from __future__ import annotations

import functools
import gzip
import lzma
import re
import shlex
import struct
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal

import zstandard

from .debian import MediaError, run, unpacked
from .iso import write_iso

After = Literal["poweroff", "reboot", "hang"]
File = tuple[int, bytes]  # mode and content

PACKAGES = Path(__file__).resolve().parents[1] / "output" / "packages"
GUEST = Path(__file__).resolve().parent / "guest"

FOLDER, LINK, PLAIN, PROGRAM = 0o040755, 0o120777, 0o100644, 0o100755
STATIC_PROGRAM = "bin/busybox"
PROGRAMS = ("sbin/dropbear", "bin/dropbearkey", "bin/extlinux")
FOLDERS = ("dev", "disk", "medium", "proc", "sys", "tmp")
TEXTS = {
    "etc/group": "root:x:0:\n",
    "etc/passwd": "root:x:0:0:root:/disk/root:/bin/sh\n",
    "etc/shells": "/bin/sh\n",
}
# Each boot costs time: these are all that the guest needs.
DISK = ("virtio_pci", "virtio_scsi", "sd_mod")
MODULES = {
    "installer": (*DISK, "ata_piix", "sr_mod", "isofs"),
    "system": (*DISK, "virtio_net", "button", "evdev"),
}
OPENERS: dict[str, Callable[[bytes], bytes]] = {
    ".ko": bytes,
    ".gz": gzip.decompress,
    ".xz": lzma.decompress,
    ".zst": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
}
# On a busy computer an emulated timer can be too late for the kernel, which would take it for broken.
BOOT = """\
serial 0 115200
say hostup test {role}: loading
default linux
label linux
  kernel vmlinuz
  append initrd=initrd.gz ROLE={role} console=tty0 console=ttyS0,115200 no_timer_check quiet
"""
DEBIAN_BOOT = """\
serial 0 115200
default debian
label debian
  kernel vmlinuz
  append initrd=initrd.img root=/dev/sda1 rw console=tty0 console=ttyS0,115200 no_timer_check quiet
"""
FIRST_SECTOR = 2048
SECTORS = 96 * 2048
DEBIAN_SECTORS = 1900 * 2048


def find(root: Path, pattern: str) -> Path:
    """Return a file that a package brings; some releases have everything below /usr."""
    for path in (*root.glob(pattern), *root.glob(f"usr/{pattern}")):
        return path
    raise MediaError(f"There is no {pattern} in the packages below {root}")


class Modules:
    """The modules of a kernel."""

    def __init__(self, folder: Path) -> None:
        self._files = {_module(path.name): path for path in folder.rglob("*.ko*")}
        self._builtin = {_module(line) for line in (folder / "modules.builtin").read_text().split()}

    def read(self, name: str) -> bytes:
        """Return a module, uncompressed."""
        path = self._files[name]
        return OPENERS[path.suffix](path.read_bytes())

    def in_order(self, names: Iterable[str]) -> list[str]:
        """Return modules with all that they need, each after what it needs."""
        ordered: dict[str, None] = {}
        for name in names:
            if name in self._files:
                needed = re.search(rb"\0depends=([^\0]*)", self.read(name))
                before = map(_module, needed[1].decode().split(",")) if needed else ()
                ordered |= dict.fromkeys([*self.in_order(filter(None, before)), name])
            elif name not in self._builtin:
                raise MediaError(f"The kernel has no module {name}")
        return list(ordered)


def _module(file: str) -> str:
    return Path(file).name.partition(".")[0].replace("-", "_")


def libraries(root: Path, program: Path) -> dict[str, Path]:
    """Return what a program is linked to, by the places where it looks for that, as the packages' loader finds it."""
    loader = find(root, "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")
    folders = f"{root}/lib/x86_64-linux-gnu:{root}/usr/lib/x86_64-linux-gnu"
    listed = run(str(loader), "--library-path", folders, "--list", str(program))
    return {str(Path("/lib", name))[1:]: Path(path) for name, path in re.findall(r"(\S+) => (\S+) \(0x", listed)}


def cpio(files: Mapping[str, File]) -> bytes:
    """Pack files, with the folders that they are in, as the kernel wants its first file system (the format newc)."""
    every: dict[str, File] = {}
    for name, file in files.items():
        for folder in reversed(Path(name).parents[:-1]):
            every.setdefault(str(folder), (FOLDER, b""))
        every[name] = file
    packed = bytearray()
    for number, (name, (mode, content)) in enumerate([*every.items(), ("TRAILER!!!", (0, b""))]):
        header = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        packed += b"070701" + b"".join(b"%08X" % field for field in header) + name.encode() + b"\0"
        for part in (b"", content):
            packed += part
            packed += bytes(-len(packed) % 4)
    return bytes(packed)


@functools.cache
def initrd(root: Path) -> bytes:
    """Return the guest's file system: the installer and the installed system have the same."""
    modules = Modules(find(root, "lib/modules/*"))
    order = {role: modules.in_order(names) for role, names in MODULES.items()}
    programs = [find(root, name) for name in PROGRAMS]
    linked = {place: path for program in programs for place, path in libraries(root, program).items()}
    files = {
        "init": (PROGRAM, (GUEST / "init.sh").read_bytes()),
        "bin/sh": (LINK, b"busybox"),
        "etc/acpi/PWRF/00000080": (PROGRAM, (GUEST / "power_button.sh").read_bytes()),
        **{f"bin/{path.name}": (PROGRAM, path.read_bytes()) for path in (find(root, STATIC_PROGRAM), *programs)},
        **{place: (PROGRAM, path.read_bytes()) for place, path in linked.items()},
        **{f"etc/{role}.sh": (PLAIN, (GUEST / f"{role}.sh").read_bytes()) for role in MODULES},
        **{f"lib/modules/{role}": (PLAIN, "".join(f"{name}\n" for name in order[role]).encode()) for role in MODULES},
        **{f"lib/modules/{name}": (PLAIN, modules.read(name)) for names in order.values() for name in names},
        **{name: (PLAIN, text.encode()) for name, text in TEXTS.items()},
        **dict.fromkeys(FOLDERS, (FOLDER, b"")),
    }
    return gzip.compress(cpio(files), mtime=0)


def boot_record(code: bytes, sectors: int) -> bytes:
    """Return the first sector of a disk: this code, and one partition, whatever the size of the disk."""
    beyond = b"\xfe\xff\xff"  # no cylinder, head and sector say where it is
    partition = struct.pack("<B3sB3sII", 0x80, beyond, 0x83, beyond, FIRST_SECTOR, sectors)
    return struct.pack("<446s64sH", code, partition, 0xAA55)


def build_linux(
    path: Path,
    *,
    ssh_key: str,
    hostname: str = "",
    after: After = "poweroff",
    leave_disk: bool = False,
    packages: Path = PACKAGES,
    debian: Path | None = None,
    host_key: Path | None = None,
) -> None:
    """Write an ISO whose installer lets the first disk boot a system that root can log in to with this public key.

    Without a host name, the system takes the serial number of the machine. With `leave_disk`, the installer changes
    nothing, and yet looks as if it had done its work. The packages are fetched unless they are in their folder.

    With `debian`, a root file system as `debian.build_root` makes it, that is installed; and with `host_key`, it has
    this SSH host key, as an image has that was made of a system that ran.
    """
    root = unpacked(packages)
    answers = {
        "SSH_KEY": ssh_key,
        "HOST_NAME": hostname,
        "AFTER": after,
        "DISK": "leave" if leave_disk else "write",
        "SYSTEM": "debian" if debian else "small",
    }
    files: dict[str, bytes | Path] = {
        "answers": "".join(f"{name}={shlex.quote(value)}\n" for name, value in answers.items()).encode(),
        "isolinux.cfg": BOOT.format(role="installer").encode(),
        "extlinux.conf": (DEBIAN_BOOT if debian else BOOT.format(role="system")).encode(),
        "ldlinux.c32": find(root, "lib/syslinux/modules/bios/ldlinux.c32").read_bytes(),
        "mbr.bin": boot_record(find(root, "lib/EXTLINUX/mbr.bin").read_bytes(), DEBIAN_SECTORS if debian else SECTORS),
        "vmlinuz": find(root, "boot/vmlinuz-*").read_bytes(),
        "initrd.gz": initrd(root),
        **({"root.tar": debian} if debian else {}),
        **({"host_key": host_key} if host_key else {}),
    }
    boot = find(root, "lib/ISOLINUX/isolinux.bin").read_bytes()
    write_iso(path, boot, volume="HOSTUP_TEST", files=files, boot_info_table=True, load_sectors=4)
