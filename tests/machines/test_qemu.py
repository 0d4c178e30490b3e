# SPDX-License-Identifier: GPL-3.0-or-later
"""The qemu back end: what the API does to a VPS happens to a machine."""

from __future__ import annotations

import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from hostup_emulator.model import Drive
from hostup_emulator.qemu import QemuMachines

if TYPE_CHECKING:
    from .conftest import Room


def test_story(room: Room, source: str) -> None:
    room.boot("ide2", "scsi0")
    room.machines.stop(room.vps)
    room.call("POST", "/iso/actions/from-url", {"url": f"{source}/poweroff.iso", "filename": "tiny.iso"})
    room.until(lambda: room.owner.iso_named("tiny.iso"))
    iso = room.owner.iso_named("tiny.iso")
    assert iso
    room.call("POST", "/iso/actions/mount", {"isoId": iso.id, "device": "ide2"})
    # With the ISO first, it installs again and again.
    for _time in range(3):
        room.power("start")
        room.expect("INSTALLER", "INSTALLED")
        room.until(lambda: room.call("GET", "/status").json()["powerState"] == "stopped")
    room.call("POST", "/iso/actions/unmount", {"device": "ide2"})
    room.power("start")
    room.expect("SYSTEM UP")
    room.power("reset")
    room.expect("SYSTEM UP")
    room.power("restart")
    room.expect("POWER BUTTON", "SYSTEM UP")
    assert room.call("GET", "").json()["powerState"] == "running"
    room.power("shutdown")
    room.expect("POWER BUTTON")
    assert room.call("GET", "/status").json() | {"usage": {}} == {
        "powerState": "stopped",
        "uptime": 0,
        "usage": {},
        "pendingTasks": [],
    }


def test_guest_that_does_not_listen(room: Room) -> None:
    room.insert("hang")
    room.boot("ide2", "scsi0")
    room.expect("INSTALLER", "INSTALLED")
    room.world.switches.shutdown_timeout = 0.2
    operation = room.call("POST", "/actions/shutdown").json()["operation"]
    room.until(lambda: room.world.jobs[operation["jobId"]].finished)
    assert room.world.jobs[operation["jobId"]].status == "failed"
    assert not room.is_off()
    room.power("stop")
    assert room.is_off()


def test_media_are_changed_while_the_machine_runs(room: Room, isos: Path) -> None:
    room.boot("ide0", "scsi0")
    assert room.machines.inserted(room.vps) == {}
    room.insert("live", "ide0")
    room.insert("hang", "ide3")
    assert room.machines.inserted(room.vps) == {"ide0": str(isos / "live.iso"), "ide3": str(isos / "hang.iso")}
    room.insert("reboot", "ide3")
    room.insert(None, "ide0")
    assert room.machines.inserted(room.vps) == {"ide3": str(isos / "reboot.iso")}
    room.vps.drives["ide3"] = Drive.slot()
    room.insert("live", "ide0")
    assert room.machines.inserted(room.vps) == {"ide0": str(isos / "live.iso")}
    room.machines.reset(room.vps)
    room.expect("LIVE")


@pytest.mark.parametrize(
    "drive", [Drive.holding("nowhere/to be found"), Drive.holding(None), Drive.cloud_init(), Drive.busy()]
)
def test_medium_without_a_file_is_blank(room: Room, drive: Drive) -> None:
    room.insert("live", "ide3")
    room.vps.drives["ide2"] = drive
    room.boot("ide2", "ide3")
    room.expect("LIVE")
    assert not any(Path(room.machines.inserted(room.vps)["ide2"]).read_bytes())
    assert room.screen()[2].startswith("Boot failed: Could not read from CDROM")


def test_boot_order(room: Room) -> None:
    room.insert("poweroff")
    room.boot("scsi0")
    # What is not in the boot order is not booted.
    room.until(lambda: "No bootable device." in room.screen())
    # Another order counts from the next boot. Unknown devices do no harm, nor does naming one twice.
    room.world.set_boot_order(room.vps, ["net0", None, "ide2", "scsi0", "ide2"])  # type: ignore[list-item]
    room.machines.reset(room.vps)
    room.expect("INSTALLER", "INSTALLED")
    room.until(room.is_off)
    # Without one, the disk comes first.
    room.vps.boot_order = None
    room.machines.start(room.vps)
    room.expect("SYSTEM UP")


def test_without_a_boot_order_cds_come_after_the_disk(room: Room) -> None:
    room.insert("live", "ide3")
    room.vps.boot_order = None
    room.machines.start(room.vps)
    room.expect("LIVE")
    assert "Boot failed: not a bootable disk" in room.screen()


def test_machine_that_is_off_takes_everything_calmly(room: Room) -> None:
    machines, vps = room.machines, room.vps
    machines.stop(vps)
    machines.reset(vps)
    machines.press_power_button(vps)
    machines.refit(vps)
    assert (machines.power_state(vps), machines.uptime(vps), machines.inserted(vps)) == ("stopped", 0, {})
    assert room.console() == ""


def test_machine_that_is_on_is_not_started_again(room: Room) -> None:
    room.insert("live")
    room.boot("ide2")
    room.expect("LIVE")
    room.machines.start(room.vps)
    room.machines.press_power_button(room.vps)
    room.expect("POWER BUTTON")


def test_machine_that_has_always_been_on_is_started_when_somebody_looks(room: Room) -> None:
    vps = room.add_vps("web-02", power_state="running", drives={"ide2": Drive.holding("live")}, boot_order=["ide2"])
    log = room.machines.folder_of(vps) / "console.log"
    assert not log.exists()
    listed = requests.get(f"{room.emulator.url}/control/world", timeout=10).json()["ann"]["vps"]
    assert [vps["powerState"] for vps in listed] == ["stopped", "running"]
    room.until(lambda: log.read_text() == "LIVE\n")


def test_guest_that_has_powered_off_leaves_no_process(room: Room) -> None:
    room.insert("live")
    room.boot("ide2")
    room.expect("LIVE")
    process = Path("/proc", str(room.machines._machines[room.vps.id].process.pid))
    room.machines.press_power_button(room.vps)
    # whatever is asked first
    room.until(lambda: not room.machines.inserted(room.vps))
    room.until(room.is_off)
    assert not process.exists()


def test_machine_that_is_about_to_end_is_taken_for_one_that_is_off(room: Room) -> None:
    room.boot("scsi0")
    machines, vps = room.machines, room.vps
    # As when the guest powers off: first the monitor goes, and then the process.
    machines._wait_for(machines._machines[vps.id].monitor.disconnect())
    machines.press_power_button(vps)
    machines.refit(vps)
    assert (machines.inserted(vps), machines.screenshot(vps)) == ({}, None)
    machines.stop(vps)
    assert room.is_off()


def test_screenshot(room: Room) -> None:
    room.insert("live")
    room.boot("ide2")
    room.expect("LIVE")
    url = f"{room.emulator.url}/control/screenshot?vps=web-01"
    shot = requests.get(url, timeout=10)
    assert shot.headers["Content-Type"] == "image/png"
    assert shot.content.startswith(b"\x89PNG\r\n")
    assert struct.unpack(">II", shot.content[16:24]) == (720, 400)
    assert room.screen()[-1] == "LIVE"
    room.machines.stop(room.vps)
    refusal = requests.get(url, timeout=10)
    assert (refusal.status_code, refusal.json()["detail"]) == (409, "web-01 has no screen, or is off.")


def test_names_and_ids_may_be_odd(room: Room, tmp_path: Path) -> None:
    drives = {"ide2": Drive.holding("live")}
    vps = room.add_vps('a, b="c" ' + "d" * 200, vps_id="../x/y,z" + "0" * 100, drives=drives, boot_order=["ide2"])
    room.machines.start(vps)
    room.until(lambda: (room.machines.folder_of(vps) / "console.log").read_text() == "LIVE\n")
    assert room.machines.folder_of(vps).parent == tmp_path / "machines"
    command = Path("/proc", str(room.machines._machines[vps.id].process.pid), "cmdline").read_text().split("\0")
    assert command[command.index("-smbios") + 1] == 'type=1,serial=a,, b="c" ' + "d" * 200


@pytest.fixture
def port() -> int:
    """A port on which nothing listens."""
    with socket.create_server(("127.0.2.1", 0)) as server:
        found: int = server.getsockname()[1]
    return found


def test_port_of_the_address_leads_into_the_guest(room: Room, port: int, tmp_path: Path) -> None:
    reached = room.add_vps("web-02", primary_ip="127.0.2.1")
    elsewhere = [room.add_vps("web-03", primary_ip="192.0.2.1"), room.add_vps("web-04")]
    machines = QemuMachines(tmp_path / "networked", lambda *_: None, ssh_port=port)
    try:
        for vps in (reached, *elsewhere):
            machines.start(vps)
        socket.create_connection(("127.0.2.1", port), 10).close()
        machines.stop(reached)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.2.1", port), 10)
        with socket.create_server(("127.0.2.1", port)):
            reached.power_state = "running"
            refusal = f"The machine of web-02 does not start: .*Could not set up host forwarding rule.*:{port}"
            with pytest.raises(RuntimeError, match=refusal):
                machines.refit(reached)
        assert machines.power_state(reached) == "stopped"
        machines.start(reached)
        assert machines.power_state(reached) == "running"
    finally:
        machines.close()


def test_other_machines_take_over(room: Room, isos: Path, tmp_path: Path) -> None:
    room.insert("poweroff")
    room.boot("ide2", "scsi0")
    room.expect("INSTALLER", "INSTALLED")
    room.until(room.is_off)
    room.boot("scsi0")
    room.expect("SYSTEM UP")
    off = room.add_vps("web-02")
    room.machines.start(off)
    room.machines.stop(off)
    room.machines.close()
    room.machines = QemuMachines(tmp_path / "machines", lambda _vps, iso_id: isos / f"{iso_id}.iso")
    room.world.machines = room.machines
    assert [room.machines.power_state(vps) for vps in (room.vps, off)] == ["running", "stopped"]
    room.expect("SYSTEM UP")


def test_close_ends_everything(room: Room, tmp_path: Path) -> None:
    machines = QemuMachines(tmp_path / "more", lambda *_: None)
    machines.start(room.vps)
    thread, process = machines._thread, machines._machines[room.vps.id].process
    machines.close()
    assert not thread.is_alive()
    assert process.returncode is not None
