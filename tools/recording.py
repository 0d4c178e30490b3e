# SPDX-License-Identifier: GPL-3.0-or-later
"""Turn the demo's output, on the standard input, into a picture of a terminal that scrolls from step to step."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from xml.sax.saxutils import escape

ROWS, COLUMNS = 28, 80  # of the terminal
WIDTH, HEIGHT, MARGIN = 8.6, 18, 16  # of a character, and around them
SECONDS, MOVING = 4.0, 0.15  # for one step, and the share of it that scrolling takes
STEPS = ("== ", "What to type next")  # how they begin
COLOURS = {
    r"== ": "#7dc4ff; font-weight: bold",
    r" *\$ ": "#8ddb8c",
    r" +(changed|- |\+ )": "#f2cc60",
    r" +requests|@| *\|": "#8b949e",
}
PICTURE = """\
<!-- SPDX-License-Identifier: GPL-3.0-or-later -->
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">
<title>A terminal in which make demo runs, step by step</title>
<style>
text {{ font: 14px ui-monospace, Menlo, "DejaVu Sans Mono", monospace; fill: #e6edf3; white-space: pre }}
{colours}
#screen {{ animation: scroll {seconds}s infinite }}
@keyframes scroll {{
{frames}
}}
@media (prefers-reduced-motion) {{ #screen {{ animation: none }} }}
</style>
<rect width="100%" height="100%" rx="8" fill="#0d1117"/>
<svg x="{margin}" y="{margin}" width="{inner}" height="{rows}"><g id="screen" xml:space="preserve">
{lines}
</g></svg>
</svg>
"""


def picture(shown: Sequence[str]) -> str:
    """All lines below each other, and when they move up: each step ends at the lower edge, and stays for a while."""
    _first, *ends = [number for number, line in enumerate(shown) if line.startswith(STEPS)]
    tops = [max(0, end - ROWS) * HEIGHT for end in (*ends, len(shown))]
    frames = [
        f"{(number + share) / len(tops):.2%} {{ transform: translateY(-{top}px) }}"
        for number, top in enumerate(tops)
        for share in (0 if number == 0 else MOVING, 1)
    ]
    lines = []
    for number, line in enumerate(shown, start=1):
        colour = next((f' class="c{which}"' for which, start in enumerate(COLOURS) if re.match(start, line)), "")
        lines += [f'<text y="{number * HEIGHT - 5}"{colour}>{escape(line)}</text>'] if line else []
    return PICTURE.format(
        width=round(COLUMNS * WIDTH) + 2 * MARGIN,
        height=ROWS * HEIGHT + 2 * MARGIN,
        colours="\n".join(f".c{number} {{ fill: {colour} }}" for number, colour in enumerate(COLOURS.values())),
        seconds=SECONDS * len(tops),
        frames="\n".join(frames),
        margin=MARGIN,
        inner=round(COLUMNS * WIDTH),
        rows=ROWS * HEIGHT,
        lines="\n".join(lines),
    )


if __name__ == "__main__":
    sys.stdout.write(picture(["$ make demo", *sys.stdin.read().rstrip().splitlines()]))
