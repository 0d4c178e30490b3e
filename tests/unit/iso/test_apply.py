# SPDX-License-Identifier: GPL-3.0-or-later
"""Applying a plan over HTTP: unknown outcomes, stale reads, drives to attach, jobs that wait, fail or vanish."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.hostup.cloud.plugins.module_utils._api.operations import CONFIRM_SCHEDULE, UNKNOWN_SCHEDULE
from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError
from ansible_collections.hostup.cloud.plugins.module_utils._iso.apply import IsoApplier, IsoProgress
from ansible_collections.hostup.cloud.plugins.module_utils._iso.plan import IsoWish, Plan
from ansible_collections.hostup.cloud.plugins.module_utils._iso.read import read_media
from hostup_emulator.world import Drive

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hostup_emulator.jobs import Job
    from hostup_emulator.world import Answer, Request
    from support.site import Site, Web

MOUNT = IsoWish("mounted", name="ubuntu.iso")
UNMOUNT = IsoWish("unmounted")
DELETE = IsoWish("absent", name="ubuntu.iso")
ATTACH = IsoWish("unmounted", device="ide3", keep_drive=True)
DOWNLOAD = IsoWish("present", name="new.iso")

# The wish that takes just this one write, and the last part of its path.
WRITES = {"mount": MOUNT, "unmount": UNMOUNT, "delete": DELETE, "attach_drive": ATTACH, "download": DOWNLOAD}
every_write = pytest.mark.parametrize("action", WRITES)


class Run:
    """One application of a plan."""

    def __init__(self, site: Site, seconds: float = 3600.0, **options: Any) -> None:
        self.client = site.client(seconds, **options)
        self.progress = IsoProgress(IsoWish("present"))
        self.site = site

    def __call__(
        self, wish: IsoWish, url: str | None = None, meanwhile: Callable[[], None] = lambda: None
    ) -> IsoProgress:
        """Read, plan and apply; the recorded calls begin after the first read. `meanwhile` comes after the plan."""
        site, wish = self.site, IsoWish(**{**vars(wish), "url": url})
        self.progress = IsoProgress(wish, site.vps.id)

        class Applier(IsoApplier):
            """One that is watched."""

            def foresee(self) -> Plan:
                """Read, and plan."""
                plan = super().foresee()
                site.calls.clear()
                meanwhile()
                return plan

        downloads = site.downloads(self.client)
        Applier(self.client, site.vps.id, wish, downloads, lambda: str(url), self.progress).apply()
        return self.progress

    def refused(self, wish: IsoWish, url: str | None = None) -> HostUpError:
        """The same, expecting a failure."""
        with pytest.raises(HostUpError) as caught:
            self(wish, url)
        return caught.value


@pytest.fixture
def run(site: Site) -> Run:
    return Run(site)


@pytest.fixture
def source(web: Web) -> str:
    return web.add("/new.iso", body=b"x" * 5000)


def prepare(site: Site, action: str) -> None:
    if action == "unmount":
        site.vps.drives["ide2"] = Drive.holding(site.iso.id)


def writes(site: Site) -> int:
    return len(site.calls.writes())


def happened(site: Site, action: str) -> bool:
    drives, library = site.vps.drives, site.owner.library
    return {
        "mount": drives["ide2"] == Drive.holding(site.iso.id),
        "unmount": drives["ide2"].free,
        "delete": site.iso.id not in library,
        "attach_drive": drives.get("ide3") == Drive.empty(),
        "download": bool(site.owner.iso_named("new.iso")),
    }[action]


# --- what goes well


@every_write
def test_one_write_and_one_read(site: Site, run: Run, source: str, action: str) -> None:
    prepare(site, action)
    assert run(WRITES[action], source).record.actions == [action]
    assert happened(site, action)
    assert writes(site) == 1
    if action != "download":
        assert len(site.calls) == 2


@pytest.mark.parametrize(("action", "device"), [("unmount", "ide2"), ("attach_drive", "ide3")])
def test_the_device_is_always_named(site: Site, run: Run, action: str, device: str) -> None:
    """Without it, the API would unmount ide2 whatever was meant."""
    prepare(site, action)
    run(WRITES[action])
    assert [call.body for call in site.calls.writes()] == [{"device": device}]


def test_download_then_mount_uses_the_id_of_the_reread(site: Site, run: Run, source: str) -> None:
    progress = run(IsoWish("mounted", name="new.iso"), source)
    download, mount = site.calls.writes()
    iso = site.owner.iso_named("new.iso")
    assert iso is not None
    assert download.body == {"url": source, "filename": "new.iso", "decompress": "none"}
    assert mount.body == {"isoId": iso.id, "device": "ide2"}
    assert progress.record.actions == ["download", "mount"]
    assert progress.record.job is not None and progress.record.job.status == "completed"
    assert {line.partition(":")[0] for line in site.said} == {"new.iso"}


def test_replace(site: Site, run: Run) -> None:
    other = site.world.add_iso(site.owner, "other.iso")
    site.vps.drives = {"ide2": Drive.holding(other.id)}
    assert run(MOUNT).record.actions == ["unmount", "mount"]
    assert happened(site, "mount")


@pytest.mark.parametrize("action", ["download", "delete"])
def test_who_comes_second_changed_nothing(site: Site, run: Run, source: str, action: str) -> None:
    """Somebody else does it between our read and our write."""

    def meanwhile() -> None:
        if action == "download":
            site.world.add_iso(site.owner, "new.iso")
        else:
            site.owner.library.clear()

    assert run(WRITES[action], source, meanwhile).record.actions == []
    assert writes(site) == 1 and happened(site, action)


@pytest.mark.parametrize("removes", [False, True])
def test_keep_drive(site: Site, run: Run, removes: bool) -> None:
    prepare(site, "unmount")
    site.switches.unmount_removes_drive = removes
    progress = run(IsoWish("unmounted", keep_drive=True))
    assert progress.record.actions == (["unmount", "attach_drive"] if removes else ["unmount"])
    assert site.vps.drives["ide2"] == Drive.empty()


@pytest.mark.parametrize("state", ["present", "mounted", "absent"])
def test_keep_drive_is_for_unmounted_only(site: Site, run: Run, state: str) -> None:
    progress = run(IsoWish(state, name="ubuntu.iso", device="ide2" if state == "mounted" else "ide3", keep_drive=True))
    assert "attach_drive" not in progress.record.actions and site.vps.drives["ide3"] == Drive.slot()


def test_absent_waits_for_the_job_of_an_unmount(site: Site, run: Run) -> None:
    """Also without `wait`, for what is mounted cannot be deleted."""
    prepare(site, "unmount")
    body = {"operation": {"status": "pending", "jobId": "job_1", "pollUrl": None}}
    site.fault("wrong_shape", "POST", "/unmount$", body=body, status=202, commit=True)
    run(IsoWish("absent", name="ubuntu.iso", wait=False))
    assert len(site.sent("GET", "/api/jobs/")) == 1


# --- unknown outcomes

UNKNOWN = {
    "500": {"kind": "problem", "status": 500},
    "html 502": {"kind": "html"},
    "504": {"kind": "legacy", "status": 504},
    "409": {"kind": "problem", "status": 409, "code": "upstream_failed"},
    "edge": {"kind": "edge", "status": 522},
    "dropped": {"kind": "dropped"},
    "not json": {"kind": "not_json"},
}
every_unknown = pytest.mark.parametrize("fault", UNKNOWN.values(), ids=UNKNOWN.keys())


@every_write
@every_unknown
def test_what_happened_is_not_sent_again(site: Site, run: Run, source: str, action: str, fault: dict[str, Any]) -> None:
    prepare(site, action)
    site.fault(**fault, method="POST|DELETE", commit=True)
    assert run(WRITES[action], source).record.actions == [action]
    assert writes(site) == 1 and happened(site, action)


@every_write
@every_unknown
def test_what_did_not_happen_is_sent_again(
    site: Site, run: Run, source: str, action: str, fault: dict[str, Any]
) -> None:
    prepare(site, action)
    site.fault(**fault, method="POST|DELETE", commit=False)
    assert run(WRITES[action], source).record.actions == [action]
    assert writes(site) == 2 and happened(site, action)
    first, second = (index for index, call in enumerate(site.calls) if call.method != "GET")
    assert second - first == 1 + len(UNKNOWN_SCHEDULE), "every re-read comes before the resend"


@every_write
def test_resends_end(site: Site, run: Run, source: str, action: str) -> None:
    prepare(site, action)
    site.fault("problem", "POST|DELETE", times=None)
    error = run.refused(WRITES[action], source)
    assert error.msg.startswith("Could not ") and error.problem.status == 500
    assert writes(site) == (2 if action == "download" else 3)  # api_retries is 2 here
    assert run.progress.record.actions == [] and not happened(site, action)


def test_a_refusal_after_an_unknown_outcome_is_settled_by_a_reread(site: Site, run: Run) -> None:
    """The first mount comes true so late that the second one is refused."""
    site.fault("dropped", "POST", commit=True)
    site.switches.stale_reads = len(UNKNOWN_SCHEDULE)
    site.fault("problem", "POST", status=409, code="drive_in_use")
    assert run(MOUNT).record.actions == ["mount"]
    assert writes(site) == 2


def test_an_order_that_is_refused_for_a_download_under_way_is_waited_for(site: Site, source: str) -> None:
    """The other one is known to the API alone."""
    site.fault("problem", "POST", "/from-url$", status=409, code="busy", detail="It is being downloaded.", times=None)
    added: list[float] = []

    def add() -> None:
        if sum(site.clock.waits) > 100.0 and not added:
            added.append(sum(site.clock.waits))
            site.world.add_iso(site.owner, "new.iso")

    site.clock.at_wait = add
    progress = Run(site)(DOWNLOAD, source)
    assert progress.record.actions == [] and added
    assert [line for line in site.said if "somebody else" in line] == [
        "waiting for new.iso, which somebody else is downloading"
    ]


def test_such_a_wait_ends(site: Site, source: str) -> None:
    site.fault("problem", "POST", "/from-url$", status=409, code="busy", detail="It is being downloaded.", times=None)
    error = Run(site, 60.0).refused(DOWNLOAD, source)
    assert error.timed_out and error.msg.endswith("Nor was it in the library after the 60 s of wait_timeout.")
    assert site.sent("POST") == ["from-url"]
    progress = Run(site)(IsoWish("present", name="new.iso", wait=False), source)
    assert progress.record.actions == [] and site.sent("POST") == ["from-url"]


@every_write
def test_a_plain_refusal_is_told_at_once(site: Site, run: Run, source: str, action: str) -> None:
    prepare(site, action)
    site.fault("problem", "POST|DELETE", status=409, code="some_conflict", detail="Not now.")
    error = run.refused(WRITES[action], source)
    assert (error.problem.code, len(site.calls)) == ("some_conflict", 1)
    assert "Not now" in error.msg
    assert run.progress.record.actions == []


@every_write
def test_a_refusal_of_the_edge_is_told_at_once(site: Site, run: Run, source: str, action: str) -> None:
    prepare(site, action)
    site.fault("edge", "POST|DELETE")
    error = run.refused(WRITES[action], source)
    assert "nothing was done" in error.msg and len(site.calls) == 1
    assert run.progress.record.actions == [] and not happened(site, action)


def test_gone_and_yet_shown(site: Site, run: Run) -> None:
    site.fault("problem", "DELETE", status=404)
    assert "did not show the outcome" in run.refused(DELETE).msg
    assert run.progress.record.actions == []


def test_media_in_use_elsewhere(site: Site, run: Run) -> None:
    site.world.add_vps(site.owner, "web-02", drives={"ide2": Drive.holding(site.iso.id)})
    error = run.refused(DELETE)
    assert error.problem.code == "media_in_use" and "mounted by 1 VPS" in error.msg
    assert error.msg.startswith("Could not delete ubuntu.iso. ")


# --- stale reads


@every_write
def test_stale_reads_are_read_again(site: Site, run: Run, source: str, action: str) -> None:
    prepare(site, action)
    site.switches.stale_reads = 2
    assert run(WRITES[action], source).record.actions == [action]
    assert writes(site) == 1
    assert len(site.sent("GET", "/iso$")) == 3


@every_write
def test_what_never_shows_is_told(site: Site, run: Run, source: str, action: str) -> None:
    prepare(site, action)
    site.switches.stale_reads = 1000
    error = run.refused(WRITES[action], source)
    assert "did not show the outcome within 15 s" in error.msg and "next run goes on" in error.msg
    assert run.progress.record.actions == [action], "what was done is told all the same"
    assert len(site.sent("GET", "/iso$")) == len(CONFIRM_SCHEDULE)
    assert sum(site.clock.waits[-len(CONFIRM_SCHEDULE) :]) == pytest.approx(15.0)


def test_the_next_step_waits_for_the_one_before(site: Site, run: Run) -> None:
    other = site.world.add_iso(site.owner, "other.iso")
    site.vps.drives = {"ide2": Drive.holding(other.id)}
    site.switches.stale_reads = 3
    run(MOUNT)
    assert [call.method for call in site.calls] == ["POST", *["GET"] * 4, "POST", *["GET"] * 4]


# --- drives to attach first


@pytest.mark.parametrize("answers", ["sync", "job"])
def test_a_slot_that_needs_a_drive(site: Site, run: Run, answers: str) -> None:
    site.vps.drives = {"ide3": Drive.slot()}
    site.switches.mount_needs_drive, site.switches.mount = True, answers
    assert run(MOUNT).record.actions == ["attach_drive", "mount"]
    assert site.sent("POST") == ["mount", "attach-empty", "mount"]
    assert site.vps.drives["ide3"] == Drive.holding(site.iso.id)


def test_a_slot_that_needs_no_drive(site: Site, run: Run) -> None:
    site.vps.drives = {"ide3": Drive.slot()}
    assert run(MOUNT).record.actions == ["mount"]


def test_attaching_does_not_help(site: Site, run: Run) -> None:
    """The first refusal is what the user has to know."""
    site.vps.drives = {"ide3": Drive.slot()}
    site.fault("problem", "POST", "/mount$", status=409, code="the_real_reason")
    site.fault("problem", "POST", "/attach-empty$", status=403)
    error = run.refused(MOUNT)
    assert error.problem.code == "the_real_reason"
    assert site.sent("POST") == ["mount", "attach-empty"]


@pytest.mark.parametrize("status", [401, 403])
def test_no_drive_is_attached_for_want_of_rights(site: Site, run: Run, status: int) -> None:
    site.vps.drives = {"ide3": Drive.slot()}
    site.fault("problem", "POST", "/mount$", status=status)
    assert run.refused(MOUNT).problem.status == status
    assert site.sent("POST") == ["mount"]


def test_no_drive_is_attached_while_nobody_knows(site: Site, run: Run) -> None:
    site.vps.drives = {"ide3": Drive.slot()}
    site.fault("problem", "POST", "/mount$", status=409, code="upstream_failed", times=None)
    assert run.refused(MOUNT).problem.code == "upstream_failed"
    assert site.sent("POST") == ["mount"] * 3


def test_no_drive_is_attached_where_there_is_one(site: Site, run: Run) -> None:
    site.fault("problem", "POST", "/mount$", status=409, code="busy")
    assert run.refused(MOUNT).problem.code == "busy"
    assert site.sent("POST") == ["mount"]


# --- jobs


@pytest.mark.parametrize("shape", ["operation", "flat", "legacy"])
@pytest.mark.parametrize("wish", [MOUNT, ATTACH], ids=["mount", "attach"])
@pytest.mark.parametrize("seconds", [0.0, 40.0])
def test_jobs_are_waited_for(site: Site, run: Run, shape: str, wish: IsoWish, seconds: float) -> None:
    site.switches.mount, site.switches.poll_shape, site.switches.job_seconds = "job", shape, seconds
    progress = run(wish)
    assert len(progress.record.actions) == 1 and progress.record.job is not None
    assert (progress.record.job.status, writes(site)) == ("completed", 1)
    assert len(site.sent("GET", "/iso$")) == 1
    assert site.said == [], "only downloads report their progress"


@pytest.mark.parametrize("reason_at", ["error", "message", "progressMessage", "result.error", "data.message"])
@pytest.mark.parametrize("shape", ["operation", "flat", "legacy"])
def test_a_failed_download(site: Site, run: Run, source: str, shape: str, reason_at: str) -> None:
    site.switches.poll_shape = shape
    site.switches.job.fails, site.switches.job.reason_at = "no space left", reason_at
    error = run.refused(DOWNLOAD, source)
    assert error.msg.startswith("Could not download new.iso. ") and error.msg.endswith("failed: no space left")
    assert not error.timed_out
    assert run.progress.record.job is not None and run.progress.record.job.status == "failed"
    assert site.sent("POST") == ["from-url"]


def test_a_failed_mount(site: Site, run: Run) -> None:
    site.switches.mount, site.switches.job.fails = "job", "the storage is away"
    error = run.refused(MOUNT)
    assert "mount ubuntu.iso on ide2" in error.msg and "the storage is away" in error.msg
    assert site.sent("GET", "/iso$") == [], "told at once"


def test_a_source_that_is_not_there(run: Run, web: Web) -> None:
    assert "The source answered 404" in run.refused(DOWNLOAD, f"{web.url}/missing.iso").msg


@pytest.mark.parametrize("forgetting", [{"forget_after_polls": 0}, {"forget_after_seconds": 0.0}])
@pytest.mark.parametrize("action", ["mount", "download"])
def test_forgotten_jobs_are_settled_by_a_reread(
    site: Site, run: Run, source: str, action: str, forgetting: dict[str, Any]
) -> None:
    site.switches.mount = "job"
    vars(site.switches).update(forgetting)
    progress = run(WRITES[action], source)
    assert progress.record.actions == [action] and happened(site, action)
    assert progress.record.job is not None and progress.record.job.status != "completed"


@pytest.mark.parametrize("action", ["mount", "attach_drive"])
def test_a_job_without_a_name_is_looked_for_patiently(site: Site, run: Run, action: str) -> None:
    site.switches.mount, site.switches.job_seconds, site.switches.names_jobs = "job", 100.0, False
    progress = run(WRITES[action])
    assert progress.record.actions == [action] and happened(site, action)
    assert progress.record.job is not None and progress.record.job.as_result()["id"] is None
    assert 100 <= sum(site.clock.waits) < 115 and len(site.calls) < 40
    assert site.sent("GET", "/api/jobs/") == [] and writes(site) == 1


def test_a_download_without_a_name_is_looked_for_patiently(site: Site, run: Run, source: str) -> None:
    site.switches.names_jobs, site.switches.stale_reads = False, 20
    assert run(DOWNLOAD, source).record.actions == ["download"] and happened(site, "download")
    assert len(site.sent("GET", "/iso$")) == 21 and sum(site.clock.waits) > 30.0
    assert site.said == ["new.iso: queued, 0 s"]


def test_a_download_without_a_name_that_never_shows(site: Site, source: str) -> None:
    site.switches.names_jobs, site.switches.job.hangs = False, True
    run = Run(site, seconds=300)
    error = run.refused(DOWNLOAD, source)
    assert error.timed_out and "did not show the outcome within 300 s" in error.msg
    assert "may still be running" in error.msg and run.progress.record.actions == ["download"]


def test_a_job_without_a_name_is_not_waited_for_without_wait(site: Site, run: Run, source: str) -> None:
    site.switches.names_jobs = False
    progress = run(IsoWish("present", name="new.iso", wait=False), source)
    assert progress.record.job is not None and progress.record.job.as_result() == {
        "id": None,
        "status": "queued",
        "progress": None,
    }
    assert len(site.calls) == 1 and progress.record.actions == ["download"]


@pytest.mark.parametrize("poll_url", ["foreign", "missing", "absolute"])
def test_polls_stay_at_our_origin(site: Site, run: Run, web: Web, source: str, poll_url: str) -> None:
    site.switches.poll_url, site.switches.foreign_origin = poll_url, web.url
    run(DOWNLOAD, source)
    assert len(site.sent("GET", "/api/jobs/")) >= 1
    assert {(method, path) for method, path, _headers in web.asked} == {("GET", "/new.iso")}
    assert not [headers for _method, _path, headers in web.asked if "Authorization" in headers]


def test_a_claim_to_be_completed_is_not_believed(site: Site, run: Run) -> None:
    site.switches.mount, site.switches.job_seconds = "job", 6.0
    site.switches.job.claims_completed = True
    assert run(MOUNT).record.actions == ["mount"]
    assert len(site.sent("GET", "/iso$")) > 1 and happened(site, "mount")


def test_a_job_that_hangs(site: Site, source: str) -> None:
    site.switches.job.hangs = True
    run = Run(site, seconds=60)
    error = run.refused(DOWNLOAD, source)
    assert error.timed_out and "It goes on at HostUp" in error.msg
    assert run.progress.record.actions == ["download"]
    assert run.progress.record.job is not None and not run.progress.record.job.finished


@pytest.mark.parametrize("action", ["mount", "download"])
def test_without_wait(site: Site, run: Run, source: str, action: str) -> None:
    site.switches.mount, site.switches.job_seconds = "job", 40.0
    site.switches.job.hangs = action == "download"
    progress = run(IsoWish(**{**vars(WRITES[action]), "wait": False}), source)
    assert progress.record.actions == [action]
    assert progress.record.job is not None and not progress.record.job.finished
    assert len(site.calls) == 1 and site.clock.waits == []


def test_without_wait_only_the_last_job_is_left(site: Site, run: Run) -> None:
    site.switches.mount, site.switches.job_seconds, site.switches.mount_needs_drive = "job", 40.0, True
    site.vps.drives = {"ide3": Drive.slot()}
    progress = run(IsoWish("mounted", name="ubuntu.iso", wait=False))
    assert progress.record.actions == ["attach_drive", "mount"]
    assert site.vps.drives["ide3"] == Drive.empty(), "attached, and the mount still runs"


def test_a_read_of_another_shape(site: Site, run: Run) -> None:
    site.fault("wrong_shape", path="/iso$", body={"available": []})
    with pytest.raises(HostUpError, match="unexpected shape: actions is not an object"):
        read_media(run.client, site.vps.id)


# --- planned anew on every read


def test_a_drive_that_becomes_the_cloud_init_drive_meanwhile_is_not_touched(site: Site, run: Run, source: str) -> None:
    def meanwhile() -> None:
        site.vps.drives["ide2"] = Drive.cloud_init()

    with pytest.raises(HostUpError, match="it is the cloud-init drive, which is never touched"):
        run(IsoWish("mounted", name="new.iso", device="ide2"), source, meanwhile)
    assert site.sent("POST") == ["from-url"] and run.progress.record.actions == ["download"]


def test_a_drive_that_is_taken_meanwhile_is_not_taken_back(site: Site, run: Run, source: str) -> None:
    def meanwhile() -> None:
        site.vps.drives["ide2"] = Drive.holding(site.iso.id)

    wish = IsoWish("mounted", name="new.iso", device="ide2", replace=False)
    with pytest.raises(HostUpError, match="on_conflict=fail forbids"):
        run(wish, source, meanwhile)
    assert site.sent("POST") == ["from-url"] and site.vps.drives["ide2"] == Drive.holding(site.iso.id)


def test_another_drive_is_taken_where_that_is_free_to_choose(site: Site, run: Run, source: str) -> None:
    def meanwhile() -> None:
        site.vps.drives["ide2"] = Drive.holding(site.iso.id)

    run(IsoWish("mounted", name="new.iso"), source, meanwhile)
    [_order, mount] = site.calls.writes()
    assert mount.body is not None and mount.body["device"] == "ide3"
    assert site.vps.drives["ide2"] == Drive.holding(site.iso.id)


def test_somebody_who_mounts_again_and_again(site: Site, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    site.vps.drives = {name: Drive.holding(site.iso.id) for name in ("ide2", "ide3")}
    handle = site.world.handle

    def mount_the_other(request: Request) -> Answer:
        answer = handle(request)
        if request.method == "POST":
            other = "ide2" if "ide3" in str(request.body) else "ide3"
            site.vps.drives[other] = Drive.holding(site.iso.id)
        return answer

    monkeypatch.setattr(site.world, "handle", mount_the_other)
    error = run.refused(UNMOUNT)
    assert "did not last" in error.msg and "Somebody else" in error.msg and "ide2: ubuntu.iso" in error.msg
    assert writes(site) == 2 and run.progress.record.actions == ["unmount", "unmount"]


# --- outcomes that stay unknown


@every_write
@pytest.mark.parametrize("unread", [500, 403])
def test_a_write_without_an_answer_and_no_read_to_settle_it(
    site: Site, run: Run, source: str, action: str, unread: int
) -> None:
    prepare(site, action)
    site.fault("problem", "POST|DELETE", status=502, times=None)

    def meanwhile() -> None:
        site.fault("problem", "GET", "/iso$", status=unread, times=None)

    with pytest.raises(HostUpError) as caught:
        run(WRITES[action], source, meanwhile)
    error, record = caught.value, run.progress.record
    assert "HTTP 502" in error.msg and "Nor could it be looked up" in error.msg and f"HTTP {unread}" in error.msg
    assert (error.problem.status, error.outcome_unknown) == (502, True)
    assert (record.actions, record.actions_unknown) == ([], [action])
    assert writes(site) == 1
    assert ("The download may still be running" in error.msg) is (action == "download")


def test_a_write_that_never_gets_an_answer(site: Site, run: Run) -> None:
    site.fault("problem", "POST", "/mount$", status=500, times=None)
    assert run.refused(MOUNT).outcome_unknown
    assert (run.progress.record.actions, run.progress.record.actions_unknown) == ([], ["mount"])


def test_a_refusal_leaves_nothing_unknown(site: Site, run: Run) -> None:
    site.fault("problem", "POST", "/mount$", status=409, code="media_in_use")
    run.refused(MOUNT)
    assert run.progress.record.actions_unknown == []


# --- jobs that others have ordered


def ordered(site: Site, source: str) -> Job:
    """A download that somebody has ordered, elsewhere, and that goes on."""
    site.switches.job.hangs = True
    Run(site)(IsoWish("present", name="new.iso", wait=False), source)
    site.calls.clear()
    [job] = site.world.jobs.values()
    return job


def test_a_job_that_is_named_is_taken_up(site: Site, run: Run, source: str, cache: Path) -> None:
    job = ordered(site, source)
    shutil.rmtree(cache)  # another container

    def finish() -> None:
        site.world.download_done(job.id, 5000)

    progress = run(IsoWish("mounted", name="new.iso", job_id=job.id), None, finish)
    assert site.sent("POST") == ["mount"] and progress.record.actions == ["mount"]
    assert len(site.sent("GET", "/api/jobs/")) == 1
    run(IsoWish("mounted", name="new.iso", job_id=job.id))
    assert len(site.calls) == 0, "one read, and that is all"


def test_a_job_that_is_named_and_goes_on(site: Site, source: str, cache: Path) -> None:
    job = ordered(site, source)
    shutil.rmtree(cache)
    error = (late := Run(site, seconds=30)).refused(IsoWish("present", name="new.iso", job_id=job.id))
    assert error.timed_out and error.msg.endswith("The next run takes it up where it is then.")
    assert site.calls.writes() == [] and late.progress.record.actions == []
    progress = Run(site)(IsoWish("present", name="new.iso", job_id=job.id, wait=False))
    assert progress.record.job is not None and not progress.record.job.finished


def test_a_job_that_is_named_and_has_failed(site: Site, run: Run, source: str) -> None:
    job = ordered(site, source)
    site.world.download_failed(job.id, "no space left")
    error = run.refused(IsoWish("present", name="new.iso", job_id=job.id), source)
    assert "Could not wait for the download of new.iso." in error.msg and "no space left" in error.msg
    assert site.calls.writes() == []


def test_a_job_that_nobody_knows(site: Site, run: Run, source: str) -> None:
    error = run.refused(IsoWish("present", name="new.iso", job_id="job_of_nobody"), source)
    assert "does not know the job job_of_nobody" in error.msg and "Leave job_id out" in error.msg
    assert site.calls.writes() == []
