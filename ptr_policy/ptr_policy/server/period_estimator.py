# SPDX-License-Identifier: Apache-2.0
"""Estimates the period and phase of a stream from its recent samples, to predict the next ones."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

WINDOW = 60
"""Number of recent samples used: two seconds of a 30 Hz camera."""
MIN_SAMPLES = 12
"""Minimum number of samples for an estimate."""
MAX_JITTER = 0.2
"""Share of the period; with a larger 90th percentile of jitter there is no estimate."""
TIMEOUT = 3.5
"""Periods without a sample after which there is no estimate."""


@dataclass(frozen=True)
class PeriodEstimate:
    """Timing of an even stream.

    Attributes:
        period: s between two samples.
        stamp: s, when a recent sample was taken, without jitter.
        latency: s, median, from stamp to arrival.
    """

    period: float
    stamp: float
    latency: float

    def wait(self, time: float, offset: float) -> float:
        """s from `time` to the next instant that is `offset` (s) after a sample's stamp; between 0 and the period."""
        return (self.stamp + offset - time) % self.period


class PeriodEstimator:
    """Collects the samples of one stream and estimates their timing."""

    def __init__(self) -> None:
        self._samples: deque[tuple[int, int]] = deque(maxlen=WINDOW)

    def add(self, stamp: int, arrival: int) -> None:
        """Add a sample's stamp and arrival, ns on one clock. If time runs backwards, earlier samples are dropped."""
        if self._samples and stamp <= self._samples[-1][0]:
            self._samples.clear()
        self._samples.append((stamp, arrival))

    def estimate(self, now: int) -> PeriodEstimate | None:
        """The estimate at `now` (ns); None: too few samples, too much jitter, or silent."""
        if len(self._samples) < MIN_SAMPLES:
            return None
        newest = self._samples[-1][0]
        stamps, arrivals = 1e-9 * (np.array(self._samples, dtype=np.int64) - newest).T
        gaps = np.diff(stamps)
        numbers = np.concatenate([[0], np.cumsum(np.round(gaps / np.median(gaps)))])  # gaps are lost samples
        numbers -= numbers[-1]
        period, first = (float(value) for value in np.polyfit(numbers, stamps, 1))
        off = np.abs(stamps - first - period * numbers)
        if np.percentile(off, 90) > MAX_JITTER * period or (now - newest) * 1e-9 > TIMEOUT * period:
            return None
        latency = float(np.median(arrivals - first - period * numbers))
        return PeriodEstimate(period, newest * 1e-9 + first, latency)
