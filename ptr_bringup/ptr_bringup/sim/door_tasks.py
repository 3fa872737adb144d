# SPDX-License-Identifier: Apache-2.0
"""Tasks with doors, and their success conditions: functions of the hinge's angle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptr_bringup.sim.doors import KINDS, SHUT_ANGLE, Door, door_in

HANDLE = "handle"
"""Name of the handle among the objects of a scene; the door's name is its kind."""
AT_REST = 0.10
"""Speed of the hinge (rad/s) below which a door is at rest."""


@dataclass(frozen=True)
class DoorTask:
    """Open or close a door. The kitchen determines which door of the kind it is (`door_in`)."""

    skill: str  # open or close
    kind: str  # cabinet, oven or microwave

    @property
    def name(self) -> str:
        """For example `open_microwave`."""
        return f"{self.skill}_{self.kind}"

    @property
    def item(self) -> str:
        """Name of the object that the gripper holds."""
        return HANDLE

    @property
    def receptacle(self) -> str:
        """Name of the object that is moved with it."""
        return self.kind

    def door(self, kitchen: str) -> Door:
        """The task's door in a kitchen."""
        return door_in(kitchen, self.kind)


DOOR_TASKS: tuple[DoorTask, ...] = tuple(DoorTask(skill, kind) for skill in ("open", "close") for kind in KINDS)


@dataclass(frozen=True)
class DoorScene:
    """State of a door. Positions (3,) in m in `base_link`.

    Attributes:
        handle_position: middle of the handle.
        door_position: origin of the door's body, on the hinge's axis.
        angle, angular_speed: of the hinge, rad and rad/s.
        touched: True while a finger touches the door or its handle.
        gripper: measured opening, 0..1.
        tool_position: of `ee_gripper_link`.
    """

    handle_position: NDArray[np.float64]
    door_position: NDArray[np.float64]
    angle: float
    angular_speed: float
    touched: bool
    gripper: float
    tool_position: NDArray[np.float64]


def scene_of_poses(
    door: Door,
    handle_position: ArrayLike,
    door_position: ArrayLike,
    door_quaternion: ArrayLike,
    gripper: float,
    tool_position: ArrayLike,
) -> DoorScene:
    """The scene from the two poses in /simulator/objects, without speed and contacts."""
    return DoorScene(
        np.asarray(handle_position, dtype=float),
        np.asarray(door_position, dtype=float),
        door.angle(door_quaternion),
        0.0,
        False,
        float(gripper),
        np.asarray(tool_position, dtype=float),
    )


def door_success(task: DoorTask, door: Door, scene: DoorScene) -> bool:
    """True if the door is open or shut as required, at rest, and not touched by the fingers."""
    if scene.touched or abs(scene.angular_speed) > AT_REST:
        return False
    return scene.angle >= door.open_angle if task.skill == "open" else scene.angle <= SHUT_ANGLE


def describe(door: Door, scene: DoorScene) -> str:
    """A sentence about the state of a door."""
    touch = "touched" if scene.touched else "free"
    return (
        f"The {door.name} is open by {scene.angle:.2f} rad, turns at {scene.angular_speed:.2f} rad/s, and is {touch}; "
        f"it counts as open from {door.open_angle:.2f} rad, and as shut up to {SHUT_ANGLE:.2f} rad."
    )
