# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Holds JSON against a schema, as far as the contract's schemas need it: no runtime dependency does that."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.hostup.cloud.plugins.module_utils._acceptance.contract import SCHEMAS
from ansible_collections.hostup.cloud.plugins.module_utils._acceptance.mask import masked, masked_key

Schema = t.Mapping[str, t.Any]
Flaws = list[str]

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}


def flaws(value: t.Any, schema: Schema, place: str = "") -> Flaws:
    """Where a value is not what a schema asks for: one line each, without what must not be shown."""
    found: Flaws = []
    for word, wanted in schema.items():
        found += _WORDS[word](value, wanted, place)
    return found


def type_of(value: t.Any) -> str:
    """The schema's word for what a value is."""
    return next(name for name in ("boolean", "integer", *_TYPES) if _is(value, name))


def _is(value: t.Any, name: str) -> bool:
    if name == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def _complaint(place: str, says: str) -> Flaws:
    return [f"{place or 'the answer'}: {says}"]


def _field(place: str) -> str:
    return place.rpartition(".")[2].partition("[")[0]


def _type(value: t.Any, wanted: str | list[str], place: str) -> Flaws:
    names = [wanted] if isinstance(wanted, str) else wanted
    if any(_is(value, name) for name in names):
        return []
    return _complaint(place, f"expected {' or '.join(names)}, got {type_of(value)}")


def _required(value: t.Any, wanted: list[str], place: str) -> Flaws:
    missing = [name for name in wanted if isinstance(value, dict) and name not in value]
    return _complaint(place, f"has no {', '.join(missing)}") if missing else []


def _properties(value: t.Any, wanted: t.Mapping[str, Schema], place: str) -> Flaws:
    known = [name for name in wanted if isinstance(value, dict) and name in value]
    return [flaw for name in known for flaw in flaws(value[name], wanted[name], f"{place}.{name}".lstrip("."))]


def _all_properties(value: t.Any, wanted: Schema, place: str) -> Flaws:
    fields = value.items() if isinstance(value, dict) else ()  # no schema has named ones beside
    return [flaw for name, part in fields for flaw in flaws(part, wanted, f"{place}.{masked_key(name)}".lstrip("."))]


def _items(value: t.Any, wanted: Schema, place: str) -> Flaws:
    parts = value if isinstance(value, list) else []
    return [flaw for number, part in enumerate(parts) for flaw in flaws(part, wanted, f"{place}[{number}]")]


def _enum(value: t.Any, wanted: list[t.Any], place: str) -> Flaws:
    if any(_is_same(value, one) for one in wanted):
        return []
    return _complaint(place, f"{masked(value, _field(place))} is none of the words that are known")


def _const(value: t.Any, wanted: t.Any, place: str) -> Flaws:
    if _is_same(value, wanted):
        return []
    return _complaint(place, f"expected {wanted}, got {masked(value, _field(place))}")


def _is_same(value: t.Any, wanted: t.Any) -> bool:
    return bool(value == wanted) and isinstance(value, bool) is isinstance(wanted, bool)  # 1 is true to Python


def _pattern(value: t.Any, wanted: str, place: str) -> Flaws:
    return _complaint(place, f"is not like {wanted}") if isinstance(value, str) and not re.search(wanted, value) else []


def _minimum(value: t.Any, wanted: float, place: str) -> Flaws:
    return _complaint(place, f"is less than {wanted}") if _is(value, "number") and value < wanted else []


def _all_of(value: t.Any, wanted: list[Schema], place: str) -> Flaws:
    return [flaw for schema in wanted for flaw in flaws(value, schema, place)]


def _any_of(value: t.Any, wanted: list[Schema], place: str) -> Flaws:
    """What is wrong by the kindest of the schemas."""
    return min((flaws(value, schema, place) for schema in wanted), key=len)


def _ref(value: t.Any, wanted: str, place: str) -> Flaws:
    return flaws(value, SCHEMAS[wanted.rpartition("/")[2]], place)


_WORDS: dict[str, t.Callable[[t.Any, t.Any, str], Flaws]] = {
    "type": _type,
    "required": _required,
    "properties": _properties,
    "additionalProperties": _all_properties,
    "items": _items,
    "enum": _enum,
    "const": _const,
    "pattern": _pattern,
    "minimum": _minimum,
    "allOf": _all_of,
    "anyOf": _any_of,
    "$ref": _ref,
}
