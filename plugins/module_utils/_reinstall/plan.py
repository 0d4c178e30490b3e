# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pure core: what a reinstallation is refused for, when its installer is looked at, and what would be done."""

from __future__ import annotations

import typing as t

from ansible_collections.hostup.cloud.plugins.module_utils._api.documents import Gate
from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError
from ansible_collections.hostup.cloud.plugins.module_utils._iso.boot import Boot
from ansible_collections.hostup.cloud.plugins.module_utils._iso.plan import (
    DELETE,
    DOWNLOAD,
    FOLLOW,
    MOUNT,
    UNMOUNT,
    IsoWish,
)
from ansible_collections.hostup.cloud.plugins.module_utils._power.plan import has_booted_since
from ansible_collections.hostup.cloud.plugins.module_utils._power.state import RUNNING, STARTING, STOPPED, Status

POWER_OFF, DELAY, NONE = "power_off", "delay", "none"  # until
CHECK, AFTER_MOUNT, IGNORE = "check", "after_mount", "ignore"  # boot_order
FOLLOWS, GIVEN = "follows", "given"  # proof, which may also be NONE

SOONEST = 2.0  # seconds, where it should be done at any moment
SHORTEST_LOOK = 7.0  # seconds between looks after the first
ELAPSED_SHARE = 0.1  # of the time elapsed, after that
LATER_THAN_LAST = 1.05  # times the seconds that it took last
SUPPOSED = 20.0 / LATER_THAN_LAST  # seconds that it took last, where nothing is known; hardly an installer takes less
LINE_SECONDS = 30.0
LONG = 2.0  # times the seconds that it took last …
LONG_SHARE = 0.5  # … or of the time-out


class ReinstallWish(t.NamedTuple):
    """What the user asked for. Times are in seconds; ``iso`` is to be mounted."""

    iso: IsoWish
    confirm: tuple[str, ...]
    expect_ip: str | None = None
    boot_order: str = CHECK
    force: bool = False
    until: str = POWER_OFF
    delay: float = 0.0
    download_timeout: float = 3600.0
    shutdown_timeout: float = 300.0
    install_timeout: float = 3600.0
    keep_drive: bool = False
    start: bool = True
    host_keys: tuple[str, ...] | None = None  # of the old system; not None where they are needed
    ssh_host: str | None = None
    ssh_port: int = 22
    proof: str = NONE
    again: bool = False


class Target(t.NamedTuple):
    """The VPS that is to be wiped, as one read tells it; ``namesakes`` is how many have its name, itself included."""

    vps_id: str
    name: str | None
    primary_ip: str | None
    status: Status
    gates: t.Mapping[str, Gate]
    namesakes: int = 1

    @property
    def label(self) -> str:
        """What people call it."""
        return f"{self.name} ({self.vps_id})" if self.name else self.vps_id


# --- refusing --------------------------------------------------------------------------------------------------------


def check_target(target: Target, wish: ReinstallWish) -> None:
    """Raise HostUpError unless it is this VPS that was meant."""
    is_alone = target.name is not None and target.namesakes == 1
    if target.vps_id not in wish.confirm and not (is_alone and target.name in wish.confirm):
        mark = target.name if is_alone else target.vps_id
        why = "" if is_alone else ", for several VPSs have this name" if target.name else ", for it has no name"
        raise HostUpError(
            f"All data on the VPS {target.label} would be lost, and nobody has confirmed that. If it is meant, "
            f"confirm has to hold {mark!r}{why}. Nothing was done."
        )
    if wish.expect_ip is not None and wish.expect_ip != target.primary_ip:
        raise HostUpError(
            f"The VPS {target.label} has the primary address {target.primary_ip}, not {wish.expect_ip} (expect_ip): "
            "the wrong one may have been selected. Nothing was done."
        )


def check_boot(target: Target, boot: Boot, device: str | None, wish: ReinstallWish, *, is_mounted: bool) -> None:
    """Raise HostUpError where the VPS would not boot from the ISO, as far as that has to be looked at."""
    if boot.boots_from_iso or wish.boot_order == IGNORE or (wish.boot_order == AFTER_MOUNT and not is_mounted):
        return
    later = "" if is_mounted else "; if it follows the mount, use boot_order=after_mount"
    raise HostUpError(
        f"The VPS {target.label} would not boot from {device}: {boot.boot_obstacle}. Put {device} before the disk in "
        f"HostUp's panel, for no public endpoint of the API does{later}; if what the API tells is not so, "
        "boot_order=ignore. The VPS was not restarted."
    )


def check_host_keys(target: Target, keys: t.Collection[str], wish: ReinstallWish) -> None:
    """Raise HostUpError where the old system could not be told from the new one, and that was asked for."""
    if wish.host_keys is not None and not keys:
        raise HostUpError(
            f"No SSH host key of the system that {target.label} has now is known, so nothing could prove later that "
            "another one answers. Have it run and answer. If it has none, because nothing was ever installed or what "
            "there is does not start any more, do without host_keys, which in the role is "
            "hostup_reinstall_proof=any_host_key. Nothing was done."
        )


def has_booted_anew(before: Status | None, now: Status) -> bool:
    """Whether a VPS has booted since ``before``, as far as a read shows that."""
    if before is None or now.state == STARTING:
        return now.state == STARTING
    return (now.state == RUNNING and before.state == STOPPED) or has_booted_since(before, now)


# --- waiting ---------------------------------------------------------------------------------------------------------


def next_look(elapsed: float, last_took: float | None) -> float:
    """Seconds until the installer is looked at, before jitter. ``last_took``: the seconds that this ISO took last."""
    first_look = (last_took or SUPPOSED) * LATER_THAN_LAST
    if elapsed < first_look:
        return max(SOONEST, first_look - elapsed)
    return max(SHORTEST_LOOK if elapsed < SHORTEST_LOOK * 10 else 0.0, elapsed * ELAPSED_SHARE)


def estimate(elapsed: float, last_seen_running: float | None, last_took: float | None) -> float:
    """The seconds that an installer took which was seen to be done after ``elapsed``, by the last look before that.

    Without such a look, what was known holds, or was supposed: what is only seen late must not be taken for slow, run
    after run.
    """
    if last_seen_running is not None:
        return (last_seen_running + elapsed) / 2
    return min(elapsed, last_took or SUPPOSED)


def wait_line(elapsed: float, timeout: float, last_took: float | None) -> str:
    """What is said of an installer that is not done."""
    is_long = elapsed > (last_took * LONG if last_took else timeout * LONG_SHARE)
    doubt = ". One that waits at a question looks the same from here: look at the VPS's console" if is_long else ""
    last = f", took {last_took:.0f} s last" if last_took else ""
    return f"the installer runs, {elapsed:.0f} s of at most {timeout:.0f} s{last}{doubt}"


# --- foretelling -----------------------------------------------------------------------------------------------------


def foretell(
    target: Target,
    wish: ReinstallWish,
    *,
    steps: t.Sequence[str],
    iso: str,
    device: str | None,
    boot: Boot,
    action: str,
) -> list[str]:
    """What would be done, in sentences. ``steps`` are those of the ISO's plan, ``action`` is that of the power."""
    order = {
        CHECK: "find the boot order right",
        AFTER_MOUNT: f"look at the boot order then, and stop unless {device} comes before the disk",
        IGNORE: f"not look at the boot order{f', although {boot.boot_obstacle}' if boot.boot_obstacle else ''}",
    }[wish.boot_order]
    wait = {
        POWER_OFF: f"wait up to {wish.install_timeout:.0f} s until the installer has switched it off",
        DELAY: f"wait {wish.delay:.0f} s",
        NONE: "leave it to the installer, with the ISO in the drive",
    }[wish.until]
    lines = [
        f"{target.label}: nothing was changed. Without check mode all of its data would be lost, like this:",
        f"delete {iso} from the library, for its URL leads to another file now" if DELETE in steps else "",
        f"download {iso}" if DOWNLOAD in steps or FOLLOW in steps else f"find {iso} in the library",
        f"unmount what is in {device}" if UNMOUNT in steps else "",
        f"mount it on {device}" if MOUNT in steps else f"find it mounted on {device}",
        order,
        f"{action} the VPS, into the installer",
        wait,
    ]
    if wish.until != NONE:
        start = "start it from the disk" if wish.until == POWER_OFF else "reset it, or start it if it is off"
        lines += ["unmount the ISO", start if wish.start else "leave it as it is then"]
    return [line for line in lines if line]
