# SPDX-License-Identifier: Apache-2.0
"""The interface of a driver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from ptr_bringup.arm.model.kinematics import Array
from ptr_bringup.arm.motors.readings import Motors
from ptr_bringup.arm.types import JointMeasurement

MAX_JOINTS = 64
"""Joint states with more joints are ignored: they are not from an arm."""


class Topic(NamedTuple):
    """Name and message class of a topic."""

    name: str
    type: type


@dataclass(frozen=True)
class DriverHealth:
    """Health of the driver.

    Attributes:
        ok: False if it can't move the arm or doesn't know where it is.
        message: one sentence.
        values: figures for /diagnostics, by name.
    """

    ok: bool
    message: str
    values: dict[str, str]


class Driver(Protocol):
    """Moves the joints and measures them. Its methods never block; the effect of a call shows in later readings."""

    @property
    def exclusive(self) -> tuple[Topic, ...]:
        """Topics between driver and arm that must have exactly one publisher each."""

    @property
    def reads_motors(self) -> bool:
        """False once it is known that the driver can't read the motors."""

    def send(self, joints: Array, gripper: float) -> None:
        """Command joint positions (6,) in rad and the gripper's opening (0 closed, 1 open)."""

    def state(self) -> JointMeasurement | None:
        """The newest measurement, None before the first."""

    def motors(self) -> Motors | None:
        """The newest reading of the motors, None before the first or if the driver can't read them."""

    def set_torque(self, on: bool) -> None:
        """Switch the torque of all motors. Without it the arm sinks, so someone must support it."""

    def reboot(self) -> None:
        """Reboot the motors that have a hardware error; they come back without torque."""

    def health(self, now: float) -> DriverHealth:
        """Its health at time `now` (s)."""

    def close(self) -> None:
        """Release its resources; the arm keeps its pose."""


def select_joints(values: Sequence[float], order: Sequence[int]) -> Array:
    """Values of the arm's joints; zero if the joint state has none, or a value is not finite."""
    found = np.array([values[k] for k in order]) if len(values) > max(order) else np.zeros(len(order))
    return np.where(np.isfinite(found), found, 0.0)
