# SPDX-License-Identifier: Apache-2.0
"""What the arm node needs of a driver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from ptr_bringup.arm.model.kinematics import Array
from ptr_bringup.arm.motors.readings import Motors
from ptr_bringup.arm.types import JointState

MOST_JOINTS = 64
"""A joint state of more is not of an arm, and not read."""


class Topic(NamedTuple):
    """Name and message class of a topic."""

    name: str
    type: type


@dataclass(frozen=True)
class Health:
    """How the driver is doing.

    Attributes:
        well: false when it can't move the arm or doesn't know where it is.
        summary: one sentence.
        values: figures for /diagnostics, by name.
    """

    well: bool
    summary: str
    values: dict[str, str]


class Driver(Protocol):
    """Moves the joints and measures them. None of its methods waits: what is asked for shows in later readings."""

    @property
    def exclusive(self) -> tuple[Topic, ...]:
        """Topics between it and the arm that have one publisher each as long as one robot is there."""

    @property
    def reads_motors(self) -> bool:
        """False once it is known that it can't read the motors."""

    def send(self, joints: Array, gripper: float) -> None:
        """Command joint positions (6,) in rad and the gripper's opening (0 closed, 1 open)."""

    def state(self) -> JointState | None:
        """The newest measurement, None before the first."""

    def motors(self) -> Motors | None:
        """The newest reading of the motors, None before the first or where a driver can't read them."""

    def set_torque(self, on: bool) -> None:
        """Let all motors hold, or go limp: the arm then sinks, so somebody has to support it."""

    def reboot(self) -> None:
        """Reboot the motors that have a hardware error; they come back without torque."""

    def health(self, now: float) -> Health:
        """How it is doing at a time in s."""

    def close(self) -> None:
        """Give back what it holds; the arm keeps its pose."""


def picked(values: Sequence[float], order: Sequence[int]) -> Array:
    """Values of the arm's joints; zeros where a joint state has none, or no number."""
    found = np.array([values[k] for k in order]) if len(values) > max(order) else np.zeros(len(order))
    return np.where(np.isfinite(found), found, 0.0)
