# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Doing: brings an installer's ISO into a drive, boots it, and has it out again whatever happens in between."""

from __future__ import annotations

import random
import typing as t
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone

from ansible_collections.hostup.cloud.plugins.module_utils import _clock
from ansible_collections.hostup.cloud.plugins.module_utils._api.client import Client
from ansible_collections.hostup.cloud.plugins.module_utils._api.jobs import POLL_JITTER, Job
from ansible_collections.hostup.cloud.plugins.module_utils._api.operations import patiently, re_read
from ansible_collections.hostup.cloud.plugins.module_utils._api.vps import (
    parse_power,
    read_power,
    unwrapped,
    vps_item,
    vps_path,
)
from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError
from ansible_collections.hostup.cloud.plugins.module_utils._interruption import shielded
from ansible_collections.hostup.cloud.plugins.module_utils._iso.apply import IsoApplier, IsoProgress
from ansible_collections.hostup.cloud.plugins.module_utils._iso.boot import Boot, judge_boot
from ansible_collections.hostup.cloud.plugins.module_utils._iso.plan import (
    DOWNLOAD,
    FOLLOW,
    IsoWish,
    Plan,
    find_iso,
    project,
    writes,
)
from ansible_collections.hostup.cloud.plugins.module_utils._iso.read import read_media, with_boot_order
from ansible_collections.hostup.cloud.plugins.module_utils._iso.state import Iso, Media
from ansible_collections.hostup.cloud.plugins.module_utils._power.apply import PowerApplier, PowerProgress
from ansible_collections.hostup.cloud.plugins.module_utils._power.plan import (
    RESET,
    START,
    PowerWish,
    gate_of,
    make_plan,
    settled,
)
from ansible_collections.hostup.cloud.plugins.module_utils._power.read import read_status
from ansible_collections.hostup.cloud.plugins.module_utils._power.state import RUNNING, STOPPED, STOPPING, Status
from ansible_collections.hostup.cloud.plugins.module_utils._reinstall.plan import (
    DELAY,
    FOLLOWS,
    LINE_SECONDS,
    NONE,
    POWER_OFF,
    ReinstallWish,
    Target,
    check_boot,
    check_host_keys,
    check_target,
    estimate,
    foretell,
    has_booted_anew,
    next_look,
    wait_line,
)
from ansible_collections.hostup.cloud.plugins.module_utils._sharing.downloads import Downloads
from ansible_collections.hostup.cloud.plugins.module_utils._sharing.reinstalls import ReinstallNote, Reinstalls
from ansible_collections.hostup.cloud.plugins.module_utils._ssh.keys import known_name
from ansible_collections.hostup.cloud.plugins.module_utils._ssh.scan import RunCommand, answering_keys

MOUNT_SECONDS = 300.0
START_SECONDS = 120.0
SCAN_SECONDS = 3
CLEAN_UP_SECONDS = 120.0
FOR_GOOD = (401, 403, 404)  # statuses that no later look will change
PROOF_SECONDS = 86400.0  # for which what lacks nothing but its proof is not installed again

FAILED, FORESEEN, HANDED_OVER, REINSTALLED = "failed", "foreseen", "handed_over", "reinstalled"
PROVEN = "proven"


def read_target(client: Client, vps_id: str) -> Target:
    """Look a VPS up, with what may be done to its power. Raises HostUpError."""
    path, at = f"{vps_path(vps_id)}/details", _clock.monotonic()
    body = client.get(path).body
    item, power = vps_item(path, unwrapped(body)), parse_power(body)
    if not power.gates:  # another read may tell them
        power = read_power(client, vps_id)
    return Target(vps_id, item["name"], item["primary_ip"], Status(power.state, power.uptime, at=at), power.gates)


@dataclass
class ReinstallProgress:
    """What has happened so far; a failure shows it too. ``seconds`` are by phase."""

    vps_id: str | None = None
    target: Target | None = None
    outcome: str = FAILED
    phase: str = "preflight"
    seconds: dict[str, float] = field(default_factory=dict)
    actions: list[str] = field(default_factory=list)
    actions_unknown: list[str] = field(default_factory=list)
    iso: Iso | None = None
    device: str | None = None
    boot: Boot = field(default_factory=lambda: Boot(None, None))
    before: Status | None = None
    status: Status = field(default_factory=lambda: Status(None))
    stopped_at: str | None = None
    job: Job | None = None
    host_keys: list[str] = field(default_factory=list)
    account: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    aftermath: list[str] = field(default_factory=list)  # sentences that belong to the failure before


@dataclass
class Reinstaller:
    """Reinstalls one VPS. ``find_target`` looks it up, ``source`` tells where its ISO comes from, for a client."""

    client: Client
    vps_id: str
    wish: ReinstallWish
    find_target: t.Callable[[str], Target]
    source: t.Callable[[Client], tuple[Downloads, t.Callable[[], str]]]
    reinstalls: Reinstalls
    progress: ReinstallProgress
    run_command: RunCommand
    _left: ReinstallNote | None = None  # by an earlier run
    _lacks_only_a_proof: bool = False
    _note: ReinstallNote | None = None
    _media: Media = field(default_factory=lambda: Media((), (), ()))

    # --- the whole of it ---------------------------------------------------------------------------------------------

    def foresee(self) -> None:
        """Look, and say what would be done. Raises HostUpError."""
        progress = self.progress
        with self._phase("preflight"):
            target = self._find()
            progress.outcome = FORESEEN
            if self._lacks_only_a_proof:
                self._tell_that_it_is_installed()
                progress.account = [f"find {target.label} reinstalled, and go on to the proof"]
                return
            progress.outcome = FAILED
            plan, action = self._preflight(target)
        actions = [step.action for step in plan]
        iso = progress.iso.label if progress.iso else str(self.wish.iso.name)
        progress.account = foretell(
            target, self.wish, steps=actions, iso=iso, device=progress.device, boot=progress.boot, action=action
        )
        progress.actions = [*writes(plan), action]
        if self.wish.until != NONE:
            last = START if self.wish.until == POWER_OFF else RESET
            progress.actions += ["unmount", *([last] if self.wish.start else [])]
        is_off = self.wish.until == POWER_OFF and not self.wish.start
        progress.status = progress.status._replace(state=STOPPED if is_off else RUNNING)
        progress.outcome = FORESEEN

    def reinstall(self) -> None:
        """Do it. Raises HostUpError and Interrupted; the ISO is out of the drive then, or a warning says that not."""
        end = self.reinstalls.try_to_begin(self.vps_id)
        if end is None:
            raise HostUpError(
                "Another run of this user is reinstalling this VPS at this moment. Nothing was done. If that run "
                "hangs, interrupt it: it takes the ISO out of the drive."
            )
        try:
            with self._phase("preflight"):
                target = self._find()
                todo = None if self._lacks_only_a_proof else self._preflight(target)
            if todo:
                self._install_anew(*todo)
            else:
                self._take_up()
        finally:
            end()

    def settle(self, *, only_look: bool) -> None:
        """The new system has been proven: nothing has to be known any more for a later run."""
        note = self.reinstalls.noted(self.vps_id)
        self.progress.host_keys = sorted(note.host_keys) if note else []
        if note and note.installed_at is not None and not only_look:
            self.reinstalls.keep(self.vps_id, None)
        self.progress.outcome = PROVEN

    def _install_anew(self, plan: Plan, action: str) -> None:
        is_fresh = not self._download(plan)
        try:
            self._mount(plan if is_fresh else None)
            self._boot(action if is_fresh else None)
            self._install()
            if self.wish.until != NONE:
                self._unmount()
        except BaseException:
            self._clean_up()
            raise
        self._finish()

    def _is_installed(self) -> bool:
        """Whether an earlier run has installed it: it must not be wiped again for want of a proof.

        Where the old system answers, nothing was installed.
        """
        left, iso, wish = self._left, self.wish.iso, self.wish
        if left is None or left.installed_at is None or wish.proof != FOLLOWS or wish.again:
            return False
        if set(wish.host_keys or ()) & set(left.host_keys):
            return False
        is_same = iso.iso_id in (None, left.iso_id) and iso.name in (None, left.iso)
        is_young = 0.0 <= _clock.now() - left.installed_at < PROOF_SECONDS
        return is_same and is_young and (not iso.refresh or self._is_still(left.iso_id))

    def _is_still(self, iso_id: str | None) -> bool:
        """Whether what was installed is what would be installed now."""
        available = read_media(self.client, self.vps_id).available
        return any(iso.id == iso_id and iso.may_be(self.wish.iso.length) for iso in available)

    def _take_up(self) -> None:
        """Go on where an earlier run has left it, with the new system on the disk."""
        self._tell_that_it_is_installed()
        if self.progress.status.state == STOPPED and self.wish.start:
            with self._phase("start"):
                self._start()
        self.progress.outcome = REINSTALLED

    def _tell_that_it_is_installed(self) -> None:
        left = t.cast("ReinstallNote", self._left)
        minutes = (_clock.now() - t.cast(float, left.installed_at)) / 60
        self.progress.warnings.append(
            f"An earlier run has installed {self._name} from {left.iso}, {minutes:.0f} minutes ago, and lacks nothing "
            "but the proof: it is not installed again. Should it be, use again=true, which in the role is "
            "hostup_reinstall_from=start."
        )

    def _finish(self) -> None:
        if self.wish.until == NONE:
            self.reinstalls.keep(self.vps_id, None)  # to take it out is the user's now
            self.progress.outcome = HANDED_OVER
            return
        is_strange = self.progress.status.state == STOPPED and self._somebody_answers()
        if self.wish.start:
            with self._phase("start"):
                self._start()
        if is_strange:
            self.reinstalls.keep(self.vps_id, None)  # or a later run would take a proof from there
            raise HostUpError(f"{self._stranger} The installer has run; nobody can tell from there what it has done.")
        self.progress.outcome = REINSTALLED

    def _somebody_answers(self) -> bool:
        """Whether another machine answers where this one would, which is off."""
        host, port = self.wish.ssh_host, self.wish.ssh_port
        return host is not None and bool(answering_keys(self.run_command, host, port, SCAN_SECONDS))

    @property
    def _stranger(self) -> str:
        where = known_name(str(self.wish.ssh_host), self.wish.ssh_port)
        return f"While the VPS was off, an SSH server answered at {where}: that is another machine's address."

    @contextmanager
    def _phase(self, name: str) -> t.Iterator[None]:
        started = _clock.monotonic()
        self.progress.phase = name
        try:
            yield
        finally:
            self.progress.seconds[name] = round(_clock.monotonic() - started, 1)

    # --- before anything is changed ----------------------------------------------------------------------------------

    def _find(self) -> Target:
        """The VPS, if it is the one that was meant, with what is known of it."""
        self._left = self.reinstalls.noted(self.vps_id)
        target = self.progress.target = self.find_target(self.vps_id)
        check_target(target, self.wish)
        self.progress.before = self.progress.status = target.status
        noted = self._left.host_keys if self._left else ()
        # what answers may be the new system already, where nothing is missing but its proof
        self._lacks_only_a_proof = self._is_installed()
        given = () if self._lacks_only_a_proof else self.wish.host_keys or ()
        self.progress.host_keys = sorted({*given, *noted})
        check_host_keys(target, self.progress.host_keys, self.wish)
        return target

    def _preflight(self, target: Target) -> tuple[Plan, str]:
        """See whether all of it could be done. Returns what the ISO takes, and the action that boots from it."""
        applier = self._applier(self.client, self.wish.iso)
        plan = applier.foresee()
        self._media = with_boot_order(self.client, self.vps_id, applier.progress.media)
        self._see(project(self._media, plan, self.wish.iso))
        self._tell_what_was_left(target)
        self._tell_of_another_source()
        check_boot(target, self.progress.boot, self.progress.device, self.wish, is_mounted=not plan)
        if any(step.action == DOWNLOAD for step in plan):
            applier.find_url()  # to foresee that it leads nowhere
        action = self._foresee_boot(target)
        if self.progress.status.state == STOPPED and self._somebody_answers():
            raise HostUpError(f"{self._stranger} Nothing was done.")
        return plan, action

    def _foresee_boot(self, target: Target) -> str:
        action = str(make_plan(target.status.state, self._restarted))
        if not gate_of(target.gates, action).allowed:  # which may be that of a state that it has left
            PowerApplier(self.client, self.vps_id, self._restarted, PowerProgress()).foresee()
        return action

    @property
    def _restarted(self) -> PowerWish:
        return PowerWish("restarted", self.wish.force)

    def _see(self, media: Media) -> None:
        """Keep what a read tells of the ISO."""
        iso, wished = find_iso(media, self.wish.iso), self.wish.iso.device
        mounts = media.mounts_of(iso.id) if iso else []
        device = next((mount.device for mount in mounts if wished in (None, mount.device)), None)
        self.progress.iso, self.progress.device = iso, device
        self.progress.boot = judge_boot(media, [device] if device else [])

    def _tell_what_was_left(self, target: Target) -> None:
        """An ISO that is in the drive already may be that of a run of which nothing is known here."""
        if self._left and self._left.installed_at is None:  # which has been told
            return
        drives = [mount.device for mount in self._media.users_mounts if mount.device]
        first = next((device for device in drives if judge_boot(self._media, [device]).boots_from_iso), None)
        if first:
            held = self._media.mount_of(first)
            self.progress.warnings.append(
                f"{target.label} has {self._media.label(held and held.iso_id)} in {first}, which comes first in the "
                "boot order: whoever restarts it boots from that. An earlier run may have left it there, and its "
                "installer may be what runs. To clear that, use hostup_vps_iso with state=unmounted."
            )

    def _tell_of_another_source(self) -> None:
        iso, length = self.progress.iso, self.wish.iso.length
        if iso and length is not None and not iso.may_be(length):
            self.progress.warnings.append(
                f"{iso.label} in the library has {iso.size_gb:g} GB, but its URL leads to a file of {length / 1e9:.4g} "
                "GB now: it may be outdated. To have it downloaded anew, use refresh=true, which in the role is "
                "hostup_reinstall_refresh=true."
            )

    # --- the ISO -----------------------------------------------------------------------------------------------------

    def _applier(self, client: Client, wish: IsoWish) -> IsoApplier:
        downloads, find_url = self.source(client)
        return IsoApplier(client, self.vps_id, wish, downloads, find_url, IsoProgress(wish, self.vps_id))

    @contextmanager
    def _counting(self, applier: IsoApplier | PowerApplier) -> t.Iterator[None]:
        """Have what an applier did in the result."""
        try:
            yield
        finally:
            record = applier.progress.record
            self.progress.actions += record.actions
            self.progress.actions_unknown += record.actions_unknown
            self.progress.job = record.job or self.progress.job

    def _download(self, plan: Plan) -> bool:
        """Have the ISO in the library. Returns whether that took a download."""
        if not any(step.action in (DOWNLOAD, FOLLOW) for step in plan):
            return False
        with self._phase("download"):
            client = self.client.within(self.wish.download_timeout, "download_timeout")
            applier = self._applier(client, replace(self.wish.iso, state="present"))
            with self._counting(applier):
                applier.apply()
        self.wish = self.wish._replace(iso=replace(self.wish.iso, refresh=False))  # it is fresh now
        return True

    def _mount(self, plan: Plan | None) -> None:
        """Have it in a drive from which the VPS boots. ``plan`` is what was just planned, if it still holds."""
        with self._phase("mount"):
            client = self.client.within(MOUNT_SECONDS, "the time for a mount")
            applier = self._applier(client, self.wish.iso)
            applier.progress.media = self._media
            if plan is None:
                plan = applier.foresee()
                self._media = applier.progress.media
                self._see(project(self._media, plan, self.wish.iso))
            has_booted = bool(self._left and self._left.has_booted)
            label = self.progress.iso.label if self.progress.iso else str(self.wish.iso.name)
            iso_id = self.progress.iso.id if self.progress.iso else None
            device, keys = str(self.progress.device), self.progress.host_keys
            self._keep(ReinstallNote(_clock.now(), iso_id, label, device, has_booted, host_keys=keys))
            with self._counting(applier):
                applier.carry_out(plan)
            self._media = with_boot_order(client, self.vps_id, applier.progress.media)
            self._see(self._media)
            target = t.cast("Target", self.progress.target)
            check_boot(target, self.progress.boot, self.progress.device, self.wish, is_mounted=True)

    def _keep(self, note: ReinstallNote) -> None:
        self._note = note
        self.reinstalls.keep(self.vps_id, note)

    def _take_out(self) -> None:
        """Have the ISO in no drive. Raises HostUpError."""
        iso_id = (self.progress.iso and self.progress.iso.id) or self.wish.iso.iso_id
        # by name where the ID is not known: without either, all drives would be meant
        name = None if iso_id else str(self.wish.iso.name)
        wish = IsoWish("unmounted", name=name, iso_id=iso_id, keep_drive=self.wish.keep_drive)
        applier = self._applier(self.client.within(CLEAN_UP_SECONDS, "the time for an unmount"), wish)
        with self._counting(applier):
            applier.apply()

    def _unmount(self) -> None:
        with self._phase("unmount"), shielded():
            self._take_out()
            note, self._note = t.cast("ReinstallNote", self._note), None  # nothing is left to clean up
            installed = note._replace(is_mounted=False, has_booted=False, installed_at=_clock.now())
            self.reinstalls.keep(self.vps_id, installed if self.wish.proof == FOLLOWS else None)

    def _clean_up(self) -> None:
        """After a failure: have the ISO out, and say what is left. Raises nothing that would hide the failure."""
        if self._note is None:
            return
        count, where = len(self.progress.actions), f"{self._note.iso} {{}} {self._note.device}"
        with shielded():
            try:
                self._take_out()
            except HostUpError as error:
                left = f"{where.format('could not be taken out of')}: {error.msg}"
                self.progress.aftermath.append(
                    f"{left} Unmount it before the VPS is restarted, or the installer begins anew."
                )
                self.progress.warnings += self.progress.aftermath
                return
            was_in = len(self.progress.actions) > count
            self.progress.aftermath.append(where.format("was taken out of" if was_in else "is not in") + ".")
            if self.progress.phase == "boot" and not self._note.has_booted:
                self._look_after_late_restart()
            self.reinstalls.keep(self.vps_id, self._note.without_iso())

    def _look_after_late_restart(self) -> None:
        """A guest may have shut down after it was given up, and before the ISO was out."""
        with suppress(HostUpError):
            status = read_status(self.client.within(CLEAN_UP_SECONDS, "the time for a look"), self.vps_id)
            if has_booted_anew(self.progress.before, status):
                self._note = t.cast("ReinstallNote", self._note)._replace(has_booted=True)
                self.progress.aftermath.append("It has restarted after all: the installer may be what runs now.")

    # --- power -------------------------------------------------------------------------------------------------------

    def _power(self, wish: PowerWish, *, trusts_job: bool = False) -> PowerApplier:
        client = self.client.within(self.wish.shutdown_timeout, "shutdown_timeout")
        progress = PowerProgress(self.vps_id, before=self.progress.status, status=self.progress.status)
        return PowerApplier(client, self.vps_id, wish, progress, trusts_job)

    def _boot(self, action: str | None) -> None:
        """Restart it into the installer. ``action`` is what was just planned, if it still holds."""
        with self._phase("boot"):
            power = self._power(self._restarted, trusts_job=True)
            is_settled = settled(self.progress.status.state, self._restarted) == self.progress.status.state
            try:
                with self._counting(power):
                    if action and is_settled:
                        power.perform(action)
                    else:
                        power.apply()
                self.progress.status = power.progress.status
            except HostUpError as error:
                self.progress.status = power.progress.status
                if not self._has_switched_itself_off(power):
                    self._reset_what_was_left(error)
            self._keep(t.cast("ReinstallNote", self._note)._replace(has_booted=True))

    def _has_switched_itself_off(self, power: PowerApplier) -> bool:
        """An installer that takes only seconds may be done before anybody looks."""
        progress, before = power.progress, power.progress.before
        has_completed = progress.record.job is not None and progress.record.job.has_completed
        was_on = before is not None and before.state == RUNNING
        return self.wish.until == POWER_OFF and was_on and has_completed and progress.status.state == STOPPED

    def _reset_what_was_left(self, error: HostUpError) -> None:
        """Reset an installer that an earlier run has booted and that does not listen; anything else is an error."""
        if not (self._left and self._left.has_booted and self.progress.status.state in (RUNNING, STOPPING)):
            raise error
        self.client.say("the installer that an earlier run has booted does not listen, and is reset")
        self._perform(RESET)

    def _perform(self, action: str, *, wait: bool = True) -> None:
        power = self._power(PowerWish("restarted", force=True, wait=wait))
        with self._counting(power):
            power.perform(action)
        self.progress.status = power.progress.status

    def _start(self) -> None:
        """Boot from the disk. What shows at an installer's end seldom listens: hence a reset where it still runs."""
        action = START
        if self.wish.until == DELAY:
            self.progress.status = read_status(self.client, self.vps_id)
            action = START if self.progress.status.state == STOPPED else RESET
        if action == RESET:
            self._perform(RESET)
            return
        try:
            self._perform(START, wait=False)
        except HostUpError as error:
            if error.problem.status == 409:
                error.add(after="The installer had switched it off: something else may have started it since.")
            raise
        client = self.client.within(START_SECONDS, "the time for a start")

        def is_up() -> bool:
            self.progress.status = read_status(client, self.vps_id)
            return self.progress.status.state == RUNNING

        if not re_read(client, is_up, patiently()):
            raise HostUpError(
                f"The API took the start from the disk, but the VPS is still {self.progress.status.state}. "
                "The ISO is out; start it with hostup_vps_power."
            )

    # --- the installer -----------------------------------------------------------------------------------------------

    def _install(self) -> None:
        """Wait until the installer is done."""
        if self.wish.until == NONE:
            return
        with self._phase("install"):
            if self.wish.until == DELAY:
                self._wait(self.wish.delay)
            elif self.progress.status.state != STOPPED:
                self._wait_until_off()
            if self.wish.until == POWER_OFF:
                self.progress.stopped_at = datetime.fromtimestamp(_clock.now(), timezone.utc).isoformat("T", "seconds")

    def _wait(self, seconds: float) -> None:
        end = _clock.monotonic() + seconds
        while (left := end - _clock.monotonic()) > 0.0:
            self.client.say(f"{self._name}: the installer has {left:.0f} s left")
            self.client.pause(min(left, LINE_SECONDS))

    @property
    def _name(self) -> str:
        target = self.progress.target
        return (target and target.name) or self.vps_id

    def _wait_until_off(self) -> None:
        started = told_at = _clock.monotonic()
        client = self.client.within(self.wish.install_timeout, "install_timeout")
        label = t.cast("ReinstallNote", self._note).iso
        last_took = self.reinstalls.seconds_of(client.api_key, label)
        is_told = False
        seen_running: float | None = None
        while True:
            pause = next_look(_clock.monotonic() - started, last_took) * random.uniform(1.0, 1.0 + POLL_JITTER)
            client.pause(pause)
            elapsed = _clock.monotonic() - started
            try:
                self.progress.status = read_status(client, self.vps_id)
            except HostUpError as error:
                is_final = error.problem.status in FOR_GOOD and not error.from_edge
                if is_final or client.deadline.is_over:
                    raise error.add(before="The installer cannot be looked at any more.") from None
                if not is_told:
                    client.say(f"{self._name} cannot be asked how it goes, and is asked again: {error.msg}")
                is_told = True
            else:
                if self.progress.status.state == STOPPED:
                    self.reinstalls.took(client.api_key, label, estimate(elapsed, seen_running, last_took))
                    return
                seen_running = elapsed
            if client.deadline.is_over:
                raise HostUpError(
                    f"The VPS is still {self.progress.status.state} after the {client.deadline}. The installer hangs, "
                    "waits for an answer, needs more time, or restarts where it should power off, which makes it begin "
                    "again. The console of the VPS shows which.",
                    timed_out=True,
                )
            if _clock.monotonic() - told_at >= LINE_SECONDS:
                told_at = _clock.monotonic()
                client.say(f"{self._name}: {wait_line(elapsed, self.wish.install_timeout, last_took)}")
