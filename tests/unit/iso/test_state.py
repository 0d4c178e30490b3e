# SPDX-License-Identifier: GPL-3.0-or-later
"""The ISO read: parsed, searched and shown again."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from ansible_collections.hostup.cloud.plugins.module_utils._api.documents import Gate
from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError
from ansible_collections.hostup.cloud.plugins.module_utils._iso.plan import IsoWish, find_iso
from ansible_collections.hostup.cloud.plugins.module_utils._iso.state import (
    BUSY,
    CLOUD_INIT,
    EMPTY,
    LOADED,
    MISSING,
    NO_DRIVE,
    BootOrder,
    Iso,
    Media,
    Mount,
    Slot,
    matching_isos,
    parse_media,
    parse_storage,
)
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.iso import _diff_side, _state

ISO_ID = "iso_01hxa3b4c5d6e7f8g9h0j1k2m3"
NAME = "ubuntu-24.04-live-server-amd64.iso"
# The provider's own example of GET /api/v2/vps/{id}/iso.
EXAMPLE: dict[str, Any] = {
    "available": [{"id": ISO_ID, "name": NAME, "displayName": "Ubuntu 24.04 LTS", "sizeGb": 5.9, "format": "iso"}],
    "mounted": [{"device": "ide2", "isoId": ISO_ID, "mounted": True, "isCloudInit": False}],
    "bootOrder": {
        "order": ["scsi0", "ide2"],
        "devices": {"scsi0": "Disk", "ide2": "CD/DVD 3"},
        "availableDevices": [
            {"id": "scsi0", "name": "Disk", "type": "disk"},
            {"id": "ide2", "name": "CD/DVD 3", "type": "cdrom"},
        ],
    },
    "availableDevices": [
        {"device": "ide2", "type": "existing_cdrom", "description": "CD/DVD 3", "inUse": True},
        {"device": "ide3", "type": "available", "description": "CD/DVD 4", "inUse": False},
    ],
    "actions": {"canMount": {"allowed": True, "reason": None}, "canUpload": {"allowed": True, "reason": None}},
}
ISO = Iso(ISO_ID, NAME, "Ubuntu 24.04 LTS", 5.9, "iso")


def example(path: str, value: object) -> dict[str, Any]:
    """The example with one place changed; ``...`` takes it away."""
    document = deepcopy(EXAMPLE)
    holder: Any = document
    *parents, last = (int(part) if part.isdigit() else part for part in path.split("."))
    for part in parents:
        holder = holder[part]
    if value is ...:
        del holder[last]
    else:
        holder[last] = value
    return document


def test_the_example_of_the_provider() -> None:
    assert parse_media(EXAMPLE) == Media(
        available=(ISO,),
        mounted=(Mount("ide2", ISO_ID, mounted=True, is_cloud_init=False),),
        slots=(
            Slot("ide2", "existing_cdrom", "CD/DVD 3", in_use=True),
            Slot("ide3", "available", "CD/DVD 4", in_use=False),
        ),
        boot_order=BootOrder(
            order=["scsi0", "ide2"],
            available_devices=[
                {"id": "scsi0", "name": "Disk", "type": "disk"},
                {"id": "ide2", "name": "CD/DVD 3", "type": "cdrom"},
            ],
        ),
        can_mount=Gate(True),
        can_upload=Gate(True),
    )


def test_null_wherever_the_documents_allow_it() -> None:
    gate = {"allowed": False, "reason": None, "code": None}
    media = parse_media(
        {
            "available": [{"id": "iso_1", "name": None, "displayName": None, "sizeGb": 0, "format": None}],
            "mounted": [{"device": None, "isoId": None, "mounted": True, "isCloudInit": False}],
            "bootOrder": None,
            "availableDevices": [{"device": None, "type": None, "description": None, "inUse": False}],
            "actions": {"canMount": gate, "canUpload": gate},
        }
    )
    assert media == Media(
        (Iso("iso_1", None, size_gb=0.0),),
        (Mount(None, None, True, False),),
        (Slot(None, None, None, False),),
        can_mount=Gate(False),
        can_upload=Gate(False),
    )
    assert media.describe_drives() == "none"


def test_boot_order_of_the_storage_read() -> None:
    disk = {"device": "scsi0", "name": "Disk", "isCdrom": False, "bootOrder": 2}
    drive = {"device": "ide2", "name": None, "isCdrom": True, "bootOrder": 1}
    other = {"device": "ide3", "isCdrom": True, "bootOrder": None}
    order = parse_storage({"disks": [disk, drive, other, {"bootOrder": 3}, "?"]})
    assert order and order.order == ["ide2", "scsi0"]
    assert [device["type"] for device in order.available_devices] == ["disk", "cdrom", "cdrom"]


@pytest.mark.parametrize("disks", [None, [], "?", [{"device": "scsi0", "bootOrder": "1"}], [{"bootOrder": 1}]])
def test_storage_read_without_a_boot_order(disks: object) -> None:
    assert parse_storage({"disks": disks}) is None


def test_empty_containers() -> None:
    document = {**EXAMPLE, "available": [], "mounted": [], "availableDevices": []}
    assert parse_media(document).describe_drives() == "none"


def test_closed_gate() -> None:
    gate = {"allowed": False, "reason": "An order is pending.", "code": "pending_order"}
    media = parse_media(example("actions.canMount", gate))
    assert (media.can_mount, media.can_upload) == (
        Gate(False, "An order is pending.", "pending_order"),
        Gate(True),
    )


@pytest.mark.parametrize("name", ["available", "mounted", "availableDevices"])
@pytest.mark.parametrize("value", [..., None, {}, "text", 7, ["text"], [None]])
def test_malformed_lists_are_named(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{name} is not a list of objects"):
        parse_media(example(name, value))


@pytest.mark.parametrize("name", ["actions", "actions.canMount", "actions.canUpload"])
@pytest.mark.parametrize("value", [..., None, [], "text", True])
def test_malformed_objects_are_named(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{name} is not an object"):
        parse_media(example(name, value))


@pytest.mark.parametrize("value", [..., None, "", 7])
def test_an_iso_without_an_id(value: object) -> None:
    with pytest.raises(ValueError, match="available has no id"):
        parse_media(example("available.0.id", value))


@pytest.mark.parametrize("value", ["yes", 1, None, ...])
def test_only_true_is_true(value: object) -> None:
    assert not parse_media(example("actions.canMount.allowed", value)).can_mount.allowed
    assert not parse_media(example("mounted.0.mounted", value)).mounted[0].mounted
    assert not parse_media(example("mounted.0.isCloudInit", value)).mounted[0].is_cloud_init
    assert not parse_media(example("availableDevices.0.inUse", value)).slots[0].in_use


def test_unknown_fields_are_ignored() -> None:
    assert parse_media({**example("available.0.new", [1]), "new": {}}) == parse_media(EXAMPLE)


# --- finding

LIBRARY = Media(
    available=(
        Iso("iso_1", "a.iso", "Same"),
        Iso("iso_2", "Same", None),
        Iso("iso_3", None, "Shown"),
        Iso("iso_4", "twin.iso"),
        Iso("iso_5", "twin.iso"),
    ),
    mounted=(Mount("ide0", "iso_9", True, False), Mount("ide1", "iso_8", True, True)),
    slots=(),
)


@pytest.mark.parametrize(
    ("name", "iso_id", "ids"),
    [
        ("a.iso", None, ["iso_1"]),
        ("A.iso", None, []),
        ("Same", None, ["iso_2"]),  # a name goes before a display name
        ("Shown", None, ["iso_3"]),
        ("twin.iso", None, ["iso_4", "iso_5"]),
        (None, "iso_4", ["iso_4"]),
        (None, "iso_7", []),
        (None, None, []),
    ],
)
def test_matching(name: str | None, iso_id: str | None, ids: list[str]) -> None:
    assert [iso.id for iso in matching_isos(LIBRARY, name, iso_id)] == ids


def test_find_refuses_to_choose() -> None:
    with pytest.raises(HostUpError, match=r"'twin\.iso' is the name of 2 ISOs in the library: iso_4, iso_5"):
        find_iso(LIBRARY, IsoWish("present", name="twin.iso"))


TWINS = [Iso(f"iso_{number}", "a.iso", None, 1.0, "iso") for number in (2, 1, 3)]


@pytest.mark.parametrize(
    ("state", "mounted", "device", "chosen"),
    [
        ("present", [], None, "iso_1"),
        ("mounted", ["iso_3"], None, "iso_3"),
        ("mounted", ["iso_3"], "ide2", "iso_3"),
        ("mounted", ["iso_3"], "ide1", "iso_1"),
        ("unmounted", ["iso_2"], None, "iso_2"),
    ],
)
def test_files_that_are_the_same_pass_for_one(state: str, mounted: list[str], device: str | None, chosen: str) -> None:
    mounts = tuple(Mount("ide2", iso_id, True, False) for iso_id in mounted)
    found = find_iso(Media(tuple(TWINS), mounts, ()), IsoWish(state, name="a.iso", device=device))
    assert found and found.id == chosen


@pytest.mark.parametrize(
    ("state", "changes"),
    [("absent", {}), ("present", {"size_gb": 2.0}), ("mounted", {"size_gb": None}), ("unmounted", {"format": "raw"})],
)
def test_files_that_differ_do_not(state: str, changes: dict[str, Any]) -> None:
    media = Media((*TWINS, TWINS[0]._replace(id="iso_4", **changes)), (), ())
    with pytest.raises(HostUpError, match="is the name of 4 ISOs"):
        find_iso(media, IsoWish(state, name="a.iso"))


def test_find_by_an_id_that_only_a_drive_shows() -> None:
    assert find_iso(LIBRARY, IsoWish("absent", iso_id="iso_9")) == Iso("iso_9", None)
    assert find_iso(LIBRARY, IsoWish("absent", iso_id="iso_8")) is None, "the cloud-init drive is not the user's"
    assert find_iso(LIBRARY, IsoWish("absent", name="iso_9")) is None


# --- drives


@pytest.mark.parametrize(
    ("mounted", "slot", "kind"),
    [
        ([], None, MISSING),
        ([], ("available", False), NO_DRIVE),
        ([], (None, False), NO_DRIVE),
        ([], ("existing_cdrom", False), EMPTY),
        ([], ("existing_cdrom", True), BUSY),
        ([], ("available", True), BUSY),
        ([(True, False)], ("existing_cdrom", True), LOADED),
        ([(True, False)], None, LOADED),
        ([(False, False)], ("existing_cdrom", False), EMPTY),
        ([(False, False)], None, EMPTY),
        ([(True, True)], ("existing_cdrom", True), CLOUD_INIT),
        ([(False, True)], ("existing_cdrom", False), CLOUD_INIT),
        ([(True, False), (True, True)], None, CLOUD_INIT),
    ],
)
def test_kinds_of_drive(mounted: list[tuple[bool, bool]], slot: tuple[str | None, bool] | None, kind: str) -> None:
    media = Media(
        (),
        (*(Mount("ide2", "iso_1", *flags) for flags in mounted), Mount("ide0", "iso_1", True, False)),
        (Slot("ide2", slot[0], None, slot[1]),) if slot else (),
    )
    assert media.drive("ide2") == kind
    assert bool(media.mount_of("ide2")) is (kind == LOADED)


def test_describe_drives() -> None:
    assert parse_media(EXAMPLE).describe_drives() == f"ide2: {NAME}, ide3: no drive"
    assert LIBRARY.describe_drives() == "ide0: iso_9, ide1: cloud-init"


# --- showing


def test__state() -> None:
    assert _state(parse_media(EXAMPLE), IsoWish("mounted", name=NAME)) == {
        "iso": {"id": ISO_ID, "name": NAME, "display_name": "Ubuntu 24.04 LTS", "size_gb": 5.9, "format": "iso"},
        "iso_name": NAME,
        "device": "ide2",
        "mounts": [{"device": "ide2", "iso_id": ISO_ID, "is_cloud_init": False}],
        "boot_order": ["scsi0", "ide2"],
        "boots_from_iso": False,
        "boot_obstacle": "scsi0 comes first in the boot order scsi0, ide2",
    }


@pytest.mark.parametrize(
    ("wish", "iso_id", "device"),
    [
        (IsoWish("mounted", name=NAME, device="ide2"), ISO_ID, "ide2"),
        (IsoWish("mounted", name=NAME, device="ide3"), ISO_ID, None),
        (IsoWish("mounted", iso_id=ISO_ID), ISO_ID, "ide2"),
        (IsoWish("mounted", name="other.iso"), None, None),
        (IsoWish("unmounted"), None, None),
    ],
)
def test_as_result_is_about_the_wish(wish: IsoWish, iso_id: str | None, device: str | None) -> None:
    result = _state(parse_media(EXAMPLE), wish)
    assert ((result["iso"] or {}).get("id"), result["device"]) == (iso_id, device)


def test_as_result_shows_the_cloud_init_drive_and_no_empty_one() -> None:
    mounted = (Mount("ide0", None, True, True), Mount("ide2", None, False, False))
    result = _state(Media((), mounted, ()), IsoWish("unmounted"))
    assert result["mounts"] == [{"device": "ide0", "iso_id": None, "is_cloud_init": True}]
    assert result["boot_order"] is None


def test__diff_side() -> None:
    media = parse_media(EXAMPLE)
    assert _diff_side(media, IsoWish("mounted", name=NAME)) == {"in_library": True, "drives": [f"ide2: {NAME}"]}
    assert _diff_side(media, IsoWish("absent", iso_id="iso_1"))["in_library"] is False
    assert _diff_side(Media((), (), (Slot("ide3", "existing_cdrom", None, False),)), IsoWish("unmounted")) == {
        "drives": ["ide3: empty"]
    }
