# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The task of ``ssh_host_keys``. It asks the host itself and known_hosts, never the API."""

from __future__ import annotations

import typing as t

from ansible_collections.hostup.cloud.plugins.module_utils import _clock
from ansible_collections.hostup.cloud.plugins.module_utils._clock import Deadline
from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError
from ansible_collections.hostup.cloud.plugins.module_utils._ssh.keys import (
    KNOWN_HOSTS,
    NEW,
    check_address,
    check_keys,
    choose_keys,
    explain,
    fingerprint,
    judge_keys,
    known_name,
)
from ansible_collections.hostup.cloud.plugins.module_utils._ssh.scan import answering_keys, known_keys
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.fleet import Result
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.task import Params, Shell

BETWEEN_SCANS = 3.0  # seconds
LONGEST_SCAN = 20  # seconds; a busy system that boots for the first time needs more than one that has long run
LINE_SECONDS = 30.0


class SshHostKeys:
    """What both shells run, as they run a `Task`."""

    spec: t.ClassVar[dict[str, t.Any]] = {
        "argument_spec": {
            "host": {"type": "str", "required": True},
            "port": {"type": "int", "default": 22},
            "known_hosts": {"type": "path"},
            "remembered": {"type": "list", "elements": "str"},
            "unlike": {"type": "list", "elements": "str"},
            "wait_timeout": {"type": "int", "default": 0},
            "scan_timeout": {"type": "int", "default": 5},
        },
    }

    @staticmethod
    def secrets_of(_params: Params) -> set[str]:
        """Host keys are public."""
        return set()

    def run(self, params: Params, shell: Shell) -> Result:
        """The result, or the failed result."""
        try:
            return _result(params, shell)
        except HostUpError as error:
            return {"changed": False, **error.as_result()}


def _result(params: Params, shell: Shell) -> Result:
    _check(params)
    unlike, remembered = (list(check_keys(name, params[name] or ())) for name in ("unlike", "remembered"))
    host, port, file = params["host"], params["port"], params["known_hosts"]
    known = known_keys(shell.run_command, host, port, file) if file else []
    answered = _wait_for_keys(params, unlike, shell)
    keys, sources = choose_keys(answered, remembered, known)
    name, verdict = known_name(host, port), judge_keys(answered, unlike)
    result: Result = {
        "changed": False,
        "name": name,
        "answered": answered,
        "host_keys": keys,
        "fingerprints": sorted(map(fingerprint, keys)),
        "sources": sources,
        "verdict": verdict,
        "msg": explain(verdict, name, params["wait_timeout"]),
    }
    if sources == [KNOWN_HOSTS]:
        warning = (
            f"Nothing answers at {name}, and the keys in {file} may be those of a system "
            "that is long gone: that another one answers later proves little."
        )
        result["warnings"] = [warning]
    return result


def _check(params: Params) -> None:
    """Raise HostUpError for what no scan could be made with."""
    check_address(params["host"], params["port"])
    if params["wait_timeout"] < 0 or params["scan_timeout"] < 1:
        raise HostUpError("wait_timeout must be 0 seconds or more, and scan_timeout at least 1.")


def _wait_for_keys(params: Params, unlike: list[str], shell: Shell) -> list[str]:
    """The keys that answer last, which are those of a new system unless the time was up."""
    deadline = Deadline(params["wait_timeout"])
    started = told_at = _clock.monotonic()
    timeout = params["scan_timeout"]
    while True:
        answered = answering_keys(shell.run_command, params["host"], params["port"], timeout)
        if judge_keys(answered, unlike) == NEW or deadline.is_over:
            return answered
        if _clock.monotonic() - told_at >= LINE_SECONDS:
            told_at = _clock.monotonic()
            what = "the old host key still answers" if answered else "no SSH server answers"
            shell.say(f"{what} at {known_name(params['host'], params['port'])}, {told_at - started:.0f} s")
        if not answered:
            timeout = max(timeout, min(LONGEST_SCAN, timeout * 2))
        _clock.sleep(min(BETWEEN_SCANS, max(0.0, deadline.left())))


SSH_HOST_KEYS = SshHostKeys()
