# SPDX-License-Identifier: GPL-3.0-or-later
"""Download URLs: checked, named, masked, and followed to where they lead."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError
from ansible_collections.hostup.cloud.plugins.module_utils._iso.source import MAX_HOPS, _length, find_source
from ansible_collections.hostup.cloud.plugins.module_utils._iso.url import (
    check_file_name,
    check_url,
    file_name,
    mask_url,
    tell_packed,
    url_secrets,
)

if TYPE_CHECKING:
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

    from support.site import Page, Web


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/a.iso",
        "HTTP://example.com:8080/a.iso",
        "https://[2001:db8::1]/a.iso",
        "https://user:word@example.com/a.iso?token=x#part",
        "https://example.com/a%20b.iso",
    ],
)
def test_good_urls(url: str) -> None:
    check_url(url)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("https://example.com/a.iso", ""),
        ("https://example.com/a.iso?name=b.gz", ""),
        ("https://example.com/a.iso.gz?x=1", "Set decompress: gzip."),
        ("https://example.com/A.ISO.ZST", "Set decompress: zstd."),
        ("https://example.com/a.iso.zstd", "url ends in .zstd and decompress is none"),
        ("https://example.com/a.iso.xz", "url ends in .xz, which HostUp does not unpack"),
    ],
)
def test_packed_files(url: str, says: str) -> None:
    told = tell_packed(url)
    assert says in told and bool(says) is bool(told)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://example.com/a.iso", "not an http or https URL"),
        ("file:///etc/passwd", "not an http or https URL"),
        ("example.com/a.iso", "not an http or https URL"),
        ("https:///a.iso", "not an http or https URL"),
        ("", "not an http or https URL"),
        ("https://example.com:port/a.iso", "not a URL"),
        ("https://example.com:99999/a.iso", "not a URL"),
        ("https://[example/a.iso", "not a URL"),
        ("https://example.com/a b.iso", "percent-encoded"),
        ("https://example.com/a\n.iso", "percent-encoded"),
    ],
)
def test_bad_urls(url: str, says: str) -> None:
    with pytest.raises(HostUpError, match=says):
        check_url(url)


@pytest.mark.parametrize("url", ["ftp://ann:sesame@example.com/a?sig=s3cr3t", "https://ann:sesame@h/a b?sig=s3cr3t"])
def test_refusals_are_masked(url: str) -> None:
    with pytest.raises(HostUpError) as caught:
        check_url(url)
    assert "sesame" not in caught.value.msg and "s3cr3t" not in caught.value.msg


@pytest.mark.parametrize(
    ("path", "decompress", "name"),
    [
        ("/a/b.iso", "none", "b.iso"),
        ("/b.iso?x=/c.iso#/d.iso", "none", "b.iso"),
        ("/a%20b%C3%A5.iso", "none", "a bå.iso"),
        ("/b.iso.gz", "none", "b.iso.gz"),
        ("/b.iso.gz", "gzip", "b.iso"),
        ("/b.ISO.GZ", "gzip", "b.ISO"),
        ("/b.iso.lzo", "lzo", "b.iso"),
        ("/b.iso.zst", "zstd", "b.iso"),
        ("/b.iso.zstd", "zstd", "b.iso"),
        ("/b.iso.bz2", "bzip2", "b.iso"),
        ("/b.iso.bz2", "gzip", "b.iso.bz2"),
        ("/b.iso", "gzip", "b.iso"),
    ],
)
def test_file_name(path: str, decompress: str, name: str) -> None:
    assert file_name(f"https://example.com{path}", decompress) == name


@pytest.mark.parametrize(("path", "decompress"), [("", "none"), ("/", "none"), ("/a/", "none"), ("/.gz", "gzip")])
def test_no_file_name(path: str, decompress: str) -> None:
    with pytest.raises(HostUpError, match="no file name"):
        file_name(f"https://example.com{path}", decompress)


@pytest.mark.parametrize("name", ["a.iso", "a b.iso", "ubuntu å.iso", "...", ".a"])
def test_good_file_names(name: str) -> None:
    check_file_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "a\nb", "a\x00", "a\x7f", "../x.iso"])
def test_bad_file_names(name: str) -> None:
    with pytest.raises(HostUpError, match="cannot be a file name"):
        check_file_name(name)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://example.com/a.iso", "https://example.com/a.iso"),
        ("https://ann:word@example.com/a.iso", "https://***@example.com/a.iso"),
        ("https://ann:w@rd@example.com/a.iso", "https://***@example.com/a.iso"),
        ("https://example.com/a.iso?sig=x", "https://example.com/a.iso?***"),
        ("https://example.com/a.iso?q=1#x?y", "https://example.com/a.iso?***"),
        ("https://example.com/a.iso#x\ny", "https://example.com/a.iso#***"),
        ("https://example.com/a@b/c.iso", "https://example.com/a@b/c.iso"),
        ("https://ann@example.com/a?b@c", "https://***@example.com/a?***"),
    ],
)
def test_mask_url(url: str, shown: str) -> None:
    assert mask_url(url) == shown


def test_plain_urls_have_no_secrets() -> None:
    assert url_secrets("https://example.com/a.iso#part", "a.iso") == set()


def test_url_secrets() -> None:
    url = "https://ann:op%40n@example.com/a.iso?expires=1&sig=0123456789ab%2F&file=a-long-name.iso"
    secrets = url_secrets(url, "a-long-name.iso")
    assert {url, "ann:op%40n", "ann:op@n", "op%40n", "op@n", "0123456789ab/"} <= secrets
    assert secrets.isdisjoint({"", "1", "a-long-name.iso"})


@pytest.mark.parametrize(
    ("query", "hidden", "shown"),
    [
        ("download", [], ["download"]),
        ("raw=1", [], ["1", "raw=1"]),
        ("raw=1&lang=sv", [], ["1", "sv"]),
        ("v=1234567", [], ["1234567"]),
        ("v=12345678", ["12345678"], []),
        ("v=1&x=a%2Fb%2Bc+de", ["a%2Fb%2Bc+de", "a/b+c de"], ["1"]),
        ("sig=abcd&raw=1", ["abcd"], ["1"]),
        ("X-Amz-Signature=abcd", ["abcd"], []),
        ("access_token=abcd", ["abcd"], []),
        ("PASSWORD=abcd", ["abcd"], []),
        ("my-secret=abcd", ["abcd"], []),
        ("apikey=abcd", ["abcd"], []),
        ("auth=abcd", ["abcd"], []),
        ("credential=abcd", ["abcd"], []),
        ("auth=1", ["auth=1"], ["1"]),
        ("token=", [], ["", "token="]),
        ("0123456789abcdef", ["0123456789abcdef"], []),
        ("file=a.iso&name=the-name.iso", [], ["the-name.iso"]),
    ],
)
def test_what_of_a_query_can_be_a_secret(query: str, hidden: list[str], shown: list[str]) -> None:
    secrets = url_secrets(f"https://example.com/a.iso?{query}", "the-name.iso")
    assert set(hidden) <= secrets and secrets.isdisjoint(shown)
    assert bool(secrets) is bool(hidden)


@pytest.mark.parametrize(("user", "is_masked"), [("ann", False), ("0123456789abcdef", True)])
def test_a_short_user_name_is_not_masked_inside_words(user: str, is_masked: bool) -> None:
    secrets = url_secrets(f"https://{user}@example.com/channel.iso", None)
    assert (user in secrets) is is_masked
    assert f"//{user}@" in secrets


def test_a_broken_url_is_a_secret_whole() -> None:
    assert url_secrets("https://[broken?sig=x", None) == {"https://[broken?sig=x"}


def test_a_password_with_a_slash_is_not_shown() -> None:
    """Not percent-encoded, it makes the URL a broken one: the part before the slash passes for a port."""
    url = "https://ann:ses/ame@example.com/a.iso"
    with pytest.raises(HostUpError) as caught:
        check_url(url)
    assert "ses" not in caught.value.msg
    assert url in url_secrets(url, None)


# --- what a URL leads to


def test_no_redirect_costs_one_head(web: Web) -> None:
    url = web.add("/a.iso")
    assert find_source(url, 5).url == url
    assert [method for method, _path, _headers in web.asked] == ["HEAD"]


def test_chain_of_relative_and_absolute_redirects(web: Web) -> None:
    end = web.add("/files/z.iso?sig=1")
    first = web.add("/a.iso", 301, Location="/b.iso")
    web.add("/b.iso", 302, Location="files/c.iso")
    web.add("/files/c.iso", 303, Location=f"{web.url}/files/d.iso")
    web.add("/files/d.iso", 307, Location="//" + web.url.partition("//")[2] + "/files/e.iso")
    web.add("/files/e.iso", 308, Location="z.iso?sig=1#fragment")
    assert find_source(first, 5).url == end
    assert len(web.asked) == 6


def test_no_key_and_no_netrc_is_sent(web: Web, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ann password sesame\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOSTUP_API_KEY", "secret-key")
    web.add("/b.iso")
    find_source(web.add("/a.iso", 302, Location="/b.iso"), 5)
    assert len(web.asked) == 2
    assert not [headers for _method, _path, headers in web.asked if "Authorization" in headers]


def test_credentials_of_the_url_are_sent_to_its_host(web: Web) -> None:
    expected = "Basic " + base64.b64encode(b"ann:sesame").decode()

    def page(request: BaseHTTPRequestHandler) -> Page:
        return 200 if request.headers.get("Authorization") == expected else 401, {}, b""

    web.pages["/a.iso"] = page
    url = web.url.replace("//", "//ann:sesame@") + "/a.iso"
    assert find_source(url, 5).url == url


def test_head_refused_means_a_ranged_get(web: Web) -> None:
    def page(request: BaseHTTPRequestHandler) -> Page:
        if request.command == "HEAD":
            return 405, {}, b""
        is_part = request.headers.get("Range") == "bytes=0-0"
        return 206 if is_part else 500, {"Content-Range": "bytes 0-0/5"}, b"x"

    web.pages["/b.iso"] = page
    first = web.add("/a.iso", 302, Location="/b.iso")
    assert find_source(first, 5) == (web.url + "/b.iso", 5)
    assert [method for method, _path, _headers in web.asked] == ["HEAD", "HEAD", "GET"]


def test_circles_end(web: Web) -> None:
    web.add("/b", 302, Location="/a?sig=s3cr3t")
    first = web.add("/a?sig=s3cr3t", 302, Location="/b")
    with pytest.raises(HostUpError, match=f"gave up after {MAX_HOPS} redirects") as caught:
        find_source(first, 5)
    assert len(web.asked) == MAX_HOPS
    assert "s3cr3t" not in caught.value.msg


@pytest.mark.parametrize("location", ["ftp://example.com/a.iso", "file:///etc/passwd", "https://", "http://[broken"])
def test_redirects_to_something_else_are_refused(web: Web, location: str) -> None:
    with pytest.raises(HostUpError, match="url"):
        find_source(web.add("/a.iso", 302, Location=location), 5)


@pytest.mark.parametrize("status", [403, 404, 500, 304])
def test_nothing_to_download(web: Web, status: int) -> None:
    with pytest.raises(HostUpError, match=f"HTTP {status}"):
        find_source(web.add("/a.iso", status), 5)


def test_unreachable() -> None:
    with pytest.raises(HostUpError, match="cannot be reached from here") as caught:
        find_source("http://ann:sesame@127.0.0.1:9/a.iso?sig=s3cr3t", 5)
    assert "sesame" not in caught.value.msg and "s3cr3t" not in caught.value.msg


@pytest.mark.parametrize(
    ("headers", "length"),
    [
        ({"Content-Length": "3"}, 3),
        ({"Content-Length": "3", "Content-Encoding": "gzip"}, None),
        ({"Content-Length": "three"}, None),
    ],
)
def test_length_of_what_a_url_leads_to(headers: dict[str, str], length: int | None) -> None:
    assert _length(headers) == length
