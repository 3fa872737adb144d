# SPDX-License-Identifier: Apache-2.0
"""Real-time priority for this process, as far as the system grants it, and statistics of its control loop."""

from __future__ import annotations

import ctypes
import gc
import os
from collections import deque

import numpy as np

_LOCK_PRESENT, _LOCK_FUTURE, _LOCK_WHEN_TOUCHED = 1, 2, 4
"""MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT of mlockall(2)."""


def prepare(priority: int) -> str:
    """Take real-time priority and keep memory in place.

    All threads of the process get it, also those that receive messages: a punctual loop with late commands is late.
    Objects that live as long as the process are taken out of the garbage collector's view.

    Args:
        priority: of SCHED_FIFO, 1 to 98; 0 asks for nothing.
    Returns:
        What it got, in one sentence.
    """
    gc.collect()
    gc.freeze()
    if priority == 0:
        return "ordinary priority, as asked for"
    try:
        for thread in os.listdir("/proc/self/task"):
            os.sched_setscheduler(int(thread), os.SCHED_FIFO, os.sched_param(priority))
    except ProcessLookupError:
        pass  # a thread that ended meanwhile
    except (OSError, AttributeError):
        return "ordinary priority: the system does not grant real-time priority (ulimit -r, rtprio in limits.conf)"
    return f"real-time priority {priority} (SCHED_FIFO), {_lock_memory()}"


def _lock_memory() -> str:
    """Keep pages in memory once they have been touched."""
    flags = _LOCK_PRESENT | _LOCK_FUTURE | _LOCK_WHEN_TOUCHED
    locked = ctypes.CDLL(None).mlockall(flags) == 0
    return "memory locked" if locked else "memory not locked (ulimit -l)"


_KEPT = 10.0
"""s of periods that are kept."""
_LOST = 1.5
"""Periods; a longer gap has lost one or more."""


class LoopStatistics:
    """Collects the times of a loop's ticks.

    Args:
        period: s, between two ticks.
    """

    def __init__(self, period: float) -> None:
        self._period = period
        self._periods: deque[float] = deque(maxlen=max(2, round(_KEPT / period)))
        self._last: float | None = None
        self.lost = 0

    def tick(self, now: float) -> None:
        """The loop runs now (s, steady)."""
        if self._last is not None:
            passed = now - self._last
            self._periods.append(passed)
            if passed > _LOST * self._period:
                self.lost += round(passed / self._period) - 1
        self._last = now

    def figures(self) -> dict[str, str]:
        """By name: median period, 99th percentile of its error, lost periods since the start."""
        if not self._periods:
            return {}
        periods = np.array(self._periods) * 1e3
        error = np.abs(periods - self._period * 1e3)
        return {
            "period, median (ms)": f"{np.median(periods):.2f}",
            "period error, 99th percentile (ms)": f"{np.percentile(error, 99):.2f}",
            "lost periods": str(self.lost),
        }
