# SPDX-License-Identifier: Apache-2.0
"""Reads motor registers one at a time, so that this does not disturb control.

xs_sdk reads the joints 100 times a second in the thread that also reads registers. One register of one motor is one
transaction: 26 bytes at 1 Mbit/s plus the latency of the USB adapter, about 1.3 ms with its timer at 1 ms. At 25 reads
a second that is 3 % of the bus time, and delays a joint state by at most 1.3 ms. Reading a register of all nine motors
at once would delay it by 12 ms. A round of 27 reads (error and torque of each motor, and alternately temperature or
voltage) takes 1.1 s, so a trip is detected within that time. Readings are published after the second round, when each
register has been read.

Shoulder and elbow have two motors each. The second one, the shadow, carries half of the load and can also trip. So it
is read too, and the joint's reading is the worse of both.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ptr_bringup.arm.model.kinematics import JOINT_NAMES
from ptr_bringup.arm.motors.readings import MOTOR_NAMES, HardwareError, MotorReading, Motors

SHADOWS = {"shoulder_shadow": "shoulder", "elbow_shadow": "elbow"}
"""Second motors and the joints that they drive."""
ON_BUS = ("waist", "shoulder", "shoulder_shadow", "elbow", "elbow_shadow", *MOTOR_NAMES[3:])
ERROR, TORQUE = "Hardware_Error_Status", "Torque_Enable"
TEMPERATURE, VOLTAGE = "Present_Temperature", "Present_Input_Voltage"
_VOLTS = 0.1
"""V per unit of Present_Input_Voltage."""
_SILENT_READS = 6
"""Consecutive reads without an answer (two rounds) after which a motor counts as silent."""


class RegisterReader:
    """Decides which register to read next, and collects the answers."""

    def __init__(self) -> None:
        self._place = 0
        self._readings = {name: MotorReading(name) for name in ON_BUS}
        self._unanswered = dict.fromkeys(ON_BUS, 0)
        self._answered = False
        self._rounds = 0

    def next(self) -> tuple[str, str]:
        """Motor and register to read next."""
        motor, kind = divmod(self._place, 3)
        name = ON_BUS[motor]
        third = TEMPERATURE if (self._rounds + motor) % 2 == 0 else VOLTAGE
        self._place += 1
        if self._place == 3 * len(ON_BUS):
            self._place, self._rounds = 0, self._rounds + 1
        return name, (ERROR, TORQUE, third)[kind]

    @property
    def offered(self) -> bool:
        """False after a whole round without any answer: this xs_sdk (xs_sdk_sim) does not read registers."""
        return self._answered or self._rounds == 0

    @property
    def silent(self) -> tuple[str, ...]:
        """Motors that don't answer."""
        return tuple(name for name, count in self._unanswered.items() if count >= _SILENT_READS)

    @property
    def tripped(self) -> tuple[str, ...]:
        """Motors that a reboot may bring back: those with a hardware error, and silent ones."""
        return tuple(name for name, r in self._readings.items() if r.error or name in self.silent)

    @property
    def holding(self) -> NDArray[np.bool_]:
        """(6,) joints whose motors all have torque, as far as known."""
        return np.array([self._joint(name).torque for name in JOINT_NAMES])

    def update(self, motor: str, register: str, values: Sequence[int]) -> None:
        """Store an answer. xs_sdk returns an empty one if it could not read the motor."""
        if not values:
            self._unanswered[motor] += 1
            return
        self._answered = True
        self._unanswered[motor] = 0
        value = int(values[0])
        known = self._readings[motor]
        self._readings[motor] = {
            ERROR: lambda: dataclasses.replace(known, error=HardwareError(value & sum(HardwareError))),
            TORQUE: lambda: dataclasses.replace(known, torque=bool(value)),
            TEMPERATURE: lambda: dataclasses.replace(known, temperature=float(value)),
            VOLTAGE: lambda: dataclasses.replace(known, voltage=_VOLTS * value),
        }[register]()

    def assume_torque(self, on: bool, motors: Sequence[str] = ON_BUS) -> None:
        """Assume the torque that was just switched, until it is read again."""
        for name in motors:
            self._readings[name] = dataclasses.replace(self._readings[name], torque=on)

    def motors(self, stamp: float, efforts: Mapping[str, float]) -> Motors | None:
        """All motors, None before the second round is complete or if registers are not read."""
        if self._rounds < 2 or not self._answered:
            return None
        readings = (dataclasses.replace(self._joint(name), effort=efforts.get(name, math.nan)) for name in MOTOR_NAMES)
        return Motors(stamp, tuple(readings))

    def _joint(self, name: str) -> MotorReading:
        """The reading of a joint: the worse of its motors. A silent motor has no torque and no values."""
        parts = [self._own(motor) for motor in (name, *(s for s, joint in SHADOWS.items() if joint == name))]
        worst = parts[0]
        for part in parts[1:]:
            worst = MotorReading(
                name,
                temperature=float(np.maximum(worst.temperature, part.temperature)),
                voltage=float(np.minimum(worst.voltage, part.voltage)),
                error=worst.error | part.error,
                torque=worst.torque and part.torque,
            )
        return worst

    def _own(self, motor: str) -> MotorReading:
        return MotorReading(motor, torque=False) if motor in self.silent else self._readings[motor]
