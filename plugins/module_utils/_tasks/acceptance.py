# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The task of ``hostup_acceptance``: tries what the contract says, and tells what the API keeps to."""

from __future__ import annotations

import typing as t
from contextlib import closing, suppress

from ansible_collections.hostup.cloud.plugins.module_utils._acceptance.mask import masked
from ansible_collections.hostup.cloud.plugins.module_utils._acceptance.report import (
    FAILS,
    HOLDS,
    LINES,
    UNTRIED,
    Exchange,
    Line,
    judge,
    judge_all,
    report,
    tells_nothing,
)
from ansible_collections.hostup.cloud.plugins.module_utils._api.client import Client, Connection
from ansible_collections.hostup.cloud.plugins.module_utils._api.documents import text
from ansible_collections.hostup.cloud.plugins.module_utils._api.jobs import Job, parse_job, wait_for
from ansible_collections.hostup.cloud.plugins.module_utils._api.operations import CONFIRM_SCHEDULE, re_read
from ansible_collections.hostup.cloud.plugins.module_utils._api.vps import (
    POWER_ACTIONS,
    VPS_PATH,
    find_vps,
    parse_power,
    unwrapped,
    vps_path,
)
from ansible_collections.hostup.cloud.plugins.module_utils._clock import Deadline
from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError, Problem
from ansible_collections.hostup.cloud.plugins.module_utils._iso.read import read_media
from ansible_collections.hostup.cloud.plugins.module_utils._iso.state import EMPTY, NO_DRIVE, Media
from ansible_collections.hostup.cloud.plugins.module_utils._iso.url import check_url, url_secrets
from ansible_collections.hostup.cloud.plugins.module_utils._tasks import options
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.fleet import Result
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.iso import VPS_ISO
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.task import Context, Params, Task, refuse_no_time

FILE_NAME = "hostup-acceptance.iso"  # in the library, as long as it takes
NOBODYS = "0" * 26
CLEAN_UP_SECONDS = 300.0
NEVER_SHOWN = "no read showed the outcome"
WHY_NOT_WRITTEN = "vps_name, confirm and iso_url were not given"


class Trial:
    """One run: tries one line after the other, and keeps every answer."""

    def __init__(self, client: Client, params: Params, context: Context) -> None:
        self.client = client
        self.params = params
        self.context = context
        self.lines: dict[str, Line] = {}
        self.exchanges: list[Exchange] = []
        self.shown: list[Exchange] = []
        self.boot_orders: dict[str, list[str] | None] = {}
        self.vps_id = ""
        self._trying = ""
        self._jobs: list[Job] = []
        client.watch = self._watch

    def result(self, why_not: str, *, changed: bool) -> Result:
        """What has been found. ``why_not`` tells why the other lines were not tried."""
        lines = [self.lines.get(line_id, Line(line_id, UNTRIED, [why_not])) for line_id in LINES]
        return {
            "changed": changed,
            "lines": [
                {"id": line.id, "checks": line.checks, "known": line.known, "outcome": line.outcome, "says": line.says}
                for line in lines
            ],
            "report": report(lines, self.boot_orders, self.shown),
        }

    def _watch(self, response: t.Any) -> None:
        self.exchanges.append(Exchange.of(response))

    def _keep(self, line: Line) -> Line:
        self.lines[line.id] = line
        return line

    # Reads

    def read(self) -> str:
        """Try all reads. Returns why some could not be tried, empty if all were. Raises HostUpError for bad input."""
        listed = self._get("list", VPS_PATH, {"limit": "100"})
        self.vps_id = self._find(listed)
        self._get("unknown-vps", f"{VPS_PATH}/vps_{NOBODYS}", status=404)
        self._get("unknown-job", f"/api/jobs/job_{NOBODYS}", status=404)
        if not self.vps_id:
            return "no VPS was found"
        path = vps_path(self.vps_id)
        vps = self._get("vps", path)
        self._judge_gates(vps, self._get("details", f"{path}/details"), self._get("status", f"{path}/status"))
        self._get("storage", f"{path}/storage")
        self._get("iso", f"{path}/iso")
        self._try_filter("filter-name", "name", vps, str.swapcase)
        self._try_filter("filter-address", "primaryIp", vps, str)
        self._try_pages()
        return ""

    def _get(self, line_id: str, path: str, query: dict[str, str] | None = None, status: int = 200) -> dict[str, t.Any]:
        """Judge the answer to a read, and return its body, empty if it is of no use."""
        since = len(self.exchanges)
        try:
            self.client.get(path, query)
        except HostUpError as error:
            if error.problem.status == 401 or (line_id == "list" and len(self.exchanges) == since):
                raise  # no more would come of the other lines
        seen = self.exchanges[since:]
        self._keep(judge(line_id, seen[-1] if seen else None, status))
        body = seen[-1].body if seen and seen[-1].status == 200 else None
        return dict(unwrapped(body)) if isinstance(body, dict) else {}

    def _find(self, listed: dict[str, t.Any]) -> str:
        """The ID of the VPS that was named, or of the first one; empty where there is none."""
        if self.params["vps_name"] is not None:
            try:
                return find_vps(self.client, {"vps_id": None, "vps_name": self.params["vps_name"], "vps_ip": None})
            except HostUpError as error:
                if error.problem == Problem():
                    raise  # there is none of this name, or several
                return ""
        documents = listed.get("data")
        ids = [text(one, "id") for one in documents if isinstance(one, dict)] if isinstance(documents, list) else []
        return next(filter(None, ids), None) or ""

    def _judge_gates(self, *documents: dict[str, t.Any]) -> None:
        if not all(self.lines[line_id].outcome != UNTRIED for line_id in ("vps", "details", "status")):
            return
        are_told = any(len(parse_power(document).gates) == len(POWER_ACTIONS) for document in documents)
        self._keep(Line("gates", HOLDS if are_told else FAILS, [] if are_told else ["none of them tells all five"]))

    def _try_filter(self, line_id: str, field: str, vps: dict[str, t.Any], spell: t.Callable[[str], str]) -> None:
        value = text(vps, field)
        if value is None:
            self._keep(Line(line_id, UNTRIED, ["this VPS has none"]))
            return
        found = self._get(line_id, VPS_PATH, {"limit": "100", field: spell(value)}).get("data")
        if self.lines[line_id].outcome == HOLDS and isinstance(found, list):
            is_right = [str(one[field]).lower() for one in found] == [value.lower()] * (len(found) or 1)
            self._keep(Line(line_id, HOLDS if is_right else FAILS, [] if is_right else ["it lists others, or none"]))

    def _try_pages(self) -> None:
        first = self._get("pages", VPS_PATH, {"limit": "1"})
        if self.lines["pages"].outcome != HOLDS:
            return
        if not first["nextCursor"]:
            self._keep(Line("pages", UNTRIED, ["there is one VPS only"]))
            return
        second = self._get("pages", VPS_PATH, {"limit": "1", "cursor": first["nextCursor"]})
        if self.lines["pages"].outcome == HOLDS and second["data"] == first["data"]:
            self._keep(Line("pages", FAILS, ["the next page is the same page"]))

    # Writes

    def write(self) -> str:
        """Go through all states of an ISO, each twice. Returns why some lines could not be tried, empty if all were."""
        try:
            before = read_media(self.client, self.vps_id)
        except HostUpError:
            return "the ISO read is of no use"
        device = _free_drive(before)
        if device is None:
            return "no CD/DVD drive is free"
        if _ours(before):
            return f"{FILE_NAME} is in the library already: delete it first"
        if not (before.can_mount.allowed and before.can_upload.allowed):
            return "the gates allow no mount, or no download"
        since = len(self.exchanges)
        self.boot_orders["before"] = _order(before)
        try:
            self._go_through(device, was_empty=before.drive(device) == EMPTY)
        except HostUpError as error:
            self._keep(_broken_off(self._trying, error))
            return f"{self._trying} came to nothing"
        finally:
            self._clean_up(before, device)
            written = self.exchanges[since:]
            polls = [exchange for exchange in written if exchange.path.startswith("/api/jobs/")]
            self._keep(judge_all("job-answers", [poll for poll in polls if poll.status == 200]))
            self.shown = [exchange for exchange in written if exchange.method != "GET" or exchange in polls]
        return ""

    def _go_through(self, device: str, *, was_empty: bool) -> None:
        url = self.params["iso_url"]
        self._download(url)
        self._run("present-again", state="present", url=url)
        self._run("mounted", state="mounted", device=device)
        self._keep(judge("mount-answer", self._last("POST", "/mount"), 200, 202))
        self._run("mounted-again", state="mounted", device=device)
        self.boot_orders["after the mount"] = _order(read_media(self.client, self.vps_id))
        self._run("unmounted", state="unmounted", device=device)
        self._keep(judge("unmount-answer", self._last("POST", "/unmount"), 200))
        self._run("unmounted-again", state="unmounted", device=device)
        self._attach(device, was_empty=was_empty)
        self._run("absent", state="absent")
        self._keep(judge("delete-answer", self._last("DELETE", ""), 204))
        self._run("absent-again", state="absent")

    def _download(self, url: str) -> None:
        """Order a file twice, wait for both, and keep one of it, however many the API has made of that."""
        order = {"url": url, "filename": FILE_NAME, "decompress": "none"}
        self._trying = "present"
        job = self._iso(state="present", url=url, wait=False)["job"]
        self._jobs += [Job(**job)] if job else []
        # nobody knows what it does: to refuse is as good
        self._keep(judge("second-order", self._post("from-url", order), 200, 202, 409))
        files = len({job.id for job in self._jobs})
        self._follow_jobs()
        found: list[str] = []

        def are_there() -> bool:
            found[:] = _ours(read_media(self.client, self.vps_id))
            return len(found) >= files

        re_read(self.client, are_there, CONFIRM_SCHEDULE)  # a stale read would have the second one left
        for iso_id in found[1:]:
            self._iso(state="absent", name=None, iso_id=iso_id)
        self._iso(state="present", url=url)
        self._keep(Line("present", HOLDS))
        self._keep(judge("third-order", self._post("from-url", order), 200))

    def _attach(self, device: str, *, was_empty: bool) -> None:
        drive = read_media(self.client, self.vps_id).drive(device)
        exchange = self._last("POST", "/attach-empty")
        if exchange is None and not was_empty and drive != EMPTY:
            self._keep(Line("attach-answer", UNTRIED, ["no public route would take the drive away again"]))
            return
        self._trying = "attach-answer"
        exchange = exchange or self._post("attach-empty", {"device": device})
        line = judge("attach-answer", exchange, 200, 202)
        if drive == EMPTY and line.outcome == FAILS and exchange and exchange.status >= 400:
            line = Line("attach-answer", UNTRIED, [f"the drive was there: {exchange.outcome}"])
        self._keep(line)
        self._follow_jobs()

    def _run(self, line_id: str, **wish: t.Any) -> None:
        """Try a state; the second time nothing may change, and one request has to be enough."""
        since, self._trying = len(self.exchanges), line_id
        changed, is_again = self._iso(**wish)["changed"], line_id.endswith("-again")
        sent = [exchange for exchange in self.exchanges[since:] if exchange.status != 429]
        flaws = ["it changed something"] if is_again and changed else []
        flaws += [f"{len(sent)} requests"] if is_again and len(sent) != 1 else []
        self._keep(Line(line_id, FAILS if flaws else HOLDS, flaws))

    def _iso(self, **wish: t.Any) -> Result:
        """Do what `hostup_vps_iso` does. Raises HostUpError."""
        defaults = {name: spec.get("default") for name, spec in VPS_ISO.spec["argument_spec"].items()}
        params = {**defaults, "vps_id": self.vps_id, "name": FILE_NAME, **wish}
        return VPS_ISO.work(self.client, params, VPS_ISO.check(params), self.context)

    def _post(self, action: str, body: dict[str, t.Any]) -> Exchange | None:
        """Send a write just as it is. Its job, if there is one, is followed later."""
        since = len(self.exchanges)
        with suppress(HostUpError):
            job = parse_job(self.client.post(f"{vps_path(self.vps_id)}/iso/actions/{action}", body).body)
            self._jobs += [job] if job else []
        return self.exchanges[-1] if len(self.exchanges) > since else None

    def _last(self, method: str, ending: str) -> Exchange | None:
        found = [one for one in self.exchanges if one.method == method and one.path.endswith(ending)]
        return found[-1] if found else None

    def _follow_jobs(self) -> None:
        """Wait for the end of all jobs. What they have led to is for reads to tell."""
        jobs, self._jobs = self._jobs, []
        for job in jobs:
            try:
                wait_for(self.client, job, lambda _job, _elapsed: None)
            except HostUpError as error:
                self._jobs += [job] if error.timed_out else []

    def _clean_up(self, before: Media, device: str) -> None:
        """Take back what was done, with time of its own."""
        deadline = Deadline(CLEAN_UP_SECONDS)
        with closing(Client(Connection.from_params(self.params), deadline, self.client.say, lambda _line: None)) as own:
            self.client = own
            own.watch = self._watch
            try:
                self._follow_jobs()
                for iso_id in _ours(read_media(own, self.vps_id)):
                    self._iso(state="absent", name=None, iso_id=iso_id)
                if before.drive(device) == EMPTY != read_media(own, self.vps_id).drive(device):
                    self._post("attach-empty", {"device": device})
                    self._follow_jobs()
                after = before
                for delay in CONFIRM_SCHEDULE:
                    own.pause(delay)
                    after = read_media(own, self.vps_id)
                    if not _differences(before, after):
                        break
            except HostUpError as error:
                flaws = [f"cleaning up broke off ({_broken_off('as-before', error).says[0]}): look after {device}"]
            else:
                flaws = _differences(before, after)
                self.boot_orders["in the end"] = _order(after)
        if self._jobs:
            flaws.append(f"a download may still be running: look for {FILE_NAME} later")
        self._keep(Line("as-before", FAILS if flaws else HOLDS, flaws))


def _ours(media: Media) -> list[str]:
    return [str(iso.id) for iso in media.available if FILE_NAME in (iso.name, iso.display_name)]


def _order(media: Media) -> list[str] | None:
    return media.boot_order.order if media.boot_order else None


def _free_drive(media: Media) -> str | None:
    """A drive with nothing in it, else a slot without a drive."""
    devices = sorted(slot.device for slot in media.slots if slot.device)
    return next((one for wanted in (EMPTY, NO_DRIVE) for one in devices if media.drive(one) == wanted), None)


def _differences(before: Media, after: Media) -> list[str]:
    """What is not as it was. Others may have added to the library meanwhile."""
    devices = {slot.device for media in (before, after) for slot in media.slots if slot.device}
    differences = {
        f"{FILE_NAME} is in the library": bool(_ours(after)),
        "an ISO is missing in the library": bool(set(before.available) - set(after.available)),
        "something else is mounted": set(before.mounted) != set(after.mounted),
        **{
            f"{device} was {before.drive(device)}, and is {after.drive(device)}": True
            for device in sorted(devices)
            if before.drive(device) != after.drive(device)
        },
        "the boot order is another one, and no public route sets it": _order(before) != _order(after),
    }
    return [what for what, is_so in differences.items() if is_so]


def _broken_off(line_id: str, error: HostUpError) -> Line:
    """The line at which a failure has ended the trial."""
    problem = error.problem
    if problem.status is not None:
        code = f" {masked(problem.code, 'code')}" if problem.code else ""
        return Line(line_id, UNTRIED if tells_nothing(problem.status) else FAILS, [f"HTTP {problem.status}{code}"])
    if error.timed_out or error.transient:
        return Line(line_id, UNTRIED, ["no answer, or none in time"])
    # without a status, the title is ours
    return Line(line_id, UNTRIED if problem.title == "job failed" else FAILS, [problem.title or NEVER_SHOWN])


def _check(params: Params) -> bool:
    """Whether writes are wanted. Raises HostUpError unless they are wanted with all that they need."""
    refuse_no_time(params)
    given = [params[name] for name in ("vps_name", "confirm", "iso_url")]
    if params["confirm"] is None and params["iso_url"] is None:
        return False
    if None in given or params["confirm"] != params["vps_name"]:
        raise HostUpError(
            "What writes has to be confirmed: give vps_name, the same name as confirm, and iso_url. "
            "For reads only, give neither confirm nor iso_url. Nothing was sent."
        )
    check_url(params["iso_url"])
    return True


def _work(client: Client, params: Params, writes: bool, context: Context) -> Result:
    trial = Trial(client, params, context)
    why_not = trial.read()
    if not why_not and not writes:
        why_not = WHY_NOT_WRITTEN
    elif not why_not and context.check_mode:
        why_not = "check mode"
    elif not why_not:
        why_not = trial.write()
    return trial.result(why_not, changed=writes and (why_not == "check mode" or bool(trial.boot_orders)))


ACCEPTANCE: Task[bool] = Task(
    spec={
        "argument_spec": {
            **options.CONNECTION,
            "vps_name": {"type": "str"},
            "confirm": {"type": "str"},
            "iso_url": {"type": "str"},
            "wait_timeout": {"type": "int", "default": 3600},
        },
    },
    check=_check,
    unknown={"changed": False},
    work=_work,
    secrets=lambda params: url_secrets(params["iso_url"], FILE_NAME) if params.get("iso_url") else set(),
)
