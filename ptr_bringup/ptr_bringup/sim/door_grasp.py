# SPDX-License-Identifier: Apache-2.0
"""End-effector poses for grasping a door's handle and for pushing it, for each hinge angle.

At a shut door the gripper points down; it turns with the panel. With a vertical hinge it turns about its own axis. An
oven's door tilts it forward by part of the angle, so that the forearm stays above the counter.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ptr_bringup.arm.model.kinematics import Pose
from ptr_bringup.sim.arm_mjcf import FINGERTIP_BEYOND_TOOL
from ptr_bringup.sim.doors import Door
from ptr_models.common.rotations import DEFAULT_ROTATION

Array = NDArray[np.float64]
PAD_HALF = 0.011
"""Half the width of a finger's pad, along z of the end effector (m)."""
FOLLOW = {"left": 1.0, "right": 1.0, "bottom": 0.50}
"""Share of the hinge's angle by which the gripper turns, per hinge."""
_PUSH_FROM_HANDLE = 0.050
"""m from the handle towards the hinge, where closed fingers have room to push a panel."""
_PUSH_BELOW_TOP = 0.035
"""m below the panel's top to which the fingers reach when they push."""


def tool_rotation(door: Door, angle: float) -> Array:
    """Orientation (3, 3) of the end effector at a hinge angle (rad)."""
    return door.rotation(FOLLOW[door.hinge] * angle) @ DEFAULT_ROTATION


def grip_pose(door: Door, hinge: Array, angle: float) -> Pose:
    """The end effector around the handle, or with the fingers behind its bar.

    Args:
        hinge: (3,) m, position of the door's body.   angle: of the hinge (rad).
    """
    rotation = tool_rotation(door, angle)
    position = hinge + door.rotation(angle) @ door.handle_position
    if door.handle.hooked:
        behind = door.handle.half[0] + door.handle.gap / 2
        position = position + rotation @ np.array([0.004, 0.0, behind])
    return Pose(position, rotation)


def push_pose(door: Door, hinge: Array, angle: float) -> Pose:
    """The end effector with closed fingers at the front of a bar, or else of the panel; for vertical hinges."""
    rotation, panel = tool_rotation(door, angle), door.rotation(angle)
    if door.handle.hooked:
        reach = door.handle.half[0] + PAD_HALF
        return Pose(hinge + panel @ (door.handle_position - [reach, 0.0, 0.0]), rotation)
    across = math.copysign(abs(door.handle_position[1]) - _PUSH_FROM_HANDLE, door.handle_position[1])
    on_panel = np.array([-PAD_HALF, across, door.size[1] / 2 - _PUSH_BELOW_TOP + FINGERTIP_BEYOND_TOOL])
    return Pose(hinge + panel @ on_panel, rotation)


def panel_top(door: Door, hinge: Array) -> float:
    """Height (m) of the upper edge of a panel with a vertical hinge."""
    return float(hinge[2]) + door.size[1] / 2


def turned_by(door: Door, hinge: Array, one: Array, other: Array) -> float:
    """Angle (rad) about the hinge's axis from position `one` to `other` (3,); positive towards open."""
    axis = door.axis
    a, b = (v - axis * float(v @ axis) for v in (one - hinge, other - hinge))
    return math.atan2(float(np.cross(a, b) @ axis), float(a @ b))
