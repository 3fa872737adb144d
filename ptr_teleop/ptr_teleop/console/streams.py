# SPDX-License-Identifier: Apache-2.0
"""Which streams are alive: when each was last heard, and how often it is."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

WINDOW = 2.0  # s over which a rate is counted
MOST = 1000  # arrivals that are remembered of one stream


class StreamMonitor:
    """Times of arrival of named streams; written by one thread, read by others.

    Args:
        limits: s of silence after which a stream counts as stalled, by the stream's name.
    """

    def __init__(self, limits: dict[str, float]) -> None:
        self._limits = dict(limits)
        self._arrivals: dict[str, deque[float]] = {name: deque(maxlen=MOST) for name in limits}
        self._lock = threading.Lock()

    def heard(self, name: str, now: float) -> None:
        """Note that a message arrived at `now` (s, steady clock)."""
        with self._lock:
            arrivals = self._arrivals[name]
            arrivals.append(now)
            while arrivals[0] < now - WINDOW:
                arrivals.popleft()

    def report(self, now: float) -> list[dict[str, Any]]:
        """One entry a stream: name, alive, age in s (None: never heard) and rate in Hz."""
        with self._lock:
            return [self._entry(name, arrivals, now) for name, arrivals in self._arrivals.items()]

    def _entry(self, name: str, arrivals: deque[float], now: float) -> dict[str, Any]:
        age = now - arrivals[-1] if arrivals else None
        recent = [at for at in arrivals if at >= now - WINDOW]
        rate = (len(recent) - 1) / (recent[-1] - recent[0]) if len(recent) > 1 and recent[-1] > recent[0] else 0.0
        alive = age is not None and age <= self._limits[name]
        return {
            "name": name,
            "alive": alive,
            "age": None if age is None else round(age, 2),
            "rate": round(rate, 1) if alive else 0.0,
        }
