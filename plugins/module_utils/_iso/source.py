# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a download URL leads to: the API follows no redirect, and most mirrors send everybody on; and how long it is."""

from __future__ import annotations

import contextlib
import threading
import typing as t
from urllib.parse import urljoin

from ansible_collections.hostup.cloud.plugins.module_utils._api import transport
from ansible_collections.hostup.cloud.plugins.module_utils._clock import Deadline
from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError
from ansible_collections.hostup.cloud.plugins.module_utils._iso.url import check_url, mask_url

MAX_HOPS = 10


class Source(t.NamedTuple):
    """Where the redirects of a URL end, and how many bytes there are to download, where that is told."""

    url: str
    length: int | None


class Sources:
    """The sources that one task asks for. Each is asked once, however many VPSs want to know.

    ``timeout`` is in seconds, for one source.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._found: dict[str, Source | HostUpError] = {}
        self._asking = threading.Lock()

    def find(self, url: str) -> Source:
        """What a URL leads to. Raises HostUpError as `find_source` does."""
        with self._asking:
            if url not in self._found:
                try:
                    self._found[url] = find_source(url, self._timeout)
                except HostUpError as error:
                    self._found[url] = error
        found = self._found[url]
        if isinstance(found, HostUpError):
            raise HostUpError(found.msg)  # each VPS adds to its own
        return found


def find_source(url: str, timeout: float) -> Source:
    """Follow a download URL's redirects from here, without the API key.

    ``timeout`` is in seconds, for all of them together.
    Raises HostUpError when they end nowhere, in a circle, or at something that is not http or https; nor do they lead
    from https to http, unless the user has given http in the first place.
    """
    deadline = Deadline(timeout)
    is_safe = url.lower().startswith("https:")
    with transport.new_session() as session:
        for _hop in range(MAX_HOPS):
            status, location, length = _probe(session, url, max(transport.SHORTEST_TIMEOUT, deadline.left()))
            if 200 <= status < 300:
                return Source(url, length)
            if not (300 <= status < 400 and location):
                raise HostUpError(f"url: {mask_url(url)} answers HTTP {status}, so there is nothing to download.")
            try:
                url = urljoin(url, location).partition("#")[0]
                check_url(url)
            except (ValueError, HostUpError):
                raise HostUpError(f"url: {mask_url(url)} redirects to something that is not http or https.") from None
            if is_safe and not url.lower().startswith("https:"):
                raise HostUpError(
                    f"url: it redirects from https to http, to {mask_url(url)}, where anybody in between could put "
                    "another file. Give a URL that stays with https, or that one itself."
                )
    raise HostUpError(f"url: gave up after {MAX_HOPS} redirects, the last one to {mask_url(url)}.")


def _probe(session: t.Any, url: str, timeout: float) -> tuple[int, str | None, int | None]:
    """Status, Location and length, by HEAD; by a GET of the first byte where the server does not take HEAD."""

    def ask(method: str, headers: dict[str, str]) -> tuple[int, str | None, int | None]:
        with session.request(
            method,
            url,
            headers=headers,
            timeout=timeout,
            proxies=transport.proxies_for(url),
            allow_redirects=False,
            stream=True,
        ) as response:
            return response.status_code, response.headers.get("Location"), _length(response.headers)

    with contextlib.suppress(*transport.TRANSPORT_ERRORS):
        status, location, length = ask("HEAD", {})
        if status < 400:
            return status, location, length
    try:
        return ask("GET", {"Range": "bytes=0-0"})
    except transport.TRANSPORT_ERRORS as error:
        reason = transport.explain_fault(error, timeout)
        raise HostUpError(f"url: {mask_url(url)} cannot be reached from here: {reason}.") from None


def _length(headers: t.Mapping[str, str]) -> int | None:
    """Bytes of the whole file; ``None`` where it is sent in another form than it has."""
    if "Content-Encoding" in headers:
        return None
    part, whole = headers.get("Content-Range"), headers.get("Content-Length", "")
    told = part.rpartition("/")[2] if part else whole
    return int(told) if told.isdecimal() else None
