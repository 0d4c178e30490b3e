# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts a hurried clock in the place of `time` in the collection, in the controller and all that it forks."""

from __future__ import annotations

DOCUMENTATION = r"""
name: hurry
type: notification
short_description: Let time pass quickly for the collection
description:
  - For the integration tests. Modules that run in processes of their own keep to the wall clock.
"""

import json
import os
from importlib.machinery import SourceFileLoader
from pathlib import Path

from ansible.plugins.callback import CallbackBase

from ansible_collections.hostup.cloud.plugins.module_utils import _clock


class CallbackModule(CallbackBase):
    """Does nothing but be loaded."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "hurry"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        """Called by Ansible before it forks."""
        super().__init__()
        clock = SourceFileLoader("clock", str(Path(__file__).parents[2] / "clock.py")).load_module()
        vars(_clock)["time"] = clock.HurriedClock(**json.loads(os.environ[clock.VARIABLE]))
