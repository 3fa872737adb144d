# SPDX-License-Identifier: Apache-2.0
"""Rotations and displacements, against scipy and the published poses of the arm."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose
from scipy.spatial.transform import Rotation

from ptr_models.common.rotations import (
    DEFAULT_ROTATION,
    matrix_from_quaternion,
    matrix_from_rotation_vector,
    matrix_from_rpy,
    quaternion_from_matrix,
    rotation_vector_from_matrix,
    rpy_from_matrix,
)
from ptr_models.episodes.actions import displacements, integrate
from ptr_models.episodes.sampling import ArmSample, state_vectors

angles = arrays(np.float64, (4, 3), elements=st.floats(-3.1, 3.1))


angle = st.floats(-3.1, 3.1)


def both(function: Callable[[np.ndarray], np.ndarray], batch: np.ndarray) -> np.ndarray:
    """What a function makes of a batch; one by one it has to make the same."""
    found = function(batch)
    assert_allclose(np.array([function(one) for one in batch]), found, atol=1e-12)
    return found


@given(angles)
def test_matrices_and_quaternions_agree_with_scipy(rpy: np.ndarray) -> None:
    theirs = Rotation.from_euler("xyz", rpy)
    matrices = both(matrix_from_rpy, rpy)
    assert_allclose(matrices, theirs.as_matrix(), atol=1e-12)
    quaternions = both(quaternion_from_matrix, matrices)
    assert_allclose(quaternions, theirs.as_quat(canonical=True), atol=1e-9)
    assert_allclose(both(matrix_from_quaternion, 0.95 * quaternions), matrices, atol=1e-12)


@given(arrays(np.float64, (3, 3), elements=st.floats(-1.5, 1.5)))
def test_angles_come_back_within_the_gimbal(rpy: np.ndarray) -> None:
    assert_allclose(both(rpy_from_matrix, matrix_from_rpy(rpy)), rpy, atol=1e-9)


@given(angle, angle, st.floats(-7.0, -2.0), st.sampled_from([-1.0, 1.0]))
def test_angles_come_back_also_near_a_pitch_of_90_degrees(roll: float, yaw: float, power: float, sign: float) -> None:
    """An arc sine would lose half of the digits there, and a gimbal that locks early (scipy's at 1e-7) the angles."""
    rpy = np.array([[roll, sign * (np.pi / 2 - 10.0**power), yaw]])
    found = both(rpy_from_matrix, matrix_from_rpy(rpy))
    assert_allclose(found[:, 1], rpy[:, 1], atol=1e-12)
    assert_allclose(found, rpy, atol=1e-7)


def test_at_a_pitch_of_90_degrees_roll_is_zero() -> None:
    for sign in (-1.0, 1.0):
        found = both(rpy_from_matrix, matrix_from_rpy(np.array([[0.3, sign * np.pi / 2, 0.2]])))
        assert_allclose(found, [[0.0, sign * np.pi / 2, 0.2 - sign * 0.3]], atol=1e-12)


def test_half_turns_have_a_quaternion() -> None:
    for axis in range(3):
        turn = np.diag(np.where(np.arange(3) == axis, 1.0, -1.0))
        assert_allclose(matrix_from_quaternion(quaternion_from_matrix(turn)), turn, atol=1e-12)


def test_a_quaternion_of_zeros_is_no_rotation() -> None:
    assert np.isnan(both(matrix_from_quaternion, np.zeros((2, 4)))).all()


@given(arrays(np.float64, 3, elements=angle))
def test_rotation_vectors_agree_with_scipy(vector: np.ndarray) -> None:
    matrix = matrix_from_rotation_vector(vector)
    assert_allclose(matrix, Rotation.from_rotvec(vector).as_matrix(), atol=1e-12)
    assert_allclose(matrix_from_rotation_vector(rotation_vector_from_matrix(matrix)), matrix, atol=1e-7)
    assume(np.linalg.norm(vector) < np.pi - 1e-3)
    assert_allclose(rotation_vector_from_matrix(matrix), vector, atol=1e-7)


@pytest.mark.parametrize("axis", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.6, -0.8, 0.0), (-0.48, 0.6, 0.64)])
def test_a_half_turn_has_an_axis_and_no_nan(axis: tuple[float, ...]) -> None:
    vector = rotation_vector_from_matrix(matrix_from_rotation_vector(np.pi * np.array(axis)))
    assert_allclose(np.linalg.norm(vector), np.pi, atol=1e-6)
    assert_allclose(abs(vector @ np.array(axis)), np.pi, atol=1e-6)


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
    state = state_vectors([ArmSample((0.3, 0.0, 0.15), quaternion, 1.0)])[0]
    assert_allclose(state, [0.3, 0, 0.15, 0, 0, 0, 1], atol=1e-6)


def test_the_home_pose_has_a_pitch_of_minus_ninety_degrees() -> None:
    state = state_vectors([ArmSample((0.4583, 0.0, 0.3607), (0.0, 0.0, 0.0, 1.0), 0.0)])[0]
    assert_allclose(np.abs(state[4]), 1.5708, atol=1e-4)
    assert state[4] < 0
