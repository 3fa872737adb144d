# SPDX-License-Identifier: Apache-2.0
"""Check values from outside against a dataclass's annotations, so that a wrong type is reported where it enters."""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any


def require_types(instance: object, error: Callable[[str], Exception], name: str = "") -> None:
    """Compare each field of a dataclass with its annotation.

    An integer passes for a float, but a boolean for neither; a float must be finite. Annotations
    other than a plain type, a tuple, a mapping, a union or a dataclass are not checked.

    Args:
        error: makes the error to raise.
        name: of the instance, in front of the field's.
    Raises:
        error: names the first field that has another type, its value and what it should be.
    """
    for field, kind in _hints(type(instance)).items():  # type: ignore[arg-type]  # mypy: no class is Hashable
        require_type(kind, getattr(instance, field), f"{name}{field}", error)


def require_type(kind: Any, value: Any, name: str, error: Callable[[str], Exception]) -> None:
    """As `require_types`, for one value."""
    problem = _problem(kind, value)
    if problem:
        raise error(f"{name} is {_short(value)}; {problem}")


def require_range(name: str, value: float, low: float, high: float, error: Callable[[str], Exception]) -> None:
    """Raise `error` with the value and both limits unless low <= value <= high."""
    if not low <= value <= high:
        raise error(f"{name} is {_short(value)}; it must be from {low:g} to {high:g}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"


@functools.lru_cache(maxsize=64)
def _hints(cls: type) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def _problem(kind: Any, value: Any) -> str:
    """What a value should be; empty: it is."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        problems = [_problem(one, value) for one in arguments]
        return "" if "" in problems else " or ".join(dict.fromkeys(problems)).replace(" or it must be ", " or ")
    if origin is tuple:
        return _problem_of_tuple(arguments, value)
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return _problem_of_mapping(arguments, value)
    if kind in (None, type(None)):
        return "" if value is None else "it must be null"
    if kind is float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return "" if number and _is_finite(value) else "it must be a finite number"
    if kind is int:
        return "" if isinstance(value, int) and not isinstance(value, bool) else "it must be an integer"
    if kind is str:
        return "" if isinstance(value, str) else "it must be a text"
    if kind is bool:
        return "" if isinstance(value, bool) else "it must be true or false"
    if isinstance(kind, type) and kind is not Any:
        return "" if isinstance(value, kind) else f"it must be a {kind.__name__}"
    return ""


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond the largest float
        return False


def _problem_of_tuple(arguments: tuple[Any, ...], value: Any) -> str:
    if not isinstance(value, (tuple, list)):
        return "it must be a list"
    kinds = arguments[:1] * len(value) if arguments[1:] == (Ellipsis,) else arguments
    if len(kinds) != len(value):
        return f"it must be a list of {len(kinds)} values"
    problems = (_problem(kind, item) for kind, item in zip(kinds, value, strict=True))
    return next((f"of each of its values {problem}" for problem in problems if problem), "")


def _problem_of_mapping(arguments: tuple[Any, ...], value: Any) -> str:
    if not isinstance(value, Mapping):
        return "it must be an object with names and values"
    if not arguments:
        return ""
    for key, item in value.items():
        problem = _problem(arguments[0], key) or _problem(arguments[1], item)
        if problem:
            return f"of {_short(key)} {problem}"
    return ""
