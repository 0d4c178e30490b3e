# SPDX-License-Identifier: GPL-3.0-or-later
"""The rate limit of a key: a fixed window, or a bucket of tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .model import Key

# Seconds. Sums of floats that hold dates are no finer, and who comes back when told to must not be refused for that.
SLACK = 1e-6


@dataclass(frozen=True)
class Count:
    """What became of one request: whether it may pass, how many more may, and when there are more again."""

    allowed: bool
    left: int
    reset: float


def count(key: Key, now: float) -> Count:
    """Count a request against the limit of its key."""
    return _bucket(key, now) if key.owner.switches.rate_kind == "bucket" else _window(key, now)


def _window(key: Key, now: float) -> Count:
    switches = key.owner.switches
    if now + SLACK >= key.window_start + switches.rate_window:
        key.window_start, key.used = now, 0
    key.used += 1
    left = switches.rate_limit - key.used
    return Count(left >= 0, max(0, left), key.window_start + switches.rate_window)


def _bucket(key: Key, now: float) -> Count:
    switches = key.owner.switches
    size = switches.rate_burst or switches.rate_limit
    seconds_each = max(SLACK, switches.rate_window / switches.rate_limit)
    tokens = min(size, key.tokens + max(0.0, now - key.refilled_at) / seconds_each)
    slack = SLACK / seconds_each
    allowed = tokens >= 1 - slack
    if allowed:
        tokens = max(0.0, tokens - 1)
    key.tokens, key.refilled_at = tokens, now
    left = max(0, int(tokens + slack))
    return Count(allowed, left, now + seconds_each * ((size if left else 1) - tokens))
