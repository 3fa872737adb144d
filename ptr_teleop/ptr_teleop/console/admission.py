# SPDX-License-Identifier: Apache-2.0
"""How many connections a door holds, and which log lines are written: a flood must cost little."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class DoorLimits:
    """What a door holds at a time.

    Attributes:
        connections: of all clients together.   per_address: of one address.
    """

    connections: int
    per_address: int


LOCAL = DoorLimits(connections=256, per_address=256)
"""Everybody on this machine has one address."""
REMOTE = DoorLimits(connections=96, per_address=24)
"""A page has one connection for its state, one per camera, one to drive, and up to six for files."""


class Admission:
    """Counts the connections of one door."""

    def __init__(self, limits: DoorLimits) -> None:
        self._limits = limits
        self._held: Counter[str] = Counter()

    def refusal(self, address: str) -> str:
        """Why another connection of an address is not admitted; empty: it is, and counts until `release`."""
        if self._held.total() >= self._limits.connections:
            return f"{self._limits.connections} connections are open"
        if self._held[address] >= self._limits.per_address:
            return f"{self._limits.per_address} connections of one address are open"
        self._held[address] += 1
        return ""

    def release(self, address: str) -> None:
        """A connection has ended."""
        self._held[address] -= 1
        if self._held[address] <= 0:
            del self._held[address]


class OncePerInterval(logging.Filter):
    """Lets one record of each kind through per interval, with the number of those that it kept back.

    Args:
        interval: s.
    """

    def __init__(self, interval: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._interval, self._clock = interval, clock
        self._kinds: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """True when a record is written; its kind is its text without the values."""
        kind, now = (record.name, str(record.msg)[:200]), self._clock()
        if kind not in self._kinds and len(self._kinds) >= 100:
            self._kinds.clear()
        written, kept_back = self._kinds.get(kind, (-self._interval, 0))
        if now - written < self._interval:
            self._kinds[kind] = written, kept_back + 1
            return False
        self._kinds[kind] = now, 0
        if kept_back:
            record.msg = f"{record.getMessage()} (and {kept_back} more of the kind)"
            record.args = None
        return True
