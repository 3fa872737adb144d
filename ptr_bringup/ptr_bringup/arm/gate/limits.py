# SPDX-License-Identifier: Apache-2.0
"""The safety filter: limits a requested pose to what may be sent to the arm, and gives the reasons.

The checks, in this order: workspace box, reachable shell, table, inverse kinematics, joint limits, self-collision and
collision with the table, joint speed. The box clips and the joint speed limit slows down; all other checks refuse, and
the arm stays where it is. `Gate` (gate.py) applies them: `command` caps the twist, `tick` limits each pose.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from dataclasses import dataclass

import numpy as np

from ptr_bringup.arm.model.collision import clearance
from ptr_bringup.arm.model.inverse_kinematics import inverse
from ptr_bringup.arm.model.kinematics import (
    JOINT_LOWER,
    JOINT_NAMES,
    JOINT_UPPER,
    JOINT_VELOCITY_LIMIT,
    Array,
    Pose,
    forward,
)
from ptr_bringup.arm.model.wx250s import WX250S

_ROUNDING = 1e-6
"""Relative and absolute slack of comparisons, so that 0.05 m / 0.2 s does not exceed a cap of 0.25 m/s."""

_OTHER_BRANCH = 0.5
"""rad. Between two ticks a joint moves less than this; a solution further away is another branch of the IK."""

_BULGE = 1e-3
"""m that a slowed step may bulge out of the workspace box."""


class Reason(enum.IntFlag):
    """Why the gate changed or refused a command; the bits of SafetyEvent.reason."""

    NONE = 0
    WORKSPACE_LIMIT = 1
    UNREACHABLE = 2
    VELOCITY_LIMIT = 4
    NOT_FINITE = 8
    JOINT_LIMIT = 16
    STALE_COMMAND = 32
    STATE_TIMEOUT = 64
    COMMAND_TIMEOUT = 128
    STOPPED = 256
    PREEMPTED = 512
    COLLISION = 1024
    MOTOR_FAULT = 2048
    OUT_OF_RANGE = 4096


def split_reasons(reason: Reason) -> list[Reason]:
    """The single reasons in a set, in the order of their bits."""
    return [bit for bit in Reason if bit & reason]


@dataclass(frozen=True)
class Limits:
    """What the arm is allowed to do. Zero is a limit like any other number.

    A robot's values come from its `config/arm.yaml`; the defaults are for programs without one.

    Attributes:
        workspace_min, workspace_max: m, corners of the workspace box of the end effector in base_link.
        reach_min, reach_max: m, horizontal distance of the end effector from the waist's axis.
        max_linear_velocity, max_angular_velocity: m/s and rad/s, caps of each component of a commanded twist.
        max_joint_velocity: rad/s, cap of every joint's commanded speed.
        joint_limit_margin: rad, how far inside its mechanical limits a joint stays.
        table_height: m, z of the surface that the gripper's body must not touch.
    """

    workspace_min: tuple[float, float, float] = (0.16, -0.20, 0.01)
    workspace_max: tuple[float, float, float] = (0.42, 0.20, 0.30)
    reach_min: float = 0.10
    reach_max: float = 0.50
    max_linear_velocity: float = 0.25
    max_angular_velocity: float = 1.25
    max_joint_velocity: float = JOINT_VELOCITY_LIMIT
    joint_limit_margin: float = 0.02
    table_height: float = 0.0

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if not np.all(np.isfinite(value)):
                raise ValueError(f"the limit {name} is {value}; it must be finite")
        for axis, low, high in zip("xyz", self.workspace_min, self.workspace_max, strict=True):
            if low > high:
                raise ValueError(f"the workspace box is empty along {axis}: {low} m to {high} m; swap the two")
        for name in (
            "reach_min",
            "reach_max",
            "max_linear_velocity",
            "max_angular_velocity",
            "max_joint_velocity",
            "joint_limit_margin",
        ):
            if getattr(self, name) < 0.0:
                raise ValueError(f"the limit {name} is {getattr(self, name)}; it must not be negative")
        if self.reach_min > self.reach_max:
            raise ValueError(f"reach_min ({self.reach_min} m) is larger than reach_max ({self.reach_max} m)")


@dataclass(frozen=True)
class LimitResult:
    """What may be sent to the driver, and why it differs from the request.

    Attributes:
        joints: (6,) rad, or None: refused, the arm holds.
        target: the end effector's commanded pose; if refused, the previous one, so that it never runs away.
        reason: the bits of every clip and refusal.
        detail: one sentence with the values, empty if nothing was changed.
    """

    joints: Array | None
    target: Pose
    reason: Reason = Reason.NONE
    detail: str = ""


def limit_pose(requested: Pose, target: Pose, joints: Array, limits: Limits, duration: float) -> LimitResult:
    """Clip a requested Cartesian pose to the workspace and turn it into joint positions.

    Args:
        requested: where the command would take the end effector.
        target: last commanded pose.
        joints: (6,) rad, last commanded joint positions: those of `target`, and the seed of the IK.
        duration: s since the last commanded pose, for the joint speed.
    """
    if not (np.isfinite(requested.position).all() and np.isfinite(requested.rotation).all()):
        return LimitResult(None, target, Reason.NOT_FINITE, "The requested pose is not finite; the arm holds.")
    clipped, reason, detail = clip_to_box(requested, target, limits)
    if np.array_equal(clipped.position, target.position) and np.array_equal(clipped.rotation, target.rotation):
        return LimitResult(joints, target, reason, detail)
    refusal, why = _refuse_pose(clipped, target, limits)
    if refusal:
        return LimitResult(None, target, reason | refusal, why)
    found = inverse(clipped, joints)
    if found is None:
        return LimitResult(None, target, reason | Reason.UNREACHABLE, f"No joint positions reach {_place(clipped)}.")
    if np.abs(found - joints).max() > _OTHER_BRANCH:
        why = f"{_place(clipped)} can only be reached with another arm configuration."
        return LimitResult(None, target, reason | Reason.UNREACHABLE, why)
    result = limit_joints(found, clipped, target, joints, limits, duration)
    if result.joints is not None and result.reason & Reason.VELOCITY_LIMIT:
        result = _shorten_into_workspace(result, target, joints, limits)
    return dataclasses.replace(result, reason=result.reason | reason, detail=result.detail or detail)


def limit_joints(
    requested: Array, pose: Pose, target: Pose, joints: Array, limits: Limits, duration: float
) -> LimitResult:
    """The part of the gate after the inverse kinematics: table, joint limits, collisions, joint speed.

    Args:
        requested: (6,) rad, requested joint positions.   pose: their end-effector pose.
        target, joints, duration: as for `limit_pose`.
    """
    refusal, why = _refuse_pose(pose, target, limits)
    if refusal:
        return LimitResult(None, target, refusal, why)
    low, high = JOINT_LOWER + limits.joint_limit_margin, JOINT_UPPER - limits.joint_limit_margin
    outside = (requested < np.minimum(low, joints) - _ROUNDING) | (requested > np.maximum(high, joints) + _ROUNDING)
    if outside.any():
        k = int(np.argmax(outside))
        why = f"Joint {JOINT_NAMES[k]} would go to {requested[k]:.3f} rad; allowed: {low[k]:.3f}..{high[k]:.3f}."
        return LimitResult(None, target, Reason.JOINT_LIMIT, why)
    why = collision_reason(requested, joints, limits)
    if why:
        return LimitResult(None, target, Reason.COLLISION, why)
    step, allowed = float(np.abs(requested - joints).max()), limits.max_joint_velocity * duration
    if step > allowed * (1.0 + _ROUNDING) + 1e-12:
        slowed = joints + (requested - joints) * (allowed / step)
        why = f"A joint would move {step:.3f} rad in {duration:.3f} s, over {limits.max_joint_velocity:.2f} rad/s."
        return LimitResult(slowed, forward(slowed), Reason.VELOCITY_LIMIT, why)
    return LimitResult(requested, pose)


def collision_reason(requested: Array, joints: Array, limits: Limits) -> str:
    """A sentence if the arm would touch itself or the table at `requested`, else empty.

    If it is already in collision at `joints`, motions that do not reduce the clearance are allowed.
    """
    then = clearance(requested, limits.table_height)
    if then.distance >= 0.0 or then.distance >= clearance(joints, limits.table_height).distance - _ROUNDING:
        return ""
    one, other = then.parts
    return f"The {one} would be {-then.distance:.3f} m too close to the {other}."


def _shorten_into_workspace(slowed: LimitResult, target: Pose, joints: Array, limits: Limits) -> LimitResult:
    """Shorten a slowed step that leaves the box: it is straight in joint space, but not in Cartesian space.

    Args:
        slowed: allowed, but slower than requested.   target, joints: as for `limit_pose`.
    """
    low = np.minimum(np.subtract(limits.workspace_min, _BULGE), target.position)
    high = np.maximum(np.add(limits.workspace_max, _BULGE), target.position)
    assert slowed.joints is not None
    for share in (1.0, 0.5, 0.25, 0.125):
        requested = joints + (slowed.joints - joints) * share
        pose = forward(requested)
        inside = (low <= pose.position).all() and (pose.position <= high).all()
        if inside and not _refuse_pose(pose, target, limits)[0] and not collision_reason(requested, joints, limits):
            return dataclasses.replace(slowed, joints=requested, target=pose)
    why = f"{slowed.detail} A slower step would leave the workspace; the arm holds."
    return LimitResult(None, target, slowed.reason | Reason.WORKSPACE_LIMIT, why)


def cap_twist(twist: Array, limits: Limits) -> tuple[Array, Reason, str]:
    """Scale a twist (6,) down to the speed caps, keeping its direction.

    Returns:
        The twist, VELOCITY_LIMIT or NONE, and a sentence.
    """
    fastest, turning = float(np.abs(twist[:3]).max()), float(np.abs(twist[3:]).max())
    linear, angular = _scale(fastest, limits.max_linear_velocity), _scale(turning, limits.max_angular_velocity)
    if linear == 1.0 and angular == 1.0:
        return twist, Reason.NONE, ""
    capped = np.concatenate([twist[:3] * linear, twist[3:] * angular])
    why = (
        f"The twist has components of {fastest:.3f} m/s and {turning:.3f} rad/s; "
        f"the caps are {limits.max_linear_velocity:.3f} m/s and {limits.max_angular_velocity:.3f} rad/s."
    )
    return capped, Reason.VELOCITY_LIMIT, why


def clip_to_box(requested: Pose, target: Pose, limits: Limits) -> tuple[Pose, Reason, str]:
    """Clip a pose's position to the workspace box.

    If the arm is already outside, as in its sleep pose, it may stay or move inwards, but not further out. So entering
    the box never makes it jump.
    """
    low = np.minimum(limits.workspace_min, target.position)
    high = np.maximum(limits.workspace_max, target.position)
    position = np.clip(requested.position, low, high)
    if np.abs(position - requested.position).max() <= 1e-9:
        return requested, Reason.NONE, ""
    clipped = Pose(position, requested.rotation)
    outside = ", ".join(
        f"{axis} = {value:.4f} m is not within {below:.3f} to {above:.3f} m"
        for axis, value, below, above, moved in zip("xyz", requested.position, low, high, position, strict=True)
        if value != moved
    )
    why = f"The target was clipped to the workspace box: {outside}."
    return clipped, Reason.WORKSPACE_LIMIT, why


def _refuse_pose(pose: Pose, target: Pose, limits: Limits) -> tuple[Reason, str]:
    """The checks that need no inverse kinematics: reachable shell and table."""
    radius, now = math.hypot(*pose.position[:2]), math.hypot(*target.position[:2])
    if not min(limits.reach_min, now) - _ROUNDING <= radius <= max(limits.reach_max, now) + _ROUNDING:
        why = (
            f"{_place(pose)} is {radius:.3f} m from the waist; "
            f"the arm works between {limits.reach_min:.3f} m and {limits.reach_max:.3f} m."
        )
        return Reason.UNREACHABLE, why
    clearance = gripper_clearance(pose) - limits.table_height
    if clearance < min(0.0, gripper_clearance(target) - limits.table_height) - _ROUNDING:
        return (
            Reason.COLLISION,
            f"At {_place(pose)} the gripper would be {-clearance:.3f} m inside the table.",
        )
    return Reason.NONE, ""


def gripper_clearance(pose: Pose) -> float:
    """Height (m) of the lowest point of the gripper's body, a cylinder behind the end effector."""
    tilt = float(pose.rotation[2, 0])  # z of the end effector's x axis, along which the gripper points
    sink = WX250S.gripper_radius * math.sqrt(max(0.0, 1.0 - tilt * tilt))
    return min(float(pose.position[2]) - behind * tilt for behind in WX250S.gripper_body) - sink


def _scale(value: float, cap: float) -> float:
    return 1.0 if value <= cap * (1.0 + _ROUNDING) else cap / value


def _place(pose: Pose) -> str:
    x, y, z = (float(c) for c in pose.position)
    return f"({x:.3f}, {y:.3f}, {z:.3f}) m"
