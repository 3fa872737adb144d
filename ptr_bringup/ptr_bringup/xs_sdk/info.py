# SPDX-License-Identifier: Apache-2.0
"""The response of get_robot_info for a WidowX 250."""

from __future__ import annotations

from collections.abc import Sequence

from interbotix_xs_msgs.srv import RobotInfo

from ptr_bringup.arm.model.kinematics import (
    FINGER_CLOSED,
    FINGER_OPEN,
    JOINT_LOWER,
    JOINT_NAMES,
    JOINT_UPPER,
    JOINT_VELOCITY_LIMIT,
)
from ptr_bringup.arm.model.wx250s import WX250S
from ptr_bringup.xs_sdk.gripper import finger_from_angle
from ptr_bringup.xs_sdk.state import GROUPS

_IDS = dict(zip((*JOINT_NAMES, "gripper"), (*WX250S.motor_ids, 9), strict=True))


def fill(response: RobotInfo.Response, name: str) -> None:
    """Fill in the joints' IDs, limits, sleep positions and indices; like xs_sdk, with a finger's data for the gripper.

    Args:
        name: of a group or a joint. For `all`, the response names the groups.
    """
    names: Sequence[str] = GROUPS.get(name, (name,))
    response.name = list(GROUPS) if name == "all" else [name]
    response.num_joints = len(names)
    response.joint_ids = [_IDS.get(name, 0) for name in names]
    for name in names:
        arm = name in JOINT_NAMES
        k = JOINT_NAMES.index(name) if arm else len(JOINT_NAMES) + 1
        response.joint_names.append(name if arm else "left_finger")
        response.joint_lower_limits.append(JOINT_LOWER[k] if arm else FINGER_CLOSED)
        response.joint_upper_limits.append(JOINT_UPPER[k] if arm else FINGER_OPEN)
        response.joint_velocity_limits.append(JOINT_VELOCITY_LIMIT if arm else 1.0)
        response.joint_sleep_positions.append(WX250S.named_joints["sleep"][k] if arm else finger_from_angle(0.0))
        response.joint_state_indices.append(k)
