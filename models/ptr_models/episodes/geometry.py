# SPDX-License-Identifier: Apache-2.0
"""Rotations of poses, as arrays: quaternions (x, y, z, w), matrices, and fixed-axis XYZ angles.

Leading axes are batch axes everywhere. Fixed-axis XYZ means R = Rz(yaw) Ry(pitch) Rx(roll).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

DEFAULT_ROTATION: Array = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
"""Orientation of ee_gripper_link in base_link with zero Euler angles: the gripper points down (Bridge)."""


def matrix_from_quaternion(quaternion: Array) -> Array:
    """Rotation matrices (..., 3, 3) of quaternions (..., 4) in the order x, y, z, w; normalised first."""
    q = np.asarray(quaternion, dtype=np.float64)
    with np.errstate(
        invalid="ignore", divide="ignore"
    ):  # a quaternion of zeros gives NaN, which readers refuse
        x, y, z, w = np.moveaxis(q / np.linalg.norm(q, axis=-1, keepdims=True), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def quaternion_from_matrix(matrix: Array) -> Array:
    """Unit quaternions (..., 4) in the order x, y, z, w, with w >= 0, of rotation matrices (..., 3, 3).

    The largest of the four components is computed first (Shepperd's method), so that no division is by a
    small number.
    """
    m = np.asarray(matrix, dtype=np.float64)
    d0, d1, d2 = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    a, b, c = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    p, q, r = m[..., 1, 0] + m[..., 0, 1], m[..., 0, 2] + m[..., 2, 0], m[..., 2, 1] + m[..., 1, 2]
    candidates = np.stack(
        [
            np.stack([1 + d0 - d1 - d2, p, q, a], axis=-1),
            np.stack([p, 1 - d0 + d1 - d2, r, b], axis=-1),
            np.stack([q, r, 1 - d0 - d1 + d2, c], axis=-1),
            np.stack([a, b, c, 1 + d0 + d1 + d2], axis=-1),
        ],
        axis=-2,
    )
    best = np.argmax(np.diagonal(candidates, axis1=-2, axis2=-1), axis=-1)
    chosen = np.take_along_axis(candidates, best[..., None, None], axis=-2)[..., 0, :]
    chosen = chosen / np.linalg.norm(chosen, axis=-1, keepdims=True)
    return np.where(chosen[..., 3:] < 0, -chosen, chosen)


def matrix_from_rpy(rpy: Array) -> Array:
    """Rotation matrices (..., 3, 3) of fixed-axis XYZ angles (..., 3) in rad."""
    angles = np.moveaxis(np.asarray(rpy, dtype=np.float64), -1, 0)
    (sr, sp, sy), (cr, cp, cy) = np.sin(angles), np.cos(angles)
    rows = [
        [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
        [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
        [-sp, cp * sr, cp * cr],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def rpy_from_matrix(matrix: Array) -> Array:
    """Fixed-axis XYZ angles (..., 3) in rad of rotation matrices; roll is 0 where pitch is +-pi/2."""
    m = np.asarray(matrix, dtype=np.float64)
    cosine = np.hypot(m[..., 0, 0], m[..., 1, 0])
    pitch = np.arctan2(-m[..., 2, 0], cosine)
    locked = cosine < 1e-9
    roll = np.where(locked, 0.0, np.arctan2(m[..., 2, 1], m[..., 2, 2]))
    yaw = np.where(locked, np.arctan2(-m[..., 0, 1], m[..., 1, 1]), np.arctan2(m[..., 1, 0], m[..., 0, 0]))
    return np.stack([roll, pitch, yaw], axis=-1)


def integrate(position: Array, rotation: Array, deltas: Array) -> tuple[Array, Array]:
    """Commanded poses that follow from a first one and per-step displacements.

    Args:
        position, rotation: (3,) m and (3, 3), the first commanded pose in base_link.
        deltas: (T, 6) m and rad: translation along, and rotation about, the axes of base_link, per step.
    Returns:
        Positions (T+1, 3) and rotations (T+1, 3, 3); row 0 is the first pose.
    """
    positions = np.concatenate([position[None], position + np.cumsum(deltas[:, :3], axis=0)])
    rotations = np.empty((len(deltas) + 1, 3, 3))
    rotations[0] = rotation
    for k, turn in enumerate(matrix_from_rpy(deltas[:, 3:6])):
        rotations[k + 1] = turn @ rotations[k]
    return positions, rotations


def displacements(positions: Array, rotations: Array) -> Array:
    """The inverse of `integrate`: (T, 6) m and rad from poses (T+1, 3), (T+1, 3, 3)."""
    turns = rotations[1:] @ np.swapaxes(rotations[:-1], -1, -2)
    return np.concatenate([np.diff(positions, axis=0), rpy_from_matrix(turns)], axis=-1)
