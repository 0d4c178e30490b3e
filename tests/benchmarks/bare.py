# SPDX-License-Identifier: GPL-3.0-or-later
"""The least that reading many VPSs can cost: threads, a `requests` session each, that read and decode.

Started with an address that holds ``{}`` and the number of threads; IDs come on standard input, a line each.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import local

import requests


def main(address: str, threads: str) -> None:
    """Read all of them."""
    mine = local()

    def prepare() -> None:
        mine.session = requests.Session()
        mine.session.headers["Authorization"] = f"Bearer {os.environ['HOSTUP_API_KEY']}"

    def read(vps_id: str) -> None:
        answer = mine.session.get(address.format(vps_id), timeout=30)
        answer.raise_for_status()
        answer.json()

    with ThreadPoolExecutor(int(threads), initializer=prepare) as pool:
        list(pool.map(read, sys.stdin.read().split()))


main(*sys.argv[1:])
