# SPDX-License-Identifier: Apache-2.0
"""Rotations as arrays: matrices, quaternions (x, y, z, w), fixed-axis XYZ angles, and axis times angle (rad).

Fixed-axis XYZ means R = Rz(yaw) Ry(pitch) Rx(roll). The first four functions take any leading batch axes; a single
rotation is computed with plain floats, several times faster than by scipy or as a batch, for loops at control rate.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

DEFAULT_ROTATION: Array = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
"""Orientation of ee_gripper_link in base_link with zero roll, pitch and yaw: the gripper points down (Bridge)."""
_LOCKED = 1e-9
"""Cosine of the pitch below which roll and yaw turn about one axis."""


def matrix_from_quaternion(quaternion: ArrayLike) -> Array:
    """Rotation matrices (..., 3, 3) of quaternions (..., 4), which are normalized first; NaN for a quaternion of 0."""
    q = np.asarray(quaternion, dtype=np.float64)
    if q.ndim == 1:
        length = math.hypot(*q.tolist()) or math.nan
        x, y, z, w = (part / length for part in q.tolist())
    else:
        with np.errstate(invalid="ignore", divide="ignore"):
            x, y, z, w = np.moveaxis(q / np.linalg.norm(q, axis=-1, keepdims=True), -1, 0)
    return _matrix(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def quaternion_from_matrix(matrix: ArrayLike) -> Array:
    """Unit quaternions (..., 4) with w >= 0 of rotation matrices (..., 3, 3).

    The largest of the four components is computed first (Shepperd 1978), so that no division is by a small number.
    """
    m = np.asarray(matrix, dtype=np.float64)
    if m.ndim == 2:
        return _quaternion_from_matrix(m)
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


def _quaternion_from_matrix(matrix: Array) -> Array:
    (a, b, c), (d, e, f), (g, h, i) = matrix.tolist()
    squares = (1 + a - e - i, 1 - a + e - i, 1 - a - e + i, 1 + a + e + i)
    k = squares.index(max(squares))
    x, y, z, w = (
        (squares[0], b + d, c + g, h - f),
        (b + d, squares[1], f + h, c - g),
        (c + g, f + h, squares[2], d - b),
        (h - f, c - g, d - b, squares[3]),
    )[k]
    length = math.copysign(math.sqrt(x * x + y * y + z * z + w * w), w if w else 1.0)
    return np.array([x / length, y / length, z / length, w / length])


def matrix_from_rpy(rpy: ArrayLike) -> Array:
    """Rotation matrices (..., 3, 3) of fixed-axis XYZ angles (..., 3)."""
    angles = np.asarray(rpy, dtype=np.float64)
    if angles.ndim == 1:
        (sr, sp, sy), (cr, cp, cy) = map(math.sin, angles.tolist()), map(math.cos, angles.tolist())
    else:
        (sr, sp, sy), (cr, cp, cy) = np.sin(np.moveaxis(angles, -1, 0)), np.cos(np.moveaxis(angles, -1, 0))
    return _matrix(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )


def rpy_from_matrix(matrix: ArrayLike) -> Array:
    """Fixed-axis XYZ angles (..., 3) of rotation matrices (..., 3, 3), pitch within +-pi/2; roll is 0 at its ends."""
    m = np.asarray(matrix, dtype=np.float64)
    if m.ndim == 2:
        return _rpy_from_matrix(m)
    cosine = np.hypot(m[..., 0, 0], m[..., 1, 0])
    locked = cosine < _LOCKED
    roll = np.where(locked, 0.0, np.arctan2(m[..., 2, 1], m[..., 2, 2]))
    yaw = np.where(locked, np.arctan2(-m[..., 0, 1], m[..., 1, 1]), np.arctan2(m[..., 1, 0], m[..., 0, 0]))
    return np.stack([roll, np.arctan2(-m[..., 2, 0], cosine), yaw], axis=-1)


def _rpy_from_matrix(matrix: Array) -> Array:
    (a, b, _), (d, e, _), (g, h, i) = matrix.tolist()
    cosine = math.hypot(a, d)  # of the pitch; its arc sine would lose half of the digits near +-pi/2
    pitch = math.atan2(-g, cosine)
    if cosine < _LOCKED:
        return np.array([0.0, pitch, math.atan2(-b, e)])
    return np.array([math.atan2(h, i), pitch, math.atan2(d, a)])


def rotation_vector_from_matrix(matrix: Array) -> Array:
    """Axis times angle (3,), the angle in [0, pi], of a rotation matrix (3, 3)."""
    skew = np.array([matrix[2, 1] - matrix[1, 2], matrix[0, 2] - matrix[2, 0], matrix[1, 0] - matrix[0, 1]])
    sine = 0.5 * math.sqrt(float(skew @ skew))
    cosine = 0.5 * (float(matrix[0, 0] + matrix[1, 1] + matrix[2, 2]) - 1.0)
    if sine > 1e-6:
        return skew * (math.atan2(sine, cosine) / (2.0 * sine))
    if cosine > 0.0:
        return 0.5 * skew
    axis = np.sqrt(np.maximum((np.diag(matrix) + 1.0) / 2.0, 0.0))
    largest = int(np.argmax(axis))
    signs = np.sign(matrix[largest] + matrix[:, largest])
    signs[largest] = 1.0
    return math.pi * axis * np.where(signs == 0.0, 1.0, signs)


def matrix_from_rotation_vector(vector: ArrayLike) -> Array:
    """Rotation matrix (3, 3) of axis times angle (3,) (Rodrigues)."""
    v = np.asarray(vector, dtype=float)
    angle = math.sqrt(float(v @ v))
    skew = np.array([[0.0, -v[2], v[1]], [v[2], 0.0, -v[0]], [-v[1], v[0], 0.0]])
    if angle < 1e-9:
        return np.eye(3) + skew
    return np.eye(3) + (math.sin(angle) / angle) * skew + ((1.0 - math.cos(angle)) / angle**2) * (skew @ skew)


def _matrix(rows: list[list[Any]]) -> Array:
    if isinstance(rows[0][0], float):
        return np.array(rows)
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
