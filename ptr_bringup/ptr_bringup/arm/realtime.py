# SPDX-License-Identifier: Apache-2.0
"""Real-time priority for this process, if the system grants it, and statistics of its control loop."""

from __future__ import annotations

import ctypes
import gc
import os
from collections import deque

import numpy as np

_LOCK_PRESENT, _LOCK_FUTURE, _LOCK_WHEN_TOUCHED = 1, 2, 4
"""MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT of mlockall(2)."""


def prepare(priority: int) -> str:
    """Request real-time priority and lock memory.

    All threads of the process get the priority, including those that receive messages: a loop that runs on time is no
    use if its commands arrive late. Existing objects live as long as the process, so the garbage collector skips them
    from now on.

    Args:
        priority: of SCHED_FIFO, 1 to 98; 0 for ordinary scheduling.
    Returns:
        A phrase that says what was granted.
    """
    gc.collect()
    gc.freeze()
    if priority == 0:
        return "ordinary priority, as configured"
    try:
        for thread in os.listdir("/proc/self/task"):
            os.sched_setscheduler(int(thread), os.SCHED_FIFO, os.sched_param(priority))
    except ProcessLookupError:
        pass  # a thread that has just ended
    except (OSError, AttributeError):
        return "ordinary priority: the system does not grant real-time priority (ulimit -r, rtprio in limits.conf)"
    return f"real-time priority {priority} (SCHED_FIFO), {_lock_memory()}"


def _lock_memory() -> str:
    """Lock pages in memory once they have been touched."""
    flags = _LOCK_PRESENT | _LOCK_FUTURE | _LOCK_WHEN_TOUCHED
    locked = ctypes.CDLL(None).mlockall(flags) == 0
    return "memory locked" if locked else "memory not locked (ulimit -l)"


_WINDOW = 10.0
"""s, time span of the statistics."""
_OVERRUN = 1.5
"""Periods. A longer gap between two ticks is an overrun."""


class LoopStatistics:
    """Periodicity and overruns of a loop.

    Args:
        period: s between two ticks.

    Attributes:
        overruns: ticks missed since the start.
    """

    def __init__(self, period: float) -> None:
        self._period = period
        self._periods: deque[float] = deque(maxlen=max(2, round(_WINDOW / period)))
        self._last: float | None = None
        self.overruns = 0

    def tick(self, now: float) -> None:
        """Record a tick of the loop at `now` (s, steady clock)."""
        if self._last is not None:
            elapsed = now - self._last
            self._periods.append(elapsed)
            if elapsed > _OVERRUN * self._period:
                self.overruns += round(elapsed / self._period) - 1
        self._last = now

    def figures(self) -> dict[str, str]:
        """By name: median period, 99th percentile of its error, overruns since the start."""
        if not self._periods:
            return {}
        periods = np.array(self._periods) * 1e3
        error = np.abs(periods - self._period * 1e3)
        return {
            "period, median (ms)": f"{np.median(periods):.2f}",
            "period error, 99th percentile (ms)": f"{np.percentile(error, 99):.2f}",
            "overruns": str(self.overruns),
        }
