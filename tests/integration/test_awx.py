# SPDX-License-Identifier: GPL-3.0-or-later
"""AWX, set up by the playbook against as much of its API as that needs; and jobs that are given what AWX gives them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.awx import Awx, Launched, Refusal, check_survey, install_collection, serve_awx
from support.lab import Lab, Run
from support.printed import parsed

CLONE = Path(__file__).resolve().parents[2]
KEY = "the-key-that-awx-keeps"
PLAYBOOKS = frozenset(str(path.relative_to(CLONE)) for path in (CLONE / "playbooks").glob("*.yml"))


@pytest.fixture
def awx() -> Iterator[Awx]:
    install_collection(Path(os.environ["ANSIBLE_COLLECTIONS_PATH"]))
    with serve_awx(PLAYBOOKS) as awx:
        yield awx


def run(lab: Lab, awx: Awx, playbook: str = "awx_setup", **given: Any) -> Run:
    """Run a playbook of ours that speaks with AWX."""
    env = {"CONTROLLER_HOST": awx.url, "CONTROLLER_OAUTH_TOKEN": "token", "HOSTUP_API_KEY": KEY}
    given = {"hostup_awx_project_url": "https://git.example.com/hostup.git", **given}
    done = lab.play(f"hostup.cloud.{playbook}", args=["-e", json.dumps(given)], env=env)
    assert KEY not in done.output
    assert "[WARNING]" not in done.output, done.output
    return done


def changed(done: Run) -> list[str]:
    """The tasks that have changed something."""
    return [item.task for item in done.results if item.result.get("changed")]


def test_setup(lab: Lab, awx: Awx) -> None:
    done = run(lab, awx)
    assert done.code == 0, done.output
    names = {item["name"] for kind in ("job_templates", "workflow_job_templates") for item in awx.of(kind)}
    expected = ("Mount an ISO", "Reinstall", "Rescue", "Library", "Download")
    assert names == {f"HostUp: {name}" for name in (*expected, "Download, then mount", "Download, then reinstall")}
    ways = sorted(
        (name, [awx.things["workflow_job_template_nodes"][one]["identifier"] for one in to])
        for (kind, _node, name), to in awx.links.items()
        if kind == "workflow_job_template_nodes"
    )
    assert ways == [("success_nodes", ["approve"])] * 2 + [("success_nodes", ["last"])] * 2


@pytest.mark.exhaustive
@pytest.mark.timeout(900)
def test_twice_and_away_again(lab: Lab, awx: Awx) -> None:
    run(lab, awx)
    before = len(awx.writes)
    again = run(lab, awx)
    assert (again.code, changed(again)) == (0, []), again.output
    assert len(awx.writes) == before
    gone, nothing = (run(lab, awx, "awx_remove") for _time in range(2))
    assert (gone.code, nothing.code, changed(nothing)) == (0, 0, []), nothing.output
    assert {kind for kind, things in awx.things.items() if things} <= {"organizations", "workflow_approval_templates"}


# --- what jobs are given ---------------------------------------------------------------------------------------------


@pytest.fixture
def templates() -> Awx:
    """An AWX with the job templates as they are in objects.yml, without the way through awx.awx."""
    objects = parsed((CLONE / "playbooks" / "awx" / "objects.yml").read_text())
    awx = Awx(PLAYBOOKS)
    kind = awx.add(
        "credential_types", {"inputs": objects["hostup_awx_inputs"], "injectors": objects["hostup_awx_injectors"]}
    )
    credential = awx.add("credentials", {"credential_type": kind["id"], "inputs": {"api_key": KEY}})
    for workflow in objects["hostup_awx_workflows"]:
        check_survey({"name": "", "description": "", "spec": workflow["survey"]})
    for template in objects["hostup_awx_job_templates"]:
        made = awx.add("job_templates", {"name": template["name"], "playbook": f"playbooks/{template['playbook']}.yml"})
        survey = {"name": "", "description": "", "spec": template["survey"]}
        check_survey(survey)
        awx.surveys["job_templates", made["id"]] = survey
        awx.links["job_templates", made["id"], "credentials"] = [credential["id"]]
    return awx


def job(lab: Lab, launched: Launched, *args: str, **given: Any) -> Run:
    """Run what a job would run, in a home of its own. ``given`` are variables of the host, which the inventory has."""
    home = lab.folder / f"home-{len(lab.playing)}"
    home.mkdir()
    # the emulator is somewhere else, and has another key
    env = {**launched.env, "HOSTUP_API_KEY": lab.key, "HOSTUP_API_BASE": lab.emulator.url, "HOME": str(home)}
    env["ANSIBLE_SHOW_CUSTOM_STATS"] = "1"
    playbook = f"hostup.cloud.{Path(launched.playbook).stem}"
    hosts = {"web-01": {"hostup_vps_id": lab.vps.id, **given}}
    return lab.play(playbook, args=["-e", json.dumps(launched.extra_vars), *args], hosts=hosts, env=env)


def test_credential(templates: Awx) -> None:
    """AWX applies no default of an input: what is left out is empty, and means nothing here."""
    assert templates.launch("Library", {}).env == {"HOSTUP_API_KEY": KEY, "HOSTUP_API_BASE": "", "XDG_CACHE_HOME": ""}


def test_surveys_that_nobody_fills_in(templates: Awx) -> None:
    """Refused at launch where something is needed; otherwise each variable is one that the playbook knows."""
    for name in ("Reinstall", "Download"):
        with pytest.raises(Refusal, match="value missing"):
            templates.launch(name, {})
    for template in templates.of("job_templates"):
        text = (CLONE / template["playbook"]).read_text()
        text += "".join(path.read_text() for path in (CLONE / "roles" / "hostup_reinstall" / "defaults").iterdir())
        for question in templates.surveys["job_templates", template["id"]]["spec"]:
            assert question["variable"] in text


def test_reinstall(lab: Lab, templates: Awx) -> None:
    lab.world.set_boot_order(lab.vps, ["ide2", "scsi0"])
    lab.world.switches.installer_reads = 2
    answers = {"hostup_reinstall_confirm": "db-01\nweb-01\n", "hostup_reinstall_iso_url": lab.url}
    launched = templates.launch("Reinstall", answers)
    fast = {"hostup_reinstall_proof": "none", "hostup_reinstall_connection": "none", "hostup_reinstall_expect_ip": ""}
    done = job(lab, launched, "--limit", "web-01", **fast)
    assert done.code == 0, done.output
    steps = [call.path.rpartition("/")[2] for call in lab.calls.writes()]
    assert steps == ["from-url", "mount", "restart", "unmount", "start"]


@pytest.mark.parametrize("wait", [True, False])
def test_download_and_then_mount(lab: Lab, templates: Awx, wait: bool) -> None:
    """What the first node hands on is enough for the last one, in another container."""
    if not wait:
        lab.emulator.downloads.hold()
    launched = templates.launch("Download", {"hostup_download_url": lab.url, "hostup_download_name": "mine.iso"})
    launched.extra_vars["hostup_download_wait"] = wait
    done = job(lab, launched)
    assert done.code == 0, done.output
    lab.emulator.downloads.release()
    artifacts = json.loads(done.output.rpartition("RUN: ")[2])
    for state, action in (("mounted", "mount"), ("unmounted", "unmount")):
        done = job(lab, templates.launch("Mount an ISO", {"hostup_mount_state": state}, artifacts), "--limit", "web-01")
        assert done.code == 0, done.output
        assert done.of("Mount it, or take it out")["actions"] == [action]
    assert lab.orders() == 1


def test_library_deletes_nothing_that_is_not_named(lab: Lab, templates: Awx) -> None:
    lab.world.add_iso(lab.owner, "ubuntu.iso")
    done = job(lab, templates.launch("Library", {}))
    assert done.code == 0, done.output
    assert len(lab.owner.library) == 1
    job(lab, templates.launch("Library", {"hostup_library_delete": "ubuntu.iso"}))
    assert not lab.owner.library


# --- execution environments ------------------------------------------------------------------------------------------


def test_execution_environment(tmp_path: Path) -> None:
    """The definition can be made into an image, for which the collection says what else it needs."""
    builder = str(Path(sys.executable).parent / "ansible-builder")
    definition = CLONE / "playbooks" / "awx" / "execution-environment.yml"
    subprocess.run([builder, "create", "-f", definition, "-c", tmp_path], check=True, capture_output=True)
    assert "name: hostup.cloud" in (tmp_path / "_build" / "requirements.yml").read_text()
    tree = os.environ["ANSIBLE_COLLECTIONS_PATH"]
    needed = subprocess.run([builder, "introspect", tree], check=True, capture_output=True, text=True).stdout
    assert all(f"{what}  # from collection hostup.cloud" in needed for what in ("requests>=2.31.0", "[platform:dpkg]"))


def test_the_repository_is_a_project(tmp_path: Path) -> None:
    """As AWX makes one ready."""
    galaxy = str(Path(sys.executable).parent / "ansible-galaxy")
    install = [galaxy, "collection", "install", "-r", "collections/requirements.yml", "-p", str(tmp_path), "--offline"]
    subprocess.run(
        install,
        check=True,
        capture_output=True,
        cwd=CLONE,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(tmp_path)},
    )
    assert (tmp_path / "ansible_collections" / "hostup" / "cloud" / "plugins" / "inventory" / "hostup_vps.py").exists()
