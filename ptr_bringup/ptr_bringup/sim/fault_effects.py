# SPDX-License-Identifier: Apache-2.0
"""What the simulator's faults do to joint states, images and motors. No ROS and no clock."""

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
"""deg C at which a motor trips: the register Temperature Limit of the XL430-W250 as delivered."""
VOLTAGE_LIMIT = 9.5
"""V below which a motor reports its supply: the register Min Voltage Limit of the XM430-W350 as delivered."""


@dataclass(frozen=True)
class JointSample:
    """Joint states of one time: stamp in s; positions, velocities and efforts in the order of /joint_states."""

    stamp: float
    positions: list[float]
    velocities: list[float]
    efforts: list[float]


class JointLine:
    """The line from the joints to whoever reads them."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._frozen: JointSample | None = None
        self._under_way: deque[JointSample] = deque()

    def deliver(self, sample: JointSample) -> list[JointSample]:
        """What arrives now, when `sample` has just been measured; usually that."""
        sample = self._freeze(sample)
        broken = self._faults.get("joint_states_nan")
        if broken is not None:
            positions = list(sample.positions)
            positions[JOINT_NAMES.index(broken.target)] = math.nan
            sample = dataclasses.replace(sample, positions=positions)
        late = self._faults.get("joint_states_late")
        self._under_way.append(sample)
        arrived = []
        while self._under_way and self._under_way[0].stamp <= sample.stamp - (late.value if late else 0.0):
            arrived.append(self._under_way.popleft())
        return [] if "joint_states_gone" in self._faults else arrived

    def _freeze(self, sample: JointSample) -> JointSample:
        if "joint_states_frozen" not in self._faults:
            self._frozen = None
            return sample
        if self._frozen is None:
            self._frozen = sample
        return dataclasses.replace(self._frozen, stamp=sample.stamp)


class ImageLine:
    """The line from a camera's sensor to whoever looks at its images."""

    def __init__(self, faults: Faults, camera: str) -> None:
        self._faults, self._camera = faults, camera
        self._last: bytes | None = None
        self._taken = -math.inf

    def due(self, now: float) -> bool:
        """True when the camera takes an image at `now` (s), at most as often as it is asked."""
        slow = self._wrong("image_slow")
        if self._wrong("image_gone") or (slow is not None and now < self._taken + 1.0 / slow.value):
            return False
        self._taken = now
        return True

    def expose(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """What the sensor sees of a scene (height, width, 3)."""
        dark = self._wrong("image_dark")
        return image if dark is None else (image * dark.value).astype(np.uint8)

    def transmit(self, jpeg: bytes) -> bytes:
        """What arrives of an encoded image."""
        if self._wrong("image_frozen") and self._last is not None:
            return self._last
        self._last = jpeg
        torn = self._wrong("image_torn")
        return jpeg if torn is None else jpeg[: int(len(jpeg) * torn.value)]

    def _wrong(self, name: str) -> Fault | None:
        """The fault of that name while it is in force at this camera."""
        fault = self._faults.get(name)
        return fault if fault is not None and fault.target == self._camera else None


def strike(fault: Fault, world: World) -> None:
    """Let a fault happen to the motors, if it is one of theirs."""
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
    """Do what the motors do by themselves: feel the supply, and trip when it or their temperature is out of limits."""
    low = faults.get("voltage_low")
    world.motors.voltage = SUPPLY if low is None else low.value
    for motor, temperature in enumerate(world.motors.temperatures):
        if temperature > TEMPERATURE_LIMIT:
            world.trip(motor, HardwareError.OVERHEATING)
        if world.motors.voltage < VOLTAGE_LIMIT:
            world.trip(motor, HardwareError.INPUT_VOLTAGE)


def cool(world: World) -> None:
    """Let every motor be as if it had rested."""
    world.motors.temperatures[:] = AMBIENT
