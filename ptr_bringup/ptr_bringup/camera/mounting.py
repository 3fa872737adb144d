# SPDX-License-Identifier: Apache-2.0
"""Pose of a camera: the parameters `pose_frame` and `pose` of its node, or its calibration file."""

from __future__ import annotations

import math
from collections.abc import Sequence

from geometry_msgs.msg import Pose, PoseStamped
from rclpy.node import Node

from ptr_bringup.ros.names import prefixed
from ptr_bringup.ros.parameters import declare
from ptr_models.common.rotations import matrix_from_rpy, quaternion_from_matrix

BASE = "base_link"
"""The default frame of a pose."""
UNIT_TOLERANCE = 0.01
"""Maximum deviation of a quaternion's length from 1."""

Mounting = tuple[str, Pose]
"""A frame, and the pose of a camera's optical frame (x right, y down, z forward) in it."""


def declare_mounting(node: Node) -> Mounting | None:
    """Declare the parameters of a camera's mounting, and return it; None if they are not set.

    Raises:
        ValueError: the pose is invalid, or has no frame.
    """
    text = "frame that the camera is fixed to, such as base_link or ee_gripper_link; empty: from the calibration"
    frame = declare(node, "pose_frame", "", text)
    text = "pose of the optical frame in pose_frame: x y z (m) and roll pitch yaw (rad), or a quaternion x y z w"
    values = declare(node, "pose", [0.0, 0.0, 0.0, 0.0, 0.0, 0.0], text)
    if frame:
        return frame, pose_of(values)
    if any(values):
        raise ValueError(f"pose is {list(values)}, but has no frame; give pose_frame, such as {BASE}")
    return None


def pose_of(values: Sequence[float]) -> Pose:
    """A pose from x y z (m) and fixed-axis roll pitch yaw (rad) as in URDF, or a quaternion x y z w: 6 or 7 numbers.

    Raises:
        ValueError: the numbers are not a pose.
    """
    numbers = [float(value) for value in values]
    right = len(numbers) in (6, 7) and all(map(math.isfinite, numbers))
    quaternion = numbers[3:]
    if right and len(quaternion) == 3:
        quaternion = quaternion_from_matrix(matrix_from_rpy(quaternion)).tolist()
    if not right or abs(math.hypot(*quaternion) - 1.0) > UNIT_TOLERANCE:
        raise ValueError(
            f"pose is {numbers}; it must be x, y, z and roll, pitch, yaw, or x, y, z and a unit quaternion x, y, z, w"
        )
    pose = Pose()
    pose.position.x, pose.position.y, pose.position.z = numbers[:3]
    o = pose.orientation
    o.x, o.y, o.z, o.w = quaternion
    return pose


def mounting_message(node: Node, mounting: Mounting) -> PoseStamped:
    """The message for /camera/NAME/pose; the frame is prefixed with the node's namespace."""
    frame, pose = mounting
    message = PoseStamped(pose=pose)
    message.header.stamp, message.header.frame_id = node.get_clock().now().to_msg(), prefixed(node, frame)
    return message
