# SPDX-License-Identifier: Apache-2.0
"""Motors of the simulated arm: torque switch, effort, a first-order thermal model, and hardware errors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptr_bringup.arm.motors.readings import MOTOR_NAMES, SHUTDOWN, HardwareError, MotorReading

Array = NDArray[np.float64]
AMBIENT = 26.0
"""Temperature of an idle motor (deg C)."""
HEATING = 45.0
"""Steady-state rise above ambient at full effort (deg C)."""
TIME_CONSTANT = 120.0
"""Time constant of the temperature (s)."""
SUPPLY = 12.0
"""Voltage of the supply (V)."""


class Motors:
    """State of the seven motors (six joints and the gripper).

    Args:
        effort_limits: (7,) maximum effort of each motor, N m and N.

    Attributes:
        torque: (7,) True for motors with torque.
        temperatures: (7,) deg C.
        voltage: V, the same for all motors, which share one supply.
        errors: hardware errors of each motor, until it is rebooted.
    """

    def __init__(self, effort_limits: Array) -> None:
        self._limits = np.asarray(effort_limits, dtype=float)
        self.torque = np.ones(7, dtype=bool)
        self.temperatures: Array = np.full(7, AMBIENT)
        self.voltage = SUPPLY
        self.errors = [HardwareError.NONE] * 7

    def advance(self, efforts: Array, duration: float) -> None:
        """Warm or cool the motors for `duration` s under `efforts` (7,), in the units of the limits."""
        load = np.clip(np.abs(efforts) / self._limits, 0.0, 1.5)
        settled = AMBIENT + HEATING * load**2
        self.temperatures += (settled - self.temperatures) * (1.0 - np.exp(-duration / TIME_CONSTANT))

    def shut_down(self, motor: int) -> bool:
        """True if a motor has an error that keeps its torque off."""
        return bool(self.errors[motor] & SHUTDOWN)

    def readings(self, efforts: Array) -> tuple[MotorReading, ...]:
        """Readings of all motors; `efforts` (7,) in N m and N."""
        return tuple(
            MotorReading(
                name,
                temperature=float(round(self.temperatures[k])),  # the register counts whole degrees
                voltage=round(self.voltage, 1),
                effort=float(efforts[k]),
                error=self.errors[k],
                torque=bool(self.torque[k]),
            )
            for k, name in enumerate(MOTOR_NAMES)
        )
