# SPDX-License-Identifier: Apache-2.0
"""Kinematics of the WidowX 250 6-DoF: product of exponentials.

Poses are of `ee_gripper_link` in `base_link`, in meters and as rotation matrices. Joints are in radians, in the order
of `JOINT_NAMES`. Plain numpy, no ROS.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptr_bringup.arm.model.wx250s import WX250S
from ptr_models.common.rotations import DEFAULT_ROTATION, matrix_from_rotation_vector, rpy_from_matrix

Array = NDArray[np.float64]

JOINT_NAMES = WX250S.joint_names
JOINT_LOWER: Array = np.array(WX250S.joint_lower)
JOINT_UPPER: Array = np.array(WX250S.joint_upper)
"""rad."""
JOINT_VELOCITY_LIMIT = WX250S.joint_velocity_limit
"""rad/s, of every joint of the arm."""
FINGER_CLOSED, FINGER_OPEN = WX250S.finger_closed, WX250S.finger_open
"""m from the center line, positions of a finger joint that count as gripper 0 and gripper 1."""

_AXES: Array = np.array(WX250S.joint_axes, dtype=float)
_POINTS: Array = np.array(WX250S.joint_points)
_HOME: Array = np.array(WX250S.home_position)

_SKEW: Array = np.zeros((6, 3, 3))
_SKEW[:, 0, 1], _SKEW[:, 0, 2] = -_AXES[:, 2], _AXES[:, 1]
_SKEW[:, 1, 0], _SKEW[:, 1, 2] = _AXES[:, 2], -_AXES[:, 0]
_SKEW[:, 2, 0], _SKEW[:, 2, 1] = -_AXES[:, 1], _AXES[:, 0]
_SKEW_SQUARED: Array = _SKEW @ _SKEW
_EYE3, _EYE4 = np.eye(3), np.eye(4)


@dataclass(frozen=True)
class Pose:
    """Pose of `ee_gripper_link` in `base_link`: position (3,) in m and rotation matrix (3, 3)."""

    position: Array
    rotation: Array


def link_transforms(joints: Array) -> Array:
    """(7, 4, 4): transform of each link relative to its home pose; 0 is the base, 6 the gripper."""
    sines, cosines = np.sin(joints), np.cos(joints)
    rotations = _EYE3 + sines[:, None, None] * _SKEW + (1.0 - cosines)[:, None, None] * _SKEW_SQUARED
    moved = np.zeros((7, 4, 4))
    moved[0] = _EYE4
    moved[1:, :3, :3] = rotations
    moved[1:, :3, 3] = _POINTS - np.einsum("kij,kj->ki", rotations, _POINTS)
    moved[1:, 3, 3] = 1.0
    for k in range(1, 6):
        moved[k + 1] = moved[k] @ moved[k + 1]
    return moved


def forward(joints: ArrayLike) -> Pose:
    """Pose of the end effector for joint positions (6,) in rad."""
    matrix = link_transforms(six_joints(joints))[6]
    return Pose(matrix[:3, 3] + matrix[:3, :3] @ _HOME, matrix[:3, :3].copy())


def advance(pose: Pose, twist: Array, duration: float) -> Pose:
    """The pose after a constant twist of some duration.

    Like Bridge's controller, the gate integrates from the last commanded pose, not from the measured one: lag or sag
    of the arm neither shortens a motion nor makes it drift.

    Args:
        pose: end effector in base_link.
        twist: (6,) linear velocity (m/s) along and angular velocity (rad/s) about the axes of base_link; the
            rotation is about the end effector, so it does not displace it.
        duration: s. At 5 Hz, twist * 0.2 s is the Bridge action.
    Returns:
        The same object when nothing moves.
    """
    if duration <= 0.0 or not twist.any():
        return pose
    rotation = pose.rotation
    if twist[3:].any():
        rotation = matrix_from_rotation_vector(twist[3:] * duration) @ rotation
    return Pose(pose.position + twist[:3] * duration, rotation)


def finger_from_gripper(gripper: float) -> float:
    """Finger joint position (m) of a normalized gripper opening (0 closed, 1 open)."""
    return FINGER_CLOSED + float(gripper) * (FINGER_OPEN - FINGER_CLOSED)


def gripper_from_finger(finger: float) -> float:
    """Normalized gripper opening of a finger joint position (m), not clipped."""
    return (float(finger) - FINGER_CLOSED) / (FINGER_OPEN - FINGER_CLOSED)


def state_from_pose(pose: Pose, gripper: float) -> Array:
    """State vector (7,): x y z (m), roll pitch yaw of R DEFAULT_ROTATION^T (rad), gripper 0..1."""
    rpy = rpy_from_matrix(pose.rotation @ DEFAULT_ROTATION.T)
    return np.array([*pose.position, *rpy, float(gripper)])


def six_joints(joints: ArrayLike) -> Array:
    """Joint positions as an array (6,).

    Raises:
        ValueError: the shape is different.
    """
    q = np.asarray(joints, dtype=float)
    if q.shape != (6,):
        raise ValueError(f"joint positions must be 6 numbers (rad), got shape {q.shape}")
    return q
