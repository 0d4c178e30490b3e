# SPDX-License-Identifier: GPL-3.0-or-later
"""How Sphinx builds the site from what antsibull-docs writes; see `site` in tools/check.py."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

project = "hostup.cloud"
author = "HostUp Cloud collection contributors"
copyright = f"2026 {author}"
html_title = "hostup.cloud"
html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_use_index = False
html_show_sphinx = False
extensions = ["sphinx_antsibull_ext"]
antsibull_ext_color_scheme = "default-autodark"
highlight_language = "yaml+jinja"
nitpicky = True

# What our pages and antsibull-docs refer to and Ansible's own site explains. Its inventory would have to be fetched.
ANSIBLE = "https://docs.ansible.com/projects/ansible/latest"
CONFIG = f"{ANSIBLE}/reference_appendices/config.html"
ELSEWHERE = {
    r"ansible_configuration_settings": CONFIG,
    r"(ANSIBLE_\w+)": rf"{CONFIG}#envvar-\1",
    r"action_plugins": f"{ANSIBLE}/plugins/action.html",
    r"common_return_values": f"{ANSIBLE}/reference_appendices/common_return_values.html",
    r"ansible_collections\.ansible\.builtin\.(\w+)": rf"{ANSIBLE}/collections/ansible/builtin/\1.html",
}


def find_elsewhere(_app: Sphinx, _env: Any, node: Any, text: nodes.TextElement) -> nodes.reference | None:
    """Return a link to Ansible's site for what it explains."""
    for pattern, url in ELSEWHERE.items():
        if found := re.fullmatch(pattern, node["reftarget"]):
            return nodes.reference("", "", text, internal=False, refuri=found.expand(url))
    return None


def tidy(_app: Sphinx, page: str, source: list[str]) -> None:
    """Say what antsibull-docs writes for any collection as one has it that is alone on its site."""
    text = re.sub(r"^\.\. contents::.*\n(   :.*\n)*", "", source[0], flags=re.MULTILINE)  # Furo has them on the right
    text = re.sub(r"^hostup\.cloud\.(?=\w+ (module|inventory|role) -- )", "", text, flags=re.MULTILINE)
    if page == "index":
        text = re.sub(r"^    (\w+)_(module|inventory|role)$", r"    \1 (\2) <\1_\2>", text, flags=re.MULTILINE)
        before, changelog, after = re.split(r"(\.\. _changelog_section[\s\S]+?    changelog\n)", text)
        text = f"{before}{after}\n{changelog}"
    source[0] = text.replace("Hostup.Cloud", "hostup.cloud")


def setup(app: Sphinx) -> None:
    """Put ours between antsibull-docs and Sphinx."""
    app.connect("source-read", tidy)
    app.connect("missing-reference", find_elsewhere)
