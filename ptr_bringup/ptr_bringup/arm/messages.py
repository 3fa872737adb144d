# SPDX-License-Identifier: Apache-2.0
"""Converts between the arm's plain data and ROS messages."""

from __future__ import annotations

import math

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Pose as PoseMessage

from ptr_bringup.arm.gate.arbiter import Command
from ptr_bringup.arm.model.kinematics import Array, Pose
from ptr_bringup.arm.types import ArmStatus, CommandOutput, SafetyChange
from ptr_bringup.ros.time import seconds, stamp_from_seconds
from ptr_models.common.rotations import matrix_from_quaternion, quaternion_from_matrix
from ptr_msgs.msg import ArmCommand, ArmState, ExecutedCommand, SafetyEvent

FRAME = "base_link"
MAX_NAME_LENGTH = 64
"""Maximum number of characters of a source's or a pose's name."""
MAX_VALID_FOR = 1.0
"""s, maximum validity of a command: one step at the lowest control rate, 1 Hz."""
MAX_TWIST = 100.0
"""m/s and rad/s. A twist up to this is scaled down to the speed caps; a faster one is rejected as corrupt."""
MAX_OPENING = 10.0
"""A gripper opening up to this magnitude is clipped to 0..1; a larger one is rejected as corrupt."""
_QUATERNION_TOLERANCE = 0.1
"""Maximum deviation of a quaternion's length from 1."""


def pose_message(pose: Pose) -> PoseMessage:
    """Pose as position and unit quaternion."""
    message = PoseMessage()
    message.position.x, message.position.y, message.position.z = (float(c) for c in pose.position)
    o = message.orientation
    o.x, o.y, o.z, o.w = quaternion_from_matrix(pose.rotation).tolist()
    return message


def pose_from(message: PoseMessage) -> Pose:
    """Pose of a message. A quaternion of nearly unit length is normalized.

    Raises:
        ValueError: the quaternion's length is not close to 1, as in a message that was not filled in.
    """
    p, o = message.position, message.orientation
    x, y, z, w = (float(c) for c in (o.x, o.y, o.z, o.w))
    length = math.hypot(x, y, z, w)
    if length < 1e-6:
        raise ValueError("the pose's orientation is the zero quaternion; fill it in or use a named pose")
    if not abs(length - 1.0) <= _QUATERNION_TOLERANCE:
        raise ValueError(f"the pose's orientation is a quaternion of length {length:.3g}; its length must be 1")
    return Pose(np.array([p.x, p.y, p.z]), matrix_from_quaternion([x, y, z, w]))


def command_from(message: ArmCommand) -> Command:
    """The command of a message. Every field is checked; `problem` names an out-of-bounds one."""
    linear, angular = message.twist.linear, message.twist.angular
    twist = np.array([linear.x, linear.y, linear.z, angular.x, angular.y, angular.z])
    valid_for = seconds(message.valid_for)
    return Command(
        seconds(message.header.stamp),
        short(message.source),
        twist,
        float(message.gripper_position),
        bool(message.deadman),
        min(max(valid_for, 0.0), MAX_VALID_FOR),
        _out_of_bounds(message, twist, valid_for),
    )


def _out_of_bounds(message: ArmCommand, twist: Array, valid_for: float) -> str:
    """A clause that names an out-of-bounds field; empty if there is none. The arbiter checks for NaN."""
    if message.source != short(message.source):
        return (
            f"its source has {len(message.source)} characters, or unprintable ones; use at most {MAX_NAME_LENGTH} "
            "printable characters"
        )
    frame = message.header.frame_id
    if frame and not frame.endswith("base_link"):  # with the prefix of a namespace
        return f"its twist is in the frame {short(frame)!r}; use base_link"
    if not 0.0 <= valid_for <= MAX_VALID_FOR:
        return f"its valid_for is {valid_for:g} s; the maximum is {MAX_VALID_FOR:g} s"
    if (np.abs(twist) > MAX_TWIST).any():
        return f"its twist has a component of {np.abs(twist).max():.3g}; the maximum is {MAX_TWIST:g}"
    if abs(message.gripper_position) > MAX_OPENING:
        return f"its gripper opening is {message.gripper_position:.3g}; use 0 (closed) to 1 (open)"
    return ""


def short(name: str) -> str:
    """A name from another program, made safe for messages and logs: printable, at most MAX_NAME_LENGTH characters."""
    return "".join(letter if letter.isprintable() else "?" for letter in name[:MAX_NAME_LENGTH])


def state_message(state: ArmStatus) -> ArmState:
    """ArmState of the gate's status."""
    message = ArmState()
    message.header.stamp, message.header.frame_id = stamp_from_seconds(state.stamp), FRAME
    message.mode, message.source = int(state.mode), state.source
    message.measured_pose, message.commanded_pose = pose_message(state.measured), pose_message(state.commanded)
    message.joint_positions = state.joints.positions
    message.joint_velocities = state.joints.velocities
    message.joint_efforts = state.joints.efforts
    message.gripper_position = float(state.gripper)
    message.commanded_gripper_position = float(state.gripper_commanded)
    return message


def executed_message(executed: CommandOutput, now: Time) -> ExecutedCommand:
    """ExecutedCommand of the gate's output."""
    message = ExecutedCommand()
    message.header.stamp, message.header.frame_id = now, FRAME
    message.source, message.command_stamp = executed.source, stamp_from_seconds(executed.command_stamp)
    message.target, message.gripper_position = pose_message(executed.target), float(executed.gripper)
    message.joint_positions, message.reason = executed.joints, int(executed.reason)
    return message


def safety_message(change: SafetyChange, now: Time) -> SafetyEvent:
    """SafetyEvent of a change in the set of reasons."""
    message = SafetyEvent()
    message.header.stamp, message.header.frame_id = now, FRAME
    message.reason, message.source, message.message = int(change.reason), change.source, change.message
    message.requested_pose, message.limited_pose = pose_message(change.requested), pose_message(change.limited)
    return message
