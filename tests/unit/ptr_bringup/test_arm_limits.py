# SPDX-License-Identifier: Apache-2.0
"""The safety filter: what it clips, what it refuses, and that its output is always inside the limits."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptr_bringup.arm.gate.limits import (
    Limits,
    Reason,
    cap_twist,
    gripper_clearance,
    limit_joints,
    limit_pose,
    split_reasons,
)
from ptr_bringup.arm.model import kinematics
from ptr_bringup.arm.model.inverse_kinematics import inverse
from ptr_bringup.arm.model.kinematics import Pose, advance
from ptr_models.common import rotations
from ptr_models.common.rotations import DEFAULT_ROTATION

LIMITS = Limits()
START = np.array([0.0, 0.022, 0.183, 0.0, 1.366, 0.0])
TARGET = kinematics.forward(START)


def down(x: float, y: float, z: float) -> Pose:
    """The gripper at (x, y, z) m, pointing down."""
    return Pose(np.array([x, y, z]), DEFAULT_ROTATION)


def at(x: float, y: float, z: float) -> tuple[Pose, np.ndarray]:
    """A pose with the gripper down, and its joints."""
    joints = inverse(down(x, y, z), START)
    return kinematics.forward(joints), joints


@pytest.mark.parametrize(
    ("axis", "sign", "face"),
    [(0, -1, 0.16), (0, 1, 0.42), (1, -1, -0.20), (1, 1, 0.20), (2, -1, 0.01), (2, 1, 0.30)],
)
def test_a_wish_beyond_a_face_of_the_box_stops_at_that_face(axis: int, sign: int, face: float) -> None:
    place = [0.25, 0.0, 0.15]
    place[axis] = face - sign * 0.004
    target, joints = at(*place)
    requested = Pose(target.position + 0.01 * sign * np.eye(3)[axis], target.rotation)
    result = limit_pose(requested, target, joints, LIMITS, 0.2)
    assert result.reason == Reason.WORKSPACE_LIMIT
    assert result.target.position[axis] == pytest.approx(face, abs=1e-12)
    reached = kinematics.forward(result.joints).position
    assert reached[axis] == pytest.approx(face, abs=2e-5)
    assert np.delete(reached, axis) == pytest.approx(np.delete(target.position, axis), abs=2e-5)


@pytest.mark.parametrize("corner", [(0.42, 0.20, 0.01), (0.42, -0.20, 0.01), (0.16, 0.20, 0.01)])
def test_a_wish_beyond_a_corner_of_the_box_stops_at_that_corner(corner: tuple[float, float, float]) -> None:
    middle = np.array([0.29, 0.0, 0.15])
    inwards = np.sign(middle - corner) * 0.005
    target, joints = at(*(np.array(corner) + inwards))
    result = limit_pose(Pose(np.array(corner) - inwards, target.rotation), target, joints, LIMITS, 0.2)
    assert result.reason == Reason.WORKSPACE_LIMIT
    assert result.target.position == pytest.approx(corner, abs=1e-12)


def test_a_limit_of_zero_is_a_limit() -> None:
    flat = Limits(workspace_min=(0.16, 0.0, 0.01), workspace_max=(0.42, 0.0, 0.30))
    target, joints = at(0.3, 0.0, 0.15)
    result = limit_pose(Pose(target.position + [0.01, 0.01, 0.0], target.rotation), target, joints, flat, 0.2)
    assert result.reason == Reason.WORKSPACE_LIMIT
    assert result.target.position == pytest.approx([0.31, 0.0, 0.15], abs=1e-6)

    still = Limits(max_linear_velocity=0.0, max_angular_velocity=0.0)
    twist, reason, _ = cap_twist(np.array([0.1, 0.0, 0.0, 0.0, 0.2, 0.0]), still)
    assert reason == Reason.VELOCITY_LIMIT
    assert not twist.any()

    result = limit_pose(down(0.31, 0.0, 0.15), TARGET, START, Limits(max_joint_velocity=0.0), 0.02)
    assert result.reason == Reason.VELOCITY_LIMIT
    assert result.joints == pytest.approx(START)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"reach_min": 0.0, "reach_max": 0.0}, Reason.UNREACHABLE),
        ({"workspace_min": (0.0, 0.0, 0.0), "workspace_max": (0.0, 0.0, 0.0)}, Reason.WORKSPACE_LIMIT),
        ({"table_height": 0.0}, Reason.COLLISION),
    ],
)
def test_a_reach_a_box_and_a_table_of_zero_are_limits(changes: dict, reason: Reason) -> None:
    limits = dataclasses.replace(Limits(workspace_min=(0.1, -0.3, -0.1)), **changes)
    target, joints = at(0.3, 0.0, 0.02)
    outward = Pose(target.position + [0.01, 0.0, -0.10], target.rotation)
    assert limit_pose(outward, target, joints, limits, 1.0).reason & reason


@pytest.mark.parametrize("margin", [0.0, 0.1])
def test_the_joint_margin_counts_and_zero_is_the_mechanical_limit(margin: float) -> None:
    limits, joints = Limits(joint_limit_margin=margin), START.copy()
    joints[4] = kinematics.JOINT_UPPER[4] - margin - 0.01
    pose = kinematics.forward(joints)
    for further, reason in ((0.009, Reason.NONE), (0.011, Reason.JOINT_LIMIT)):
        requested = joints + [0.0, 0.0, 0.0, 0.0, further, 0.0]
        assert limit_joints(requested, pose, pose, joints, limits, 1.0).reason == reason


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_wish_that_is_not_finite_is_refused_and_the_target_stays(bad: float) -> None:
    for requested in (
        Pose(np.array([bad, 0.0, 0.15]), TARGET.rotation),
        Pose(TARGET.position, np.full((3, 3), bad)),
    ):
        result = limit_pose(requested, TARGET, START, LIMITS, 0.02)
        assert result.joints is None
        assert result.reason == Reason.NOT_FINITE
        assert result.target is TARGET


def test_the_far_corner_of_openvlas_box_is_refused_as_unreachable() -> None:
    # r = 0.515 m at z = 0.25 m, where the vertical gripper reaches 0.405 m
    wide = Limits(workspace_min=(0.10, -0.20, -0.01), workspace_max=(0.45, 0.25, 0.30))
    target, joints = at(0.36, 0.17, 0.25)
    result = limit_pose(down(0.45, 0.25, 0.25), target, joints, wide, 10.0)
    assert result.joints is None
    assert result.reason == Reason.UNREACHABLE
    assert result.target is target


def test_a_wish_inside_the_shell_that_the_gripper_can_not_reach_is_refused() -> None:
    target, joints = at(0.39, 0.0, 0.25)
    result = limit_pose(down(0.42, 0.0, 0.25), target, joints, LIMITS, 10.0)  # r max is 0.405 m there
    assert result.joints is None
    assert Reason.UNREACHABLE in result.reason
    assert result.target is target


@pytest.mark.parametrize("radius", [0.09, 0.51])
def test_a_wish_outside_of_the_shell_is_refused(radius: float) -> None:
    open_box = Limits(workspace_min=(-1.0, -1.0, 0.01), workspace_max=(1.0, 1.0, 0.5))
    result = limit_pose(down(radius, 0.0, 0.1), TARGET, START, open_box, 10.0)
    assert result.joints is None
    assert result.reason == Reason.UNREACHABLE


def test_a_wish_that_needs_the_arm_folded_another_way_is_refused() -> None:
    result = limit_pose(down(-0.3, 0.0, 0.15), TARGET, START, Limits(workspace_min=(-0.5, -0.5, 0.0)), 10.0)
    assert result.joints is None
    assert result.reason == Reason.UNREACHABLE


def test_a_horizontal_gripper_may_not_touch_the_table() -> None:
    level = rotations.matrix_from_rpy([0.0, -math.pi / 2, 0.0]) @ DEFAULT_ROTATION
    target = Pose(np.array([0.3, 0.0, 0.06]), level)
    joints = inverse(target, [0.0, 0.6, 0.6, 0.0, -1.1, 0.0])
    assert joints is not None
    target = kinematics.forward(joints)
    result = limit_pose(Pose(target.position - [0.0, 0.0, 0.03], target.rotation), target, joints, LIMITS, 1.0)
    assert result.joints is None
    assert result.reason == Reason.COLLISION


def test_the_gripper_pointing_down_may_go_to_the_floor_of_the_box() -> None:
    assert gripper_clearance(down(0.3, 0.0, 0.01)) == pytest.approx(0.06)
    target, joints = at(0.3, 0.0, 0.012)
    assert limit_pose(down(0.3, 0.0, 0.01), target, joints, LIMITS, 0.2).reason == Reason.NONE


def test_a_joint_beyond_its_limit_is_refused_and_may_only_come_back() -> None:
    low = kinematics.JOINT_LOWER + LIMITS.joint_limit_margin
    joints = START.copy()
    joints[4] = kinematics.JOINT_UPPER[4] - 0.01  # inside of its margin
    pose = kinematics.forward(joints)
    further, back = joints.copy(), joints.copy()
    further[4] += 0.005
    back[4] -= 0.005
    result = limit_joints(further, pose, pose, joints, LIMITS, 1.0)
    assert result.joints is None
    assert result.reason == Reason.JOINT_LIMIT
    assert "wrist_angle" in result.detail
    assert limit_joints(back, pose, pose, joints, LIMITS, 1.0).reason == Reason.NONE
    below = START.copy()
    below[1] = low[1] - 0.001
    assert limit_joints(below, TARGET, TARGET, START, LIMITS, 10.0).reason == Reason.JOINT_LIMIT


def test_a_joint_that_would_move_too_fast_is_slowed_and_the_target_with_it() -> None:
    slow = dataclasses.replace(LIMITS, max_joint_velocity=0.5)
    result = limit_pose(down(0.34, 0.0, 0.15), TARGET, START, slow, 0.02)
    assert result.reason == Reason.VELOCITY_LIMIT
    assert np.abs(result.joints - START).max() == pytest.approx(0.01)
    assert result.target.position == pytest.approx(kinematics.forward(result.joints).position)


def test_the_largest_bridge_action_passes_the_twist_caps_unchanged() -> None:
    step = np.array([0.05, -0.05, 0.05, 0.25, -0.25, 0.25])
    twist, reason, _ = cap_twist(step / 0.2, LIMITS)
    assert reason == Reason.NONE
    assert twist * 0.2 == pytest.approx(step)


def test_a_twist_over_the_caps_keeps_its_direction() -> None:
    twist, reason, _ = cap_twist(np.array([0.5, 0.25, 0.0, 0.0, 0.0, 2.5]), LIMITS)
    assert reason == Reason.VELOCITY_LIMIT
    assert twist == pytest.approx([0.25, 0.125, 0.0, 0.0, 0.0, 1.25])


@pytest.mark.parametrize("z", [0.0813, 0.36065])
def test_from_outside_of_the_box_the_arm_may_move_inwards_but_not_out(z: float) -> None:
    joints = np.array([0.0, -1.80, 1.55, 0.0, 0.8, 0.0])  # sleep: x = 0.123 m
    target = kinematics.forward(joints)
    inwards = limit_pose(Pose(target.position + [0.005, 0, 0], target.rotation), target, joints, LIMITS, 0.5)
    assert inwards.reason == Reason.NONE
    assert inwards.target.position[0] == pytest.approx(target.position[0] + 0.005)
    outwards = limit_pose(Pose(target.position - [0.005, 0, 0], target.rotation), target, joints, LIMITS, 0.5)
    assert outwards.reason == Reason.WORKSPACE_LIMIT
    assert outwards.target.position == pytest.approx(target.position)
    assert outwards.joints == pytest.approx(joints)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"workspace_min": (0.5, 0.0, 0.0)}, "empty along x"),
        ({"max_linear_velocity": math.nan}, "max_linear_velocity"),
        ({"workspace_max": (0.4, math.inf, 0.3)}, "workspace_max"),
        ({"max_joint_velocity": -1.0}, "max_joint_velocity"),
        ({"reach_min": 0.6}, "reach_min"),
    ],
)
def test_limits_that_make_no_sense_are_refused_by_name(changes: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Limits(**changes)


def test_reasons_of_a_set_are_listed_one_by_one() -> None:
    assert split_reasons(Reason.UNREACHABLE | Reason.WORKSPACE_LIMIT) == [Reason.WORKSPACE_LIMIT, Reason.UNREACHABLE]
    assert split_reasons(Reason.NONE) == []


def test_a_rotation_turns_the_gripper_about_the_end_effector() -> None:
    turned = advance(TARGET, np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.5]), 0.4)
    assert turned.position == pytest.approx(TARGET.position)
    expected = rotations.matrix_from_rpy([0.0, 0.0, 0.2]) @ TARGET.rotation  # about base z
    assert turned.rotation == pytest.approx(expected)


@pytest.mark.parametrize(
    ("place", "requested"),
    [
        ((0.2452, 0.2, 0.0605), (0.1632, 0.2, 0.1417)),
        ((0.3747, 0.2, 0.1165), (0.2767, 0.2, 0.2242)),
        ((0.1621, -0.0205, 0.3), (0.2702, -0.102, 0.3)),
    ],
)
def test_a_slowed_step_along_a_face_of_the_box_bulges_out_by_a_millimetre_at_most(
    place: tuple[float, float, float], requested: tuple[float, float, float]
) -> None:
    limits = Limits(max_joint_velocity=1.0)
    target, joints = at(*place)
    result = limit_pose(down(*requested), target, joints, limits, 0.2)
    reached = target if result.joints is None else kinematics.forward(result.joints)
    assert result.reason & Reason.VELOCITY_LIMIT
    assert (reached.position > np.array(limits.workspace_min) - 1.1e-3).all()
    assert (reached.position < np.array(limits.workspace_max) + 1.1e-3).all()


@settings(max_examples=150, deadline=None)
@given(
    twist=st.tuples(*[st.floats(-0.5, 0.5)] * 3, *[st.floats(-3.0, 3.0)] * 3),
    steps=st.integers(1, 12),
    duration=st.sampled_from([0.02, 0.05, 0.1, 0.2]),
)
def test_whatever_is_wished_the_admitted_stays_inside_every_limit(
    twist: tuple[float, ...], steps: int, duration: float
) -> None:
    target, joints = TARGET, START
    low = kinematics.JOINT_LOWER + LIMITS.joint_limit_margin
    high = kinematics.JOINT_UPPER - LIMITS.joint_limit_margin
    for _ in range(steps):
        result = limit_pose(advance(target, np.array(twist), duration), target, joints, LIMITS, duration)
        if result.joints is None:
            assert result.reason
            assert result.detail
            assert result.target is target
            continue
        assert (result.joints >= low).all()
        assert (result.joints <= high).all()
        assert np.abs(result.joints - joints).max() <= LIMITS.max_joint_velocity * duration * (1 + 1e-5)
        target, joints = result.target, result.joints
        reached = kinematics.forward(joints)
        assert reached.position == pytest.approx(target.position, abs=2e-5)
        assert (target.position >= np.array(LIMITS.workspace_min) - 1e-3).all()
        assert (target.position <= np.array(LIMITS.workspace_max) + 1e-3).all()
        assert gripper_clearance(reached) > -1e-3
