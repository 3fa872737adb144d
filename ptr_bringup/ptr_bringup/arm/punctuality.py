# SPDX-License-Identifier: Apache-2.0
"""How punctual the control loop is: figures of the last seconds for /diagnostics."""

from __future__ import annotations

from collections import deque

import numpy as np

_KEPT = 10.0
"""s of periods that are kept."""
_LOST = 1.5
"""Periods; a longer gap has lost one or more."""


class Punctuality:
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
