# SPDX-License-Identifier: Apache-2.0
"""Closed-form inverse kinematics of the WidowX 250 6-DoF: finds all solutions, or proves that there is none.

The axes of forearm_roll, wrist_angle and wrist_rotate intersect in one point, so position and orientation decouple
(Pieper 1968). The waist turns the arm's plane to that point, shoulder and elbow form a triangle in the plane, and
the three wrist angles are an x-y-x Euler rotation. There are up to eight solutions. `docs/reference/safety.md`
compares this with damped least squares and with libraries.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from ptr_bringup.arm.model.kinematics import JOINT_LOWER, JOINT_UPPER, Array, Pose, six_joints
from ptr_bringup.arm.model.wx250s import WX250S

_, _SHOULDER, _ELBOW, _, _WRIST, _ = WX250S.joint_points
_SHOULDER_HEIGHT = _SHOULDER[2]
_UPPER_ARM = math.hypot(_ELBOW[0], _ELBOW[2] - _SHOULDER_HEIGHT)
_UPPER_ARM_ANGLE = math.atan2(_ELBOW[2] - _SHOULDER_HEIGHT, _ELBOW[0])
"""rad, of the line from the shoulder to the elbow above the horizontal, in the home pose."""
_FOREARM = _WRIST[0] - _ELBOW[0]
_HAND = WX250S.home_position[0] - _WRIST[0]
"""m, from the wrist's center to the end effector, along the end effector's x axis."""

_LOWER, _UPPER = tuple(JOINT_LOWER.tolist()), tuple(JOINT_UPPER.tolist())
_SLACK = 1e-5
"""rad that a solution may exceed a joint's limit (rounding, and limits of pi - 1e-5); it is clipped."""
_STRETCHED = 1e-9
"""Slack of the cosine in the elbow's triangle, so that a fully stretched arm is reachable."""
_SINGULAR = 1e-4
"""rad. At a smaller wrist angle, forearm_roll and wrist_rotate turn about the same axis; forearm_roll then stays."""


def inverse(target: Pose, seed: ArrayLike) -> Array | None:
    """Joint positions (6,) in rad within the limits that reach `target`, closest to `seed`; None if there are none.

    Closest means the smallest maximum joint motion. With the previous tick's joints as seed, the arm stays in its
    branch.
    """
    start = six_joints(seed).tolist()
    nearest, distance = None, math.inf
    for found in solutions(target, start):
        longest = max(map(abs, map(float.__sub__, found, start)))
        if longest < distance:
            nearest, distance = found, longest
    return None if nearest is None else np.array(nearest)


def solutions(target: Pose, seed: list[float]) -> Iterator[tuple[float, ...]]:
    """All joint positions (6,) in rad within the limits that reach `target`: up to eight.

    Args:
        seed: (6,) rad; joints that are free in a singular pose keep the seed's values.
    """
    rows = target.rotation.tolist()
    x, y, z = (p - _HAND * row[0] for p, row in zip(target.position.tolist(), rows, strict=True))
    if not math.isfinite(x + y + z + sum(map(sum, rows))):
        return
    radius, height = math.hypot(x, y), z - _SHOULDER_HEIGHT
    bearing = math.atan2(y, x) if radius > 1e-9 else seed[0]
    for waist, forward in ((bearing, radius), (_wrapped(bearing + math.pi), -radius)):
        for shoulder, elbow in _triangle(forward, height):
            if _beyond(1, shoulder) or _beyond(2, elbow):
                continue
            for wrist in _wrist(rows, waist, shoulder + elbow, seed):
                found = (waist, shoulder, elbow, *wrist)
                if not any(map(_beyond, range(6), found)):
                    yield tuple(map(_clipped, range(6), found))


def _triangle(forward: float, height: float) -> Iterator[tuple[float, float]]:
    """Shoulder and elbow (rad) that bring the wrist's center to a point in the arm's plane, seen from the shoulder."""
    square = forward * forward + height * height
    cosine = (square - _UPPER_ARM**2 - _FOREARM**2) / (2.0 * _UPPER_ARM * _FOREARM)
    if abs(cosine) > 1.0 + _STRETCHED:
        return
    bend = math.acos(min(max(cosine, -1.0), 1.0))
    elevation = math.atan2(height, forward)
    for turn in (bend, -bend):
        ahead = math.atan2(_FOREARM * math.sin(turn), _UPPER_ARM + _FOREARM * math.cos(turn))
        yield _wrapped(_UPPER_ARM_ANGLE + ahead - elevation), _wrapped(-turn - _UPPER_ARM_ANGLE)


def _wrist(rows: list[list[float]], waist: float, pitch: float, seed: list[float]) -> Iterator[tuple[float, ...]]:
    """forearm_roll, wrist_angle and wrist_rotate (rad): Rx Ry Rx is the orientation relative to the forearm.

    Args:
        rows: of the end effector's rotation matrix.   pitch: shoulder + elbow.
    """
    cw, sw, cp, sp = math.cos(waist), math.sin(waist), math.cos(pitch), math.sin(pitch)
    (ax, bx, cx), (ay, by, cy), (az, bz, cz) = rows
    xx = cw * cp * ax + sw * cp * ay - sp * az
    xy = cw * cp * bx + sw * cp * by - sp * bz
    xz = cw * cp * cx + sw * cp * cy - sp * cz
    yx, yy = cw * ay - sw * ax, cw * by - sw * bx
    zx, zy = cw * sp * ax + sw * sp * ay + cp * az, cw * sp * bx + sw * sp * by + cp * bz
    angle = math.atan2(math.hypot(yx, zx), xx)
    if angle < _SINGULAR:
        yield seed[3], 0.0, _wrapped(math.atan2(zy, yy) - seed[3])
        return
    roll, rotate = math.atan2(yx, -zx), math.atan2(xy, xz)
    yield roll, angle, rotate
    yield _wrapped(roll + math.pi), -angle, _wrapped(rotate + math.pi)


def _wrapped(angle: float) -> float:
    """The same angle in [-pi, pi]."""
    return math.remainder(angle, math.tau)


def _beyond(joint: int, angle: float) -> bool:
    return not _LOWER[joint] - _SLACK <= angle <= _UPPER[joint] + _SLACK


def _clipped(joint: int, angle: float) -> float:
    return min(max(angle, _LOWER[joint]), _UPPER[joint])
