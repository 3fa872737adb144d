# SPDX-License-Identifier: Apache-2.0
"""The result of a move to a pose, including the gripper."""

from __future__ import annotations

import numpy as np
import pytest

from ptr_bringup.arm.model.kinematics import FINGER_CLOSED, FINGER_OPEN, forward
from ptr_bringup.arm.motion.trajectory import NAMED_JOINTS, Move
from ptr_bringup.arm.motion.trajectory_execution import TrajectoryExecution
from ptr_bringup.arm.types import JointMeasurement

START = NAMED_JOINTS["start"]


def end_of_move(wanted: float, finger: float, seconds: float = 10.0):
    """The report some seconds after a move that began where it ends; the finger is where it is, in m."""
    run = TrajectoryExecution(Move(np.array([START, START]), 0.5, wanted, forward(START)))
    run.advance(0.5 + seconds)
    return run.arrival(forward(START), JointMeasurement(0.0, START, np.zeros(6), np.zeros(6), finger))


def test_a_gripper_that_did_not_open_is_no_success() -> None:
    report = end_of_move(1.0, FINGER_CLOSED)
    assert report.done
    assert not report.success
    assert report.message == "The arm has arrived, but its gripper is at 0.00 instead of 1.00."


def test_a_gripper_that_holds_something_has_closed_and_the_report_says_so() -> None:
    report = end_of_move(0.0, (FINGER_CLOSED + FINGER_OPEN) / 2)
    assert report.done
    assert report.success
    assert report.message == "The arm has arrived; something holds the gripper at 0.50 instead of 0.00."


@pytest.mark.parametrize("seconds", [0.0, 2.0])
def test_the_gripper_is_waited_for(seconds: float) -> None:
    assert not end_of_move(1.0, FINGER_CLOSED, seconds).done


def test_arm_and_gripper_that_are_there_end_the_move_at_once() -> None:
    report = end_of_move(1.0, FINGER_OPEN, 0.0)
    assert report.success
    assert report.message == "The arm has arrived."


def test_only_a_single_pause_of_more_than_two_seconds_ends_a_move() -> None:
    run = TrajectoryExecution(Move(np.array([START, START]), 0.5, 1.0, forward(START)))
    assert not run.pause(1.5, "No joint state.").done
    run.advance(0.02)
    assert not run.pause(1.5, "No joint state.").done
    assert not run.pause(0.5, "No joint state.").done
    assert run.pause(0.02, "No joint state.").done
