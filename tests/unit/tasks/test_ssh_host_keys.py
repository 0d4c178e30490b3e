# SPDX-License-Identifier: GPL-3.0-or-later
"""How a host is asked for its keys again and again; what it answers is asked of real servers elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.hostup.cloud.plugins.module_utils._tasks import ssh_host_keys

if TYPE_CHECKING:
    from support.site import Clock

OLD, NEW = (f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{letter * 43}" for letter in "AB")


def ask(monkeypatch: pytest.MonkeyPatch, answers: list[list[str]], **options: Any) -> tuple[dict[str, Any], list[int]]:
    """Run the task with these answers, the last of which goes on; returns its result and the time-out of each."""
    timeouts: list[int] = []

    def scan(_host: str, _port: int, timeout: int) -> list[str]:
        timeouts.append(timeout)
        return answers[min(len(timeouts), len(answers)) - 1]

    monkeypatch.setattr(ssh_host_keys, "answering_keys", scan)
    spec = ssh_host_keys.SSH_HOST_KEYS.spec["argument_spec"]
    params = {name: option.get("default") for name, option in spec.items()} | {"host": "web-01", **options}
    return ssh_host_keys.SSH_HOST_KEYS.run(params, False, lambda _line: None), timeouts


@pytest.mark.usefixtures("clock")
def test_a_system_that_is_slow_at_first_is_given_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    result, timeouts = ask(monkeypatch, [[OLD], [], [], [], [], [NEW]], unlike=[OLD], wait_timeout=600)
    assert (result["verdict"], result["msg"]) == ("new", "")
    assert timeouts == [5, 5, 10, 20, 20, 20]
    assert ask(monkeypatch, [[]], wait_timeout=10, scan_timeout=30)[1][-1] == 30


def test_waits_no_longer_than_it_may(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    result, _timeouts = ask(monkeypatch, [[OLD]], unlike=[OLD], wait_timeout=60)
    assert result["verdict"] == "same" and "after 60 s" in result["msg"]
    assert sum(clock.waits) == pytest.approx(60, abs=1)
