# SPDX-License-Identifier: GPL-3.0-or-later
"""What is measured with real plays: one function for each part of the table."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hostup_emulator.switches import Switches

from . import peers
from .cloud import (
    EVERY_ID,
    LATENCY,
    THREADS,
    Cloud,
    cloud,
    info_task,
    iso_source,
    list_task,
    reinstall_role,
    reinstall_task,
    stop_task,
    task,
)
from .plays import Outcome, Stage
from .table import Figures, Row, Section, at_most, exactly

BARE = Path(__file__).with_name("bare.py")
MOST_MODULES = 100  # at once: each is two processes
Plays = Mapping[str, Callable[[], Outcome]]


def in_turn(stage: Stage, rounds: int, plays: Plays) -> dict[str, list[Outcome]]:
    """Do all plays, then all again: what disturbs the machine for a while disturbs every one of them."""
    outcomes: dict[str, list[Outcome]] = {name: [] for name in plays}
    for number in range(1, rounds + 1):
        for name, play in plays.items():
            outcomes[name].append(play())
            last = outcomes[name][-1]
            stage.say(f"  round {number}: {name}: {last.wall:.1f} s, {last.cpu:.1f} s of CPU")
    return outcomes


def _empty(stage: Stage, vps_ids: Sequence[str], forks: int) -> float:
    """The wall of a play without tasks, the shortest of three: a floor that was disturbed would flatter."""
    return min(stage.play([], vps_ids, forks=forks).wall for _round in range(3))


def ratios(above: Sequence[float], below: Sequence[float]) -> Figures:
    """One ratio a round."""
    return Figures([one / other for one, other in zip(above, below, strict=True)])


# --- 1. a converged task


def cost(stage: Stage) -> Section:
    """CPU time of one converged task, as a share of a ping's."""
    hosts, tasks, rounds = stage.pick((20, 5, 4), (4, 2, 1))
    with cloud(stage.scratch, hosts, mounted=True, tls=True) as ours, peers.mock() as mock:
        assert ours.ca_path
        bundled = {**ours.env, "REQUESTS_CA_BUNDLE": ours.ca_path}
        read = {"url": ours.env["HOSTUP_API_BASE"] + "/api/v2/vps/{{ vps_id }}/iso", "ca_path": ours.ca_path}
        key = ours.env["HOSTUP_API_KEY"]
        variants: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
            "ping": ({"ansible.builtin.ping": {}}, {}),
            "empty action": ({"nothing": {}}, {}),
            "empty action, same options": ({"nothing": next(iter(task().values()))}, {}),
            "controller": (task(), bundled),
            "controller, ca_path": (task(ca_path=ours.ca_path), ours.env),
            "module": ({**task(ca_path=ours.ca_path), "delegate_to": "jump-host"}, ours.env),
            "info module": ({**info_task(ca_path=ours.ca_path), "delegate_to": "jump-host"}, ours.env),
            "bare module": ({"read_once": {**read, "api_key": key}, "delegate_to": "jump-host"}, {}),
            "ansible.builtin.uri": (
                {"ansible.builtin.uri": {**read, "headers": {"Authorization": f"Bearer {key}"}}},
                {},
            ),
            **{name: (peer, {}) for name, peer in peers.tasks(mock.url).items()},
        }

        def play(what: dict[str, Any], env: dict[str, str]) -> Callable[[], Outcome]:
            return lambda: stage.play([what] * tasks, ours.vps_ids, env=env)

        plays = {"empty play": lambda: stage.play([], ours.vps_ids)}
        plays |= {name: play(what, env) for name, (what, env) in variants.items()}
        outcomes = in_turn(stage, rounds, plays)
        writes = len(ours.emulator.calls.writes())
    empty = [outcome.cpu for outcome in outcomes.pop("empty play")]
    cpu = {
        name: [outcome.cpu - floor for outcome, floor in zip(each, empty, strict=True)]
        for name, each in outcomes.items()
    }
    over_ping = {name: ratios(each, cpu["ping"]) for name, each in cpu.items() if name != "ping"}
    theirs = "; ".join(f"{name} {each.text()}" for name, each in over_ping.items() if "." in name)
    ping_ms = Figures([1000 * each / hosts / tasks for each in cpu["ping"]])
    rows = [
        Row("CPU of a ping, ms", ping_ms.text(".0f")),
        at_most("converged task over HTTPS, CPU over ping", over_ping["controller"], 0.15, peers=theirs),
        Row("the same, `ca_path` given as an option", over_ping["controller, ca_path"].text()),
        Row("empty action plugin, CPU over ping", over_ping["empty action"].text(".3f")),
        at_most(
            "converged task over an empty action plugin with the same options",
            ratios(cpu["controller"], cpu["empty action, same options"]),
            1.75,
        ),
        Row(
            "the same, over an empty action plugin without options",
            ratios(cpu["controller"], cpu["empty action"]).text(),
        ),
        at_most("the module shell of an info module, over ping", over_ping["info module"], 1.45, peers="as above"),
        Row("a module that only sends that request with `requests`, over ping", over_ping["bare module"].text()),
        Row(
            "the module shell of an info module, over that module",
            ratios(cpu["info module"], cpu["bare module"]).text(),
        ),
        Row("the module shell of `hostup_vps_iso`, over ping", over_ping["module"].text()),
        exactly("writes sent by all that", writes, 0),
    ]
    how = (
        f"{hosts} hosts with {tasks} tasks each, local connection with pipelining, forks 5, no facts; CPU time of "
        f"`ansible-playbook` and all its processes, less that of a play without tasks; {rounds} rounds, each with "
        "every variant in turn; the ratio is taken within a round; median (quartiles). What a play pays once, such as "
        "the import of `requests`, is in it, and so is Ansible's templating of the options, which is most of the "
        "difference between the two empty actions. Ours and `uri` speak HTTPS with the emulator (CA bundle by "
        "`REQUESTS_CA_BUNDLE`, as if it were the system's), `uri` sends the same request; the other modules are "
        "answered by a small server over plain HTTP, which is in their favour. Nothing is to be done: `iso_info` "
        "and `ssh_key_info` read a list of one, `cs_iso` finds its ISO registered."
    )
    return Section("Cost of a converged task", how, rows)


# --- 2. requests


def peers_requests(stage: Stage) -> dict[str, str]:
    """How many requests the peers need for a converged task, and to order a download."""
    converged = {}
    for name in peers.tasks(""):
        with peers.mock() as mock:
            stage.play([peers.tasks(mock.url)[name]], ["1"])
            converged[name] = mock.answered
    with peers.mock() as mock:
        [(name, order)] = peers.order(mock.url).items()
        [end] = stage.play([{name: order}], ["1"]).ends
        assert end.changed
        ordered = f"{name} {mock.answered}"
    return {"converged": "; ".join(f"{name} {count}" for name, count in converged.items()), "ordered": ordered}


# --- 4. fleets


def fleets(stage: Stage) -> Section:
    """A fleet from scratch, and fleets that are converged."""
    return Section(
        "Fleets",
        f"Every answer takes {1000 * LATENCY:.0f} ms. From scratch: the library is empty, all VPSs want one ISO, which "
        "takes so long to download, and then to mount it. Forks are those of `ansible-playbook`; list form: one task "
        "with `vps_ids` and `run_once`. A play without tasks on the same hosts is the floor. Converged: rounds in "
        "turn, 5 forks, the ISO mounted everywhere; the peers do the reads of part 1. A task that does "
        "nothing: an empty action, run once, that is given the same IDs. A bare loop: "
        f"`tests/benchmarks/bare.py`, {THREADS} threads with a `requests` session each that read and decode the same "
        "answers; what both pay once is left out: its CPU less that of the same without a VPS, the list form's less "
        "that of the same play with the first VPS alone. "
        "Memory: the largest process.",
        [*_from_scratch(stage), *_converged(stage), _stopped(stage)],
    )


def _from_scratch(stage: Stage) -> list[Row]:
    count, seconds = stage.pick((100, 6.0), (10, 3.0))
    rows = []
    with iso_source(stage.scratch) as url:
        ways = {
            f"{count} VPSs, forks 5": (task(url=url), 5, None),
            f"{count} VPSs, forks 50": (task(url=url), 50, None),
            f"{count} VPSs, list form": (list_task(url=url), 5, 1.5),
        }
        for name, (what, forks, most) in ways.items():
            with cloud(stage.scratch, count, iso=False, latency=LATENCY, download_seconds=seconds) as ours:
                floor = _empty(stage, ours.vps_ids, forks)
                done = stage.play([what], ours.vps_ids, forks=forks, env=ours.env, may_fail=True)
                stage.say(f"  {name}: {done.wall:.1f} s, an empty play {floor:.1f} s; {done.why()}")
                downloads, mounted = ours.sent("POST", "/from-url$"), ours.mounted()
                requests = ours.sent()
            over = Figures([done.wall / (seconds + floor)])
            rows.append(exactly(f"{name}: downloads ordered", downloads, 1, peers="no peer waits for its download"))
            rows.append(exactly(f"{name}: VPSs without the ISO mounted", count - mounted, 0))
            rows.append(Row(f"{name}: requests a VPS", f"{requests / count:.1f}"))
            label = f"{name}: wall over download + empty play ({seconds:g} + {floor:.1f} s)"
            rows.append(at_most(label, over, most) if most else Row(label, over.text()))
    return rows


def _converged(stage: Stage) -> list[Row]:
    rounds = stage.pick(3, 1)
    per_host = stage.pick((1, 10, 100), (1, 10))
    listed = stage.pick((1, 10, 100, 1000), (1, 10, 100))
    most = max(*per_host, *listed)
    with cloud(stage.scratch, most, mounted=True, latency=LATENCY) as ours:
        plays: dict[str, Callable[[], Outcome]] = {}

        def add(name: str, tasks: list[dict[str, Any]], count: int) -> None:
            plays[f"{name} {count}"] = lambda: stage.play(tasks, ours.vps_ids[:count], env=ours.env)

        for count in sorted({*per_host, *listed}):
            add("empty", [], count)
        for count in per_host:
            add("per host", [task()], count)
        for count in listed:
            add("list form", [list_task()], count)
        add("nothing", [{"nothing": {"ids": EVERY_ID}, "run_once": True}], max(listed))
        done = in_turn(stage, rounds, plays)
        over_bare = _over_bare(stage, ours, ours.vps_ids[: max(listed)])
        sent_writes = len(ours.emulator.calls.writes())
    theirs = _peers_converged(stage, max(per_host))
    rows = []
    for form, counts in (("per host", per_host), ("list form", listed)):
        for count in counts:
            runs, floors = done[f"{form} {count}"], done[f"empty {count}"]
            beside = theirs if (form, count) == ("per host", max(per_host)) else ""
            rows.append(_converged_row(form, count, runs, floors, beside))
        rows.append(_growth(form, done, counts))
    runs, floors = done[f"list form {max(listed)}"], done[f"nothing {max(listed)}"]
    over = ratios([run.wall for run in runs], [floor.wall for floor in floors])
    rows.append(Row(f"{max(listed)} converged, list form: wall over a task that does nothing", over.text()))
    rows += over_bare
    rows.append(exactly("writes sent by all converged plays", sent_writes, 0))
    return rows


def _converged_row(form: str, count: int, runs: list[Outcome], floors: list[Outcome], theirs: str) -> Row:
    over = ratios([run.wall for run in runs], [floor.wall for floor in floors])
    cpu = Figures([1000 * (run.cpu - floor.cpu) / count for run, floor in zip(runs, floors, strict=True)])
    wall, peak = Figures([run.wall for run in runs]), Figures([run.peak_mb for run in runs])
    what = f"{count} converged, {form}: wall over an empty play"
    figure = f"{over.text()}; {wall.median:.1f} s, CPU {cpu.median:.1f} ms a VPS, {peak.median:.0f} MiB"
    return Row(what, figure, peers=theirs)


def _over_bare(stage: Stage, ours: Cloud, vps_ids: Sequence[str]) -> list[Row]:
    """What a VPS costs in list form, and in a bare loop; more rounds than elsewhere, for each is a second of CPU."""
    first = "{{ (" + EVERY_ID.strip("{} ") + ")[:1] }}"
    plays = {
        "list form": lambda: stage.play([list_task()], vps_ids, env=ours.env),
        "the first of them": lambda: stage.play([list_task(vps_ids=first)], vps_ids, env=ours.env),
        "bare loop": lambda: bare(stage, ours, vps_ids),
        "bare loop, no VPS": lambda: bare(stage, ours, []),
    }
    done = in_turn(stage, stage.pick(11, 1), plays)
    cpu = {name: [run.cpu for run in runs] for name, runs in done.items()}
    least = _less(cpu["bare loop"], cpu["bare loop, no VPS"])
    over = ratios(_less(cpu["list form"], cpu["the first of them"]), least)
    each = Figures([1000 * seconds / len(vps_ids) for seconds in least])
    return [
        at_most(f"{len(vps_ids)} converged, list form: CPU a VPS over a bare loop", over, 1.6),
        Row("CPU a VPS of the bare loop, ms", each.text()),
    ]


def _less(above: Sequence[float], below: Sequence[float]) -> list[float]:
    return [one - other for one, other in zip(above, below, strict=True)]


def bare(stage: Stage, ours: Cloud, vps_ids: Sequence[str]) -> Outcome:
    """What a bare loop takes that reads these VPSs."""
    address = ours.env["HOSTUP_API_BASE"] + "/api/v2/vps/{}/iso"
    return stage.run([stage.python, BARE, address, str(THREADS)], ours.env, "\n".join(vps_ids))


def _stopped(stage: Stage) -> Row:
    """Many VPSs that take their time to stop: no VPS waits for another's job."""
    count, seconds, most = stage.pick((80, 10.0, 25.0), (10, 2.0, 8.0))
    with cloud(stage.scratch, count, latency=LATENCY, shutdown_seconds=seconds) as ours:
        done = stage.play([stop_task()], ours.vps_ids, env=ours.env)
    what = f"{count} VPSs that take {seconds:g} s each to stop, list form: seconds"
    return at_most(what, Figures([done.wall]), most, form=".1f")


def _growth(form: str, done: Mapping[str, list[Outcome]], counts: Sequence[int]) -> Row:
    small, large = done[f"{form} {counts[0]}"], done[f"{form} {counts[-1]}"]
    wall = statistics.median(run.wall for run in large) / statistics.median(run.wall for run in small)
    memory = statistics.median(run.peak_mb for run in large) - statistics.median(run.peak_mb for run in small)
    return Row(f"{form}, from {counts[0]} to {counts[-1]:,} VPSs", f"{wall:.1f} times the wall, {memory:.0f} MiB more")


def _peers_converged(stage: Stage, count: int) -> str:
    ids = [str(number) for number in range(count)]
    switches = Switches(latency=LATENCY)
    with peers.mock(switches) as mock:
        plays: dict[str, Callable[[], Outcome]] = {"empty": lambda: stage.play([], ids)}
        for name, what in peers.tasks(mock.url).items():
            plays[name] = partial(stage.play, [what], ids)
        done = in_turn(stage, 1, plays)
    floor = done.pop("empty")[0].wall
    return "; ".join(f"{name} {run.wall / floor:.1f} ({run.wall:.1f} s)" for name, [run] in done.items())


# --- 5. reinstalling


def reinstalling(stage: Stage) -> Section:
    """A fleet that is reinstalled, from an ISO that nobody has installed before, and again."""
    count, seconds = stage.pick((100, 20.0), (5, 10.0))
    rows = []
    shared = {"XDG_CACHE_HOME": str(stage.scratch / "shared-cache")}
    ways = {"list form": (reinstall_task(vps_ids=EVERY_ID), 5), "role, forks 50": (reinstall_role(), 50)}
    for name, (what, forks) in ways.items():
        with cloud(stage.scratch, count, latency=LATENCY, installer_seconds=seconds) as ours:
            turns: tuple[tuple[str, dict[str, str]], ...] = (("first", {}), ("again", shared))
            for when, env in turns:
                if env:  # it is known how long it takes
                    stage.play([reinstall_task()], ours.vps_ids[:1], env={**ours.env, **env})
                before, floor = ours.sent(), _empty(stage, ours.vps_ids, forks)
                done = stage.play([what], ours.vps_ids, forks=forks, env={**ours.env, **env})
                requests = (ours.sent() - before) / count
                stage.say(
                    f"  {name}, {when}: {done.wall:.1f} s, {done.cpu:.1f} s of CPU, {requests:.1f} requests a VPS"
                )
                most = 1.5 if (name, when) == ("list form", "first") else None
                label = f"{count} VPSs, {name}, {when}: wall over the installer ({seconds:g} s)"
                over = Figures([done.wall / seconds])
                rows.append(at_most(label, over, most) if most else Row(label, over.text()))
                label = f"{count} VPSs, {name}, {when}: requests a VPS"
                asked = Figures([requests])
                rows.append(at_most(label, asked, 12.0, form=".1f"))
                figure = f"{done.cpu:.1f}; {floor:.1f} s"
                rows.append(Row(f"{count} VPSs, {name}, {when}: seconds of CPU; an empty play's wall", figure))
                if forks == 50:
                    results = Figures([len(done.ends) / count])
                    label = f"{count} VPSs, {name}, {when}: task results a host, without a proof"
                    rows.append(at_most(label, results, 20.0, form=".1f"))
    how = (
        f"Every answer takes {1000 * LATENCY:.0f} ms, an installer {seconds:g} s until it powers off, a restart a "
        "moment; the ISO is in the library. `hostup_vps_reinstall` for all VPSs by one task, or the role for each, "
        "confirmed by their IDs. First: nothing is known of the ISO, so that its installers are looked at after 20 "
        "seconds, and then every seven. Again: one VPS was reinstalled from it before, and when its installer was done "
        "is when the others' are looked at first."
    )
    return Section("Reinstalling", how, rows)


# --- 6. under a limit


def limits(stage: Stage) -> Section:
    """Many processes at once against a rate limit."""
    window = stage.pick(10.0, 3.0)
    rows: list[Row] = []
    for size in stage.pick((60, 300), (10,)):
        many = size > MOST_MODULES
        theirs = f"not tried: {2 * size} processes at once" if many else _peers_limited(stage, size, window)
        rows += _limited(stage, size, "window", window, theirs)
        rows += _limited(stage, size, "bucket", window, "")
    how = (
        f"So many hosts, as many forks, {1000 * LATENCY:.0f} ms an answer. Ours mounts an ISO from the library, three "
        f"requests a VPS, under a limit that lets them through in six windows of {window:g} s, as fixed windows or as "
        "a bucket that refills evenly; refusals say when to come back. The floor is the longer of the same play "
        "without a limit, and an empty play plus the time until the limit has let so many requests through. The peers "
        "read (part 1) under a limit that lets their requests through in six fixed windows, too. Late: the 95th "
        "percentile over the median of when the hosts were done."
    )
    return Section("Under a limit", how, rows)


def _limited(stage: Stage, size: int, kind: str, window: float, theirs: str) -> list[Row]:
    with cloud(stage.scratch, size, latency=LATENCY) as ours:
        floor = _empty(stage, ours.vps_ids, size)
        free = stage.play([task()], ours.vps_ids, forks=size, env=ours.env)
    limit = _limit(3 * size)
    with cloud(stage.scratch, size, latency=LATENCY, rate_limit=limit, rate_window=window, rate_kind=kind) as ours:
        done = stage.play([task()], ours.vps_ids, forks=size, env=ours.env, may_fail=True)
        needed, refused = ours.sent() - ours.refused(), ours.refused()
    floor = max(free.wall, floor + _windows(needed, limit, window, kind))
    stage.say(f"  {size} hosts, {kind}: {done.wall:.1f} s of at least {floor:.1f} s, {refused} refused; {done.why()}")
    name = f"{size} hosts, {kind}"
    return [
        exactly(f"{name}: lost", done.lost, 0, peers=theirs),
        at_most(f"{name}: refusals a host", Figures([refused / size]), 0.5),
        at_most(f"{name}: wall over the floor ({floor:.1f} s)", Figures([done.wall / floor]), 1.2),
        Row(f"{name}: requests a host; late", f"{needed / size:.2f}; {_late(done)}"),
    ]


def _peers_limited(stage: Stage, size: int, window: float) -> str:
    ids = [str(number) for number in range(size)]
    told = []
    for name in peers.tasks(""):
        with peers.mock(Switches(latency=LATENCY)) as mock:
            free = stage.play([peers.tasks(mock.url)[name]], ids, forks=size)
            limit = _limit(mock.answered)
        with peers.mock(Switches(latency=LATENCY, rate_limit=limit, rate_window=window)) as mock:
            done = stage.play([peers.tasks(mock.url)[name]], ids, forks=size, may_fail=True)
        stage.say(f"  {size} hosts, {name}: {done.wall:.1f} s, {done.lost} lost, {mock.refused} refused; {done.why()}")
        told.append(
            f"{name} {done.lost} of {size}, {mock.refused / size:.1f} refusals a host, {done.wall:.0f} s "
            f"({free.wall:.0f} s without a limit), late {_late(done)}"
        )
    return "; ".join(told)


def _limit(requests: int) -> int:
    """A limit under which they take six windows, the last of them not full: a request too late must not cost one."""
    return math.ceil(requests / 5.6)


def _windows(needed: int, limit: int, window: float, kind: str) -> float:
    """Seconds from the first request until the limit has let so many through."""
    if kind == "bucket":
        return max(0, needed - limit) * window / limit
    return (math.ceil(needed / limit) - 1) * window


def _late(done: Outcome) -> str:
    ends = sorted(end.at for end in done.ends if end.well)
    if len(ends) < 3:
        return "?"
    return f"{ends[math.ceil(0.95 * len(ends)) - 1] / statistics.median(ends):.2f}"
