# SPDX-License-Identifier: Apache-2.0
"""Readings of the arm's motors, as plain data."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

MOTOR_NAMES = ("waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate", "gripper")


class HardwareError(enum.IntFlag):
    """Bits of the Dynamixel X series' register Hardware Error Status (ROBOTIS e-manual) and of MotorState.msg."""

    NONE = 0
    INPUT_VOLTAGE = 1
    OVERHEATING = 4
    ENCODER = 8
    ELECTRICAL_SHOCK = 16
    OVERLOAD = 32


SHUTDOWN = HardwareError.OVERHEATING | HardwareError.ELECTRICAL_SHOCK | HardwareError.OVERLOAD
"""Errors at which a motor switches its torque off: the register Shutdown of the X series as delivered (52)."""


@dataclass(frozen=True)
class MotorReading:
    """One motor (see MotorState.msg); NaN for values that are not measured.

    Attributes:
        temperature: deg C.
        voltage: V.
        effort: N m (simulator) or mA (Interbotix).
        error: stays until the motor is rebooted; those in SHUTDOWN switch its torque off.
        torque: True while the motor holds.
    """

    name: str
    temperature: float = math.nan
    voltage: float = math.nan
    effort: float = math.nan
    error: HardwareError = HardwareError.NONE
    torque: bool = True

    @property
    def answers(self) -> bool:
        """False for the reading of a motor that the driver could not reach."""
        return self.torque or not (math.isnan(self.temperature) and math.isnan(self.voltage))


@dataclass(frozen=True)
class Motors:
    """All motors at one time (s), in the order of MOTOR_NAMES."""

    stamp: float
    readings: tuple[MotorReading, ...]
