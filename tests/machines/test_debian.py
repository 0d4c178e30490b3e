# SPDX-License-Identifier: GPL-3.0-or-later
"""The role `hostup_reinstall` with a whole Debian; its root file system takes minutes to build, once."""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hostup_emulator.model import Vps
from media.debian import MediaError, build_root
from media.linux import PACKAGES, build_linux
from support.lab import QuietFiles, Run, do_without, serve

from .stage import Media, Stage, set_up

pytestmark = [pytest.mark.exhaustive, pytest.mark.timeout(3600)]

# That of Debian, not that of the laboratory.
PYTHON: dict[str, Any] = {"ansible_python_interpreter": "/usr/bin/python3"}


@pytest.fixture(scope="module")
def debian_source(media: Media, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where two installers of a Debian can be downloaded from: one whose image has a host key, and one without."""
    folder = tmp_path_factory.mktemp("debian")
    key = folder / "host_key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    ssh_key = media.private_key.with_suffix(".pub").read_text().strip()
    try:
        root = build_root(PACKAGES / "debian.tar")
    except MediaError as error:
        do_without(str(error))
    served = folder / "served"
    served.mkdir()
    build_linux(served / "debian.iso", ssh_key=ssh_key, debian=root)
    build_linux(served / "has-a-key.iso", ssh_key=ssh_key, debian=root, host_key=key)
    yield from serve(functools.partial(QuietFiles, directory=str(served)))


@pytest.fixture
def stage(media: Media, debian_source: str, tmp_path: Path) -> Iterator[Stage]:
    """Real machines, and Ansible."""
    with set_up(tmp_path, media, debian_source) as found:
        yield found


def reinstall(stage: Stage, vps: Vps, iso: str, **more: Any) -> Run:
    """Reinstall a server, and have modules run on it."""
    # idle, its first boot takes half a minute; beside four workers, 300 s were not enough
    given = {"iso_url": f"{stage.lab.source}/{iso}", "connection": "python", "ssh_timeout": 1200, **more}
    values = {f"hostup_reinstall_{name}": value for name, value in given.items()}
    return stage.reinstall(vps, **values, **PYTHON)


def test_is_reinstalled_and_runs_modules(stage: Stage) -> None:
    vps = stage.add_server("web-01")
    run = reinstall(stage, vps, "debian.iso", proof="any_host_key")
    assert run.code == 0, run.output
    key, machine = stage.host_key(vps), stage.ssh(vps, "cat /etc/machine-id")
    run = reinstall(stage, vps, "debian.iso")
    assert run.code == 0, run.output
    assert stage.host_key(vps) not in ("", key) and stage.ssh(vps, "cat /etc/machine-id") not in ("", machine)
    hosts = stage.hosts(vps, **PYTHON)
    run = stage.lab.play([{"name": "facts", "ansible.builtin.setup": {}}], hosts=hosts)
    facts = run.of("facts")["ansible_facts"]
    assert (facts["ansible_distribution"], facts["ansible_hostname"]) == ("Debian", "web-01")
    assert facts["ansible_service_mgr"] == "systemd"


def test_an_image_that_brings_its_host_key_along(stage: Stage) -> None:
    """Nobody can tell the new system from the old one then."""
    vps = stage.add_server("web-01")
    run = reinstall(stage, vps, "has-a-key.iso", proof="any_host_key")
    assert run.code == 0, run.output
    run = reinstall(stage, vps, "has-a-key.iso", ssh_timeout=600)  # which it waits to its end
    assert run.code == 2 and "The old system answers: " in run.output and "the installer keeps host keys" in run.output
