# SPDX-License-Identifier: GPL-3.0-or-later
"""The media as commands."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from .debian import MediaError
from .linux import PACKAGES, After, build_linux


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m media", description="Writes ISOs that boot.")
    linux = parser.add_subparsers(required=True).add_parser(
        "linux",
        description="Writes an ISO that installs a small Linux to the first disk, without asking anything.",
        help="installs a small Linux that answers SSH",
    )
    linux.add_argument("file", type=Path)
    linux.add_argument(
        "--ssh-key", type=Path, required=True, help="the file with the public key that root logs in with"
    )
    linux.add_argument("--hostname", default="", help="the system's name (default: the machine's serial number)")
    linux.add_argument(
        "--after",
        choices=get_args(After),
        default="poweroff",
        help="what follows the installation (default: %(default)s)",
    )
    linux.add_argument("--leave-disk", action="store_true", help="pretend: change nothing on the disk")
    linux.add_argument(
        "--packages", type=Path, default=PACKAGES, help="the folder that keeps the packages (default: %(default)s)"
    )
    return parser.parse_args()


def main() -> None:
    """Write an ISO, or say why that cannot be."""
    arguments = parse()
    try:
        build_linux(
            arguments.file,
            ssh_key=arguments.ssh_key.read_text().strip(),
            hostname=arguments.hostname,
            after=arguments.after,
            leave_disk=arguments.leave_disk,
            packages=arguments.packages,
        )
    except (MediaError, OSError) as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
