# SPDX-License-Identifier: Apache-2.0
"""Inverse kinematics: finds joints for every pose that has some, none for the others, and never jumps on a line."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ptr_bringup.arm.gate.limits import Limits, limit_pose
from ptr_bringup.arm.model import kinematics as k
from ptr_bringup.arm.model.inverse_kinematics import inverse, solutions
from ptr_models.common import rotations

NEUTRAL = np.array([-0.13192235, -0.76238847, 0.44485444, -0.01994175, 1.7564081, -0.15953401])
"""Bridge's neutral pose (robot_configs of bridge_data_robot)."""
SHOULDER = np.array([0.0, 0.0, 0.11065])
LONGEST = np.hypot(0.04975, 0.25) + 0.25 + 0.158575  # m, shoulder to end effector with everything stretched
TICK = 0.02

anywhere = arrays(float, 6, elements=st.floats(0.0, 1.0)).map(
    lambda share: k.JOINT_LOWER + share * (k.JOINT_UPPER - k.JOINT_LOWER)
)
corner = st.tuples(st.floats(0.18, 0.38), st.floats(-0.18, 0.18), st.floats(0.02, 0.22)).map(np.array)
tilt = st.tuples(*[st.floats(-0.4, 0.4)] * 3).map(np.array)


def error(pose: k.Pose, joints: np.ndarray) -> float:
    """The larger of the distance (m) and the angle (rad) between a pose and that of joints."""
    reached = k.forward(joints)
    turned = np.linalg.norm(rotations.rotation_vector_from_matrix(reached.rotation @ pose.rotation.T))
    return max(float(np.linalg.norm(reached.position - pose.position)), float(turned))


def within_limits(joints: np.ndarray) -> bool:
    return bool((joints >= k.JOINT_LOWER).all() and (joints <= k.JOINT_UPPER).all())


def test_every_pose_of_a_grid_of_10_000_is_reached_from_the_neutral_pose() -> None:
    counts = (4, 5, 5, 4, 5, 5)  # the ends of each joint's range, and the straight wrist, are among them
    axes = [np.linspace(low, high, n) for low, high, n in zip(k.JOINT_LOWER, k.JOINT_UPPER, counts, strict=True)]
    axes[4][1] = 0.0
    checked = 0
    for joints in itertools.product(*axes):
        pose = k.forward(np.array(joints))
        found = inverse(pose, NEUTRAL)
        assert found is not None, joints
        assert error(pose, found) < 2e-4, joints
        assert within_limits(found)
        checked += 1
    assert checked == 10_000


@given(anywhere, st.floats(1e-4, 1.0))
def test_a_pose_further_away_than_the_stretched_arm_has_no_joints(joints: np.ndarray, beyond: float) -> None:
    pose = k.forward(joints)
    direction = pose.position - SHOULDER
    assume(np.linalg.norm(direction) > 1e-3)
    far = SHOULDER + direction / np.linalg.norm(direction) * (LONGEST + beyond)
    assert inverse(k.Pose(far, pose.rotation), joints) is None


@given(anywhere, anywhere)
def test_all_solutions_reach_the_pose_and_the_original_is_among_them(joints: np.ndarray, seed: np.ndarray) -> None:
    pose = k.forward(joints)
    wrist = pose.position - 0.158575 * pose.rotation[:, 0]
    assume(abs(joints[4]) > 1e-3)
    assume(np.hypot(*wrist[:2]) > 1e-3)
    found = np.array(list(solutions(pose, seed.tolist())))
    assert 1 <= len(found) <= 8
    for one in found:
        assert error(pose, one) < 1e-6 + 2e-5  # the last: clipped where +-pi lacks 1e-5
        assert within_limits(one)
    assert np.abs(found - joints).max(axis=1).min() < 1e-4
    assert inverse(pose, joints) == pytest.approx(joints, abs=1e-4)


@given(anywhere, arrays(float, 6, elements=st.floats(-0.05, 0.05)))
def test_the_solution_is_the_nearest_to_the_seed(joints: np.ndarray, away: np.ndarray) -> None:
    pose, seed = k.forward(joints), joints + away
    found = inverse(pose, seed)
    ways = np.abs(np.array(list(solutions(pose, seed.tolist()))) - seed).max(axis=1)
    assert np.abs(found - seed).max() == pytest.approx(ways.min())


def test_a_straight_wrist_keeps_the_forearm_where_it_is() -> None:
    for roll in (-1.0, 0.0, 2.0):
        straight = np.array([0.2, 0.1, 0.3, roll, 0.0, 0.5])
        assert inverse(k.forward(straight), straight) == pytest.approx(straight, abs=1e-9)
        bent = straight + [0.0, 0.0, 0.0, 0.0, 0.02, 0.0]
        assert inverse(k.forward(bent), straight) == pytest.approx(bent, abs=1e-9)


@settings(deadline=None, max_examples=60)
@given(corner, corner, tilt, tilt)
def test_on_straight_lines_no_joint_jumps(
    begin: np.ndarray, end: np.ndarray, first: np.ndarray, last: np.ndarray
) -> None:
    limits = Limits()
    before, after = (rotations.matrix_from_rotation_vector(tilt) for tilt in (first, last))
    start = k.Pose(begin, before @ rotations.DEFAULT_ROTATION)
    joints = inverse(start, np.array([0.0, 0.022, 0.183, 0.0, 1.366, 0.0]))
    assume(joints is not None)
    turn = rotations.rotation_vector_from_matrix(after @ before.T)
    seconds = max(np.linalg.norm(end - begin) / 0.25, np.linalg.norm(turn) / 1.25, TICK)
    steps, target = int(np.ceil(seconds / TICK)), k.forward(joints)
    for step in range(1, steps + 1):
        share = step / steps
        rotation = rotations.matrix_from_rotation_vector(share * turn) @ start.rotation
        requested = k.Pose(begin + share * (end - begin), rotation)
        verdict = limit_pose(requested, target, joints, limits, TICK)
        assume(verdict.joints is not None)
        assert np.abs(verdict.joints - joints).max() <= limits.max_joint_velocity * TICK * (1.0 + 1e-5)
        joints, target = verdict.joints, verdict.target
