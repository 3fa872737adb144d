# SPDX-License-Identifier: Apache-2.0
"""Where a camera is: the parameters `pose_frame` and `pose` of its node, or its calibration file."""

from __future__ import annotations

import math
from collections.abc import Sequence

from geometry_msgs.msg import Pose, PoseStamped
from rclpy.node import Node

from ptr_bringup.ros.names import prefixed
from ptr_bringup.ros.parameters import declare
from ptr_models.common.rotations import matrix_from_rpy, quaternion_from_matrix

BASE = "base_link"
"""The frame of a pose that names none."""
UNIT_TOLERANCE = 0.01
"""How far the length of a quaternion may be from 1."""

Mounting = tuple[str, Pose]
"""A frame, and the pose of a camera's optical frame (x right, y down, z forward) in it."""


def declare_mounting(node: Node) -> Mounting | None:
    """Declare the parameters of a camera's mounting, and return it; None: they give none.

    Raises:
        ValueError: the pose is none, or has no frame.
    """
    text = "frame that the camera is fixed to, such as base_link or ee_gripper_link; empty: the calibration says"
    frame = declare(node, "pose_frame", "", text)
    text = "of the optical frame in pose_frame: x y z (m) and roll pitch yaw (rad), or a quaternion x y z w"
    values = declare(node, "pose", [0.0, 0.0, 0.0, 0.0, 0.0, 0.0], text)
    if frame:
        return frame, pose_of(values)
    if any(values):
        raise ValueError(f"pose is {list(values)}, but has no frame; give pose_frame, such as {BASE}")
    return None


def pose_of(values: Sequence[float]) -> Pose:
    """A pose of 6 numbers, x y z (m) and fixed-axis roll pitch yaw (rad) as in URDF, or of 7: a quaternion x y z w.

    Raises:
        ValueError: these are none.
    """
    numbers = [float(value) for value in values]
    right = len(numbers) in (6, 7) and all(map(math.isfinite, numbers))
    quaternion = numbers[3:]
    if right and len(quaternion) == 3:
        quaternion = quaternion_from_matrix(matrix_from_rpy(quaternion)).tolist()
    if not right or abs(math.hypot(*quaternion) - 1.0) > UNIT_TOLERANCE:
        raise ValueError(
            f"pose is {numbers}; give x, y, z and roll, pitch, yaw, or x, y, z and a unit quaternion x, y, z, w"
        )
    pose = Pose()
    pose.position.x, pose.position.y, pose.position.z = numbers[:3]
    o = pose.orientation
    o.x, o.y, o.z, o.w = quaternion
    return pose


def mounting_message(node: Node, mounting: Mounting) -> PoseStamped:
    """What a camera's node publishes on /camera/NAME/pose; the frame begins with the node's namespace."""
    frame, pose = mounting
    message = PoseStamped(pose=pose)
    message.header.stamp, message.header.frame_id = node.get_clock().now().to_msg(), prefixed(node, frame)
    return message
