# SPDX-License-Identifier: Apache-2.0
"""The only way to read JSON from outside: bounded in size, depth and digits, without non-standard values."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ptr_models.common.errors import PtrError
from ptr_models.input_limits import MAX_JSON_BYTES, MAX_JSON_DEPTH, MAX_JSON_DIGITS


def parse_json(
    text: str | bytes,
    what: str,
    error: Callable[[str], Exception] = PtrError,
    *,
    finite: bool = True,
    max_bytes: int = MAX_JSON_BYTES,
) -> Any:
    """The value of a JSON text.

    Args:
        text: the JSON; bytes must be UTF-8.
        what: what it is, at the start of the error message: "extra_json", "episode metadata", a path.
        error: makes the error to raise.
        finite: refuse NaN and infinity, which Python writes and JSON does not have.
        max_bytes: bytes that are read.
    Raises:
        error: it is not JSON, or is larger or deeper or has longer numbers than allowed.
    """
    if len(text) > max_bytes:
        raise error(f"{what} has {len(text)} bytes; at most {max_bytes} are read")
    try:
        decoded = text if isinstance(text, str) else str(text, "utf-8")
        value = json.loads(decoded, parse_int=_integer, parse_float=_number if finite else float)
    except RecursionError:
        raise error(f"{what} is nested too deeply; at most {MAX_JSON_DEPTH} levels are read") from None
    except ValueError as problem:  # not JSON, not UTF-8, or from `_integer` and `_number`
        raise error(f"{what} is not JSON: {problem}") from problem
    refusal = _refusal(value, finite)
    if refusal:
        raise error(f"{what} {refusal}")
    return value


def parse_object(
    text: str | bytes,
    what: str,
    error: Callable[[str], Exception] = PtrError,
    *,
    finite: bool = True,
    max_bytes: int = MAX_JSON_BYTES,
) -> dict[str, Any]:
    """A JSON object. Arguments and errors as in `parse_json`; anything else is an error."""
    value = parse_json(text, what, error, finite=finite, max_bytes=max_bytes)
    if not isinstance(value, dict):
        raise error(f"{what} holds a JSON {type(value).__name__}, not an object")
    return value


def read_object(
    path: Path, error: Callable[[str], Exception] = PtrError, *, advice: str = "", finite: bool = True
) -> dict[str, Any]:
    """The JSON object in a file.

    Args:
        advice: what to do when it can't be read, at the end of the sentence.
    Raises:
        error: the file can't be read, or as in `parse_object`.
    """
    end = f"; {advice}" if advice else ""

    def failed(sentence: str) -> Exception:
        return error(sentence + end)

    try:
        size = path.stat().st_size
        if size > MAX_JSON_BYTES:
            raise failed(f"{path} has {size} bytes; at most {MAX_JSON_BYTES} are read")
        content = path.read_bytes()
    except OSError as problem:
        raise failed(f"{path} cannot be read: {problem.strerror or problem}") from problem
    return parse_object(content, str(path), failed, finite=finite)


def _integer(digits: str) -> int:
    if len(digits) > MAX_JSON_DIGITS:
        raise ValueError(f"an integer has {len(digits)} digits; at most {MAX_JSON_DIGITS} are read")
    return int(digits)


def _number(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {digits[:30]} is too large")
    return value


def _refusal(value: Any, finite: bool) -> str:
    """What is wrong with a parsed value, level by level; empty: nothing."""
    level = [value]
    for _ in range(MAX_JSON_DEPTH + 1):
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                inner.extend(item)
                inner.extend(item.values())
            elif isinstance(item, list):
                inner.extend(item)
            elif isinstance(item, float) and finite and not math.isfinite(item):
                return f"holds the number {item}, which is not finite"
            elif isinstance(item, str) and not _is_text(item):
                return f"holds the text {item[:30]!a}, which is not Unicode"
        level = inner
        if not level:
            return ""
    return f"is nested too deeply; at most {MAX_JSON_DEPTH} levels are read"


def _is_text(text: str) -> bool:
    """False for half a surrogate pair, which can't be written to a file or a terminal."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
