# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Download URLs: checked, named, masked. Nothing here talks to the network."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, unquote, unquote_plus, urlsplit

from ansible_collections.hostup.cloud.plugins.module_utils._api.transport import SHORTEST_TOKEN, login_secrets
from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError

SUFFIXES = {"gzip": (".gz",), "lzo": (".lzo",), "zstd": (".zst", ".zstd"), "bzip2": (".bz2",)}
NOT_UNPACKED = (".xz", ".zip", ".7z")  # by the API
SHORTEST_ALONE = 4  # characters of what is masked wherever it stands; what is shorter is a part of many words
SECRET_NAME = re.compile(r"sig|token|key|pass|pwd|secret|auth|cred", re.IGNORECASE)
ONLY_LETTERS = re.compile(r"[A-Za-z_-]*")
NOT_IN_URL = re.compile(r"[\x00-\x20\x7f]")
NOT_IN_NAME = re.compile(r"[\x00-\x1f\x7f/\\]")


def _split(url: str) -> SplitResult:
    """The parts of a URL. Raises ValueError also for a port that cannot be, which urllib only finds when asked."""
    parts = urlsplit(url)
    if parts.port == 0:
        raise ValueError("port 0")
    return parts


def check_url(url: str) -> None:
    """Raise HostUpError unless ``url`` is something that the API could download."""
    expected = "expected http:// or https://, a host and the path of a file"
    try:
        parts = _split(url)
    except ValueError:
        raise HostUpError(f"url is not a URL: {expected}.") from None
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
        raise HostUpError(f"url {mask_url(url)!r} is not an http or https URL: {expected}.")
    if NOT_IN_URL.search(url):
        raise HostUpError(f"url {mask_url(url)!r} holds a blank or a control character: write it percent-encoded.")


def file_name(url: str, decompress: str) -> str:
    """The last part of the URL's path, less the compression suffix that ``decompress`` takes off."""
    name = unquote(urlsplit(url).path).rpartition("/")[2]
    for suffix in SUFFIXES.get(decompress, ()):
        if name.lower().endswith(suffix):
            name = name[: -len(suffix)]
    if not name:
        raise HostUpError(f"url {mask_url(url)!r} has no file name at the end of its path: give one with name.")
    return name


def tell_packed(url: str) -> str:
    """What to do about a URL whose file has to be unpacked before anything boots from it; empty for any other."""
    path = urlsplit(url).path.lower()
    found = ((suffix, how) for how, suffixes in SUFFIXES.items() for suffix in suffixes if path.endswith(suffix))
    for suffix, how in found:
        return (
            f"url ends in {suffix} and decompress is none: it would lie in the library as it is, and nothing boots "
            f"from it. Set decompress: {how}."
        )
    for suffix in NOT_UNPACKED:
        if path.endswith(suffix):
            return f"url ends in {suffix}, which HostUp does not unpack: give the URL of the ISO itself."
    return ""


def check_file_name(name: str) -> None:
    """Raise HostUpError unless ``name`` can be a file's name in the library."""
    if name in ("", ".", "..") or NOT_IN_NAME.search(name):
        raise HostUpError(f"name {name!r} cannot be a file name: expected one without slashes or control characters.")


def mask_url(url: str) -> str:
    """The URL for messages: without credentials, query and fragment."""
    shown = re.sub(r"[?#].*", lambda found: f"{found[0][0]}***", url, flags=re.DOTALL)
    return re.sub(r"//[^/]*@", "//***@", shown)


def url_secrets(url: str, name: str | None) -> set[str]:
    """What must not be shown of a URL: itself, credentials and query, if any of them can be a secret.

    Nothing of the query counts that is part of the ISO's ``name``: a masked name would break the tasks that go on with
    it.
    """
    try:
        parts = _split(url)
    except ValueError:
        return {url}
    secrets = login_secrets(parts.netloc.rpartition("@")[0])
    for field in parts.query.split("&"):
        key, equals, value = field.partition("=")
        if not equals:  # the whole of it may be a token, but not one like ?download
            value = "" if ONLY_LETTERS.fullmatch(field) else field
        is_secret = len(value) >= SHORTEST_TOKEN or (value and SECRET_NAME.search(key))
        if is_secret and unquote_plus(value) not in (name or ""):
            piece = value if len(value) >= SHORTEST_ALONE else field
            secrets |= {piece, unquote(piece), unquote_plus(piece), parts.query}
    return secrets | {url} if secrets else secrets
