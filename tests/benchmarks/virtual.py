# SPDX-License-Identifier: GPL-3.0-or-later
"""What is counted in virtual time: the real tasks against the emulator, with a clock that costs nothing."""

from __future__ import annotations

import math
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast
from unittest import mock

from ansible_collections.hostup.cloud.plugins.module_utils._tasks.iso import VPS_ISO
from benchmarks.fleet_sim import PEERS, Limit, recovery, simulate
from benchmarks.fleet_sim import Outcome as Simulated
from support.site import Clock, Site

from .plays import Stage
from .table import Figures, Row, Section, at_most

if TYPE_CHECKING:
    from hostup_emulator.downloads import Downloads, Report
    from hostup_emulator.world import StartDownload

ROOMS = "ansible_collections.hostup.cloud.plugins.module_utils."
ISO = "ubuntu.iso"
OTHER_ISO = "other.iso"
URL = f"http://192.0.2.7/{ISO}"  # never asked: the download below is not real


class Download(Clock):
    """A clock, and a download that goes on evenly as that clock does."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.began = 0.0
        self.report: Report | None = None

    def start(self, _order: StartDownload, report: Report) -> None:
        """Called by the emulator."""
        self.began, self.report = self.now, report

    def remove(self, owner: str, filename: str) -> None:
        """Called by the emulator."""

    def stop(self) -> None:
        """Called by the emulator."""

    def sleep(self, seconds: float) -> None:
        """Let time pass, for the download too."""
        super().sleep(seconds)
        if self.report is None:
            return
        if self.now >= self.began + self.seconds:
            self.report.done(1_000_000)
            self.report = None
        else:
            self.report.progress(int(1_000_000 * (self.now - self.began) / self.seconds), 1_000_000)


@contextmanager
def site(seconds: float = 0.0, *, progress: bool = True) -> Iterator[tuple[Site, Download]]:
    """One VPS and one ISO in an account, where downloads take so long, and everybody who waits uses that clock."""
    clock = Download(seconds)
    with ExitStack() as stack:
        notes = stack.enter_context(tempfile.TemporaryDirectory())
        stack.enter_context(mock.patch.dict(os.environ, XDG_CACHE_HOME=notes))
        for name, module in list(sys.modules.items()):
            # _shared waits for other threads and processes, whose time is the real one
            if name.startswith(ROOMS) and getattr(module, "time", None) is time and not name.endswith("_shared"):
                stack.enter_context(mock.patch.object(module, "time", clock))
        place = Site(clock, stack)
        place.emulator.downloads = cast("Downloads", clock)
        place.switches.progress = progress
        yield place, clock


def run(place: Site, **options: Any) -> dict[str, Any]:
    """Run the task with these options; returns its result. It must not fail."""
    is_named = options.keys() & {"vps_name", "vps_ip"}
    result = place.run(VPS_ISO, vps_id=None if is_named else place.vps.id, **{"api_retries": None, **options})
    assert not result.get("failed"), result
    return result


# --- 2. requests


def requests_per_state(theirs: dict[str, str]) -> Section:
    """How many requests each state takes, converged and changed."""
    rows = [
        _converged(state, theirs["converged"] if state == "present" else "")
        for state in ("present", "mounted", "unmounted", "absent")
    ]
    with site() as (place, _clock):
        run(place, vps_name="web-01", name=ISO)
        found = len(place.calls)
        rows.append(Row("`present`, converged, `vps_name`", f"{found}", "2", found == 2, gates=True))
    on_drive = {"state": "mounted", "name": ISO, "device": "ide2"}
    for what, wanted, first, then in (
        ("mount from the library, verified", 3, {}, {"state": "mounted", "name": ISO}),
        ("unmount, verified", None, on_drive, {"state": "unmounted"}),
        ("replace one ISO by another", None, on_drive, {**on_drive, "name": OTHER_ISO}),
        ("delete", None, {}, {"state": "absent", "name": ISO}),
        ("unmount and delete", None, on_drive, {"state": "absent", "name": ISO}),
    ):
        rows.append(_changed(what, wanted, first, then))
    with site(100.0) as (place, _clock):
        assert run(place, name="new.iso", url=URL, wait=False)["changed"]
        rows.append(Row("order a download, `wait: false`", f"{len(place.calls)}", peers=theirs["ordered"]))
    return Section(
        "Requests per state",
        "The task as both shells run it, against the emulator, which counts. Converged: nothing is to be done. The "
        "peers do what they do in part 1.",
        rows,
    )


def _converged(state: str, theirs: str) -> Row:
    with site() as (place, _clock):
        wish = {"state": state, **({} if state == "unmounted" else {"name": ISO})}
        run(place, **wish)
        place.calls.clear()
        run(place, **wish)
        found = len(place.calls)
    return Row(f"`{state}`, converged", f"{found}", "1", found == 1, theirs, gates=True)


def _changed(what: str, wanted: int | None, first: dict[str, str], then: dict[str, str]) -> Row:
    with site() as (place, _clock):
        place.world.add_iso(place.owner, OTHER_ISO)
        if first:
            run(place, **first)
        place.calls.clear()
        assert run(place, **then)["changed"]
        found, writes = len(place.calls), len(place.calls.writes())
    figure = f"{found}, of which writes: {writes}"
    return Row(what, figure, str(wanted or ""), found <= wanted if wanted else None, gates=wanted is not None)


# --- 3. polls


def polls(stage: Stage) -> Section:
    """How often a job is asked for, and how late its end is seen."""
    times = stage.pick(20, 3)
    rows = []
    for seconds in (2.0, 12.0, 40.0, 130.0):
        for progress in (True, False):
            stage.say(f"downloads of {seconds:g} s, with{'' if progress else 'out'} progress")
            durations = [seconds * (0.9 + 0.2 * number / (times - 1)) for number in range(times)]
            asked, late, requests = zip(*(_download(each, progress) for each in durations), strict=True)
            name = f"download of {seconds:g} s, {'with progress' if progress else 'no progress'}"
            rows.append(
                Row(
                    f"{name}: polls; delay",
                    f"{Figures(asked).text('.0f')}; {_share(late, seconds)}",
                    peers=_fixed(seconds),
                )
            )
            if seconds == 130 and progress:
                rows.append(at_most(f"{name}: requests, all", Figures(requests), 18, form=".0f", gates=True))
                rows.append(at_most(f"{name}: delay, % of the job", _percent(late, seconds), 6, form=".1f", gates=True))
    return Section(
        "Polls, and how late the end is seen",
        f"In virtual time: the real task, with its jitter, against the emulator, {times} times each: durations "
        "spread evenly over ± 10 %, even progress; delay in % of the job. Beside it what a fixed interval costs "
        "(computed): its mean delay is half of it. Requests, all: the reads before and after, and the order, too.",
        rows,
    )


def _download(seconds: float, progress: bool) -> tuple[int, float, int]:
    """Polls, delay in seconds, and requests of one download."""
    with site(seconds, progress=progress) as (place, clock):
        run(place, name="new.iso", url=URL)
        asked = place.calls.matching("GET", "/api/jobs/")
        return len(asked), asked[-1].at - clock.began - seconds, len(place.calls)


def _percent(late: tuple[float, ...], seconds: float) -> Figures:
    return Figures([100 * each / seconds for each in late])


def _share(late: tuple[float, ...], seconds: float) -> str:
    return f"{_percent(late, seconds).text('.1f')} %"


def _fixed(seconds: float) -> str:
    told = (f"every {each} s: {math.ceil(seconds / each)}; {50 * each / seconds:.1f} %" for each in (1, 2))
    return "; ".join(told)


# --- 6. a large fleet


def simulated(stage: Stage) -> Section:
    """A thousand hosts under a limit, in virtual time, over the gate that is shipped."""
    hosts, forks, seeds = stage.pick((1000, 50, 5), (200, 50, 2))
    limits = {
        "fixed windows": Limit(),
        "fixed windows, no Retry-After": Limit(tells="nothing"),
        "a bucket that holds 20": Limit(burst=20),
    }
    rows: list[Row] = []
    for name, limit in limits.items():
        stage.say(f"{hosts} simulated hosts, {name}")
        ours = [simulate(hosts, limit=limit, forks=forks, seed=seed) for seed in range(seeds)]
        apart = [simulate(hosts, limit=limit, forks=forks, gates=forks, seed=seed) for seed in range(seeds)]
        theirs = {who: simulate(hosts, limit=limit, forks=forks, peer=peer) for who, peer in PEERS.items()}
        told = "; ".join(f"{who}: {each.lost} of {hosts} lost" for who, each in theirs.items())
        told = "as above" if any(row.peers == told for row in rows) else told
        rows.append(Row(f"{name}: lost", f"{_most_lost(ours)}", "0", _most_lost(ours) == 0, told, gates=True))
        refusals = Figures([each.refusals_per_host for each in ours])
        told_when = limit.tells != "nothing"  # nobody can come back in time without knowing when that is
        rows.append(at_most(f"{name}: refusals a host", refusals, 0.5, gates=told_when))
        over = Figures([each.over_floor for each in ours])
        rows.append(at_most(f"{name}: time over the floor", over, 1.2, gates=told_when))
        late = Figures([each.p95_over_median for each in ours]).text()
        rows.append(Row(f"{name}: 95th percentile over the median of what a host took", late))
        rows.append(
            Row(
                f"{name}: processes that share no file: lost; refusals a host; time over the floor",
                f"{_most_lost(apart)}; {Figures([each.refusals_per_host for each in apart]).text()}; "
                f"{Figures([each.over_floor for each in apart]).text()}",
            )
        )
    for name, limit in limits.items():
        lifted = replace(limit, lifted_at=131.0)
        slowest = max(recovery(lifted, forks=forks, seed=seed)[0] for seed in range(seeds))
        what = f"{name}, lifted: seconds until half the pace of an API without a limit"
        rows.append(at_most(what, Figures([slowest]), 30, form=".0f", gates=True))
    return Section(
        f"{hosts:,} hosts, simulated",
        f"`tests/benchmarks/fleet_sim.py`, {seeds} seeds: {forks} forks, three requests a host, "
        f"{Limit().limit} requests in {Limit().window:g} s, over the rate gate as it is shipped. "
        "Peers: how others retry, without `Retry-After`; which of them does what is in that file.",
        rows,
    )


def _most_lost(outcomes: list[Simulated]) -> int:
    return max(each.lost for each in outcomes)
