# SPDX-License-Identifier: Apache-2.0
"""Limits the connections of a door and the log lines, so that a flood costs little."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class DoorLimits:
    """Maximum number of open connections of a door.

    Attributes:
        connections: of all clients together.   per_address: from one address.
    """

    connections: int
    per_address: int


LOCAL = DoorLimits(connections=256, per_address=256)
"""All clients on this machine share one address."""
REMOTE = DoorLimits(connections=96, per_address=24)
"""A page uses one connection for its state, one per camera, one to drive, and up to six for files."""


class Admission:
    """Counts the connections of one door."""

    def __init__(self, limits: DoorLimits) -> None:
        self._limits = limits
        self._held: Counter[str] = Counter()

    def refusal(self, address: str) -> str:
        """Why another connection from an address is refused; empty: it is admitted, and counts until `release`."""
        if self._held.total() >= self._limits.connections:
            return f"{self._limits.connections} connections are open"
        if self._held[address] >= self._limits.per_address:
            return f"{self._limits.per_address} connections from one address are open"
        self._held[address] += 1
        return ""

    def release(self, address: str) -> None:
        """Count a connection as closed."""
        self._held[address] -= 1
        if self._held[address] <= 0:
            del self._held[address]


class OncePerInterval(logging.Filter):
    """Passes one record of each kind per interval, with the number of records suppressed since.

    Args:
        interval: s.
    """

    def __init__(self, interval: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._interval, self._clock = interval, clock
        self._kinds: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is written; its kind is its format string."""
        kind, now = (record.name, str(record.msg)[:200]), self._clock()
        if kind not in self._kinds and len(self._kinds) >= 100:
            self._kinds.clear()
        written, suppressed = self._kinds.get(kind, (-self._interval, 0))
        if now - written < self._interval:
            self._kinds[kind] = written, suppressed + 1
            return False
        self._kinds[kind] = now, 0
        if suppressed:
            record.msg = f"{record.getMessage()} ({suppressed} similar lines suppressed)"
            record.args = None
        return True
