# SPDX-License-Identifier: Apache-2.0
"""Node parameters of launch files, as the YAML files that nodes read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml

from ptr_bringup.launching.documents import Element
from ptr_bringup.launching.errors import LaunchError

SCALARS: dict[str, type] = {"bool": bool, "int": int, "float": float, "str": str}


@dataclass(frozen=True)
class ParameterFile:
    """Parameters that are written to a file before the node starts."""

    text: str


Text = Callable[[Element, str], str]
"""Evaluates an attribute of an element."""


def parameter(element: Element, target: str, text: Text) -> str | ParameterFile:
    """The parameters file of one `param` element: `from`, or one made from `name` and `value`.

    Args:
        element: a `param`.
        target: fully qualified name of the node, or `/**`.
        text: evaluates an attribute.
    """
    has = element.attributes.keys()
    if has == {"from"}:
        return text(element, "from")
    if not {"name", "value"} <= has or "from" in has:
        raise element.place.error("<param> needs either 'name' and 'value', or 'from' alone")
    try:
        value = typed(text(element, "value"), text(element, "type"))
    except LaunchError as error:
        raise element.place.error(f"parameter {text(element, 'name')!r}: {error}") from None
    values: Any = value
    for part in reversed(text(element, "name").split(".")):
        values = {part: values}
    return ParameterFile(yaml.safe_dump({target: {"ros__parameters": values}}, sort_keys=False))


def typed(text: str, kind: str = "") -> Any:
    """A parameter's value: of the given type, or of the one that YAML sees in it.

    Args:
        text: as written.
        kind: "", "str", "int", "float", "bool", or "list_of_" and one of these.
    """
    if kind == "str":
        return text
    value = _yaml(text)
    if not kind:
        return _check_any(value, text)
    if kind.startswith("list_of_") and kind[8:] in SCALARS:
        if not isinstance(value, list):
            raise LaunchError(f"{text!r} is not a list")
        return [_convert(item, kind[8:]) for item in value]
    if kind in SCALARS:
        return _convert(value, kind)
    kinds = [*SCALARS, *(f"list_of_{name}" for name in SCALARS)]
    raise LaunchError(f"type {kind!r} is not supported; types: {', '.join(kinds)}")


def _yaml(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):  # not only what is no YAML: dates, numbers, depth
        return text


def _convert(value: Any, kind: str) -> Any:
    if kind == "float" and type(value) is int:
        return float(value)
    if type(value) is not SCALARS[kind]:
        raise LaunchError(f"{value!r} is not of type {kind}")
    return value


def _check_any(value: Any, text: str) -> Any:
    if type(value) in SCALARS.values():
        return value
    if isinstance(value, list):
        kinds = {type(item) for item in value}
        if len(kinds) == 1 and kinds <= set(SCALARS.values()):
            return value
        raise LaunchError(f"list {text!r} must hold values of one type, and at least one")
    return text
