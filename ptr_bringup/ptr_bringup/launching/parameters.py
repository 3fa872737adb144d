# SPDX-License-Identifier: Apache-2.0
"""Node parameters in launch files, converted to YAML parameter files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ptr_bringup.launching.documents import Element
from ptr_bringup.launching.errors import LaunchError
from ptr_bringup.launching.substitutions import Template, parse

SCALARS: dict[str, type] = {"bool": bool, "int": int, "float": float, "str": str}
ANY = "yaml"
"""The kind of a parameter without a type: YAML decides."""
KINDS = [*SCALARS, *(f"list_of_{name}" for name in SCALARS), ANY]


@dataclass(frozen=True)
class ParameterFile:
    """Parameters to write to a file before the node starts."""

    text: str


Evaluate = Callable[[Template], str]


def check_parameter(element: Element) -> None:
    """Check everything in a `param` that does not depend on substitutions."""
    has = element.attributes.keys()
    if has != {"from"} and (not {"name", "value"} <= has or "from" in has):
        raise LaunchError("<param> needs either 'name' and 'value', or 'from' alone")
    if "value" in has:
        _read(element)


def parameter(element: Element, target: str, evaluate: Evaluate) -> str | ParameterFile:
    """The parameter file of a `param` element: `from`, or one created from `name` and `value`.

    Args:
        element: a `param`.
        target: fully qualified name of the node, or `/**`.
        evaluate: returns the text of a template.
    """
    if "from" in element.attributes:
        file = Path(evaluate(element.templates["from"]))
        if not file.is_file():
            raise LaunchError(f"parameter file {file} does not exist")
        return str(file)
    kind, value = _read(element)
    item = kind.removeprefix("list_of_")
    if isinstance(value, tuple):
        value = typed(evaluate(value), kind)
    elif isinstance(value, list):
        value = [typed(evaluate(one), item) if isinstance(one, tuple) else one for one in value]
        if not _allowed(value):
            raise LaunchError(f"all values of the list {element.get('value')!r} must have the same type")
    name = evaluate(element.templates["name"])
    return ParameterFile(yaml.safe_dump({target: {"ros__parameters": {name: value}}}, sort_keys=False))


def typed(text: str, kind: str = ANY, unfinished: bool = False) -> Any:
    """A parameter's value.

    Args:
        text: as written.
        kind: one of KINDS.
        unfinished: the text may contain substitutions; values of another kind stay text.
    """
    if kind not in KINDS:
        raise LaunchError(f"type {kind!r} is not supported; types: {', '.join(KINDS)}")
    try:
        if kind in ("str", "int", "float"):
            return SCALARS[kind](text)
        value = yaml.safe_load(text) if text else ""
    except (yaml.YAMLError, ValueError, RecursionError):
        if unfinished and kind in (*SCALARS, ANY):
            return text
        raise LaunchError(f"{text!r} is not of type {kind}") from None
    if kind == "bool" and text in ("1", "0"):
        return text == "1"
    item = kind.removeprefix("list_of_")
    wanted = (SCALARS.get(item, object), str) if unfinished else SCALARS.get(item, object)
    is_list = isinstance(value, list)
    fits = all(isinstance(one, wanted) for one in (value if is_list else [value]))
    if not fits or not _allowed(value, unfinished) or (kind != ANY and is_list is (kind == item)):
        raise LaunchError(f"{text!r} is not of type {kind}")
    return value


def _allowed(value: Any, unfinished: bool = False) -> bool:
    """Whether a parameter can have this value: a scalar, or a list of values of one type."""
    scalars = tuple(SCALARS.values())
    if not isinstance(value, list):
        return isinstance(value, scalars)
    first = next((type(one) for one in value if type(one) is not str), str)
    return first in scalars and all(isinstance(one, (first, str) if unfinished else first) for one in value)


def _read(element: Element) -> tuple[str, Any]:
    """Kind and value of a `param`; text with substitutions becomes a template."""
    kind = element.get("type", ANY)
    value = typed(element.get("value"), kind, unfinished=True)
    read = [_template(one) for one in value] if isinstance(value, list) else _template(value)
    fixed = [one for one in (read if isinstance(read, list) else [read]) if not isinstance(one, tuple)]
    kinds = {type(one) for one in fixed}
    if read == []:
        raise LaunchError("an empty list has no type; remove the parameter")
    if len(kinds) > 1 or (kind != ANY and not kinds <= {SCALARS[kind.removeprefix("list_of_")]}):
        raise LaunchError(f"{element.get('value')!r} is not of type {kind}")
    return kind, read


def _template(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    template = parse(value)
    return "".join(map(str, template)) if all(isinstance(part, str) for part in template) else template
