# SPDX-License-Identifier: Apache-2.0
"""Kinematics of the wx250s: the published vectors, and what must hold for every pose."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ptr_bringup.arm.model import kinematics as k
from ptr_bringup.arm.model.inverse_kinematics import inverse
from ptr_models.common import rotations

HALF_TURN = np.pi / 2
DOWN = np.array([0.0, 0.022, 0.183, 0.0, 1.366, 0.0])

# joints (rad), position (m), roll pitch yaw relative to DEFAULT_ROTATION (rad, None where not tabled)
PUBLISHED = {
    "home": ([0.0] * 6, [0.4583, 0.0, 0.3607], [0.0, -1.571, 0.0]),
    "sleep": ([0.0, -1.80, 1.55, 0.0, 0.8, 0.0], [0.1227, 0.0, 0.0813], [0.0, -1.021, 0.0]),
    "bridge neutral": (
        [-0.13192235, -0.76238847, 0.44485444, -0.01994175, 1.7564081, -0.15953401],
        [0.1202, -0.0191, 0.2467],
        [-0.040, -0.127, 0.025],
    ),
    "aloha start": ([0.0, -0.96, 1.16, 0.0, -0.3, 0.0], [0.2265, 0.0, 0.2610], None),
    "test": (
        [0.3, -0.5, 0.6, 0.2, 0.9, -0.4],
        [0.23964, 0.09996, 0.19797],
        [-0.0285, -0.5983, 0.6302],
    ),
}
DOWNWARD = [  # position (m), joints (rad), condition number of the space Jacobian; gripper straight down
    ([0.30, 0.0, 0.15], [0.0, 0.022, 0.183, 0.0, 1.366, 0.0], 12.6),
    ([0.10, 0.0, 0.15], [0.0, -0.825, 0.858, 0.0, 1.538, 0.0], 26.5),
    ([0.45, 0.0, 0.15], [0.0, 0.732, -0.914, 0.0, 1.753, 0.0], 39.0),
    ([0.30, -0.09, 0.26], [-0.291, 0.087, -0.343, 0.0, 1.826, -0.291], 18.0),
    ([0.20, 0.0, 0.05], [0.0, -0.175, 0.854, 0.0, 0.892, 0.0], 13.2),
]
REACH = {0.0: 0.503, 0.05: 0.495, 0.10: 0.483, 0.15: 0.463, 0.20: 0.438, 0.25: 0.405, 0.30: 0.350}

inside = arrays(float, 6, elements=st.floats(0.02, 0.98)).map(
    lambda share: k.JOINT_LOWER + share * (k.JOINT_UPPER - k.JOINT_LOWER)
)
angles = arrays(float, 3, elements=st.floats(-3.0, 3.0))


def jacobian(joints: np.ndarray) -> np.ndarray:
    """Geometric Jacobian (6, 6) about the end effector, by central differences: rows 0-2 m/rad, rows 3-5 rad/rad."""
    h, columns = 1e-6, []
    for away in h * np.eye(6):
        a, b = k.forward(joints + away), k.forward(joints - away)
        turn = rotations.rotation_vector_from_matrix(a.rotation @ b.rotation.T)
        columns.append(np.concatenate([a.position - b.position, turn]) / (2 * h))
    return np.array(columns).T


@pytest.mark.parametrize("name", PUBLISHED)
def test_forward_kinematics_equals_the_published_poses(name: str) -> None:
    joints, position, rpy = PUBLISHED[name]
    pose = k.forward(joints)
    assert pose.position == pytest.approx(position, abs=1e-4)
    if rpy is not None:
        assert k.state_from_pose(pose, 1.0)[3:6] == pytest.approx(rpy, abs=1e-3)


@pytest.mark.parametrize(("position", "joints", "condition"), DOWNWARD)
def test_inverse_kinematics_equals_the_published_joints(
    position: list[float], joints: list[float], condition: float
) -> None:
    for seed in (np.zeros(6), DOWN):
        found = inverse(k.Pose(np.array(position), rotations.DEFAULT_ROTATION), seed)
        assert found is not None
        assert found == pytest.approx(joints, abs=2e-3)
    about_tool = jacobian(joints)
    about_base = about_tool.copy()
    about_base[:3] -= np.cross(about_tool[3:].T, position).T
    assert np.linalg.cond(about_base) == pytest.approx(condition, rel=0.005)


@pytest.mark.parametrize(("height", "reach"), REACH.items())
def test_reach_with_a_vertical_gripper_ends_where_it_is_published(height: float, reach: float) -> None:
    for bearing in (0.0, 0.7):
        direction = np.array([np.cos(bearing), np.sin(bearing), 0.0])
        near = k.Pose((reach - 0.004) * direction + [0, 0, height], rotations.DEFAULT_ROTATION)
        far = k.Pose((reach + 0.004) * direction + [0, 0, height], rotations.DEFAULT_ROTATION)
        assert inverse(near, DOWN) is not None
        assert inverse(far, DOWN) is None


@given(inside, arrays(float, 6, elements=st.floats(-0.15, 0.15)))
def test_inverse_kinematics_reaches_what_forward_kinematics_gives(joints: np.ndarray, away: np.ndarray) -> None:
    assume(np.linalg.cond(jacobian(joints)) < 200)
    pose = k.forward(joints)
    found = inverse(pose, np.clip(joints + away, k.JOINT_LOWER, k.JOINT_UPPER))
    assume(found is not None)
    reached = k.forward(found)
    assert np.linalg.norm(reached.position - pose.position) < 1e-4
    assert np.linalg.norm(rotations.rotation_vector_from_matrix(reached.rotation @ pose.rotation.T)) < 1e-3
    assert (found >= k.JOINT_LOWER).all() and (found <= k.JOINT_UPPER).all()


@given(st.floats(0.18, 0.40), st.floats(-0.18, 0.18), st.floats(0.01, 0.22), st.integers(0, 2**31))
def test_a_step_of_the_gripper_is_always_solved_from_the_joints_before(x: float, y: float, z: float, seed: int) -> None:
    before = inverse(k.Pose(np.array([x, y, z]), rotations.DEFAULT_ROTATION), DOWN)
    assume(np.hypot(x, y) < 0.40)
    assert before is not None
    rng = np.random.default_rng(seed)
    goal = k.Pose(
        np.array([x, y, z]) + rng.uniform(-0.01, 0.01, 3),
        rotations.matrix_from_rpy(rng.uniform(-0.05, 0.05, 3)) @ rotations.DEFAULT_ROTATION,
    )
    after = inverse(goal, before)
    assert after is not None
    assert np.abs(after - before).max() < 0.4


def test_the_state_of_a_downward_gripper_has_no_angles() -> None:
    state = k.state_from_pose(k.Pose(np.array([0.3, 0.0, 0.15]), rotations.DEFAULT_ROTATION), 1.0)
    assert state == pytest.approx([0.3, 0.0, 0.15, 0.0, 0.0, 0.0, 1.0])


def test_the_gripper_is_0_at_15_mm_and_1_at_37_mm() -> None:
    assert (k.finger_from_gripper(0.0), k.finger_from_gripper(1.0)) == pytest.approx((0.015, 0.037))
    assert k.gripper_from_finger(0.026) == pytest.approx(0.5)


def test_what_is_out_of_reach_or_not_a_number_has_no_joints() -> None:
    assert inverse(k.Pose(np.array([0.45, 0.25, 0.25]), rotations.DEFAULT_ROTATION), DOWN) is None
    assert inverse(k.Pose(np.array([np.nan, 0.0, 0.1]), rotations.DEFAULT_ROTATION), DOWN) is None


def test_a_wrong_number_of_joints_is_refused() -> None:
    with pytest.raises(ValueError, match="6 numbers"):
        k.forward([0.0] * 5)
