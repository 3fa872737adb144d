# SPDX-License-Identifier: Apache-2.0
"""Motors of the simulated arm: torque on or off, effort, and a temperature of first order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
AMBIENT = 26.0
"""Temperature of an idle motor (deg C)."""
HEATING = 45.0
"""Rise above ambient of a motor that holds its full effort for ever (deg C)."""
TIME_CONSTANT = 120.0
"""Time constant of the temperature (s)."""


class Motors:
    """State of the seven motors (six joints and the gripper): torque switches and temperatures.

    Args:
        effort_limits: (7,) most effort of each motor, N m and N.
    """

    def __init__(self, effort_limits: Array) -> None:
        self._limits = np.asarray(effort_limits, dtype=float)
        self.torque = np.ones(7, dtype=bool)
        self.temperatures: Array = np.full(7, AMBIENT)

    def advance(self, efforts: Array, duration: float) -> None:
        """Warm or cool the motors for `duration` s under `efforts` (7,), in the units of the limits."""
        load = np.clip(np.abs(efforts) / self._limits, 0.0, 1.5)
        settled = AMBIENT + HEATING * load**2
        self.temperatures += (settled - self.temperatures) * (1.0 - np.exp(-duration / TIME_CONSTANT))
