# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Argument specs that modules share. Documented in the doc fragments of the same names."""

from __future__ import annotations

import difflib
import os
import typing as t

from ansible.module_utils.common.parameters import AnsibleFallbackNotFound
from ansible.module_utils.errors import AnsibleValidationError, UnsupportedError

from ansible_collections.hostup.cloud.plugins.module_utils._api.vps import ONE_VPS


def filled_env_fallback(name: str) -> str:
    """The stock ``env_fallback``, except that an empty variable counts as unset."""
    if not os.environ.get(name):
        raise AnsibleFallbackNotFound
    return os.environ[name]


def _from_env(name: str) -> tuple[t.Callable[[str], str], list[str]]:
    return (filled_env_fallback, [name])


CONNECTION: dict[str, dict[str, t.Any]] = {
    "api_key": {"type": "str", "no_log": True, "fallback": _from_env("HOSTUP_API_KEY")},
    "api_base": {"type": "str", "default": "https://cloud.hostup.se", "fallback": _from_env("HOSTUP_API_BASE")},
    "api_timeout": {"type": "int", "default": 30, "fallback": _from_env("HOSTUP_API_TIMEOUT")},
    "api_retries": {"type": "int", "default": 5, "fallback": _from_env("HOSTUP_API_RETRIES")},
    "ca_path": {"type": "path"},
    "validate_certs": {"type": "bool", "default": True},
}

VPS: dict[str, dict[str, t.Any]] = {
    "vps_id": {"type": "str"},
    "vps_name": {"type": "str"},
    "vps_ip": {"type": "str"},
}

FLEET: dict[str, dict[str, t.Any]] = {"vps_ids": {"type": "list", "elements": "str"}}
ANY_VPS = (*ONE_VPS, "vps_ids")


def null_options(given: t.Mapping[str, t.Any]) -> list[str]:
    """What is wrong with options that are given and null, as an empty variable leaves them: that is not left out.

    An argument spec makes no difference between the two, so ``given`` is what it has not seen yet. Connection options
    may be empty, and what begins with ``_ansible`` is not the user's.
    """
    places = {
        name: value for name, value in given.items() if name not in CONNECTION and not name.startswith("_ansible")
    }
    for name, values in list(places.items()):
        if isinstance(values, list):
            places.update({f"{name}[{index}]": value for index, value in enumerate(values)})
    return [f"{place} is null: leave it out, or say what is meant" for place, value in places.items() if value is None]


def explain(
    errors: t.Collection[AnsibleValidationError], given: t.Mapping[str, t.Any], spec: t.Mapping[str, t.Any], module: str
) -> list[str]:
    """What Ansible finds wrong with options, in words that say what to do. ``module`` is its full name.

    A name that is mistyped comes first: others may be missed because of it.
    """
    others = [_with_source(error.msg, given) for error in errors if not isinstance(error, UnsupportedError)]
    is_mistyped = any(isinstance(error, UnsupportedError) for error in errors)
    return [unsupported(given, spec, module), *others] if is_mistyped else others


def unsupported(given: t.Mapping[str, t.Any], spec: t.Mapping[str, t.Any], module: str) -> str:
    """Which options there are none of, and what may have been meant."""
    supported = sorted({*spec, *(alias for option in spec.values() for alias in option.get("aliases", ()))})
    wrong = []
    for name in sorted(set(given) - set(supported)):
        close = difflib.get_close_matches(name, supported, n=1)
        wrong.append(f"{name} (did you mean {close[0]}?)" if close else name)
    return f"Unsupported parameters for {module}: {', '.join(wrong)}. Supported: {', '.join(supported)}."


def _with_source(message: str, given: t.Mapping[str, t.Any]) -> str:
    """The message, with the environment variable that the value has come from."""
    for name, spec in CONNECTION.items():
        _fallback, variables = spec.get("fallback", (None, ()))
        for variable in variables:
            if f"'{name}'" in message and name not in given and os.environ.get(variable):
                return f"{message}. It comes from the environment variable {variable}."
    return message
