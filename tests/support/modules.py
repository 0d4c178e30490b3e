# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a module's `main()` in this process, with real HTTP: what a playbook takes half a second for."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import tempfile
from collections.abc import Mapping
from typing import Any

import pytest
from ansible.module_utils import basic

MODULES = "ansible_collections.hostup.cloud.plugins.modules"


def run_module(name: str, options: Mapping[str, Any], *, check_mode: bool = False) -> dict[str, Any]:
    """The result of a module that is given these options, as it prints it."""
    internal = {"check_mode": check_mode, "diff": True, "remote_tmp": tempfile.gettempdir()}
    arguments = {**options, **{f"_ansible_{key}": value for key, value in internal.items()}}
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
        patch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)  # newer cores ask for it
        with pytest.raises(SystemExit):
            importlib.import_module(f"{MODULES}.{name}").main()
    result: dict[str, Any] = json.loads(printed.getvalue())
    return {"failed": False, **result}
