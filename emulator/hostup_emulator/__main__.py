# SPDX-License-Identifier: GPL-3.0-or-later
"""The emulator as a command."""

from __future__ import annotations

import argparse
import signal
import ssl
import tempfile
import threading
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .downloads import Downloads
from .server import Emulator
from .switches import JobFaults, Switches, change
from .world import World

if TYPE_CHECKING:
    from .machines import Machines

DESCRIPTION = """\
Emulates the part of the HostUp API that this collection uses, on this machine: nothing here costs money or touches a
real VPS. It prints a line to copy into the shell from which Ansible is run, and then one line for each request.
"""


def add_switches(parser: argparse.ArgumentParser, title: str, owner: type, prefix: str = "") -> None:
    """Add one flag for each field of a dataclass of switches."""
    group = parser.add_argument_group(title)
    for item in fields(owner):
        if not item.metadata:
            continue
        about = item.metadata
        flag = "--" + f"{prefix}{item.name}".replace("_", "-")
        shown = "" if item.default in (None, "", 0) else f" (default: {item.default})"
        options: dict[str, Any] = {"help": about["help"] + shown, "default": None}
        if about["parse"] is bool:
            options["action"] = argparse.BooleanOptionalAction
        else:
            options |= {"type": about["parse"], "choices": about["choices"] or None}
            options["metavar"] = None if about["choices"] else {int: "N", float: "S", str: "TEXT"}[about["parse"]]
        group.add_argument(flag, **options)


def given(arguments: argparse.Namespace, owner: type, prefix: str = "") -> dict[str, Any]:
    """Return the switches that the command line sets."""
    values = {item.name: getattr(arguments, prefix + item.name, None) for item in fields(owner)}
    return {name: value for name, value in values.items() if value is not None}


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m hostup_emulator", description=DESCRIPTION)
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8080, help="the port; 0: any free one (default: %(default)s)")
    parser.add_argument("--key", help="the API key to accept (default: a new one)")
    parser.add_argument(
        "--vps",
        action="append",
        metavar="NAME",
        help="a VPS to begin with; may be given again (default: web-01, db-01)",
    )
    parser.add_argument("--library-dir", type=Path, help="where downloads go (default: a folder that goes at the end)")
    parser.add_argument("--tls-cert", type=Path, help="certificate chain (PEM): serve HTTPS")
    parser.add_argument("--tls-key", type=Path, help="its private key (PEM), if that is in another file")
    parser.add_argument("--control", action="store_true", help="open the routes below /control/ that tests use")
    parser.add_argument("--download-rate", type=float, metavar="N", help="slow downloads down to N bytes a second")
    parser.add_argument(
        "--download-seconds", type=float, default=0.0, metavar="S", help="let a download take at least S seconds"
    )
    machines = parser.add_argument_group("what the VPSs are")
    machines.add_argument(
        "--backend",
        choices=("memory", "qemu"),
        default="memory",
        help="memory: books are kept; qemu: each is a virtual machine on this computer (default: %(default)s)",
    )
    machines.add_argument(
        "--machines-dir", type=Path, help="where disks and console logs go (default: a folder that goes at the end)"
    )
    machines.add_argument(
        "--ssh-port",
        type=int,
        metavar="N",
        help="give each VPS a loopback address whose port N leads to its port 22 (default: no network)",
    )
    machines.add_argument("--memory-mb", type=int, default=256, metavar="N", help="memory (default: %(default)s)")
    machines.add_argument("--disk-mb", type=int, default=1024, metavar="N", help="disk (default: %(default)s)")
    add_switches(parser, "behaviour that the provider does not document", Switches)
    add_switches(parser, "jobs that go wrong", JobFaults, "job_")
    return parser.parse_args()


def real_machines(arguments: argparse.Namespace, folder: Path, downloads: Downloads) -> Machines:
    """Return the machines that the command line describes, or end with what they lack."""
    try:
        from .qemu import QemuMachines  # noqa: PLC0415 - optional

        return QemuMachines(
            folder,
            downloads.find,
            ssh_port=arguments.ssh_port,
            disk_mb=arguments.disk_mb,
            memory_mb=arguments.memory_mb,
        )
    except ModuleNotFoundError:
        raise SystemExit("The machines need the Python package qemu.qmp.") from None
    except FileNotFoundError as error:
        raise SystemExit(str(error)) from None


def main() -> None:
    """Serve until interrupted or told to end."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    arguments = parse()
    tls = None
    if arguments.tls_cert:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(arguments.tls_cert, arguments.tls_key)
    with tempfile.TemporaryDirectory() as folder:
        downloads = Downloads(
            arguments.library_dir or Path(folder, "library"),
            rate=arguments.download_rate,
            min_seconds=arguments.download_seconds,
        )
        machines = None
        if arguments.backend == "qemu":
            machines = real_machines(arguments, arguments.machines_dir or Path(folder, "machines"), downloads)
        world = World(machines=machines)
        change(world.switches, given(arguments, Switches) | {"job": given(arguments, JobFaults, "job_")})
        owner = world.add_owner("demo")
        key = world.add_key(owner, arguments.key)
        network = "127.0.2" if arguments.ssh_port else "192.0.2"
        for number, name in enumerate(arguments.vps or ("web-01", "db-01"), start=1):
            world.add_vps(owner, name, primary_ip=f"{network}.{number}" if number < 255 else None)
        try:
            emulator = Emulator(
                world,
                host=arguments.host,
                port=arguments.port,
                tls=tls,
                control=arguments.control,
                log=lambda line: print(line, flush=True),
                downloads=downloads,
            )
        except OSError as error:
            raise SystemExit(f"Cannot listen on {arguments.host}:{arguments.port}: {error.strerror}") from None
        with emulator:
            print(f"The emulator listens on {emulator.url} with the API key {key}")
            for vps in owner.vpses:
                print(f"  {vps.name:20} {vps.id}  {vps.primary_ip or ''}".rstrip())
            print(f"Copy this into another shell:\n\n  export HOSTUP_API_BASE={emulator.url} HOSTUP_API_KEY={key}\n")
            print("Ctrl-C ends it.", flush=True)
            try:
                threading.Event().wait()
            except KeyboardInterrupt:
                print()


if __name__ == "__main__":
    main()
