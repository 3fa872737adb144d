# SPDX-License-Identifier: Apache-2.0
"""The motion by which latencies are measured: to and fro on a straight way, ever faster."""

from __future__ import annotations

import math

import numpy as np

DIRECTION = np.array([0.0, 0.8, 0.6])
"""Of the way, in base_link: sideways and up, which a camera over the shoulder and one in front both see."""
SPEED = 0.12
"""m/s at most: half of what the gate lets pass."""
SLOW, FAST = 0.5, 1.5
"""Hz, at the beginning and at the end. No two parts look alike, so that the lag can't be mistaken by a period."""


def speed(time: float, duration: float) -> float:
    """Speed along DIRECTION (m/s) at a time (s); zero before 0 and after `duration`."""
    if not 0.0 <= time < duration:
        return 0.0
    return SPEED * math.sin(2 * math.pi * (SLOW * time + 0.5 * (FAST - SLOW) * time**2 / duration))
