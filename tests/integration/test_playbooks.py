# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks of the collection, run by their names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from hostup_emulator.model import Drive, Iso, Mount
from support.lab import Lab, Playing, Run
from support.sshd import Sshds, new_key, serve_ssh


@pytest.fixture
def sshds() -> Iterator[Sshds]:
    """SSH servers by name."""
    with serve_ssh() as servers:
        yield servers


def begin(lab: Lab, playbook: str, *args: str, hosts: dict[str, dict[str, Any]] | None = None, **extra: Any) -> Playing:
    """Start a playbook with extra variables."""
    return lab.start(f"hostup.cloud.{playbook}", args=[*args, "-e", json.dumps(extra)], hosts=hosts)


def run(lab: Lab, playbook: str, *args: str, **extra: Any) -> Run:
    """The same, to the end."""
    return begin(lab, playbook, *args, **extra).finish()


def steps(lab: Lab, since: int = 0) -> list[str]:
    """The last part of the path of each write."""
    return [call.path.rpartition("/")[2] for call in lab.calls[since:] if call.method != "GET"]


def messages(done: Run) -> str:
    """What the tasks that failed have said."""
    return "\n".join(str(item.result.get("msg")) for item in done.results if item.status == "failed")


# --- reinstall -------------------------------------------------------------------------------------------------------


def test_reinstall(lab: Lab) -> None:
    """It insists on a choice; who is not confirmed is left alone, before anybody is asked; in the end all are told."""
    lab.world.set_boot_order(lab.vps, ["ide2", "scsi0"])
    lab.world.switches.installer_reads = 2
    hosts: dict[str, dict[str, Any]] = {"web-01": {}}
    hosts |= {name: {"hostup_vps_id": f"vps_{name}"} for name in ("gone", "db-01")}
    wish = {"hostup_reinstall_iso_url": lab.url, "hostup_serial": 2, "hostup_reinstall_expect_ip": ""}
    wish |= {"hostup_reinstall_proof": "none", "hostup_reinstall_connection": "none"}
    confirmed = {**wish, "hostup_reinstall_confirm": " web-01\r\nvps_gone, "}
    confirmed["hostup_reinstall_report_file"] = "{{ inventory_hostname }}.json"
    for given in (confirmed, {**wish, "hostup_hosts": "fleet"}):
        refused = begin(lab, "reinstall", hosts=hosts, **given).finish()
        assert refused.code == 2 and "hostup_reinstall_confirm=web-01" in messages(refused)
    assert len(lab.calls) == 0
    done = begin(lab, "reinstall", "--limit=fleet", hosts=hosts, **confirmed).finish()
    assert "db-01 is not in hostup_reinstall_confirm, and is left alone." in done.output
    assert steps(lab) == ["from-url", "mount", "restart", "unmount", "start"]
    [table] = [item.result["msg"] for item in done.results if item.task == "Show a line for each host"]
    assert [text.partition(" ")[0] for text in table] == ["web-01:", "gone:"]
    reports = [json.loads((lab.folder / f"{name}.json").read_text()) for name in ("web-01", "gone")]
    assert [entry["outcome"] for entry in reports] == ["reinstalled", "failed"]


# --- rescue ----------------------------------------------------------------------------------------------------------


def test_rescue_and_back(lab: Lab, sshds: Sshds) -> None:
    lab.world.set_boot_order(lab.vps, ["ide2", "scsi0"])
    sshd, own, rescue = sshds["web-01"], new_key(), new_key()
    known = lab.folder / ".ssh" / "known_hosts"
    known.parent.mkdir()
    known.write_text(f"[127.0.0.1]:{sshd.port} {own.export_public_key().decode()}")
    hosts = {"web-01": {"ansible_host": "127.0.0.1", "ansible_port": sshd.port}}
    sshd.answer(own)
    playing = begin(lab, "rescue", "--limit=web-01", hosts=hosts, hostup_reinstall_iso_url=lab.url)
    lab.until(lambda: "restart" in steps(lab))
    sshd.answer(rescue)
    done = playing.finish()
    assert done.code == 0, done.output
    assert steps(lab) == ["from-url", "mount", "restart"]

    before = len(lab.calls)
    playing = begin(lab, "rescue", "--limit=web-01", hosts=hosts, hostup_rescue_state="off")
    lab.until(lambda: "start" in steps(lab, before))
    sshd.answer(own)
    done = playing.finish()
    assert done.code == 0, done.output
    assert steps(lab, before) == ["shutdown", "unmount", "start"]
    assert lab.vps.mounts() == []

    before = len(lab.calls)
    again = run(lab, "rescue", "--limit=web-01", hosts=hosts, hostup_rescue_state="off")
    assert again.code == 0 and steps(lab, before) == []
    assert "it was not restarted" in again.output


@pytest.mark.exhaustive
def test_rescue_without_waiting(lab: Lab) -> None:
    lab.world.set_boot_order(lab.vps, ["ide2", "scsi0"])
    lab.world.add_iso(lab.owner, "rescue.iso")
    wish = {"hostup_hosts": "web-01", "hostup_reinstall_iso_name": "rescue.iso", "hostup_rescue_wait": 1}
    wish["hostup_reinstall_force"] = True
    checked = run(lab, "rescue", "--check", **wish)
    assert checked.code == 0 and steps(lab) == [], checked.output
    assert run(lab, "rescue", **wish).code == 0
    assert steps(lab) == ["mount", "reset"]
    checked = run(lab, "rescue", "--check", **wish, hostup_rescue_state=False)
    assert checked.code == 0 and steps(lab) == ["mount", "reset"], checked.output
    assert run(lab, "rescue", **wish, hostup_rescue_state=False).code == 0
    assert steps(lab)[2:] == ["stop", "unmount", "start"]


@pytest.mark.exhaustive
def test_rescue_that_does_not_come_about_leaves_nothing_behind(lab: Lab) -> None:
    """Nor does it reset what does not listen: unlike in a reinstallation, the disk is dear."""
    lab.world.add_iso(lab.owner, "rescue.iso")
    wish = {"hostup_hosts": "web-01", "hostup_reinstall_iso_name": "rescue.iso", "hostup_rescue_wait": 1}
    done = run(lab, "rescue", **wish, hostup_reinstall_boot_order="after_mount")
    assert done.code == 2 and "scsi0 comes first" in messages(done) and "was taken out of ide2" in messages(done)
    assert steps(lab) == ["mount", "unmount"]
    lab.world.set_boot_order(lab.vps, ["ide2", "scsi0"])
    lab.world.switches.ignores_power_button, lab.world.switches.shutdown_timeout = True, 20
    done = run(lab, "rescue", **wish)
    assert done.code == 2 and "force=true would reset it" in messages(done)
    assert steps(lab)[2:] == ["mount", "restart", "unmount"]
    assert lab.vps.mounts() == []


@pytest.mark.exhaustive
def test_rescue_goes_on_with_an_interrupted_way_back(lab: Lab) -> None:
    lab.vps.power_state = "stopped"
    done = run(lab, "rescue", hostup_hosts="fleet", hostup_rescue_state="off", hostup_rescue_wait=1)
    assert done.code == 0, done.output
    assert steps(lab) == ["start"]


@pytest.mark.parametrize(
    ("wish", "complaint"),
    [
        ({}, "Say which VPSs are meant"),
        ({"hostup_hosts": "web-01", "hostup_rescue_state": "perhaps"}, "on or off"),
        ({"hostup_hosts": "web-01"}, "would not boot from ide2: scsi0 comes first"),
    ],
)
def test_rescue_complains_before_anything(lab: Lab, wish: dict[str, Any], complaint: str) -> None:
    lab.world.add_iso(lab.owner, "rescue.iso")
    done = run(lab, "rescue", **wish, hostup_reinstall_iso_name="rescue.iso", hostup_rescue_wait=1)
    assert done.code == 2 and complaint in messages(done)
    assert steps(lab) == []


# --- library ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def library(lab: Lab) -> dict[str, Iso]:
    """Six files: three in use on two VPSs, one of them as a cloud-init drive; two of the others have one name."""
    names = ("used.iso", "seed.iso", "odd.iso", "old.iso", "twin.iso", "twin.iso")
    isos = [lab.world.add_iso(lab.owner, name, size_gb=1.5) for name in names]
    lab.vps.drives = {"ide2": Drive.holding(isos[0].id), "ide3": Drive.cloud_init(isos[1].id)}
    lab.world.add_vps(lab.owner, "web-02", extra_mounts=[Mount(None, isos[2].id)])
    return {"used": isos[0], "seed": isos[1], "odd": isos[2], "old": isos[3], "twin": isos[4], "other twin": isos[5]}


@pytest.mark.smoke
def test_library_is_listed(lab: Lab, library: dict[str, Iso]) -> None:
    done = run(lab, "library")
    assert done.code == 0, done.output
    free = [library[name] for name in ("old", "twin", "other twin")]
    assert done.of("Show what is mounted nowhere")["msg"] == [f"{iso.id}  {iso.name}  1.5 GB" for iso in free]
    assert steps(lab) == []


@pytest.mark.parametrize(
    "names", ["old.iso, {twin}, gone.iso", pytest.param(["old.iso", "{twin}"], marks=pytest.mark.exhaustive)]
)
def test_library_deletes_what_is_named(lab: Lab, library: dict[str, Iso], names: str | list[str]) -> None:
    twin = library["twin"].id
    named = names.format(twin=twin) if isinstance(names, str) else [name.format(twin=twin) for name in names]
    checked = run(lab, "library", "--check", hostup_library_delete=named)
    assert checked.code == 0 and steps(lab) == [], checked.output
    done = run(lab, "library", hostup_library_delete=named)
    assert done.code == 0, done.output
    assert sorted(steps(lab)) == sorted([library["old"].id, twin])
    assert set(lab.owner.library) == {library[name].id for name in ("used", "seed", "odd", "other twin")}
    assert run(lab, "library", hostup_library_delete=named).code == 0
    assert len(steps(lab)) == 2


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("used.iso", "used.iso is mounted on web-01."),
        ("seed.iso", "seed.iso is mounted on web-01."),
        ("odd.iso", "odd.iso is mounted on web-02."),
        ("twin.iso", "twin.iso is the name of several ISOs: "),
    ],
)
def test_library_deletes_nothing_if_one_is_wrong(lab: Lab, library: dict[str, Iso], name: str, complaint: str) -> None:
    done = run(lab, "library", hostup_library_delete=["old.iso", name])
    assert done.code == 2 and "Nothing was deleted." in done.output
    assert complaint in done.output
    assert steps(lab) == [] and len(lab.owner.library) == len(library)


def test_library_that_no_vps_shows(lab: Lab) -> None:
    lab.owner.vpses.clear()
    assert "has no VPS" in messages(run(lab, "library"))


def test_library_full_of_use(lab: Lab) -> None:
    lab.vps.drives["ide2"] = Drive.holding(lab.world.add_iso(lab.owner, "used.iso").id)
    assert run(lab, "library").of("Show what is mounted nowhere")["msg"][0].startswith("Nothing: each of the 1 ISOs")
