# SPDX-License-Identifier: GPL-3.0-or-later
"""The Linux ISO: what its installer leaves on a disk, and what is said where it cannot be built."""

from __future__ import annotations

import gzip
import lzma
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

import media as package
from hostup_emulator.model import Drive, Vps
from media.debian import MediaError
from media.linux import Modules, build_linux

from .stage import Media, Stage

TESTS = Path(package.__file__).parents[1]


def begin(stage: Stage, vps: Vps, iso: Path) -> None:
    """Boot a server from an ISO."""
    iso_id = stage.lab.world.add_iso(stage.lab.owner, iso.name).id
    library = stage.emulator.downloads.path(stage.lab.owner.name, iso.name)
    library.parent.mkdir(parents=True, exist_ok=True)
    library.symlink_to(iso)
    vps.drives["ide2"] = Drive.holding(iso_id)
    stage.machines.start(vps)


def install(stage: Stage, vps: Vps, iso: Path) -> None:
    """Boot a server from an ISO that switches it off when it is done, and take the ISO out."""
    stage.machines.stop(vps)
    begin(stage, vps, iso)
    stage.lab.until(lambda: stage.machines.power_state(vps) == "stopped")
    vps.drives["ide2"] = Drive.empty()


@pytest.mark.exhaustive
def test_each_installation_is_another_system(stage: Stage, media: Media, tmp_path: Path) -> None:
    vps = stage.add_server("web-01")
    install(stage, vps, media.folder / "installer.iso")
    key = stage.boot(vps)
    installation = stage.ssh(vps, "cat /disk/etc/installation")
    assert stage.ssh(vps, "hostname") == "web-01"  # the machine's serial number
    assert f"SSH host key ssh-ed25519 {key}\n" in stage.console(vps)
    assert f"web-01, installation {installation}, answers SSH" in stage.console(vps)

    public = media.private_key.with_suffix(".pub").read_text().split()
    odd_comment = " ".join([*public[:2], 'it\'s "mine" $HOME'])
    build_linux(tmp_path / "named.iso", ssh_key=odd_comment, hostname="db-07")
    install(stage, vps, tmp_path / "named.iso")
    assert stage.boot(vps) not in ("", key)
    assert stage.ssh(vps, "hostname") == "db-07"
    assert stage.ssh(vps, "cat /disk/etc/installation") != installation
    assert stage.ssh(vps, "cat ~/.ssh/authorized_keys") == odd_comment


@pytest.mark.exhaustive
def test_installer_that_leaves_the_disk(stage: Stage, media: Media, old_disk: Path) -> None:
    vps = stage.add_server("web-01", old_disk)
    disk = stage.machines.folder_of(vps) / "disk.raw"
    before = disk.read_bytes()
    install(stage, vps, media.folder / "leaves-the-disk.iso")
    assert disk.read_bytes() == before


@pytest.mark.exhaustive
def test_installed_system(stage: Stage, old_disk: Path) -> None:
    vps = stage.add_server("web-01", old_disk)
    key = stage.boot(vps)
    # the screen shows what the serial port does
    assert "hostup test system: old, installation" in stage.ssh(vps, "cat /dev/vcs1")
    stage.ssh(vps, "reboot")
    stage.lab.until(lambda: stage.console(vps).count("answers SSH") == 2)
    assert stage.boot(vps) == key
    stage.machines.press_power_button(vps)
    stage.lab.until(lambda: stage.machines.power_state(vps) == "stopped")
    assert "hostup test system: poweroff" in stage.console(vps)


@pytest.mark.exhaustive
@pytest.mark.parametrize(("name", "says"), [("hangs.iso", "waiting for ever"), ("reboots.iso", "installed web-01")])
def test_installer_that_does_not_switch_off(name: str, says: str, stage: Stage, media: Media) -> None:
    vps = stage.add_server("web-01")
    begin(stage, vps, media.folder / name)
    stage.lab.until(lambda: says in stage.console(vps))
    if name == "reboots.iso":  # into itself, as the boot order has it
        stage.lab.until(lambda: stage.console(vps).count(says) == 2)
    assert stage.machines.power_state(vps) == "running"


@pytest.mark.exhaustive
def test_installer_that_cannot_install_stays(stage: Stage, media: Media, tmp_path: Path) -> None:
    small = tmp_path / "small.raw"
    small.write_bytes(bytes(2**24))
    vps = stage.add_server("web-01", small)
    begin(stage, vps, media.folder / "installer.iso")
    stage.lab.until(lambda: "hostup test installer: FAILED: the disk is full" in stage.console(vps))
    assert stage.machines.power_state(vps) == "running"


@pytest.mark.exhaustive  # to build the media takes a minute, once more where another worker does it
def test_command(media: Media, tmp_path: Path) -> None:
    key = media.private_key.with_suffix(".pub")
    command = [sys.executable, "-m", "media", "linux", str(tmp_path / "named.iso"), "--ssh-key", str(key)]
    subprocess.run([*command, "--hostname", "web-09", "--after", "reboot", "--leave-disk"], cwd=TESTS, check=True)
    iso = (tmp_path / "named.iso").read_bytes()
    answers = f"SSH_KEY='{key.read_text().strip()}'\nHOST_NAME=web-09\nAFTER=reboot\nDISK=leave\n"
    assert answers.encode() in iso


def test_without_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MediaError, match="There is no apt-cache: this medium can be built on Debian and Ubuntu only"):
        build_linux(tmp_path / "linux.iso", ssh_key="", packages=tmp_path / "packages")


def test_without_package_lists(tmp_path: Path) -> None:
    (tmp_path / "apt.conf").write_text(
        f'Dir::State "{tmp_path}";\nDir::State::status "/dev/null";\nDir::Cache "{tmp_path}";\n'
    )
    command = [sys.executable, "-m", "media", "linux", str(tmp_path / "a.iso"), "--ssh-key", "/dev/null"]
    done = subprocess.run(
        [*command, "--packages", str(tmp_path / "packages")],
        cwd=TESTS,
        env={"APT_CONFIG": str(tmp_path / "apt.conf"), "PATH": "/usr/bin:/bin"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "linux-image-cloud-amd64" in done.stderr
    assert "`apt-get update` may help" in done.stderr
    assert not (tmp_path / "a.iso").exists()


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [
        ("", bytes),
        (".gz", gzip.compress),
        (".xz", lzma.compress),
        (".zst", zstandard.ZstdCompressor().compress),
    ],
)
def test_modules(suffix: str, compress: Callable[[bytes], bytes], tmp_path: Path) -> None:
    (tmp_path / "kernel").mkdir()
    (tmp_path / "modules.builtin").write_text("kernel/virtio-pci.ko\n")
    for name, needed in {"sd_mod": "scsi-mod,t10", "scsi-mod": "scsi_common", "scsi_common": "", "t10": ""}.items():
        content = f"ELF\0license=GPL\0depends={needed}\0name={name}\0".encode()
        (tmp_path / "kernel" / f"{name}.ko{suffix}").write_bytes(compress(content))
    modules = Modules(tmp_path)
    assert modules.in_order(["virtio_pci", "sd_mod", "t10"]) == ["scsi_common", "scsi_mod", "t10", "sd_mod"]
    assert modules.read("scsi_common") == b"ELF\0license=GPL\0depends=\0name=scsi_common\0"
    with pytest.raises(MediaError, match="The kernel has no module isofs"):
        modules.in_order(["sd_mod", "isofs"])
