# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The edge, which is what stands in front of the API: Cloudflare, or any proxy. Its answers are not the API's."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.hostup.cloud.plugins.module_utils._errors import json_object

LARGEST_PAGE = 65536  # characters that are looked at
_TAG = re.compile(r"<[^<>]*>")
_CODE = re.compile(r"\berror(?: code)?:? (1\d{3}|52\d)\b", re.IGNORECASE)
_RAY_ID = re.compile(r"\bray id:? ([0-9a-f]{16})\b", re.IGNORECASE)
_MARK = re.compile(r"[\w ./()-]{1,64}")  # what a header or a field can hold that is shown

_REASONS = {
    "1010": "does not let this client in, which it judges by User-Agent and address",
    "1015": "has a rate limit of its own, which is used up",
    "1020": "has a rule against such a request",
}


class Edge(t.NamedTuple):
    """Who answered instead of the API: the name that it gives itself, its error code, and the request's ray ID."""

    server: str | None
    code: str | None
    ray_id: str | None

    def explain(self, status: int) -> str:
        """What has happened, and what the user can do about it."""
        is_cloudflare = self.ray_id is not None or "cloudflare" in str(self.server).lower()
        who = "Cloudflare, which stands in front of the API," if is_cloudflare else "A proxy in front of the API"
        why = _REASONS.get(self.code or "")
        write = "write to HostUp" + (f", and give them the ray ID {self.ray_id}" if self.ray_id else "")
        if status == 429:
            return f" {who} {why or 'takes no more requests for now'}."
        if status >= 500:
            why = why or "could not reach it, or got no answer to pass on"
            return f" {who} {why}. Try again later; if it lasts, {write}."
        look = "" if is_cloudflare else " look for a proxy on your side, or"
        return (
            f" {who} {why or 'refused the request'}. The API has not seen it: nothing was done, and neither the key "
            f"nor its scopes are to blame. To be let in,{look} {write}."
        )


def parse_edge(status: int, headers: t.Mapping[str, str], text: str) -> Edge | None:
    """Who else has sent this failure; ``None`` for the API, whose failures are JSON (contract, "Ground rules").

    Cloudflare's are JSON too where the client asks for it, and then say whose they are.
    """
    document = json_object(text)
    if document is None and (status in (403, 429) or status >= 500):
        words = " ".join(_TAG.sub(" ", text[:LARGEST_PAGE]).split())
        code, ray_id = (found[1] if (found := pattern.search(words)) else None for pattern in (_CODE, _RAY_ID))
    elif document and document.get("cloudflare_error") is True:
        code, ray_id = (_shown(str(document.get(name, ""))) for name in ("error_code", "ray_id"))
    else:
        return None
    if code is None and 520 <= status <= 530:
        code = str(status)
    return Edge(_shown(headers.get("Server")), code, _shown(headers.get("CF-RAY")) or ray_id)


def _shown(mark: str | None) -> str | None:
    return mark if mark and _MARK.fullmatch(mark) else None
