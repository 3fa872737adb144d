# SPDX-License-Identifier: Apache-2.0
"""Processor use of this computer: the share of its processors' time that is not idle."""

from __future__ import annotations

from pathlib import Path

BUSY = 0.9
"""Share above which a busy computer explains late messages."""
STAT = Path("/proc/stat")
_IDLE = slice(3, 5)  # of the line `cpu`, see proc_stat(5): idle, iowait
_COUNTED = 8  # fields from user to steal; those after them are parts of user and nice


class ProcessorUse:
    """Measures processor use over an interval.

    Args:
        stat: file of the kernel's counters; if it is missing, the use is not known.
    """

    def __init__(self, stat: Path = STAT) -> None:
        self._stat = stat
        self._before = self._read()

    def start(self) -> None:
        """Start a new interval."""
        self._before = self._read()

    def share(self) -> float | None:
        """The share in use since `start`, in [0, 1]; None: not known, or no time has passed."""
        now = self._read()
        if now is None or self._before is None:
            return None
        idle, total = now[0] - self._before[0], now[1] - self._before[1]
        return min(1.0, max(0.0, 1.0 - idle / total)) if total > 0 else None

    def lap(self) -> float | None:
        """The share in use since the last `start` or `lap`."""
        share = self.share()
        self.start()
        return share

    def _read(self) -> tuple[int, int] | None:
        """Idle ticks and all ticks."""
        try:
            with self._stat.open(encoding="ascii") as file:
                ticks = [int(word) for word in file.readline().split()[1:]][:_COUNTED]
        except (OSError, ValueError):
            return None
        return sum(ticks[_IDLE]), sum(ticks)
