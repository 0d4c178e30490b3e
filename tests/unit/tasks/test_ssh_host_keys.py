# SPDX-License-Identifier: GPL-3.0-or-later
"""How a host is asked for its keys again and again; what it answers is asked of real servers elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.hostup.cloud.plugins.module_utils._tasks.ssh_host_keys import SSH_HOST_KEYS
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.task import Shell

if TYPE_CHECKING:
    from support.site import Clock

OLD, NEW = (f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{letter * 43}" for letter in "AB")


def ask(answers: list[list[str]], **options: Any) -> tuple[dict[str, Any], list[int]]:
    """Run the task with these answers, the last of which goes on; returns its result and the time-out of each."""
    timeouts: list[int] = []

    def scan(command: list[str], _seconds: float) -> str:
        timeouts.append(int(command[command.index("-T") + 1]))
        return "\n".join(f"web-01 {key}" for key in answers[min(len(timeouts), len(answers)) - 1])

    checked = ArgumentSpecValidator(**SSH_HOST_KEYS.spec).validate({"host": "web-01", **options})
    return SSH_HOST_KEYS.run(checked.validated_parameters, Shell(False, lambda _line: None, scan)), timeouts


@pytest.mark.usefixtures("clock")
def test_a_system_that_is_slow_at_first_is_given_more_time() -> None:
    result, timeouts = ask([[OLD], [], [], [], [], [NEW]], unlike=[OLD], wait_timeout=600)
    assert (result["verdict"], result["msg"]) == ("new", "")
    assert timeouts == [5, 5, 10, 20, 20, 20]
    assert ask([[]], wait_timeout=10, scan_timeout=30)[1][-1] == 30


def test_waits_no_longer_than_it_may(clock: Clock) -> None:
    result, _timeouts = ask([[OLD]], unlike=[OLD], wait_timeout=60)
    assert result["verdict"] == "same" and "after 60 s" in result["msg"]
    assert sum(clock.waits) == pytest.approx(60, abs=1)
