# SPDX-License-Identifier: Apache-2.0
"""Kinematics of the WidowX 250 6-DoF: product of exponentials, Jacobian, poses and rotations.

Numbers are the published ones (Interbotix `mr_descriptions.wx250s` and the URDF's joint limits). Poses are those
of `ee_gripper_link` in `base_link`, in metres and rotation matrices; joints are in radians, in the order of
`JOINT_NAMES`. Plain numpy, no ROS.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

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

DEFAULT_ROTATION: Array = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
"""Orientation of the end effector that has zero roll, pitch and yaw: the gripper points down."""

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


def rotation_from_rpy(rpy: ArrayLike) -> Array:
    """Rotation matrix (3, 3) of fixed-axis XYZ angles (3,) in rad: R = Rz(yaw) Ry(pitch) Rx(roll)."""
    roll, pitch, yaw = (float(a) for a in np.asarray(rpy, dtype=float))
    cr, sr, cp, sp, cy, sy = (
        math.cos(roll), math.sin(roll), math.cos(pitch), math.sin(pitch), math.cos(yaw), math.sin(yaw),
    )
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )


def rpy_from_rotation(rotation: Array) -> Array:
    """Fixed-axis XYZ angles (3,) in rad of a rotation matrix; roll is 0 where pitch is +-pi/2."""
    sp = -float(rotation[2, 0])
    if abs(sp) > 1.0 - 1e-9:
        pitch = math.copysign(math.pi / 2, sp)
        return np.array([0.0, pitch, math.atan2(-rotation[0, 1], rotation[1, 1])])
    return np.array(
        [
            math.atan2(rotation[2, 1], rotation[2, 2]),
            math.asin(sp),
            math.atan2(rotation[1, 0], rotation[0, 0]),
        ]
    )


def rotation_vector(rotation: Array) -> Array:
    """Axis times angle (3,) in rad of a rotation matrix, angle in [0, pi]."""
    skew = np.array(
        [
            rotation[2, 1] - rotation[1, 2],
            rotation[0, 2] - rotation[2, 0],
            rotation[1, 0] - rotation[0, 1],
        ]
    )
    sine = 0.5 * math.sqrt(float(skew @ skew))
    cosine = 0.5 * (float(rotation[0, 0] + rotation[1, 1] + rotation[2, 2]) - 1.0)
    if sine > 1e-6:
        return skew * (math.atan2(sine, cosine) / (2.0 * sine))
    if cosine > 0.0:
        return 0.5 * skew
    axis = np.sqrt(np.maximum((np.diag(rotation) + 1.0) / 2.0, 0.0))
    largest = int(np.argmax(axis))
    signs = np.sign(rotation[largest] + rotation[:, largest])
    signs[largest] = 1.0
    return math.pi * axis * np.where(signs == 0.0, 1.0, signs)


def rotation_from_vector(vector: ArrayLike) -> Array:
    """Rotation matrix (3, 3) of an axis-times-angle vector (3,) in rad (Rodrigues)."""
    v = np.asarray(vector, dtype=float)
    angle = math.sqrt(float(v @ v))
    skew = np.array([[0.0, -v[2], v[1]], [v[2], 0.0, -v[0]], [-v[1], v[0], 0.0]])
    if angle < 1e-9:
        return np.eye(3) + skew
    return np.eye(3) + (math.sin(angle) / angle) * skew + ((1.0 - math.cos(angle)) / angle**2) * (skew @ skew)


def _chain(joints: Array) -> tuple[Array, Array, Array]:
    """Axes (6, 3) and points (6, 3) of the joints as they are now, and the end effector's matrix (4, 4)."""
    moved = link_transforms(joints)
    axes = np.einsum("kij,kj->ki", moved[:6, :3, :3], _AXES)
    points = np.einsum("kij,kj->ki", moved[:6, :3, :3], _POINTS) + moved[:6, :3, 3]
    matrix = moved[6]
    matrix[:3, 3] += matrix[:3, :3] @ HOME_POSITION
    return axes, points, matrix


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
    matrix = _chain(six_joints(joints))[2]
    return Pose(matrix[:3, 3].copy(), matrix[:3, :3].copy())


def jacobian(joints: ArrayLike) -> Array:
    """Geometric Jacobian (6, 6): rows 0-2 linear (m/rad), rows 3-5 angular, about the end effector, base axes."""
    axes, points, matrix = _chain(six_joints(joints))
    return np.concatenate([np.cross(axes, matrix[:3, 3] - points), axes], axis=1).T


def within_limits(joints: ArrayLike, margin: float = 0.0) -> bool:
    """True when every joint (6,) is at least `margin` rad inside its limits."""
    q = six_joints(joints)
    return bool(np.all(q >= JOINT_LOWER + margin) and np.all(q <= JOINT_UPPER - margin))


def finger_from_gripper(gripper: float) -> float:
    """Finger joint position (m) of a normalised gripper opening (0 closed, 1 open)."""
    return FINGER_CLOSED + float(gripper) * (FINGER_OPEN - FINGER_CLOSED)


def gripper_from_finger(finger: float) -> float:
    """Normalised gripper opening of a finger joint position (m), not clipped."""
    return (float(finger) - FINGER_CLOSED) / (FINGER_OPEN - FINGER_CLOSED)


def state_from_pose(pose: Pose, gripper: float) -> Array:
    """State vector (7,): x y z (m), roll pitch yaw of R DEFAULT_ROTATION^T (rad), gripper 0..1."""
    rpy = rpy_from_rotation(pose.rotation @ DEFAULT_ROTATION.T)
    return np.array([*pose.position, *rpy, float(gripper)])


def pose_from_state(state: ArrayLike) -> Pose:
    """Pose of a state vector's first six numbers; the inverse of `state_from_pose`."""
    s = np.asarray(state, dtype=float)
    return Pose(s[:3].copy(), rotation_from_rpy(s[3:6]) @ DEFAULT_ROTATION)


def displaced(pose: Pose, translation: ArrayLike, rpy: ArrayLike) -> Pose:
    """The pose after a Bridge delta: shifted along the base axes (m), turned about itself by R(rpy) (rad)."""
    return Pose(pose.position + np.asarray(translation, dtype=float), rotation_from_rpy(rpy) @ pose.rotation)


def six_joints(joints: ArrayLike) -> Array:
    """Joint positions as an array (6,).

    Raises:
        ValueError: there are not six of them.
    """
    q = np.asarray(joints, dtype=float)
    if q.shape != (6,):
        raise ValueError(f"Joint positions must be 6 numbers (rad), got shape {q.shape}.")
    return q
