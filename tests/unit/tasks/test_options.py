# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with options, in words that say what to do."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.hostup.cloud.plugins.module_utils._tasks.iso import VPS_ISO
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.options import explain

MODULE = "hostup.cloud.hostup_vps_iso"


def explained(**given: Any) -> str:
    """As the action shell does."""
    spec = VPS_ISO.spec["argument_spec"]
    errors = ArgumentSpecValidator(**VPS_ISO.spec).validate(given).errors
    return "; ".join(explain(errors, given, spec, MODULE))


def test_a_typing_error_is_named_with_what_was_meant() -> None:
    told = explained(sate="mounted", vps_id="vps_1", api_key="x")
    assert told.startswith(f"Unsupported parameters for {MODULE}: sate (did you mean state?). Supported: api_base, ")
    assert ", filename, " in told, "aliases can be written too"


def test_what_is_like_nothing() -> None:
    told = explained(colour="red", vps_nam="web-01", vps_id="vps_1", api_key="x")
    assert f"for {MODULE}: colour, vps_nam (did you mean vps_name?). Supported: " in told


def test_a_bad_number_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOSTUP_API_TIMEOUT", "soon")
    assert "the environment variable HOSTUP_API_TIMEOUT" in explained(vps_id="vps_1", api_key="x")
    told = explained(vps_id="vps_1", api_key="x", api_timeout="later")
    assert "api_timeout" in told and "HOSTUP_API_TIMEOUT" not in told
