# SPDX-License-Identifier: Apache-2.0
"""Kinematics of the WidowX 250 6-DoF: product of exponentials.

Numbers are the published ones (Interbotix `mr_descriptions.wx250s` and the URDF's joint limits). Poses are those
of `ee_gripper_link` in `base_link`, in metres and rotation matrices; joints are in radians, in the order of
`JOINT_NAMES`. Plain numpy, no ROS.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptr_models.common.rotations import DEFAULT_ROTATION, rpy_from_matrix

Array = NDArray[np.float64]

JOINT_NAMES = ("waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate")
_TURN = math.pi - 1e-5
JOINT_LOWER: Array = np.array([-_TURN, -1.885, -2.147, -_TURN, -1.745, -_TURN])
JOINT_UPPER: Array = np.array([_TURN, 1.990, 1.606, _TURN, 2.147, _TURN])
JOINT_VELOCITY_LIMIT = math.pi
"""rad/s, of every joint of the arm."""

FINGER_CLOSED = 0.015
FINGER_OPEN = 0.037
"""Position of a finger joint (m from the centre line) that counts as gripper 0 and gripper 1."""

SHOULDER_HEIGHT = 0.11065
ELBOW = (0.04975, 0.0, 0.36065)
WRIST = (0.29975, 0.0, 0.36065)
"""Height of the shoulder's axis above the base, and the elbow and the wrist's centre in the home pose (m)."""

_AXES: Array = np.array([[0, 0, 1], [0, 1, 0], [0, 1, 0], [1, 0, 0], [0, 1, 0], [1, 0, 0]], dtype=float)
_POINTS: Array = np.array(
    [
        [0.0, 0.0, 0.0],
        [0.0, 0.0, SHOULDER_HEIGHT],
        ELBOW,
        [0.0, 0.0, 0.36065],
        WRIST,
        [0.0, 0.0, 0.36065],
    ]
)
"""A point on each joint's axis in the home pose (m); the screws are (axis, point x axis)."""
HOME_POSITION: Array = np.array([0.458325, 0.0, 0.36065])

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
    """(7, 4, 4): where each link has gone from its place in the home pose; 0 is the base, 6 the gripper."""
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
    return Pose(matrix[:3, 3] + matrix[:3, :3] @ HOME_POSITION, matrix[:3, :3].copy())


def finger_from_gripper(gripper: float) -> float:
    """Finger joint position (m) of a normalised gripper opening (0 closed, 1 open)."""
    return FINGER_CLOSED + float(gripper) * (FINGER_OPEN - FINGER_CLOSED)


def gripper_from_finger(finger: float) -> float:
    """Normalised gripper opening of a finger joint position (m), not clipped."""
    return (float(finger) - FINGER_CLOSED) / (FINGER_OPEN - FINGER_CLOSED)


def state_from_pose(pose: Pose, gripper: float) -> Array:
    """State vector (7,): x y z (m), roll pitch yaw of R DEFAULT_ROTATION^T (rad), gripper 0..1."""
    rpy = rpy_from_matrix(pose.rotation @ DEFAULT_ROTATION.T)
    return np.array([*pose.position, *rpy, float(gripper)])


def six_joints(joints: ArrayLike) -> Array:
    """Joint positions as an array (6,).

    Raises:
        ValueError: there are not six of them.
    """
    q = np.asarray(joints, dtype=float)
    if q.shape != (6,):
        raise ValueError(f"Joint positions must be 6 numbers (rad), got shape {q.shape}.")
    return q
