# SPDX-License-Identifier: Apache-2.0
"""The motion for measuring latencies: back and forth on a straight path, at an increasing frequency."""

from __future__ import annotations

import math

import numpy as np

DIRECTION = np.array([0.0, 0.8, 0.6])
"""Of the path, in base_link: sideways and up, visible from over the shoulder and from the front."""
SPEED = 0.12
"""m/s, maximum: half of the gate's limit."""
SLOW, FAST = 0.5, 1.5
"""Hz, at the start and the end. The motion never repeats, so the lag can't be off by a period."""


def speed(time: float, duration: float) -> float:
    """Speed along DIRECTION (m/s) at a time (s); zero before 0 and after `duration`."""
    if not 0.0 <= time < duration:
        return 0.0
    return SPEED * math.sin(2 * math.pi * (SLOW * time + 0.5 * (FAST - SLOW) * time**2 / duration))
