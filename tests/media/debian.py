# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages of Debian and Ubuntu, fetched and unpacked, and a whole Debian: nothing is installed on this machine."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

KERNELS = ("linux-image-cloud-amd64", "linux-image-virtual")  # Debian's and Ubuntu's for virtual machines
RELEASE = "bookworm"
DEBIAN = ("linux-image-cloud-amd64", "systemd-sysv", "udev", "dbus", "openssh-server", "python3", "iproute2")
# What the file system is given; the keys are made at the first boot, and so is the machine's ID.
HOST_KEYS = """\
[Unit]
Description=SSH host keys of its own for this machine
Before=ssh.service
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key

[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -A

[Install]
RequiredBy=ssh.service
"""
NETWORK = "[Match]\nType=ether\n\n[Network]\nDHCP=ipv4\n"
CUSTOMIZE = """\
set -e
cd "$1"
printf '%s' "$HOST_KEYS" >etc/systemd/system/host-keys.service
printf '%s' "$NETWORK" >etc/systemd/network/dhcp.network
chroot . systemctl enable host-keys.service systemd-networkd.service ssh.service
rm -f etc/ssh/ssh_host_*
: >etc/machine-id
"""

PROGRAMS = ("busybox-static", "dropbear-bin", "extlinux", "isolinux", "syslinux-common")


class MediaError(Exception):
    """A medium cannot be built; the text says why."""


def run(*command: str, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Return what a command says, which gets these environment variables, too."""
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        raise MediaError(
            f"There is no {command[0]}: this medium can be built on Debian and Ubuntu only, for it is made of packages."
        ) from None
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
        raise MediaError(f"{command[0]} failed: {reason} (`apt-get update` may help)")
    return done.stdout


def with_dependencies(package: str) -> list[str]:
    """The names of a package and of all that it depends on."""
    lines = run(
        *("apt-cache", "depends", "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks"),
        *("--no-replaces", "--no-enhances", package),
    ).splitlines()
    # relations are indented, virtual packages are in <>, and those with a colon are of other architectures
    return [line for line in lines if re.fullmatch(r"[a-z0-9][a-z0-9+.-]*", line)]


def kernel() -> list[str]:
    """The packages that hold the kernel and its modules; what they depend on is for installing them."""
    known = run("apt-cache", "pkgnames", "linux-image-").split()
    for package in KERNELS:
        if package in known:
            return [name for name in with_dependencies(package) if re.match(r"linux-(image|modules)-\d", name)]
    raise MediaError(f"apt knows neither of {', '.join(KERNELS)}: `apt-get update` may help, on amd64")


def unpacked(folder: Path) -> Path:
    """Return the folder with the packages' files below this one, where they stay once they are there."""
    target = folder / "files"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            names = {*kernel(), *(name for program in PROGRAMS for name in with_dependencies(program))}
            run("apt-get", "--quiet", "download", *sorted(names), cwd=Path(scratch))
            files = Path(scratch, "files")
            for package in Path(scratch).glob("*.deb"):
                run("dpkg-deb", "--extract", str(package), str(files))
            try:
                files.rename(target)
            except OSError:  # unless another process was faster
                if not target.exists():
                    raise
    return target


def build_root(file: Path) -> Path:
    """Return a root file system of a whole Debian as a tarball, which is built unless it is there. Needs mmdebstrap."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent) as scratch:
            customize, made = Path(scratch, "customize"), Path(scratch, "root.tar")
            customize.write_text(f"#!/bin/sh\n{CUSTOMIZE}")
            customize.chmod(0o755)
            run(
                *("mmdebstrap", "--variant=minbase", f"--include={','.join(DEBIAN)}"),
                *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale")),
                *(f'--customize-hook={customize} "$1"', RELEASE, str(made)),
                env={"HOST_KEYS": HOST_KEYS, "NETWORK": NETWORK},
            )
            made.rename(file)
    return file
