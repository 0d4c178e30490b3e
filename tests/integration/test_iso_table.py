# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of the table in every shell: foretold in check mode, done, and done again at the cost of one request."""

from __future__ import annotations

import pytest

from iso_cases import CASES, URL, Case
from lab import SHELLS, Lab

OPTIONS = ("name", "iso_id", "url", "device", "on_conflict", "keep_drive", "wait")


def task(name: str, shell: str, *, check_mode: bool) -> dict[str, object]:
    """The same task for all hosts; each host is a case and brings its options."""
    options = {"vps_id": "{{ vps }}", "api_key": "{{ key }}", "state": "{{ state }}"}
    options |= {option: f"{{{{ wish.{option} | default(omit) }}}}" for option in OPTIONS}
    return {
        "name": name,
        "hostup.cloud.hostup_vps_iso": options,
        "check_mode": check_mode,
        "ignore_errors": True,
        **SHELLS[shell],
    }


# Asynchronous tasks cost seconds, and differ from delegated ones in how the module is started, not in what it does.
CASES_OF = dict.fromkeys(SHELLS, CASES) | {
    "async": list({(case.state, case.outcome): case for case in CASES}.values()),
}


@pytest.mark.parametrize("shell", SHELLS)
def test_table(lab: Lab, shell: str) -> None:
    cases = CASES_OF[shell]
    hosts, ids = {}, {}
    for case in cases:
        vps, key = case.build(lab.world)
        ids[case.name] = vps.id
        wish = dict(case.options)
        if "url" in wish:
            wish["url"] = wish["url"].replace(URL, f"{lab.source}/wanted.iso")
        hosts[case.name] = {"vps": vps.id, "key": key, "state": wish.pop("state"), "wish": wish}

    foretold = lab.play([task("foretold", shell, check_mode=True)], hosts=hosts)
    assert lab.calls.writes() == []
    done = lab.play([task("done", shell, check_mode=False)], hosts=hosts)
    before_again = len(lab.calls)
    again = lab.play([task("again", shell, check_mode=False)], hosts=hosts)

    def check(case: Case) -> None:
        first, second, third = (
            run.of(name, case.name) for run, name in ((foretold, "foretold"), (done, "done"), (again, "again"))
        )
        writes = [call for call in lab.calls.writes() if call.vps_id == ids[case.name]]
        if isinstance(case.outcome, str):
            assert all(result["failed"] and case.outcome in result["msg"] for result in (first, second, third))
            assert writes == []
            return
        assert tuple(first["actions"]) == tuple(second["actions"]) == case.outcome
        assert first["changed"] is second["changed"] is bool(case.outcome)
        assert len(writes) == len(case.outcome)
        assert (first["device"], first["diff"]) == (second["device"], second["diff"])
        assert (third["changed"], third["actions"]) == (False, [])
        assert third["diff"]["before"] == third["diff"]["after"] == second["diff"]["after"]
        assert [call.method for call in lab.calls[before_again:] if call.vps_id == ids[case.name]] == ["GET"]

    wrong = {}
    for case in cases:
        try:
            check(case)
        except (AssertionError, ValueError, KeyError) as error:
            wrong[case.name] = repr(error)
    assert wrong == {}
