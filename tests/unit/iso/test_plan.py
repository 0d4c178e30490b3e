# SPDX-License-Identifier: GPL-3.0-or-later
"""The pure core against the table: every state in every situation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError
from ansible_collections.hostup.cloud.plugins.module_utils._iso import plan as _iso
from ansible_collections.hostup.cloud.plugins.module_utils._iso import state as _state
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.iso import _diff_side
from hostup_emulator.world import World
from support.iso_cases import CASES, WANTED, WANTED_ID, Case

TAKEN = [case for case in CASES if not isinstance(case.outcome, str)]
REFUSED = [case for case in CASES if isinstance(case.outcome, str)]


def name_of(case: Case) -> str:
    return case.name


def start(case: Case) -> tuple[_state.Media, _iso.IsoWish]:
    """The state as it is read, and the wish as the module makes it from the options."""
    world = World()
    vps, _key = case.build(world)
    options = {"name": WANTED if "url" in case.options else None, **case.options}
    options["replace"] = options.pop("on_conflict", "replace") == "replace"
    return _state.parse_media(world.iso_read(vps)), _iso.IsoWish(**options)


@pytest.mark.parametrize("case", TAKEN, ids=name_of)
def test_plan_has_the_actions(case: Case) -> None:
    media, wish = start(case)
    assert tuple(step.action for step in _iso.make_plan(media, wish)) == case.outcome


@pytest.mark.parametrize("case", REFUSED, ids=name_of)
def test_refusal_says_why(case: Case) -> None:
    media, wish = start(case)
    with pytest.raises(HostUpError) as refusal:
        _iso.make_plan(media, wish)
    assert str(case.outcome) in refusal.value.msg


@pytest.mark.parametrize("case", TAKEN, ids=name_of)
def test_plan_leads_to_the_wish(case: Case) -> None:
    """After the plan there is nothing left to do, each step shows, and the diff tells of a change if there is one."""
    media, wish = start(case)
    plan = _iso.make_plan(media, wish)
    after = _iso.project(media, plan, wish)
    assert _iso.make_plan(after, wish) == ()
    assert (_diff_side(after, wish) == _diff_side(media, wish)) is (plan == ())
    for count, step in enumerate(plan, start=1):
        assert not _iso.is_done(_iso.project(media, plan[: count - 1], wish), step, wish)
        assert _iso.is_done(_iso.project(media, plan[:count], wish), step, wish)


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_cloud_init_drive_is_never_in_a_plan(case: Case) -> None:
    media, wish = start(case)
    protected = {mount.device for mount in media.mounted if mount.is_cloud_init}
    for device in (wish.device, *_state.DEVICES):
        try:
            plan = _iso.make_plan(media, replace(wish, device=device))
        except HostUpError:
            continue
        assert not protected & {step.device for step in plan}


def test_iso_in_a_drive_only_can_be_unmounted_and_deleted_by_its_id() -> None:
    media = _state.Media((), (_state.Mount("ide2", WANTED_ID, True, False),), ())
    assert _iso.make_plan(media, _iso.IsoWish("absent", iso_id=WANTED_ID)) == (
        _iso.Step("unmount", "ide2", WANTED_ID),
        _iso.Step("delete", iso_id=WANTED_ID),
    )
    with pytest.raises(HostUpError, match="There is no ISO"):
        _iso.make_plan(media, _iso.IsoWish("present", iso_id=WANTED_ID))


def test_drive_that_went_with_its_iso_is_attached_again() -> None:
    wish = _iso.IsoWish("unmounted", keep_drive=True)
    unmounted = (_iso.Step("unmount", "ide2", WANTED_ID),)
    gone = _state.Media((), (), (_state.Slot("ide2", "available", None, False),))
    assert _iso.make_plan(gone, wish, unmounted) == (_iso.Step("attach_drive", "ide2"),)
    assert _iso.make_plan(gone, wish) == ()
    kept = _state.Media((), (), (_state.Slot("ide2", "existing_cdrom", None, False),))
    assert _iso.make_plan(kept, wish, unmounted) == ()
    assert _iso.make_plan(gone, replace(wish, keep_drive=False), unmounted) == ()


def test_an_unmount_is_done_when_others_have_mounted_something_else() -> None:
    step, wish = _iso.Step("unmount", "ide2", WANTED_ID), _iso.IsoWish("unmounted", name=WANTED)
    for held, done in ((WANTED_ID, False), ("iso_other", True)):
        media = _state.Media((), (_state.Mount("ide2", held, True, False),), ())
        assert _iso.is_done(media, step, wish) is done


# --- a source that has changed since


OLD = _state.Iso(WANTED_ID, WANTED, size_gb=5.9)


@pytest.mark.parametrize(
    ("size_gb", "length", "may_be"),
    [
        (5.9, 5_900_000_000, True),
        (5.9, 5_849_000_001, True),  # rounded, or cut off
        (5.9, 5_990_000_000, True),
        (5.9, int(5.9 * 2**30), True),  # as some count
        (5.9, 5_700_000_000, False),
        (5.9, 6_100_000_000, False),
        (6.0, 6_400_000_000, True),  # whole numbers may be all that it tells
        (60.0, 66_000_000_000, False),
        (0.008388608, 8_388_608, True),
        (0.008388608, 8_390_656, False),
        (1e-05, 10_000, True),
        (1e-05, 30_000, False),
        (None, 1, True),
        (5.9, None, True),
    ],
)
def test_lengths_are_compared_by_the_digits_that_are_told(
    size_gb: float | None, length: int | None, may_be: bool
) -> None:
    assert _state.Iso(WANTED_ID, WANTED, size_gb=size_gb).may_be(length) is may_be


@pytest.mark.parametrize(
    ("state", "device", "length", "actions"),
    [
        ("present", None, 1, ["delete", "download"]),
        ("present", "ide2", 1, ["unmount", "delete", "download"]),
        ("mounted", None, 1, ["delete", "download", "mount"]),
        ("mounted", "ide2", 1, ["unmount", "delete", "download", "mount"]),
        ("mounted", "ide2", 5_900_000_000, []),
    ],
)
def test_what_the_source_has_outgrown_is_replaced(
    state: str, device: str | None, length: int, actions: list[str]
) -> None:
    slots = tuple(_state.Slot(name, "existing_cdrom", None, False) for name in _state.DEVICES[2:])
    mounted = (_state.Mount(device, WANTED_ID, True, False),) if device else ()
    media = _state.Media((OLD,), mounted, slots)
    wish = _iso.IsoWish(state, WANTED, url="https://example.com/wanted.iso", length=length, refresh=True)
    plan = _iso.make_plan(media, wish)
    assert [step.action for step in plan] == actions
    as_it_is = _iso.make_plan(media, replace(wish, refresh=False))
    assert [step.action for step in as_it_is] == (["mount"] if state == "mounted" and not device else [])
    if actions:
        after = _iso.project(media, plan[:-1], wish)
        assert _iso.make_plan(after, wish, plan[:-1]) == plan[-1:]


def test_a_download_is_not_done_again_where_the_api_counts_otherwise() -> None:
    media = _state.Media((OLD,), (), ())
    wish = _iso.IsoWish("present", WANTED, url="https://example.com/wanted.iso", length=1, refresh=True)
    assert _iso.make_plan(media, wish, (_iso.Step("download"),)) == ()


def test_the_medium_of_the_cloud_init_drive_is_not_replaced() -> None:
    media = _state.Media((OLD,), (_state.Mount("ide0", WANTED_ID, True, True),), ())
    wish = _iso.IsoWish("present", WANTED, url="https://example.com/wanted.iso", length=1, refresh=True)
    with pytest.raises(HostUpError, match="cloud-init"):
        _iso.make_plan(media, wish)
