# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: hostup_vps
short_description: The VPSs at HostUp as an inventory
version_added: 0.2.0
author:
  - HostUp Cloud collection contributors (@hostup-cloud)
description:
  - Lists all VPSs of the API key's owner. Costs one request for each hundred VPSs, and none while the cache is valid.
  - The file must be named C(hostup_vps.yml), C(hostup_vps.yaml), C(hostup.yml) or C(hostup.yaml),
    or have a name that ends like that.
  - A VPS is a host under its name. Where that cannot be a host name, or several VPSs share it, upper or lower case,
    they are hosts under their IDs, and there is a warning. A host name is made of letters, digits, and the
    characters V(.), V(_) and V(-); V(localhost) and the names of Ansible's own groups are none.
  - Each host has the variable C(ansible_host), the primary IP address, unless the VPS has none; C(hostup_vps_id);
    and C(hostup_vps), a dictionary as in RV(hostup.cloud.hostup_vps_info#module:vps).
  - The group C(hostup) holds all of them, in groups by power state, service status, operating system and tag, such as
    C(hostup_power_running), C(hostup_status_active), C(hostup_os_debian) and C(hostup_tag_web).
    Their names are in lower case, with an underscore for each character that is no letter or digit.
    What the API does not tell is V(unknown). A VPS without tags is in no group for tags.
extends_documentation_fragment:
  - hostup.cloud.connection
  - ansible.builtin.constructed
  - ansible.builtin.inventory_cache
requirements:
  - An API key with the scope C(read:vm)
options:
  plugin:
    description: Says that a file is for this plugin.
    type: str
    required: true
    choices: [hostup.cloud.hostup_vps]
  api_key:
    description:
      - The API key. Can be a template, as can O(api_base) and O(ca_path); extra variables can be used in it.
      - If it is not set or empty, the environment variable E(HOSTUP_API_KEY) is used.
      - Never written to the cache. What was read with one key is shown to no other, not from the cache either,
        so that it is needed even while the cache is valid.
    required: false
notes:
  - Where the inventory cannot be read, Ansible warns and goes on without it.
    Set E(ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED=1) to have it stop instead.
  - Waits up to an hour for the API's rate limit.
seealso:
  - module: hostup.cloud.hostup_vps_info
    description: Shows the same in a task.
  - module: hostup.cloud.hostup_vps_iso
    description: Takes C(hostup_vps_id), or those of many hosts as C(vps_ids).
  - ref: ansible_collections.hostup.cloud.docsite.reinstalling
    description: The guide to the role P(hostup.cloud.hostup_reinstall#role), which reinstalls these hosts.
  - ref: ansible_collections.hostup.cloud.docsite.inventory
    description: Groups, the cache, and all hosts for one task.
"""

EXAMPLES = r"""
# hostup.yml: this line is enough. The key comes from the environment variable HOSTUP_API_KEY.
plugin: hostup.cloud.hostup_vps

# Groups of your own, and variables that are made from what the API tells.
groups:
  small: hostup_vps.resources.memory_gb < 8
keyed_groups:
  - key: hostup_vps.billing.billing_cycle
    prefix: billed
compose:
  ansible_user: "'admin' if 'legacy' in hostup_vps.tags else 'root'"

# Keep the answers for ten minutes.
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: ~/.cache/hostup-inventory
cache_timeout: 600
"""

import re
import typing as t
from collections import Counter
from contextlib import closing

from ansible import constants as C  # noqa: N812 - as everywhere in Ansible
from ansible.errors import AnsibleParserError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.parameters import remove_values
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable
from ansible.utils.unsafe_proxy import wrap_var

from ansible_collections.hostup.cloud.plugins.module_utils._api.client import Client, Connection, unexpected_shape
from ansible_collections.hostup.cloud.plugins.module_utils._api.vps import VPS_PATH, list_vpses
from ansible_collections.hostup.cloud.plugins.module_utils._clock import Deadline
from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError, visible
from ansible_collections.hostup.cloud.plugins.module_utils._sharing.notes import name_of
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.options import CONNECTION, explain
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.task import INFO_DEADLINE
from ansible_collections.hostup.cloud.plugins.plugin_utils._plain import plain

try:
    from ansible.template import trust_as_template
except ImportError:  # before ansible-core 2.19, where whatever is not marked is trusted

    def trust_as_template(value: str) -> str:
        """The same."""
        return value


ENDINGS = tuple(f"{name}.{ending}" for name in ("hostup_vps", "hostup") for ending in ("yml", "yaml"))
PARENT = "hostup"
HOST_NAME = re.compile(r"\w[\w.-]*")  # what --limit and `hosts` take for one host
MOST_LISTED = 10  # VPSs that a warning lists
RESERVED = {PARENT, "all", "ungrouped", *C.LOCALHOST}

Item = dict[str, t.Any]


def host_names(items: list[Item]) -> dict[str, str]:
    """The host name of each VPS, by its ID: its own name, or the ID where that is not possible."""
    taken = Counter(word.casefold() for item in items for word in (item["id"], item["name"] or ""))

    def is_usable(name: str) -> bool:
        return HOST_NAME.fullmatch(name) is not None and name not in RESERVED and taken[name.casefold()] == 1

    return {item["id"]: item["name"] if is_usable(item["name"] or "") else item["id"] for item in items}


def group_names(item: Item) -> list[str]:
    """The ready-made groups of a VPS."""
    system = item["operating_system"] or {}
    sorts = [
        ("power", item["power_state"]),
        ("status", item["service_status"]),
        ("os", system.get("family")),
        *(("tag", tag) for tag in item["tags"]),
    ]
    return [re.sub(r"\W", "_", f"{PARENT}_{sort}_{value or 'unknown'}".lower()) for sort, value in sorts]


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    """hostup_vps."""

    NAME = "hostup.cloud.hostup_vps"

    def verify_file(self, path: str) -> bool:
        """Whether a file can be meant for this plugin."""
        return bool(super().verify_file(path)) and path.endswith(ENDINGS)

    def parse(self, inventory: t.Any, loader: t.Any, path: str, cache: bool = True) -> None:
        """Fill the inventory, from the cache where it is to be used and valid."""
        super().parse(inventory, loader, path, cache)
        given = self._connection_options(self._read_config_data(path))
        checked = ArgumentSpecValidator(CONNECTION).validate(given)
        secrets = {checked.validated_parameters.get("api_key")} - {None, ""}
        try:
            if checked.error_messages:
                raise HostUpError("; ".join(explain(checked.errors, given, CONNECTION, self.NAME)))
            items = self._kept_or_read(Connection.from_params(checked.validated_parameters), path, cache)
        except HostUpError as error:
            raise AnsibleParserError(remove_values(visible(error.msg), secrets)) from None
        self._fill(items)

    def _connection_options(self, config: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        """Those of the file. An empty one leaves the environment variable its say."""
        self.templar.available_variables = self._vars
        given = {name: plain(self.templar.template(config[name])) for name in CONNECTION if name in config}
        return {name: value for name, value in given.items() if value not in (None, "")}

    def _kept_or_read(self, connection: Connection, path: str, cache: bool) -> list[Item]:
        """The VPSs, from the cache of this file, origin and key where it is wanted and valid. Raises HostUpError."""
        uses_cache = self.get_option("cache")
        key = name_of(self.get_cache_key(path), connection.origin, connection.api_key)
        items = self._cache.get(key) if uses_cache and cache else None
        if items is None:
            items = self._read(connection)
            if uses_cache:
                self._cache[key] = items
        return t.cast("list[Item]", items)

    def _read(self, connection: Connection) -> list[Item]:
        """Ask the API. No secret is in what this returns."""
        with closing(Client(connection, Deadline(INFO_DEADLINE), self._say, self.display.warning)) as client:
            items = list_vpses(client)
        if any(HOST_NAME.fullmatch(item["id"]) is None for item in items):
            raise unexpected_shape("GET", VPS_PATH, "an id that cannot be a host name")
        return t.cast("list[Item]", remove_values(items, {connection.api_key}))

    def _say(self, line: str) -> None:
        self.display.display(f"{self.NAME}: {line}", stderr=True)  # the standard output is for the inventory

    def _fill(self, items: list[Item]) -> None:
        names = host_names(items)
        by_id = [f"{item['id']} ({item['name']!r})" for item in items if names[item["id"]] != item["name"]]
        if by_id:
            others = f" and {len(by_id) - MOST_LISTED} others" if len(by_id) > MOST_LISTED else ""
            self.display.warning(
                f"{len(by_id)} VPSs are hosts under their IDs, for their names are shared or cannot be host names: "
                f"{', '.join(by_id[:MOST_LISTED])}{others}."
            )
        self.inventory.add_group(PARENT)
        for group in sorted({group for item in items for group in group_names(item)}):
            self.inventory.add_group(group)
            self.inventory.add_child(PARENT, group)
        strict = self.get_option("strict")
        for item in items:
            host = names[item["id"]]
            self.inventory.add_host(host)
            for group in group_names(item):
                self.inventory.add_child(group, host)
            variables: dict[str, t.Any] = _without_templates({"hostup_vps_id": item["id"], "hostup_vps": item})
            if item["primary_ip"]:
                variables["ansible_host"] = _without_templates(item["primary_ip"])
            for name, value in variables.items():
                self.inventory.set_variable(host, name, value)
            self._set_composite_vars(self.get_option("compose"), variables, host, strict=strict)
            self._add_host_to_composed_groups(self.get_option("groups"), variables, host, strict=strict)
            self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, host, strict=strict)


def _without_templates(value: t.Any) -> t.Any:
    """The same, with marks on texts that could be taken for a template, and only on these.

    AWX keeps what is marked as a dict, in which it finds no ``power_state`` for its ``enabled_var``. From ansible-core
    2.19 on, what is not trusted is marked, too.
    """
    if isinstance(value, dict):
        return {name: _without_templates(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_without_templates(one) for one in value]
    if not isinstance(value, str):
        return value
    return wrap_var(value) if "{" in value else trust_as_template(value)
