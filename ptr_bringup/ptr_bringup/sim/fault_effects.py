# SPDX-License-Identifier: Apache-2.0
"""Effects of the simulator's faults on joint states, images and motors. No ROS and no clock."""

from __future__ import annotations

import dataclasses
import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptr_bringup.arm.model.kinematics import JOINT_NAMES
from ptr_bringup.arm.motors.readings import MOTOR_NAMES, HardwareError
from ptr_bringup.sim.faults import Fault, Faults
from ptr_bringup.sim.motors import AMBIENT, SUPPLY
from ptr_bringup.sim.world import World

TEMPERATURE_LIMIT = 72.0
"""deg C at which a motor trips: the default of the XL430-W250's register Temperature Limit."""
VOLTAGE_LIMIT = 9.5
"""V below which a motor reports an error: the default of the XM430-W350's register Min Voltage Limit."""


@dataclass(frozen=True)
class JointSample:
    """Joint states at one time: stamp in s; positions, velocities and efforts in the order of /joint_states."""

    stamp: float
    positions: list[float]
    velocities: list[float]
    efforts: list[float]


class JointLine:
    """The connection from the joints to their readers."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._frozen: JointSample | None = None
        self._in_transit: deque[JointSample] = deque()

    def deliver(self, sample: JointSample) -> list[JointSample]:
        """The samples that arrive now, after `sample` was measured; without faults, just that."""
        sample = self._freeze(sample)
        broken = self._faults.get("joint_states_nan")
        if broken is not None:
            positions = list(sample.positions)
            positions[JOINT_NAMES.index(broken.target)] = math.nan
            sample = dataclasses.replace(sample, positions=positions)
        late = self._faults.get("joint_states_late")
        self._in_transit.append(sample)
        arrived = []
        while self._in_transit and self._in_transit[0].stamp <= sample.stamp - (late.value if late else 0.0):
            arrived.append(self._in_transit.popleft())
        return [] if "joint_states_gone" in self._faults else arrived

    def _freeze(self, sample: JointSample) -> JointSample:
        if "joint_states_frozen" not in self._faults:
            self._frozen = None
            return sample
        if self._frozen is None:
            self._frozen = sample
        return dataclasses.replace(self._frozen, stamp=sample.stamp)


class ImageLine:
    """The connection from a camera's sensor to the readers of its images."""

    def __init__(self, faults: Faults, camera: str) -> None:
        self._faults, self._camera = faults, camera
        self._last: bytes | None = None
        self._taken = -math.inf

    def due(self, now: float) -> bool:
        """True if the camera takes an image at `now` (s)."""
        slow = self._active("image_slow")
        if self._active("image_gone") or (slow is not None and now < self._taken + 1.0 / slow.value):
            return False
        self._taken = now
        return True

    def expose(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The sensor's image of a rendered scene (height, width, 3)."""
        dark = self._active("image_dark")
        return image if dark is None else (image * dark.value).astype(np.uint8)

    def transmit(self, jpeg: bytes) -> bytes:
        """The part of an encoded image that arrives."""
        if self._active("image_frozen") and self._last is not None:
            return self._last
        self._last = jpeg
        torn = self._active("image_torn")
        return jpeg if torn is None else jpeg[: int(len(jpeg) * torn.value)]

    def _active(self, name: str) -> Fault | None:
        """The fault of that name while it is active at this camera."""
        fault = self._faults.get(name)
        return fault if fault is not None and fault.target == self._camera else None


def strike(fault: Fault, world: World) -> None:
    """Apply a fault to the motors if it affects them."""
    concerned = [MOTOR_NAMES.index(fault.target)] if fault.target in MOTOR_NAMES else range(len(MOTOR_NAMES))
    for motor in concerned:
        if fault.name in ("warm", "overheating"):
            world.motors.temperatures[motor] = fault.value
        elif fault.name == "overload":
            world.trip(motor, HardwareError.OVERLOAD)
        elif fault.name == "encoder":
            world.trip(motor, HardwareError.ENCODER)
        elif fault.name == "torque_lost":
            world.set_torque(motor, False)


def protect(faults: Faults, world: World) -> None:
    """Update the motors' protection: they trip if supply voltage or temperature is out of limits."""
    low = faults.get("voltage_low")
    world.motors.voltage = SUPPLY if low is None else low.value
    for motor, temperature in enumerate(world.motors.temperatures):
        if temperature > TEMPERATURE_LIMIT:
            world.trip(motor, HardwareError.OVERHEATING)
        if world.motors.voltage < VOLTAGE_LIMIT:
            world.trip(motor, HardwareError.INPUT_VOLTAGE)


def cool(world: World) -> None:
    """Cool all motors down to ambient temperature."""
    world.motors.temperatures[:] = AMBIENT
