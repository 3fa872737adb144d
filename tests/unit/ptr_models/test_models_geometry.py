# SPDX-License-Identifier: Apache-2.0
"""Rotations and displacements, against scipy and the published poses of the arm."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose
from scipy.spatial.transform import Rotation

from ptr_models.episodes.geometry import (
    DEFAULT_ROTATION,
    displacements,
    integrate,
    matrix_from_quaternion,
    matrix_from_rpy,
    quaternion_from_matrix,
    rpy_from_matrix,
)
from ptr_models.episodes.sampling import ArmSample, state_vector

angles = arrays(np.float64, (4, 3), elements=st.floats(-3.1, 3.1))


@given(angles)
def test_matrices_and_quaternions_agree_with_scipy(rpy: np.ndarray) -> None:
    theirs = Rotation.from_euler("xyz", rpy)
    matrices = matrix_from_rpy(rpy)
    assert_allclose(matrices, theirs.as_matrix(), atol=1e-12)
    quaternions = quaternion_from_matrix(matrices)
    assert_allclose(matrix_from_quaternion(quaternions), matrices, atol=1e-12)
    assert (quaternions[:, 3] >= 0).all()


@given(arrays(np.float64, (3, 3), elements=st.floats(-1.5, 1.5)))
def test_angles_come_back_within_the_gimbal(rpy: np.ndarray) -> None:
    assert_allclose(rpy_from_matrix(matrix_from_rpy(rpy)), rpy, atol=1e-9)


def test_half_turns_have_a_quaternion() -> None:
    for axis in range(3):
        turn = np.diag(np.where(np.arange(3) == axis, 1.0, -1.0))
        assert_allclose(matrix_from_quaternion(quaternion_from_matrix(turn)), turn, atol=1e-12)


@given(
    arrays(np.float64, (6, 6), elements=st.floats(-0.25, 0.25)),
    arrays(np.float64, 3, elements=st.floats(-1.0, 1.0)),
)
def test_displacements_undo_integration(deltas: np.ndarray, rpy: np.ndarray) -> None:
    positions, rotations = integrate(np.array([0.3, 0.0, 0.15]), matrix_from_rpy(rpy), deltas)
    assert_allclose(displacements(positions, rotations), deltas, atol=1e-9)


def test_a_yaw_delta_turns_about_the_base_axis_whatever_the_gripper_does() -> None:
    tilted = matrix_from_rpy(np.array([0.4, -0.3, 0.2])) @ DEFAULT_ROTATION
    _, rotations = integrate(np.zeros(3), tilted, np.array([[0, 0, 0, 0, 0, 0.1]]))
    assert_allclose(rotations[1], Rotation.from_euler("z", 0.1).as_matrix() @ tilted, atol=1e-12)


def test_a_gripper_that_points_down_has_zero_angles() -> None:
    quaternion = tuple(quaternion_from_matrix(DEFAULT_ROTATION))
    state = state_vector(ArmSample((0.3, 0.0, 0.15), quaternion, 1.0))
    assert_allclose(state, [0.3, 0, 0.15, 0, 0, 0, 1], atol=1e-6)


def test_the_home_pose_has_a_pitch_of_minus_ninety_degrees() -> None:
    state = state_vector(ArmSample((0.4583, 0.0, 0.3607), (0.0, 0.0, 0.0, 1.0), 0.0))
    assert_allclose(np.abs(state[4]), 1.5708, atol=1e-4)
    assert state[4] < 0
