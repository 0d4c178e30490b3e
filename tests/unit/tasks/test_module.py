# SPDX-License-Identifier: GPL-3.0-or-later
"""The module shell: what a module says that is started as Ansible starts it, with its options as JSON."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from support.site import Site


def answer(site: Site, module: str, **options: Any) -> dict[str, Any]:
    """What the module writes, by itself, without any action."""
    given = {"api_key": site.key, "api_base": site.emulator.url, "api_retries": 0, **options}
    done = subprocess.run(
        [sys.executable, "-m", f"ansible_collections.hostup.cloud.plugins.modules.{module}"],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": given}),
        env={**os.environ, "PYTHONPATH": os.environ["ANSIBLE_COLLECTIONS_PATH"]},
        stdout=subprocess.PIPE,
        check=False,
        text=True,
    )
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize(
    ("module", "options"),
    [
        ("hostup_vps_info", {"vps_name": None}),
        ("hostup_vps_info", {"vps_id": None}),
        ("hostup_vps_iso", {"state": "unmounted", "vps_id": "vps_1", "filename": None}),
        ("hostup_vps_iso_info", {"vps_ids": ["vps_1", None]}),
        ("hostup_vps_power", {"state": "started", "vps_ids": None}),
    ],
)
def test_an_option_that_is_null_is_refused(site: Site, module: str, options: dict[str, Any]) -> None:
    result = answer(site, module, **options)
    [wrong] = [name for name, value in options.items() if value is None or value == ["vps_1", None]]
    assert result["failed"] is True and wrong in result["msg"]
    assert re.search("is null|NoneType", result["msg"]), "ansible-core up to 2.18 refuses a null in a list by itself"
    assert site.calls == []


def test_what_is_left_out_is_not_missed(site: Site) -> None:
    assert [vps["id"] for vps in answer(site, "hostup_vps_info")["vps"]] == [site.vps.id]
