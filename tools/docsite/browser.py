# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at each page of the site in a headless Chromium, wide and narrow: links, pictures, width, errors, requests.

Chromium is driven by WebDriver, which is JSON over HTTP, through Debian's package chromium-driver.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urlsplit

import requests

WIDTHS = (1280, 390)
LOOK = """
const page = document.documentElement;
const all = (selector, tell) => Array.from(document.querySelectorAll(selector), tell);
return {
    anchors: all("[id]", (one) => one.id),
    links: all("a[href]", (one) => one.href),
    pictures: all("img:not([alt]), img[alt='']", (one) => one.src),
    requests: performance.getEntriesByType("resource").map((one) => one.name),
    // the theme cuts off what is too wide; code and tables scroll by themselves
    overhang: Math.round(Math.max(page.scrollWidth, ...all("article :not(pre *, .table-wrapper *)",
        (one) => one.getBoundingClientRect().right)) - page.clientWidth),
};
"""


class Browser:
    """One tab, that reaches nothing but files."""

    def __init__(self, driver: str) -> None:
        self._http = requests.Session()
        self._http.trust_env = False
        options = {
            # Everything but a file has an address that does not exist, and each try is an error in the console.
            "args": ["--headless=new", "--no-proxy-server", "--host-resolver-rules=MAP * ~NOTFOUND"]
            + ["--no-sandbox"] * (os.geteuid() == 0),
        }
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self._url = f"{driver}/session"
        self._url += "/" + self.tell("", capabilities={"alwaysMatch": wanted})["sessionId"]

    def tell(self, command: str, **arguments: Any) -> Any:
        """Give a command, and return its answer."""
        answer = self._http.post(self._url + command, json=arguments, timeout=60)
        answer.raise_for_status()
        return answer.json()["value"]

    def resize(self, width: int) -> None:
        """Be so wide, as a telephone would be: a window cannot be narrower than 500."""
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        self.tell("/goog/cdp/execute", cmd="Emulation.setDeviceMetricsOverride", params=metrics)

    def look(self, page: Path) -> dict[str, Any]:
        """Load a page, and return what is there."""
        self.tell("/url", url="about:blank")  # or an anchor of the same page would not load it
        self.tell("/url", url=page.as_uri())
        found: dict[str, Any] = self.tell("/execute/sync", script=LOOK, args=[])
        return found | {"errors": [entry["message"] for entry in self.tell("/se/log", type="browser")]}

    def close(self) -> None:
        """Let Chromium end."""
        self._http.delete(self._url, timeout=60)


@contextmanager
def browser() -> Iterator[Browser]:
    """Start the driver and a browser, and end both."""
    with subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True) as driver:
        try:
            assert driver.stdout
            told = (re.search(r"on port (\d+)\.$", line) for line in driver.stdout)
            port = next((found[1] for found in told if found), "that it did not tell")
            tab = Browser(f"http://127.0.0.1:{port}")
            try:
                yield tab
            finally:
                tab.close()
        finally:
            driver.terminate()


def faults(site: Path) -> Iterator[str]:
    """What is wrong with the pages of a folder."""
    pages: dict[str, dict[str, Any]] = {}
    with browser() as tab:
        for width in WIDTHS:
            tab.resize(width)
            for path in sorted(site.rglob("*.html")):
                page = pages[path.as_uri()] = tab.look(path)
                name = f"{path.relative_to(site)}, {width} wide"
                yield from (f"{name}: {error}" for error in page["errors"])
                yield from (f"{name}: asks for {url}" for url in page["requests"] if not url.startswith("file:"))
                yield from (f"{name}: {url} has no alternative text" for url in page["pictures"])
                if page["overhang"] > 0:
                    yield f"{name}: is {page['overhang']} wider than the screen"
    print(f"{len(pages)} pages, {' and '.join(map(str, WIDTHS))} wide; ", end="")
    print(f"{sum(len(page['links']) for page in pages.values())} links")
    for here, page in pages.items():
        for link in sorted(set(page["links"])):
            target, anchor = urldefrag(link)
            parts = urlsplit(target)
            broken = parts.scheme != "https"
            if target in pages and anchor:
                broken = unquote(anchor) not in pages[target]["anchors"]
            elif parts.scheme == "file":
                broken = not Path(unquote(parts.path)).is_file()
            if broken:
                yield f"{here.removeprefix(site.as_uri())}: {link} leads nowhere"


def main() -> int:
    """Return 1 where something is wrong, or where there is no browser and BROWSER=required."""
    if not shutil.which("chromedriver"):
        print("No chromedriver (Debian: chromium-driver): the pages were built, and NOT looked at in a browser.")
        return os.environ.get("BROWSER") == "required"
    found = list(faults(Path(sys.argv[1]).resolve()))
    print("\n".join(found) or "no fault")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
