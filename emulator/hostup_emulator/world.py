# SPDX-License-Identifier: GPL-3.0-or-later
"""The emulated API as a pure state machine: no sockets, no threads, no files, and time comes from a callable.

`World.handle` turns a request into an answer. What has to happen outside (downloads, removed files) is left in
`World.errands` for the caller, who reports back through `download_progress`, `download_done` and `download_failed`.
"""

from __future__ import annotations

import json
import math
import random
import re
import time
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from email.utils import formatdate
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from . import power
from .jobs import Job, poll_answer
from .machines import Machines, MemoryMachines
from .model import DEVICES, JSON, Content, Drive, Gate, Iso, Key, Mount, Owner, Vps
from .rates import SLACK, count
from .switches import JobFaults, Switches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = [
    "ALL_SCOPES", "Answer", "Drive", "Gate", "JobFaults", "Mount", "Problem", "Request", "Switches", "World",
]  # fmt: skip

ALL_SCOPES = frozenset({"read:vm", "write:vm", "write:storage", "power:vm"})
READ = frozenset({"read:vm"})
WRITE = frozenset({"write:vm", "write:storage"})
POWER = frozenset({"power:vm"})
COMPRESSIONS = ("none", "gzip", "lzo", "zstd", "bzip2")
DEFAULT_PAGE = 25
OPEN = Gate()

# The code and the title that an HTTP status has when nothing more particular is known.
PROBLEMS = {
    400: ("invalid_request", "Invalid request"),
    401: ("unauthorized", "Unauthorized"),
    403: ("forbidden", "Forbidden"),
    404: ("not_found", "Not found"),
    405: ("method_not_allowed", "Method not allowed"),
    409: ("conflict", "Conflict"),
    429: ("rate_limit_exceeded", "Too many requests"),
    500: ("internal_error", "Internal server error"),
    502: ("upstream_error", "Bad gateway"),
    503: ("upstream_unavailable", "Service unavailable"),
    504: ("upstream_timeout", "Gateway timeout"),
}


class Problem(Exception):
    """A refusal; it becomes an RFC 7807 document."""

    def __init__(
        self,
        status: int,
        detail: str = "",
        *,
        code: str = "",
        errors: Sequence[JSON] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        default_code, self.title = PROBLEMS.get(status, ("error", f"HTTP status {status}"))
        super().__init__(detail or f"{self.title}.")
        self.status = status
        self.code = code or default_code
        self.errors = errors
        self.headers = dict(headers or {})


@dataclass
class Request:
    """What the world has to know of an HTTP request. `path` is still percent-encoded."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    token: str | None = None
    user_agent: str = ""


@dataclass
class Answer:
    """An answer; `body` is JSON, or bytes that are sent as they are. `note` is for the log."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    note: str = ""


@dataclass(frozen=True)
class StartDownload:
    """An errand: fetch this, and report how it goes."""

    job_id: str
    owner: str
    url: str
    filename: str
    decompress: str


@dataclass(frozen=True)
class RemoveFile:
    """An errand: this file is no longer in the library."""

    owner: str
    filename: str


class Fields:
    """Reads text fields and collects what is wrong with them, so that one answer can tell it all."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values
        self._errors: list[JSON] = []

    def text(self, name: str, accept: Callable[[str], object], expected: str, *, required: bool = False) -> str:
        """Return the field, or an empty string where it is absent or wrong."""
        value = self._values.get(name)
        if name not in self._values:
            if required:
                self._complain(name, f"`{name}` is required.", "missing_required")
        elif isinstance(value, str) and accept(value):
            return value
        else:
            self._complain(name, f"`{name}` must be {expected}.", "invalid_request")
        return ""

    def device(self) -> str:
        """Return the `device` field of a body."""
        return self.text("device", DEVICES.__contains__, f"one of {', '.join(DEVICES)}")

    def flag(self, name: str) -> bool:
        """Return a field that is true or false; false where it is absent or wrong."""
        value = self._values.get(name, False)
        if not isinstance(value, bool):
            self._complain(name, f"`{name}` must be true or false.", "invalid_request")
        return value is True

    def check(self) -> None:
        """Refuse the request if anything was wrong."""
        if self._errors:
            raise Problem(400, "The request is not valid.", errors=self._errors)

    def _complain(self, name: str, detail: str, code: str) -> None:
        self._errors.append({"pointer": f"/{name}", "detail": detail, "code": code})


@dataclass
class Context:
    """A request that has passed authentication and routing."""

    owner: Owner
    request: Request
    path_values: dict[str, str]
    fields: Fields
    found_vps: Vps | None

    @property
    def vps(self) -> Vps:
        """The VPS that the path names."""
        assert self.found_vps is not None, "this route has no {id}"
        return self.found_vps

    @property
    def switches(self) -> Switches:
        """The switches of the owner who asks."""
        return self.owner.switches


class World:
    """Everything that the emulated API knows."""

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        switches: Switches | None = None,
        machines: Machines | None = None,
    ) -> None:
        self.clock = clock
        self.switches = switches or Switches()
        self.machines: Machines = machines or MemoryMachines(clock)
        self.origin = "http://emulator.invalid"
        self.owners: dict[str, Owner] = {}
        self.keys: dict[str, Key] = {}
        self.vpses: dict[str, Vps] = {}
        self.jobs: dict[str, Job] = {}
        self.errands: list[StartDownload | RemoveFile] = []
        self._timed_jobs: list[Job] = []
        self._power_changes: dict[str, tuple[Job, power.Change]] = {}

    # Building a world

    def add_owner(self, name: str, switches: Switches | None = None) -> Owner:
        """Add a customer; without switches of their own, the world's apply."""
        owner = Owner(name, switches or self.switches)
        self.owners[name] = owner
        return owner

    def add_key(self, owner: Owner, key: str | None = None, scopes: Iterable[str] = ALL_SCOPES) -> str:
        """Add an API key and return it."""
        key = key or new_id("emulator")
        count = sum(1 for other in self.keys.values() if other.owner is owner)
        self.keys[key] = Key(f"{owner.name} #{count + 1}", owner, frozenset(scopes))
        return key

    def add_iso(
        self,
        owner: Owner,
        name: str | None,
        display_name: str | None = None,
        *,
        size_gb: float = 1.0,
        format: str | None = "iso",
        deletable: bool = True,
        iso_id: str | None = None,
    ) -> Iso:
        """Put a file into an owner's library. One that is not deletable stands for an ISO of the provider."""
        iso = Iso(iso_id or new_id("iso"), name, display_name, size_gb, format, deletable)
        owner.library[iso.id] = iso
        return iso

    def add_vps(
        self,
        owner: Owner,
        name: str,
        primary_ip: str | None = None,
        *,
        drives: Mapping[str, Drive] | None = None,
        boot_order: Sequence[str] | None = ("scsi0", "ide2"),
        can_mount: Gate = OPEN,
        can_upload: Gate = OPEN,
        vps_id: str | None = None,
        extra_mounts: Iterable[Mount] = (),
    ) -> Vps:
        """Add a VPS; by default with one empty CD/DVD drive (ide2) and one slot without a drive (ide3)."""
        vps = Vps(
            id=vps_id or new_id("vps"),
            owner=owner,
            name=name,
            primary_ip=primary_ip,
            drives=dict({"ide2": Drive.empty(), "ide3": Drive.slot()} if drives is None else drives),
            boot_order=None if boot_order is None else list(boot_order),
            can_mount=can_mount,
            can_upload=can_upload,
            extra_mounts=list(extra_mounts),
        )
        owner.vpses.append(vps)
        self.vpses[vps.id] = vps
        return vps

    # Looking at it

    def iso_read(self, vps: Vps) -> JSON:
        """Return what `GET …/iso` would answer if no read were stale."""
        self.finish_due_jobs()
        return vps.iso_document()

    def set_boot_order(self, vps: Vps, order: Sequence[str]) -> None:
        """Change what no public route can change; it counts from the next boot."""
        vps.boot_order = list(order)
        self.machines.refit(vps)

    def vps_document(self, vps: Vps) -> JSON:
        """Return a VPS as the inventory shows it."""
        return vps.document(self.power_state(vps))

    def power_state(self, vps: Vps) -> str | None:
        """Return the power state, as the API tells it."""
        state = self.machines.power_state(vps)
        change = self._power_change(vps)
        return change[1].shown_state(state) if change else state

    def timestamp(self, at: float | None = None) -> str:
        """Return a time, by default the present one, as the API writes it."""
        moment = datetime.fromtimestamp(self.clock() if at is None else at, timezone.utc)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def problem_answer(self, problem: Problem, path: str) -> Answer:
        """Return a problem as the document that the API answers with."""
        document: JSON = {
            "type": f"https://developer.hostup.se/errors/{problem.code}",
            "title": problem.title,
            "status": problem.status,
            "detail": str(problem),
            "code": problem.code,
            "instance": path,
            "requestId": new_id("req"),
            "timestamp": self.timestamp(),
        }
        if problem.errors:
            document["errors"] = list(problem.errors)
        return Answer(problem.status, document, problem.headers, "application/problem+json", problem.code)

    # Answering

    def handle(self, request: Request) -> Answer:
        """Answer a request; a refusal is an answer too."""
        self.finish_due_jobs()
        rate_headers: dict[str, str] = {}
        try:
            key = self.keys.get(request.token or "")
            if key is None:
                raise Problem(401, "A valid API key is required.")
            rate_headers = self._count_request(key)
            answer = self._dispatch(request, key)
        except Problem as problem:
            answer = self.problem_answer(problem, request.path)
        answer.headers = rate_headers | answer.headers
        return answer

    def _count_request(self, key: Key) -> dict[str, str]:
        """Count a request against its key's limit; return the headers that tell how much is left."""
        switches, now = key.owner.switches, self.clock()
        if not switches.rate_limit:
            return {}
        counted = count(key, now)
        headers = {
            "X-RateLimit-Limit": str(switches.rate_limit),
            "X-RateLimit-Remaining": str(counted.left),
            # Rounded up: who comes back just then is not too early.
            "X-RateLimit-Reset": self.timestamp(math.ceil(round(1000 * counted.reset, 3)) / 1000),
        }
        if not counted.allowed:
            if switches.rate_says == "seconds":
                headers["Retry-After"] = str(max(1, math.ceil(counted.reset - now - SLACK)))
            elif switches.rate_says == "date":
                headers["Retry-After"] = formatdate(math.ceil(counted.reset - SLACK), usegmt=True)
            elif switches.rate_says == "nothing":
                headers = {}
            raise Problem(429, "The rate limit of this key is used up.", headers=headers)
        return headers if switches.rate_headers else {}

    def _dispatch(self, request: Request, key: Key) -> Answer:
        by_method = {
            route.method: (route, match) for route in ROUTES if (match := route.pattern.fullmatch(request.path))
        }
        if not by_method:
            raise Problem(404, "There is no such route.")
        if request.method not in by_method:
            allowed = ", ".join(sorted(by_method))
            raise Problem(405, "This route does not know that method.", headers={"Allow": allowed})
        route, match = by_method[request.method]
        if not route.scopes <= key.scopes:
            raise Problem(403, f"The key lacks {', '.join(sorted(route.scopes - key.scopes))}.")
        values = {name: unquote(value) for name, value in match.groupdict().items()}
        context = Context(
            owner=key.owner,
            request=request,
            path_values=values,
            fields=Fields(_json_object(request.body) if request.method == "POST" else request.query),
            found_vps=self._vps(key.owner, values["id"]) if "id" in values else None,
        )
        if request.method != "GET" and context.switches.vps_not_ready > 0:
            context.switches.vps_not_ready -= 1
            raise Problem(409, "The VPS is busy with another change.", code="vps_not_ready")
        return route.handler(self, context)

    def _vps(self, owner: Owner, vps_id: str) -> Vps:
        vps = self.vpses.get(vps_id)
        if vps and vps.owner is owner:
            return vps
        if vps and owner.switches.foreign_vps == "forbidden":
            raise Problem(403, "This VPS belongs to somebody else.")
        raise Problem(404, "There is no such VPS.", code="vps_not_found")

    # Inventory

    def _list_vps(self, context: Context) -> Answer:
        limit = context.fields.text("limit", re.compile("[1-9][0-9]?|100").fullmatch, "a number from 1 to 100")
        cursor = context.fields.text("cursor", re.compile("cur_[0-9a-f]{8}").fullmatch, "a `nextCursor`")
        context.fields.check()
        name, address = (context.request.query.get(filter_) for filter_ in ("name", "primaryIp"))
        found = [
            vps
            for vps in context.owner.vpses
            if (name is None or vps.name.lower() == name.lower()) and (address is None or vps.primary_ip == address)
        ]
        start = int(cursor[4:], 16) if cursor else 0
        end = start + (int(limit) if limit else DEFAULT_PAGE)
        page = [self.vps_document(vps) for vps in found[start:end]]
        cursor = f"cur_{end:08x}" if end < len(found) else ""
        return Answer(200, {"data": page, "nextCursor": cursor or None}, note=f"{len(page)} of {len(found)} VPSs")

    def _get_vps(self, context: Context) -> Answer:
        document = self.vps_document(context.vps)
        return Answer(200, document | self._gates_at("vps", context, document["powerState"]), note=context.vps.name)

    # Power

    def _gates_at(self, read: str, context: Context, state: str | None) -> JSON:
        """Return the power gates as a read shows them, if it is the one that does."""
        if context.switches.gates_at != read:
            return {}
        return {"actions": power.gates_document(power.gates(context.vps, state))}

    def _get_details(self, context: Context) -> Answer:
        vps = context.vps
        state = self._read_power_state(vps)
        document = vps.document(state) | {"ipAddresses": [vps.primary_ip] if vps.primary_ip else []}
        return Answer(200, document | self._gates_at("details", context, state), note=f"{vps.name}: {state}")

    def _get_status(self, context: Context) -> Answer:
        vps = context.vps
        state = self._read_power_state(vps)
        change = self._power_change(vps)
        document = {
            "powerState": state,
            "uptime": self.machines.uptime(vps),
            "usage": {"cpuPercent": 0.0, "memoryPercent": 0.0},
            "pendingTasks": [change[1].action] if change else [],
        }
        return Answer(200, document | self._gates_at("status", context, state), note=f"{vps.name}: {state}")

    def _get_storage(self, context: Context) -> Answer:
        return Answer(200, context.vps.storage_document(), note=context.vps.name)

    def _read_power_state(self, vps: Vps) -> str | None:
        self.machines.was_read(vps)
        if vps.stale_power_reads_left > 0:
            vps.stale_power_reads_left -= 1
            return vps.stale_power_state
        return self.power_state(vps)

    def _power_change(self, vps: Vps) -> tuple[Job, power.Change] | None:
        change = self._power_changes.get(vps.id)
        return change if change and not change[0].finished else None

    def _power(self, context: Context) -> Answer:
        vps, action = context.vps, context.request.path.rpartition("/")[2]
        forces = action == "restart" and context.fields.flag("force")
        context.fields.check()
        before = self.machines.power_state(vps)
        running = self._power_change(vps)
        if running and action not in power.HARD:
            raise Problem(409, f"The VPS is busy with {running[1].action}.", code="vps_not_ready")
        _pass(power.gates(vps, before)[action])
        if running:
            self._fail(running[0], f"Overtaken by {action}.")
        change = power.Change(action, vps, self.machines, self.clock, forces)

        def effect() -> JSON:
            if reason := change.finish():
                raise Problem(409, reason)
            vps.stale_power_state, vps.stale_power_reads_left = before, context.switches.stale_power_reads
            return {}

        job = self._new_job(context.owner, action, effect)
        job.is_ready = change.is_ready
        self._power_changes[vps.id] = (job, change)
        if not (job.faults.fails or job.faults.hangs):
            change.begin()
        if not job.faults.hangs:
            self._end_later(job)
        return self._operation_answer(job, f"{vps.name}: {action}")

    # ISO

    def _read_iso(self, context: Context) -> Answer:
        vps = context.vps
        if vps.stale_reads_left > 0:
            vps.stale_reads_left -= 1
            return Answer(200, vps.stale_document, note=f"{vps.name}: stale")
        return Answer(200, vps.iso_document(), note=vps.name)

    def _download(self, context: Context) -> Answer:
        fields, vps, owner = context.fields, context.vps, context.owner
        url = fields.text("url", _is_http, "an http or https URL", required=True)
        filename = fields.text("filename", _is_filename, "a file name without a folder", required=True)
        decompress = fields.text("decompress", COMPRESSIONS.__contains__, f"one of {', '.join(COMPRESSIONS)}")
        fields.check()
        _pass(vps.can_upload)
        if owner.iso_named(filename):
            job = self._new_job(owner, "download")
            self._complete(job)
            return self._operation_answer(job, f"{vps.name}: {filename} is in the library")
        running = next(
            (job for job in self.jobs.values() if job.owner is owner and job.filename == filename and not job.finished),
            None,
        )
        if running and context.switches.second_download == "conflict":
            raise Problem(409, "This file is being downloaded already.", code="download_in_progress")
        if running and context.switches.second_download == "join":
            return self._operation_answer(running, f"{vps.name}: {filename} is being downloaded")
        job = self._new_job(owner, "download")
        job.filename = filename
        if job.faults.fails:
            self._end_later(job)
        elif not job.faults.hangs:
            self.errands.append(StartDownload(job.id, owner.name, url, filename, decompress or "none"))
        return self._operation_answer(job, f"{vps.name}: download of {filename}")

    def _mount(self, context: Context) -> Answer:
        vps = context.vps
        iso_id = context.fields.text("isoId", bool, "the `id` of an ISO", required=True)
        device = context.fields.device()
        context.fields.check()
        _pass(vps.can_mount)
        iso = context.owner.library.get(iso_id)
        if iso is None:
            raise Problem(404, "There is no such ISO in the library.")
        device = device or vps.first((Content.NOTHING, Content.NO_DRIVE)) or ""
        if not device:
            raise Problem(409, "No CD/DVD drive is free.", code="drive_in_use")
        wanted = Drive.holding(iso_id)

        def check() -> None:
            drive = _listed_drive(vps, device)
            if not drive.free and drive != wanted:
                raise Problem(409, f"{device} holds something else.", code="drive_in_use")
            if drive.content is Content.NO_DRIVE and context.switches.mount_needs_drive:
                raise Problem(409, f"{device} has no drive.", code="drive_missing")

        def apply() -> None:
            vps.drives[device] = wanted
            if vps.boot_order is not None and context.switches.mount_moves_cd_first:
                vps.boot_order = [device] + [other for other in vps.boot_order if other != device]

        return self._change_drive(
            context, "mount", device, check=check, apply=apply, note=f"{iso.name or iso_id} -> {device}"
        )

    def _attach_empty(self, context: Context) -> Answer:
        vps, device = context.vps, context.fields.device()
        context.fields.check()
        device = device or vps.first((Content.NO_DRIVE,)) or ""
        if not device:
            raise Problem(409, "No slot is free for another drive.", code="drive_in_use")

        def check() -> None:
            if not _listed_drive(vps, device).free:
                raise Problem(409, f"{device} is in use.", code="drive_in_use")

        def apply() -> None:
            vps.drives[device] = Drive.empty()

        return self._change_drive(
            context, "attach-empty", device, check=check, apply=apply, note=f"empty drive {device}"
        )

    def _change_drive(
        self,
        context: Context,
        kind: str,
        device: str,
        *,
        check: Callable[[], None],
        apply: Callable[[], None],
        note: str,
    ) -> Answer:
        """Change a drive now or in a job; a job checks again, because the drive may have changed meanwhile."""

        def effect() -> JSON:
            check()
            self._keep_stale(context.owner)
            apply()
            self.machines.refit(context.vps)
            return {"device": device}

        note = f"{context.vps.name}: {note}"
        if context.switches.mount == "sync":
            return Answer(200, effect(), note=note)
        check()
        job = self._new_job(context.owner, kind, effect)
        if not job.faults.hangs:
            self._end_later(job)
        return self._operation_answer(job, note)

    def _unmount(self, context: Context) -> Answer:
        vps, device = context.vps, context.fields.device() or "ide2"
        context.fields.check()
        note = f"{vps.name}: {device} was empty"
        mounted = [mount for mount in vps.mounts() if mount.device == device and mount.mounted]
        drive = vps.drives.get(device, Drive.slot())
        if mounted or not drive.free:
            note = f"{vps.name}: {device} unmounted"
            self._keep_stale(context.owner)
            vps.cloud_init_unmounts += [device for mount in mounted if mount.is_cloud_init]
            vps.extra_mounts = [mount for mount in vps.extra_mounts if mount not in mounted]
            if device in vps.drives:
                vps.drives[device] = Drive.slot() if context.switches.unmount_removes_drive else Drive.empty()
            if vps.boot_order is not None and context.switches.unmount_drops_boot_entry:
                vps.boot_order = [other for other in vps.boot_order if other != device]
            self.machines.refit(vps)
        return Answer(200, {"device": device}, note=note)

    def _delete_iso(self, context: Context) -> Answer:
        owner = context.owner
        iso = owner.library.get(context.path_values["volid"])
        if iso is None:
            raise Problem(404, "There is no such ISO in the library.")
        if not iso.deletable:
            raise Problem(403, "This ISO is not yours to delete.")
        users = [vps for vps in owner.vpses if any(m.iso_id == iso.id and m.mounted for m in vps.mounts())]
        if users:
            raise Problem(409, f"The ISO is mounted by {len(users)} VPS.", code="media_in_use")
        self._keep_stale(owner)
        del owner.library[iso.id]
        if iso.name and not owner.iso_named(iso.name):
            self.errands.append(RemoveFile(owner.name, iso.name))
        return Answer(204, note=f"{context.vps.name}: {iso.name or iso.id} deleted")

    def _keep_stale(self, owner: Owner) -> None:
        """Remember what reads show just before a change, as far as stale reads are asked for."""
        if owner.switches.stale_reads:
            for vps in owner.vpses:
                vps.stale_document = vps.iso_document()
                vps.stale_reads_left = owner.switches.stale_reads

    # Jobs

    def download_progress(self, job_id: str, done: int, total: int | None) -> None:
        """Take note of how far a download is."""
        job = self.jobs[job_id]
        job.status, job.bytes_done, job.bytes_total = "in_progress", done, total

    def download_done(self, job_id: str, size: int) -> None:
        """Put a downloaded file into the library."""
        job = self.jobs[job_id]
        self._keep_stale(job.owner)
        suffix = job.filename.rpartition(".")[2].lower()
        self.add_iso(job.owner, job.filename, size_gb=size / 1e9, format=suffix if suffix in ("iso", "img") else None)
        self._complete(job)

    def download_failed(self, job_id: str, reason: str) -> None:
        """End a download that did not succeed."""
        self._fail(self.jobs[job_id], reason)

    def _new_job(self, owner: Owner, kind: str, effect: Callable[[], JSON] = dict) -> Job:
        faults = owner.switches.job
        if faults.times is not None:
            faults.times -= 1
        taken = JobFaults() if faults.times is not None and faults.times < 0 else replace(faults)
        job = Job(new_id("job"), owner, kind, taken, self.clock(), effect)
        self.jobs[job.id] = job
        return job

    def _end_later(self, job: Job) -> None:
        job.due_at = job.created_at + job.owner.switches.job_seconds
        self._timed_jobs.append(job)
        self.finish_due_jobs()

    def finish_due_jobs(self) -> None:
        """End what is due by now."""
        now = self.clock()
        timed, self._timed_jobs = self._timed_jobs, []
        for job in timed:
            if job.finished:
                continue
            if now < job.due_at or not (job.faults.fails or job.is_ready()):
                job.status = "in_progress"
                self._timed_jobs.append(job)
            elif job.faults.fails:
                self._fail(job, job.faults.fails)
            else:
                try:
                    self._complete(job)
                except Problem as problem:
                    self._fail(job, str(problem))

    def _complete(self, job: Job) -> None:
        job.result = job.effect() or None
        job.status, job.finished_at = "completed", self.clock()

    def _fail(self, job: Job, reason: str) -> None:
        job.status, job.finished_at, job.reason = "failed", self.clock(), reason

    def _poll_url(self, job: Job) -> str | None:
        path = f"/api/jobs/{job.id}"
        if job.finished:
            return None
        return {
            "relative": path,
            "absolute": self.origin + path,
            "foreign": job.owner.switches.foreign_origin + path,
            "missing": None,
        }[job.owner.switches.poll_url]

    def _operation_answer(self, job: Job, note: str) -> Answer:
        operation = job.operation(self._poll_url(job))
        if job.faults.claims_completed:
            operation |= {"status": "completed", "pollUrl": None}
        status = 200 if operation["status"] == "completed" else 202
        if status == 202 and not job.owner.switches.names_jobs:
            operation |= {"jobId": None, "pollUrl": None}
        return Answer(status, {"operation": operation}, note=note)

    def _poll_job(self, context: Context) -> Answer:
        switches, now = context.switches, self.clock()
        job = self.jobs.get(context.path_values["jobId"])
        if job is None or job.owner is not context.owner or job.faults.forgotten:
            raise Problem(404, "There is no such job.")
        if job.finished_at is not None:
            too_old = switches.forget_after_seconds is not None and (
                now - job.finished_at >= switches.forget_after_seconds
            )
            if too_old or job.polls_since_end == switches.forget_after_polls:
                raise Problem(404, "There is no such job any more.")
            job.polls_since_end += 1
        body = poll_answer(
            job,
            switches.poll_shape,
            operation=job.operation(self._poll_url(job)),
            progress=job.progress if switches.progress else None,
            envelope={"timestamp": self.timestamp(), "requestId": new_id("req")},
            times={
                "createdAt": self.timestamp(job.created_at),
                "finishedAt": None if job.finished_at is None else self.timestamp(job.finished_at),
            },
        )
        waits = job.faults.retry_after is not None and not job.finished
        headers = {"Retry-After": str(job.faults.retry_after)} if waits else {}
        return Answer(200, body, headers, note=f"{job.kind} {job.shown_status}")


@dataclass(frozen=True)
class Route:
    """One method of one path."""

    method: str
    template: str
    handler: Callable[[World, Context], Answer]
    scopes: frozenset[str]
    pattern: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.template)
        object.__setattr__(self, "pattern", re.compile(pattern))


_ISO = "/api/v2/vps/{id}/iso"
ROUTES = [
    Route("GET", "/api/v2/vps", World._list_vps, READ),
    Route("GET", "/api/v2/vps/{id}", World._get_vps, READ),
    Route("GET", "/api/v2/vps/{id}/details", World._get_details, READ),
    Route("GET", "/api/v2/vps/{id}/status", World._get_status, READ),
    *(Route("POST", f"/api/v2/vps/{{id}}/actions/{action}", World._power, POWER) for action in power.ACTIONS),
    Route("GET", "/api/v2/vps/{id}/storage", World._get_storage, READ),
    Route("GET", _ISO, World._read_iso, READ),
    Route("POST", f"{_ISO}/actions/from-url", World._download, WRITE),
    Route("POST", f"{_ISO}/actions/mount", World._mount, WRITE),
    Route("POST", f"{_ISO}/actions/unmount", World._unmount, WRITE),
    Route("POST", f"{_ISO}/actions/attach-empty", World._attach_empty, WRITE),
    Route("DELETE", f"{_ISO}/{{volid}}", World._delete_iso, WRITE),
    Route("GET", "/api/jobs/{jobId}", World._poll_job, frozenset()),
]


def new_id(prefix: str) -> str:
    """Return an opaque ID in the API's manner."""
    return f"{prefix}_" + "".join(random.choices("0123456789abcdefghjkmnpqrstvwxyz", k=26))


def _json_object(body: bytes) -> JSON:
    try:
        value = json.loads(body or b"{}")
    except ValueError:
        raise Problem(400, "The body is not JSON.") from None
    if not isinstance(value, dict):
        raise Problem(400, "The body must be a JSON object.")
    return value


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _is_filename(name: str) -> bool:
    return name.isprintable() and not set(name) & set("/\\") and name.strip(". ") != "" and len(name.encode()) <= 200


def _pass(gate: Gate) -> None:
    """Refuse what a closed gate forbids."""
    if not gate.allowed:
        raise Problem(409, gate.reason or "This action is blocked.", code=gate.code or "")


def _listed_drive(vps: Vps, device: str) -> Drive:
    if device not in vps.drives:
        error = {"pointer": "/device", "detail": f"This VPS has no {device}.", "code": "invalid_request"}
        raise Problem(400, "The request is not valid.", errors=[error])
    return vps.drives[device]
