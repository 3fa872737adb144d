# SPDX-License-Identifier: Apache-2.0
"""Slow moves to a pose: a straight line if the arm can follow it, otherwise linear in joint space.

The speed along the path has minimum jerk (Flash and Hogan 1985): it starts and ends at rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ptr_bringup.arm.gate.limits import Limits, clip_to_box, collision_reason
from ptr_bringup.arm.model.inverse_kinematics import inverse
from ptr_bringup.arm.model.kinematics import Array, Pose, forward
from ptr_bringup.arm.model.wx250s import WX250S
from ptr_models.common.rotations import matrix_from_rotation_vector, rotation_vector_from_matrix

NAMED_JOINTS: dict[str, Array] = {name: np.array(joints) for name, joints in WX250S.named_joints.items()}
"""Joint positions (rad) of the named poses; at `start` the gripper is at (0.3, 0, 0.15) m and points down."""

_POINTS = 33
_OPENING_TOLERANCE = 0.01
"""Allowed deviation of a gripper opening from 0..1: measured ones can be slightly outside."""
_PEAK = 1.875
"""Peak speed of a minimum-jerk motion over its mean speed."""
_SPEED_SHARE = 0.6
"""Maximum share of the speed caps that a move uses."""
_MAX_DURATION = 600.0
"""s. No move may be slower, because only a human can take over while it runs."""
_MIN_DURATION = 0.5
"""s. No move is faster."""


class MoveError(ValueError):
    """The arm can't move to the goal; the message says why."""


@dataclass(frozen=True)
class Move:
    """A timed path of the arm.

    Attributes:
        path: (N, 6) rad, joint positions at equal steps of the path.
        duration: s, from rest to rest.
        gripper: opening commanded at the end, 0..1.
        goal: end-effector pose at the end.
    """

    path: Array
    duration: float
    gripper: float
    goal: Pose

    def joints(self, elapsed: float) -> Array:
        """Joint positions (6,) in rad, `elapsed` s after the start."""
        along = minimum_jerk(elapsed / self.duration) * (len(self.path) - 1)
        k = min(int(along), len(self.path) - 2)
        return self.path[k] + (along - k) * (self.path[k + 1] - self.path[k])


def minimum_jerk(time: float) -> float:
    """Share of the path after a share of the time, both in [0, 1]."""
    t = min(max(time, 0.0), 1.0)
    return t**3 * (10.0 - 15.0 * t + 6.0 * t * t)


def plan_to_pose(target: Pose, joints: Array, goal: Pose, gripper: float, duration: float, limits: Limits) -> Move:
    """A move of the end effector to a pose inside the workspace box.

    Args:
        target, joints: last commanded pose and its joint positions (6,) in rad.
        goal: goal pose.   gripper: opening at the end, 0..1.
        duration: s; extended if the speed caps need more, so 0 means as fast as they allow.
    Raises:
        MoveError: the goal is outside the box, no joint positions reach it, or a number is not finite.
    """
    if not (np.isfinite(goal.position).all() and np.isfinite(goal.rotation).all()):
        raise MoveError("the goal pose contains NaN or infinite numbers")
    where = "({:.3f}, {:.3f}, {:.3f}) m".format(*goal.position)
    if clip_to_box(goal, goal_inside(goal, limits), limits)[1]:
        raise MoveError(
            f"the goal {where} is outside the workspace box {limits.workspace_min}..{limits.workspace_max} m"
        )
    path = _line(target, joints, goal)
    if path is None:
        end = inverse(goal, joints)
        if end is None:
            raise MoveError(f"no joint positions reach the goal {where} in that orientation")
        path = _arc(joints, end)
    _check_path(path, limits)
    return Move(path, _duration(path, duration, limits), _opening(gripper), goal)


def plan_to_name(joints: Array, name: str, gripper: float, duration: float, limits: Limits) -> Move:
    """A move of the joints to a named pose; `sleep` and `home` are outside the workspace box.

    Raises:
        MoveError: the name is unknown, or the arm would touch itself or the table on its way.
    """
    if name not in NAMED_JOINTS:
        raise MoveError(f"unknown pose {name!r}; known: {', '.join(NAMED_JOINTS)}")
    path = _arc(joints, NAMED_JOINTS[name])
    _check_path(path, limits)
    return Move(path, _duration(path, duration, limits), _opening(gripper), forward(path[-1]))


def goal_inside(goal: Pose, limits: Limits) -> Pose:
    """The pose inside the workspace box that is closest to a goal."""
    return Pose(np.clip(goal.position, limits.workspace_min, limits.workspace_max), goal.rotation)


def _line(start: Pose, joints: Array, goal: Pose) -> Array | None:
    """(N, 6) joint positions along the straight line between two poses, None if the arm can't follow it."""
    turn = rotation_vector_from_matrix(goal.rotation @ start.rotation.T)
    path = [joints]
    for share in np.linspace(0.0, 1.0, _POINTS)[1:]:
        position = start.position + share * (goal.position - start.position)
        found = inverse(Pose(position, matrix_from_rotation_vector(share * turn) @ start.rotation), path[-1])
        if found is None or np.abs(found - path[-1]).max() > 0.3:
            return None
        path.append(found)
    return np.array(path)


def _arc(start: Array, end: Array) -> Array:
    """(N, 6) joint positions, linear from start to end."""
    return start + np.linspace(0.0, 1.0, _POINTS)[:, None] * (end - start)


def _check_path(path: Array, limits: Limits) -> None:
    """Refuse a path (N, 6) on which the arm would touch itself or the table."""
    for here, there in zip(path, path[1:], strict=False):
        why = collision_reason(there, here, limits)
        if why:
            raise MoveError(f"the direct path is blocked: {why} Move via another pose")


def _duration(path: Array, wanted: float, limits: Limits) -> float:
    """s that a path takes: the requested duration, or more if a speed cap needs it."""
    if not 0.0 <= wanted <= _MAX_DURATION:
        raise MoveError(
            f"the duration is {wanted} s; use at most {_MAX_DURATION:.0f} s, or 0 for as fast as the caps allow"
        )
    poses = [forward(q) for q in path]
    steps = len(path) - 1
    shift = max(float(np.linalg.norm(b.position - a.position)) for a, b in zip(poses, poses[1:], strict=False))
    turn = max(
        float(np.linalg.norm(rotation_vector_from_matrix(b.rotation @ a.rotation.T)))
        for a, b in zip(poses, poses[1:], strict=False)
    )
    bend = float(np.abs(np.diff(path, axis=0)).max())
    caps = ((shift, limits.max_linear_velocity), (turn, limits.max_angular_velocity), (bend, limits.max_joint_velocity))
    needed = [_seconds(steps * _PEAK * distance, _SPEED_SHARE * cap) for distance, cap in caps]
    return max(wanted, _MIN_DURATION, *needed)


def _seconds(distance: float, speed: float) -> float:
    if distance < 1e-9:
        return 0.0
    if speed <= 0.0:
        raise MoveError("a speed cap is 0, so the arm can't move to a pose; raise the limit")
    return distance / speed


def _opening(gripper: float) -> float:
    if not -_OPENING_TOLERANCE <= gripper <= 1.0 + _OPENING_TOLERANCE:
        raise MoveError(f"the gripper opening is {gripper}; use a number between 0 (closed) and 1 (open)")
    return min(max(gripper, 0.0), 1.0)
