# SPDX-License-Identifier: GPL-3.0-or-later
"""What ansible-lint says of users' playbooks, where the collection is installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ISO = "hostup.cloud.hostup_vps_iso"
WRONG: dict[str, dict[str, Any]] = {
    "sate": {ISO: {"vps_id": "vps_1", "name": "a.iso", "sate": "mounted"}},
    "mount": {ISO: {"vps_id": "vps_1", "name": "a.iso", "state": "mount"}},
    "none": {ISO: {"name": "a.iso", "state": "mounted"}},
    "force": {"hostup.cloud.hostup_vps_power": {"vps_id": "vps_1", "state": "stopped", "force": "perhaps"}},
    "key": {"hostup.cloud.hostup_vps_info": {"key": "x"}},
}
RIGHT: dict[str, dict[str, Any]] = {
    "mounted": {ISO: {"vps_name": "{{ inventory_hostname }}", "name": "a.iso", "state": "mounted"}},
    "templates": {ISO: {"vps_id": "{{ id }}", "name": "{{ iso }}", "state": "{{ state }}", "wait": "{{ wait }}"}},
    "info": {"hostup.cloud.hostup_vps_info": {}},
    "reinstall": {"hostup.cloud.hostup_vps_reinstall": {"vps_id": "vps_1", "confirm": ["web-01"], "name": "a.iso"}},
}


def test_wrong_options_are_reported_and_no_others(tmp_path: Path) -> None:
    """The key comes from the environment, as it should, which ansible-lint does not see."""
    tasks = [{"name": f"Task {name}", **task} for name, task in {**RIGHT, **WRONG}.items()]
    path = tmp_path / "site.yml"
    path.write_text(yaml.safe_dump([{"name": "Play", "hosts": "localhost", "tasks": tasks}], sort_keys=False))
    env = {name: value for name, value in os.environ.items() if not name.startswith("HOSTUP_")}
    command = [str(Path(sys.executable).with_name("ansible-lint")), "--offline", "--nocolor", "-f", "json", path.name]
    ended = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    found = {
        match["content"]["body"].partition("Task/Handler: Task ")[2]: match["description"]
        for match in json.loads(ended.stdout)
        if match["check_name"].startswith("args")
    }
    assert found.keys() == WRONG.keys(), ended.stdout + ended.stderr
    assert "Unsupported parameters" in found["sate"] and "sate" in found["sate"]
    assert "must be one of: present, mounted, unmounted, absent" in found["mount"]
