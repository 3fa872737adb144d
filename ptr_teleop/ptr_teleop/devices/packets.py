# SPDX-License-Identifier: Apache-2.0
"""Reads JSON packets from the page and checks each field; an error is one sentence."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from ptr_models.common.errors import PtrError

VERSION = 1
MAX_SIZE = 4096
"""Bytes; a packet of both hands has about 600."""


class PacketError(PtrError):
    """A packet was refused; the message says which field and why."""


def load(text: str) -> dict[str, Any]:
    """The JSON object of a packet of this version.

    Raises:
        PacketError: too large, not JSON, not an object, NaN or infinite, or another version.
    """
    size = len(text.encode(errors="replace"))
    if size > MAX_SIZE:
        raise PacketError(f"a packet of {size} bytes was refused: at most {MAX_SIZE} are allowed")
    try:
        packet = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise PacketError(f"a packet was refused: it is not JSON ({error})") from None
    if not isinstance(packet, dict):
        raise PacketError(f"a packet was refused: it is a JSON {type(packet).__name__}, not an object")
    if packet.get("v") != VERSION or isinstance(packet["v"], bool):
        raise PacketError(f"a packet was refused: its version is {packet.get('v')!r}, not {VERSION}; reload the page")
    return packet


def number(packet: dict[str, Any], key: str, low: float = -math.inf, high: float = math.inf) -> float:
    """A finite number in [low, high]."""
    return _number(packet.get(key), key, low, high)


def vector(packet: dict[str, Any], key: str, size: int, limit: float) -> list[float]:
    """A list of `size` finite numbers, none beyond +-limit."""
    values = packet.get(key)
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != size:
        raise PacketError(f"a packet was refused: {key} is {_short(values)}, not {size} numbers")
    return [_number(value, key, -limit, limit) for value in values]


def flag(packet: dict[str, Any], key: str) -> bool:
    """True or false."""
    value = packet.get(key)
    if not isinstance(value, bool):
        raise PacketError(f"a packet was refused: {key} is {_short(value)}, not true or false")
    return value


def word(packet: dict[str, Any], key: str, longest: int = 64) -> str:
    """A string of at most `longest` characters."""
    value = packet.get(key)
    if not isinstance(value, str) or len(value) > longest:
        raise PacketError(f"a packet was refused: {key} is {_short(value)}, not a text of at most {longest} characters")
    return value


def _number(value: Any, key: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PacketError(f"a packet was refused: {key} holds {_short(value)}, not a number")
    if not low <= value <= high or abs(value) > 1e15:  # also a NaN, and an integer too large for a float
        raise PacketError(f"a packet was refused: {key} is {_short(value)}, outside [{low:g}, {high:g}]")
    return float(value)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
