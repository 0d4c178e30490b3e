# SPDX-License-Identifier: GPL-3.0-or-later
"""The version has two places, and releases change both."""

from __future__ import annotations

from pathlib import Path

import yaml

from ansible_collections.hostup.cloud.plugins.module_utils._version import VERSION

GALAXY = Path(__file__).resolve().parents[2] / "galaxy.yml"


def test_the_version_is_that_of_galaxy_yml() -> None:
    assert yaml.safe_load(GALAXY.read_text())["version"] == VERSION
