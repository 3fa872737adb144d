# SPDX-License-Identifier: Apache-2.0
"""The rhythm of a stream: when its next samples will be there, told from those that came."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

KEPT = 60
"""Samples that are looked at: two seconds of a camera of 30 Hz."""
LEAST = 12
"""Samples from which on a rhythm is told."""
UNEVEN = 0.2
"""Share of the period by which one stamp in ten may be off; a stream that is less even has no rhythm."""
SILENT = 3.5
"""Periods without a sample after which the rhythm is forgotten."""


@dataclass(frozen=True)
class PeriodEstimate:
    """An even stream.

    Attributes:
        period: s between two samples.
        stamp: s, when a recent sample was taken, freed from its jitter.
        latency: s, median, from there until it was here.
    """

    period: float
    stamp: float
    latency: float

    def wait(self, time: float, offset: float) -> float:
        """s from a time until the next moment that is `offset` (s) after the stamp of some sample; 0 to the period."""
        return (self.stamp + offset - time) % self.period


class PeriodEstimator:
    """Collects the samples of one stream."""

    def __init__(self) -> None:
        self._samples: deque[tuple[int, int]] = deque(maxlen=KEPT)

    def note(self, stamp: int, arrival: int) -> None:
        """A sample was taken and was here; ns of one clock. Time that runs backwards starts over."""
        if self._samples and stamp <= self._samples[-1][0]:
            self._samples.clear()
        self._samples.append((stamp, arrival))

    def beat(self, now: int) -> PeriodEstimate | None:
        """The beat as of now (ns); None: too few samples, too uneven, or silent."""
        if len(self._samples) < LEAST:
            return None
        newest = self._samples[-1][0]
        stamps, arrivals = 1e-9 * (np.array(self._samples, dtype=np.int64) - newest).T
        gaps = np.diff(stamps)
        numbers = np.concatenate([[0], np.cumsum(np.round(gaps / np.median(gaps)))])  # gaps in it are lost samples
        numbers -= numbers[-1]
        period, first = (float(value) for value in np.polyfit(numbers, stamps, 1))
        off = np.abs(stamps - first - period * numbers)
        if np.percentile(off, 90) > UNEVEN * period or (now - newest) * 1e-9 > SILENT * period:
            return None
        latency = float(np.median(arrivals - first - period * numbers))
        return PeriodEstimate(period, newest * 1e-9 + first, latency)
