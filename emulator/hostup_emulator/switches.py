# SPDX-License-Identifier: GPL-3.0-or-later
"""Behaviour that the public documents leave open, or that only goes wrong now and then: each is a switch.

The same fields serve tests (set an attribute), the command line (one flag each) and the control route (JSON).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any


def _switch(default: object, says: str, choices: tuple[str, ...] = (), parse: type | None = None) -> Any:
    """Declare a switch together with what the command line has to know about it."""
    # pylint: disable-next=invalid-field-call  # called in the dataclasses below
    return field(default=default, metadata={"help": says, "choices": choices, "parse": parse or type(default)})


@dataclass
class JobFaults:
    """What goes wrong with a job. A new job takes a copy of its owner's, so `job.faults` can be changed by itself."""

    fails: str = _switch("", "the job does nothing and fails after job_seconds, for this reason")
    reason_at: str = _switch("error", "where a poll tells why a job failed, beside its status: error, result.error, …")
    hangs: bool = _switch(False, "the job never ends")
    forgotten: bool = _switch(False, "every poll answers 404, while the job goes on")
    status_word: str | None = _switch(
        None, "the status that is told while the job runs, instead of queued or in_progress", parse=str
    )
    retry_after: int | None = _switch(None, "Retry-After, in seconds, on every poll while the job runs", parse=int)
    claims_completed: bool = _switch(False, "the first answer is 200 completed, while the job still runs")
    times: int | None = _switch(None, "how many of the next jobs go wrong like this; not given: all", parse=int)


@dataclass
class Switches:
    """How the emulator behaves. A world has one set; an owner can have their own."""

    mount: str = _switch("sync", "mount and attach-empty answer with the device, or queue a job", ("sync", "job"))
    job_seconds: float = _switch(0.2, "how long a mount or attach-empty job runs; 0: completed in the first answer")
    poll_shape: str = _switch("operation", "the shape of a job poll's answer", ("operation", "flat", "legacy"))
    poll_url: str = _switch("relative", "what pollUrl holds", ("relative", "absolute", "foreign", "missing"))
    names_jobs: bool = _switch(True, "a 202 names its job; else jobId and pollUrl are null")
    foreign_origin: str = _switch("https://jobs.example.invalid", "the origin for poll_url foreign")
    progress: bool = _switch(True, "polls tell the progress of a download")
    forget_after_seconds: float | None = _switch(None, "a finished job is forgotten after this long", parse=float)
    forget_after_polls: int | None = _switch(None, "a finished job is forgotten after so many polls", parse=int)
    second_download: str = _switch(
        "join", "a second from-url for a file that is still being downloaded", ("join", "conflict", "again")
    )
    mount_needs_drive: bool = _switch(False, "a slot without a drive is refused until attach-empty was called")
    mount_moves_cd_first: bool = _switch(False, "a mount puts the drive first in the boot order")
    unmount_removes_drive: bool = _switch(False, "an unmount leaves a slot without a drive")
    unmount_drops_boot_entry: bool = _switch(False, "an unmount takes the drive out of the boot order")
    boot_order_at: str = _switch("iso", "the read that tells the boot order", ("iso", "storage", "nowhere"))
    foreign_vps: str = _switch(
        "forbidden", "the refusal for another owner's VPS: 403 forbidden or 404", ("forbidden", "vps_not_found")
    )
    stale_reads: int = _switch(0, "so many ISO reads of each VPS still show the old state after each change")
    shutdown_seconds: float = _switch(0.2, "how long a guest takes to power off when it is asked; memory only")
    shutdown_timeout: float = _switch(60.0, "how long shutdown and restart wait for the guest")
    ignores_power_button: bool = _switch(False, "the guest does not listen when it is asked to power off; memory only")
    installer_seconds: float | None = _switch(
        None, "a VPS that boots from an ISO powers off after so long, as an installer does; memory only", parse=float
    )
    installer_reads: int | None = _switch(
        None, "the same, after so many reads of its power state instead; memory only", parse=int
    )
    stale_power_reads: int = _switch(0, "so many reads of each VPS still show the old power state after each change")
    gates_at: str = _switch("details", "the read that tells the power gates", ("details", "status", "vps"))
    vps_not_ready: int = _switch(0, "so many of the next writes are refused with vps_not_ready")
    rate_limit: int = _switch(0, "requests per key and window; 0: no limit")
    rate_window: float = _switch(60.0, "the length of that window in seconds")
    rate_kind: str = _switch(
        "window", "a fixed window, or a bucket that refills evenly, rate_limit in rate_window", ("window", "bucket")
    )
    rate_burst: int = _switch(0, "requests that a full bucket holds; 0: as many as rate_limit")
    rate_says: str = _switch(
        "seconds",
        "how a 429 tells when to come back: Retry-After in seconds or as a date, only X-RateLimit-Reset, or not at all",
        ("seconds", "date", "reset", "nothing"),
    )
    rate_headers: bool = _switch(False, "X-RateLimit headers on every answer, not only on 429")
    latency: float = _switch(0.0, "seconds by which every answer of the API is delayed")
    job: JobFaults = field(default_factory=JobFaults)


def change(switches: Switches | JobFaults, values: Mapping[str, Any]) -> None:
    """Set several switches from untyped values; a ValueError says which one cannot be set like that."""
    if not isinstance(values, Mapping):
        raise ValueError("switches are given as an object")
    known = {item.name: item for item in fields(switches)}
    for name, value in values.items():
        if name not in known:
            raise ValueError(f"there is no switch {name!r}; there are {', '.join(known)}")
        current = getattr(switches, name)
        if isinstance(current, JobFaults):
            change(current, value)
            continue
        about = known[name].metadata
        if about["choices"] and value not in about["choices"]:
            raise ValueError(f"{name} is one of {', '.join(about['choices'])}")
        optional = known[name].default is None
        if not (optional and value is None):
            wanted = (int, float) if about["parse"] is float else about["parse"]
            if not isinstance(value, wanted) or (isinstance(value, bool) and about["parse"] is not bool):
                raise ValueError(f"{name} takes a value of type {about['parse'].__name__}")
        setattr(switches, name, value)
