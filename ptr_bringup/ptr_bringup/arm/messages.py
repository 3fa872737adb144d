# SPDX-License-Identifier: Apache-2.0
"""Between the arm's plain data and ROS messages."""

from __future__ import annotations

import math

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Pose as PoseMessage

from ptr_bringup.arm.arbiter import Command
from ptr_bringup.arm.kinematics import Array, Pose
from ptr_bringup.arm.reports import Executed, SafetyChange, State
from ptr_msgs.msg import ArmCommand, ArmState, ExecutedCommand, SafetyEvent

FRAME = "base_link"


def seconds(time: Time) -> float:
    """s of a stamp or duration."""
    return time.sec + 1e-9 * time.nanosec


def stamp(time: float) -> Time:
    """The stamp of a time in s."""
    whole = math.floor(time)
    return Time(sec=int(whole), nanosec=min(int((time - whole) * 1e9), 999_999_999))


def pose_message(pose: Pose) -> PoseMessage:
    """Pose as position and unit quaternion."""
    message = PoseMessage()
    message.position.x, message.position.y, message.position.z = (float(c) for c in pose.position)
    o = message.orientation
    o.x, o.y, o.z, o.w = quaternion(pose.rotation)
    return message


def pose_from(message: PoseMessage) -> Pose:
    """Pose of a message; a quaternion of any length but zero is taken.

    Raises:
        ValueError: the quaternion is zero, as in a message that nobody filled.
    """
    p, o = message.position, message.orientation
    x, y, z, w = (float(c) for c in (o.x, o.y, o.z, o.w))
    length = math.sqrt(x * x + y * y + z * z + w * w)
    if length < 1e-6:
        raise ValueError("The pose's orientation is the zero quaternion; fill it in, or use a named pose.")
    return Pose(np.array([p.x, p.y, p.z]), rotation(x / length, y / length, z / length, w / length))


def rotation(x: float, y: float, z: float, w: float) -> Array:
    """Rotation matrix (3, 3) of a unit quaternion."""
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def quaternion(matrix: Array) -> tuple[float, float, float, float]:
    """Unit quaternion x, y, z, w of a rotation matrix (3, 3), from its largest component (Shepperd 1978)."""
    (a, b, c), (d, e, f), (g, h, i) = matrix.tolist()
    squares = (1 + a - e - i, 1 - a + e - i, 1 - a - e + i, 1 + a + e + i)
    k = squares.index(max(squares))
    x, y, z, w = (
        (squares[0], b + d, c + g, h - f),
        (b + d, squares[1], f + h, c - g),
        (c + g, f + h, squares[2], d - b),
        (h - f, c - g, d - b, squares[3]),
    )[k]
    length = math.sqrt(x * x + y * y + z * z + w * w)
    return x / length, y / length, z / length, w / length


def command_from(message: ArmCommand) -> Command:
    """The command of a message."""
    linear, angular = message.twist.linear, message.twist.angular
    return Command(
        seconds(message.header.stamp),
        message.source,
        np.array([linear.x, linear.y, linear.z, angular.x, angular.y, angular.z]),
        float(message.gripper),
        bool(message.deadman),
        seconds(message.horizon),
    )


def state_message(state: State) -> ArmState:
    """ArmState of the core's state."""
    message = ArmState()
    message.header.stamp, message.header.frame_id = stamp(state.stamp), FRAME
    message.mode, message.source = int(state.mode), state.source
    message.measured, message.commanded = pose_message(state.measured), pose_message(state.commanded)
    message.joint_positions = state.joints.positions
    message.joint_velocities = state.joints.velocities
    message.joint_efforts = state.joints.efforts
    message.gripper, message.gripper_commanded = float(state.gripper), float(state.gripper_commanded)
    return message


def executed_message(executed: Executed, now: Time) -> ExecutedCommand:
    """ExecutedCommand of what passed the gate."""
    message = ExecutedCommand()
    message.header.stamp, message.header.frame_id = now, FRAME
    message.source, message.command_stamp = executed.source, stamp(executed.command_stamp)
    message.target, message.gripper = pose_message(executed.target), float(executed.gripper)
    message.joint_positions, message.reason = executed.joints, int(executed.reason)
    return message


def safety_message(change: SafetyChange, now: Time) -> SafetyEvent:
    """SafetyEvent of a change of the reasons."""
    message = SafetyEvent()
    message.header.stamp, message.header.frame_id = now, FRAME
    message.reason, message.source, message.detail = int(change.reason), change.source, change.detail
    message.requested, message.admitted = pose_message(change.requested), pose_message(change.admitted)
    return message
