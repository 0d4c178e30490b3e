# SPDX-License-Identifier: GPL-3.0-or-later
"""The tasks as both shells run them: results on every path, and no secret in any of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.hostup.cloud.plugins.module_utils._tasks.iso import VPS_ISO
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.iso_info import VPS_ISO_INFO
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.task import Task
from hostup_emulator.world import Drive, Gate, Mount

if TYPE_CHECKING:
    from support.site import Site, Web

BOOT = {"boot_order", "boots_from_iso", "boot_obstacle"}
KEYS = {"changed", "vps_id", "iso", "iso_name", "device", "mounts", *BOOT, "job", "actions", "actions_unknown", "diff"}
ERROR_FIELDS = {"status", "code", "title", "detail", "errors", "request_id", "method", "path", "extra"}


def run(site: Site, task: Task[Any] = VPS_ISO, check_mode: bool = False, **options: Any) -> dict[str, Any]:
    """Validate the options and run the task, as the shells do."""
    return site.run(task, check_mode, **{"vps_id": site.vps.id, **options})


def failed(site: Site, **options: Any) -> dict[str, Any]:
    """Run a task that fails; check what every failure has to have."""
    result = run(site, **options)
    assert result["failed"] is True and result["msg"]
    if "error" in result:
        assert result["error"].keys() == ERROR_FIELDS and any(result["error"].values())
    assert "timed_out" not in result or result["timed_out"] is True
    assert site.key not in json.dumps(result)
    if options.get("task", VPS_ISO) is VPS_ISO:
        assert result.keys() - {"timed_out", "error"} == KEYS | {"failed", "msg"}
    return result


# --- results


def test_converged(site: Site) -> None:
    assert run(site, name="ubuntu.iso") == {
        "changed": False,
        "vps_id": site.vps.id,
        "iso": {
            "id": site.iso.id,
            "name": "ubuntu.iso",
            "display_name": "Ubuntu 24.04 LTS",
            "size_gb": 1.0,
            "format": "iso",
        },
        "iso_name": "ubuntu.iso",
        "device": None,
        "mounts": [],
        "boot_order": ["scsi0", "ide2"],
        "boots_from_iso": None,
        "boot_obstacle": None,
        "job": None,
        "actions": [],
        "actions_unknown": [],
        "diff": {
            "before": {"in_library": True, "drives": ["ide2: empty"]},
            "after": {"in_library": True, "drives": ["ide2: empty"]},
        },
    }
    assert len(site.calls) == 1


@pytest.mark.parametrize(("place", "told"), [("storage", True), ("nowhere", None)])
def test_boot_order_that_only_the_storage_read_tells(site: Site, place: str, told: bool | None) -> None:
    site.switches.boot_order_at = place
    site.vps.boot_order = ["ide2", "scsi0"]
    result = run(site, name="ubuntu.iso", state="mounted")
    assert (result["boots_from_iso"], result["boot_order"]) == (told, ["ide2", "scsi0"] if told else None)
    before = len(site.calls)
    assert not run(site, name="ubuntu.iso", state="mounted")["changed"]
    assert len(site.calls) == before + 1  # what is so costs one request, and does not tell then
    assert run(site, VPS_ISO_INFO, name="ubuntu.iso")["boots_from_iso"] is told


@pytest.mark.parametrize("check_mode", [True, False])
def test_changed(site: Site, check_mode: bool) -> None:
    site.vps.boot_order = ["ide2", "scsi0"]
    result = run(site, check_mode=check_mode, name="ubuntu.iso", state="mounted")
    assert result.keys() == KEYS
    assert (result["boots_from_iso"], result["boot_obstacle"]) == (True, None)
    assert (result["changed"], result["actions"], result["device"]) == (True, ["mount"], "ide2")
    assert result["diff"]["after"]["drives"] == ["ide2: ubuntu.iso"]
    assert len(site.calls.writes()) == (0 if check_mode else 1)


def test_the_name_comes_from_the_url(site: Site, web: Web) -> None:
    url = web.add("/dir/a%20b.iso?x=1", body=b"iso")
    result = run(site, url=url)
    assert result["iso"]["name"] == "a b.iso"
    assert result["job"].keys() == {"id", "status", "progress"}


@pytest.mark.parametrize("check_mode", [True, False])
def test_a_file_that_is_left_packed_is_warned_of_before_it_is_ordered(site: Site, web: Web, check_mode: bool) -> None:
    url = web.add("/a.iso.gz", body=b"iso")
    [warning] = run(site, url=url, check_mode=check_mode)["warnings"]
    assert "Set decompress: gzip." in warning
    assert "warnings" not in run(site, url=url, name="ubuntu.iso", check_mode=check_mode), "nothing is ordered"
    assert "warnings" not in run(site, url=web.add("/b.iso", body=b"iso"), check_mode=check_mode)


def test_a_source_that_redirects(site: Site, web: Web) -> None:
    web.add("/mirror/x.iso", body=b"iso")
    start = web.add("/a.iso", 302, Location="/mirror/x.iso")
    assert failed(site, url=start)["msg"].endswith("set resolve_redirects: true.")
    elsewhere = web.add("/b.iso", 302, Location="ftp://example.com/b.iso")
    assert "set resolve_redirects" not in failed(site, url=elsewhere, resolve_redirects=True)["msg"], "it is set"
    gone = web.add("/redirect.iso", 404)
    assert "set resolve_redirects" not in failed(site, url=gone, name="redirect.iso")["msg"]


def test_resolve_redirects_hands_over_the_end(site: Site, web: Web) -> None:
    end = web.add("/mirror/x.iso", body=b"iso")
    start = web.add("/a.iso", 302, Location="/mirror/x.iso")
    assert run(site, url=start, resolve_redirects=True)["iso"]["name"] == "a.iso"
    assert site.calls.writes()[0].body == {"url": end, "filename": "a.iso", "decompress": "none"}
    asked = len(web.asked)
    assert run(site, url=start, resolve_redirects=True)["changed"] is False
    assert len(web.asked) == asked, "a converged state follows no redirect"


@pytest.mark.parametrize("state", ["present", "mounted"])
def test_a_source_that_has_changed(site: Site, web: Web, state: str) -> None:
    url, site.iso.size_gb = web.add("/ubuntu.iso", body=b"mended"), 0.7
    assert run(site, url=url)["actions"] == [] == web.asked
    foreseen = run(site, url=url, state=state, refresh=True, check_mode=True)
    assert foreseen["diff"]["after"]["in_library"] and site.calls.writes() == []
    result = run(site, url=url, state=state, refresh=True)
    assert (
        result["actions"] == ["delete", "download", *(["mount"] if state == "mounted" else [])] == foreseen["actions"]
    )
    assert result["iso"]["id"] != site.iso.id and result["iso"]["size_gb"] == 6 / 1e9
    before = len(site.calls)
    assert run(site, url=url, state=state, refresh=True)["changed"] is False
    assert len(site.calls) == before + 1
    web.add("/ubuntu.iso", body=b"mended again")
    again = run(site, url=url, state=state, refresh=True)["actions"]
    assert again == (["unmount"] if state == "mounted" else []) + result["actions"]


def test_an_outdated_iso_is_left_where_another_vps_has_it(site: Site, web: Web) -> None:
    url, site.iso.size_gb = web.add("/ubuntu.iso", body=b"mended"), 0.7
    site.world.add_vps(site.owner, "web-02", drives={"ide2": Drive.holding(site.iso.id)})
    message = failed(site, url=url, refresh=True)["msg"]
    assert message.startswith("Could not delete ubuntu.iso. ") and "have it mounted: web-02. Unmount it" in message
    assert site.calls.writes() == []


def test_an_outdated_iso_in_the_drives_of_a_fleet(site: Site, web: Web) -> None:
    url, site.iso.size_gb = web.add("/ubuntu.iso", body=b"mended"), 0.7
    drives = [{"ide2": Drive.holding(site.iso.id)} for _vps in range(5)]
    others = [site.world.add_vps(site.owner, f"web-{number}", drives=has).id for number, has in enumerate(drives)]
    result = run(site, vps_id=None, vps_ids=[site.vps.id, *others], url=url, refresh=True, state="mounted")
    assert "msg" not in result, result["msg"]
    first, *rest = (one["actions"] for one in result["results"])
    assert first == ["delete", "download", "mount"] and rest == [["unmount", "mount"]] * 5


def test_an_iso_is_not_deleted_for_a_source_that_the_api_would_not_follow(site: Site, web: Web) -> None:
    site.iso.size_gb = 0.7
    web.add("/mended.iso", body=b"mended")
    given: dict[str, Any] = {"url": web.add("/ubuntu.iso", 302, Location="/mended.iso"), "refresh": True}
    assert "resolve_redirects=true" in failed(site, **given)["msg"]
    assert len(site.calls) == 0
    assert run(site, resolve_redirects=True, **given)["actions"] == ["delete", "download"]


def test_a_source_that_does_not_tell_its_length(site: Site, web: Web) -> None:
    headers: dict[str, Any] = {"Content-Encoding": "gzip"}
    url = web.add("/ubuntu.iso", **headers)
    assert "does not tell how long it is" in failed(site, url=url, refresh=True)["msg"]
    assert len(site.calls) == 0


@pytest.mark.parametrize("check_mode", [True, False])
@pytest.mark.parametrize("end", [200, 404])
def test_redirects_are_followed_once_for_many(site: Site, web: Web, check_mode: bool, end: int) -> None:
    web.add("/mirror/x.iso", end)
    start = web.add("/a.iso", 302, Location="/mirror/x.iso")
    site.switches.job.fails = "no space left"
    vps_ids = [site.vps.id, *(site.world.add_vps(site.owner, f"web-{number}").id for number in range(5))]
    result = run(site, vps_id=None, vps_ids=vps_ids, url=start, resolve_redirects=True, check_mode=check_mode)
    assert [one["failed"] for one in result["results"]] == [not check_mode or end == 404] * 6
    assert [path for method, path, _headers in web.asked if method == "HEAD"] == ["/a.iso", "/mirror/x.iso"]
    if end == 404:
        messages = {one["msg"] for one in result["results"]}
        assert len(messages) == 1 and "answers HTTP 404, so there is nothing to download." in messages.pop()


def test_info(site: Site) -> None:
    site.vps.drives["ide2"] = Drive.holding(site.iso.id)
    other = site.world.add_iso(site.owner, "other.iso")
    result = run(site, task=VPS_ISO_INFO)
    assert result.keys() == {
        "changed", "vps_id", "available", "mounted", *BOOT, "boot_devices", "available_devices", "actions",
    }  # fmt: skip
    assert result["boot_order"] == run(site, name="ubuntu.iso")["boot_order"] == ["scsi0", "ide2"]
    assert [device["id"] for device in result["boot_devices"]] == ["scsi0", "ide2"]
    assert [iso["id"] for iso in result["available"]] == [site.iso.id, other.id]
    assert result["mounted"] == [{"device": "ide2", "iso_id": site.iso.id, "mounted": True, "is_cloud_init": False}]
    assert result["actions"]["can_mount"] == {"allowed": True, "reason": None, "code": None}
    assert result["boots_from_iso"] is False
    assert result["boot_obstacle"] == "scsi0 comes first in the boot order scsi0, ide2"
    filtered = run(site, task=VPS_ISO_INFO, name="other.iso")
    assert filtered["mounted"] == []
    assert (filtered["boots_from_iso"], filtered["boot_obstacle"]) == (False, "no ISO that was asked for is mounted")
    assert len(run(site, task=VPS_ISO_INFO, iso_id=site.iso.id)["mounted"]) == 1
    assert run(site, task=VPS_ISO_INFO, name="none.iso")["available"] == []


# --- failures


@pytest.mark.parametrize("task", [VPS_ISO, VPS_ISO_INFO], ids=["iso", "info"])
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"api_key": "wrong-key-of-nobody"}, "does not know this key,"),
        ({"api_base": "http://cloud.hostup.se"}, "in clear"),
        ({"api_timeout": 0}, "api_timeout"),
        ({"vps_id": "vps_unknown"}, "There is no such VPS"),
        ({"vps_id": ""}, "vps_id is empty"),
        ({"vps_id": None, "vps_name": "nobody"}, "has no VPS"),
        ({"vps_id": None, "vps_ip": "not one"}, "not an IP address"),
    ],
)
def test_every_failure_tells_the_same_things(site: Site, task: Task[Any], options: dict[str, Any], says: str) -> None:
    assert says in failed(site, task=task, name="ubuntu.iso", **options)["msg"]
    assert site.calls.writes() == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"name": "none.iso"}, "no url to download it from"),
        ({"name": "a/b"}, "cannot be a file name"),
        ({"iso_id": ".."}, "cannot be an ID"),
        ({"name": "ubuntu.iso", "wait_timeout": 0}, "wait_timeout"),
        ({"url": "ftp://example.com/x.iso"}, "not an http or https URL"),
        ({"url": "http://127.0.0.1:9/"}, "no file name"),
        ({"url": "http://127.0.0.1:9/x.iso", "resolve_redirects": True}, "cannot be reached"),
        ({"url": "http://127.0.0.1:9/x.iso", "refresh": True}, "cannot be reached"),
        ({"name": "ubuntu.iso", "state": "mounted", "device": "ide0"}, "no such drive"),
        ({"url": "http://127.0.0.1:9/x.iso", "state": "mounted", "wait": False}, "wait=false"),
    ],
)
@pytest.mark.parametrize("check_mode", [True, False])
def test_failures_before_any_write(site: Site, options: dict[str, Any], says: str, check_mode: bool) -> None:
    result = failed(site, check_mode=check_mode, **options)
    assert says in result["msg"]
    assert (result["changed"], result["actions"], site.calls.writes()) == (False, [], [])


def test_a_closed_gate(site: Site) -> None:
    site.vps.can_mount = Gate(False, "An order is pending.", "pending_order")
    result = failed(site, name="ubuntu.iso", state="mounted", check_mode=True)
    assert result["error"]["code"] == "pending_order" and "An order is pending." in result["msg"]


def test_a_failure_half_way_tells_what_was_done(site: Site) -> None:
    other = site.world.add_iso(site.owner, "other.iso")
    site.vps.drives = {"ide2": Drive.holding(other.id)}
    site.fault("problem", "POST", "/mount$", status=403)
    result = failed(site, name="ubuntu.iso", state="mounted")
    assert (result["changed"], result["actions"], result["error"]["status"]) == (True, ["unmount"], 403)
    assert result["mounts"] == []
    assert result["diff"]["before"] != result["diff"]["after"]


def test_a_timeout(site: Site, web: Web) -> None:
    site.switches.job.hangs = True
    result = failed(site, url=web.add("/x.iso"), wait_timeout=30)
    assert result["timed_out"] is True
    assert result["actions"] == ["download"] and result["job"]["id"].startswith("job_")


# --- what a terminal would obey


def test_words_of_the_api_are_made_visible(site: Site, web: Web) -> None:
    site.fault("problem", status=409, detail="no\x1b[2J room", times=1)
    result = failed(site, name="ubuntu.iso")
    assert r"no\x1b[2J room" in result["msg"] and result["error"]["detail"] == "no\x1b[2J room"
    site.vps.can_upload = Gate(False, "pay\nfirst", "unpaid\x9b")
    assert r"pay\nfirst (code unpaid\x9b)" in failed(site, url=web.add("/x.iso"))["msg"]
    site.vps.can_upload = Gate(True)
    site.switches.job.status_word, site.switches.job.hangs = "spinning\x1b]0;owned\x07", True
    msg = failed(site, url=web.add("/x.iso"), wait_timeout=60)["msg"]
    assert r"is still spinning\x1b]0;owned\x07" in msg
    assert any(r"spinning\x1b]0;owned\x07" in line for line in site.said)
    assert "\x1b" not in "".join(site.said)


# --- secrets


@pytest.mark.parametrize("state", ["present", "mounted", "unmounted", "absent"])
@pytest.mark.parametrize("check_mode", [True, False])
def test_an_api_that_echoes_the_key_everywhere(site: Site, state: str, check_mode: bool) -> None:
    site.iso.display_name = f"Ubuntu {site.key}"
    site.world.add_iso(site.owner, f"{site.key}.iso")
    site.vps.boot_order = [site.key, "scsi0"]
    site.vps.extra_mounts = [Mount(f"x{site.key}", site.key), Mount("ide1", site.key, is_cloud_init=True)]
    result = run(site, name="ubuntu.iso", state=state, check_mode=check_mode)
    info = run(site, task=VPS_ISO_INFO)
    assert not result.get("failed") and not info.get("failed")
    assert site.key not in json.dumps([result, info])


@pytest.mark.parametrize("kind", ["problem", "legacy"])
def test_a_refusal_that_echoes_the_key(site: Site, kind: str) -> None:
    site.fault(kind, status=400, detail=f"Bearer {site.key} is no good", code=site.key)
    result = failed(site, name="ubuntu.iso")
    assert "is no good" in result["msg"]


def test_field_errors_that_echo_the_key(site: Site) -> None:
    body = {"title": site.key, "errors": [{"pointer": f"/{site.key}", "detail": site.key, "code": site.key}]}
    site.fault("problem", status=400, body=body)
    assert len(failed(site, name="ubuntu.iso")["error"]["errors"]) == 1


def test_a_job_that_echoes_the_key(site: Site, web: Web) -> None:
    site.switches.job.fails = f"key {site.key} is worn out"
    assert "is worn out" in failed(site, url=web.add("/x.iso"))["msg"]


def test_a_boot_order_with_the_key_in_it(site: Site) -> None:
    site.vps.boot_order = [site.key, "ide2"]
    result = run(site, task=VPS_ISO_INFO)
    assert site.key not in json.dumps(result) and result["boot_order"][1] == "ide2" and result["boot_devices"]


URL_SECRETS = ("sesame", "s3cr3t-t0ken-0123")


def test_secrets_in_what_else_the_api_says(site: Site) -> None:
    site.fault("problem", status=409, extra={"blockerReasons": [f"key {site.key}"], site.key: {site.key: 1}})
    result = failed(site, name="ubuntu.iso")
    assert result["error"]["extra"]["blockerReasons"] == ["key ********"] and len(result["error"]["extra"]) == 2
    assert site.key not in json.dumps(result)


@pytest.mark.parametrize("resolve_redirects", [False, True])
def test_secrets_of_a_url(site: Site, resolve_redirects: bool) -> None:
    url = "http://ann:sesame@127.0.0.1:9/x.iso?sig=s3cr3t-t0ken-0123"
    site.switches.job.fails = f"GET {url} with s3cr3t-t0ken-0123 of ann:sesame: refused"
    shown = json.dumps(failed(site, url=url, resolve_redirects=resolve_redirects))
    assert not [secret for secret in URL_SECRETS if secret in shown]


def test_a_query_that_is_no_secret_masks_nothing(site: Site, web: Web) -> None:
    result = run(site, url=web.add("/raw-1.iso?raw=1", body=b"iso"))
    assert (result["iso"]["name"], result["diff"]["before"]["drives"]) == ("raw-1.iso", ["ide2: empty"])
    assert "***" not in json.dumps(result) and "VALUE_SPECIFIED" not in json.dumps(result)


def test_secrets_of_where_a_redirect_leads(site: Site, web: Web) -> None:
    end = web.add("/y.iso?sig=s3cr3t-t0ken-0123")
    start = web.add("/x.iso", 302, Location="/y.iso?sig=s3cr3t-t0ken-0123")
    site.switches.job.fails = f"{end} gave nothing"
    result = failed(site, url=start, resolve_redirects=True)
    assert site.calls.writes()[0].body["url"] == end
    assert "gave nothing" in result["msg"] and "s3cr3t" not in json.dumps(result)


def test_secrets_of_incomplete_parameters() -> None:
    assert VPS_ISO.secrets_of({}) == set()
    assert VPS_ISO.secrets_of({"api_key": None, "url": None}) == set()
    assert VPS_ISO.secrets_of({"api_key": "k", "url": "https://example.com/a.iso"}) == {"k"}
