# SPDX-License-Identifier: Apache-2.0
"""Trajectories and gains in the xs_sdk stand-in, as sent by Interbotix's Python API."""

from __future__ import annotations

import numpy as np
import pytest

from ptr_bringup.xs_sdk.state import GAINS, MotorBank
from ptr_bringup.xs_sdk.trajectory import Playback

PERIOD = 0.01
TIMES = [0.0, 0.5, 1.0, 1.5]
"""Across a whole second: the nanoseconds of a time alone go back there."""


@pytest.fixture
def bank() -> MotorBank:
    """An arm that was seen with all joints at 0, and motors that take each goal as a step."""
    bank = MotorBank()
    bank.initialize(np.zeros(6))
    bank.set_register("arm", "Profile_Velocity", 0)
    return bank


def waist_after(bank: MotorBank, seconds: float) -> float:
    for _ in range(round(seconds / PERIOD)):
        joints, _ = bank.advance(0.03, PERIOD)
    return joints[0]


def waist_goals(*positions: float) -> list[list[float]]:
    return [[position, 0.0, 0.0, 0.0, 0.0, 0.0] for position in positions]


def test_each_goal_is_sent_when_the_point_before_it_is_due(bank: MotorBank) -> None:
    assert bank.command_trajectory(Playback("group", "arm", TIMES, waist_goals(0.0, 0.1, 0.2, 0.3))) == ""
    assert waist_after(bank, PERIOD) == pytest.approx(0.1)
    assert waist_after(bank, 0.45) == pytest.approx(0.1)
    assert waist_after(bank, 0.1) == pytest.approx(0.2)
    assert waist_after(bank, 0.5) == pytest.approx(0.3)


def test_a_second_trajectory_is_refused_until_the_first_is_over(bank: MotorBank) -> None:
    first = Playback("group", "arm", TIMES, waist_goals(0.0, 0.1, 0.2, 0.3))
    assert bank.command_trajectory(first) == ""
    waist_after(bank, 1.4)
    again = Playback("group", "arm", TIMES[:2], waist_goals(0.3, -0.1))
    assert "still moving" in bank.command_trajectory(again)
    waist_after(bank, 0.2)
    assert bank.command_trajectory(again) == ""
    assert waist_after(bank, PERIOD) == pytest.approx(-0.1)


@pytest.mark.parametrize(
    "playback",
    [
        Playback("group", "arm", TIMES[:1], waist_goals(0.1)),
        Playback("group", "legs", TIMES[:2], waist_goals(0.0, 0.1)),
        Playback("group", "arm", TIMES[:2], [[], [0.1]]),
        Playback("single", "tail", TIMES[:2], [[0.0], [0.1]]),
    ],
    ids=["one point", "unknown group", "too few goals", "unknown joint"],
)
def test_a_trajectory_that_fits_nothing_is_refused(bank: MotorBank, playback: Playback) -> None:
    assert "refused" in bank.command_trajectory(playback)
    assert waist_after(bank, 1.0) == 0.0


def test_one_joint_and_the_grippers_effort_follow_a_trajectory(bank: MotorBank) -> None:
    assert bank.command_trajectory(Playback("single", "waist", TIMES[:2], [[0.0], [0.2]])) == ""
    assert waist_after(bank, 0.6) == pytest.approx(0.2)
    assert bank.command_trajectory(Playback("single", "gripper", TIMES[:2], [[0.0], [150.0]])) == ""
    waist_after(bank, PERIOD)
    assert bank.gripper.pwm == 150.0


def test_gains_are_read_back_until_the_motor_is_rebooted(bank: MotorBank) -> None:
    assert bank.register("waist", "Position_P_Gain") == GAINS["Position_P_Gain"]
    bank.set_register("arm", "Position_P_Gain", 640)
    bank.set_register("gripper", "Position_P_Gain", 320)
    read = [bank.register(name, "Position_P_Gain") for name in ("waist", "wrist_rotate", "gripper")]
    assert read == [640, 640, 320]
    bank.forget("waist")
    assert bank.register("waist", "Position_P_Gain") == GAINS["Position_P_Gain"]
    assert bank.register("elbow", "Position_P_Gain") == 640


def test_robot_info_names_the_groups_of_all_and_the_joints_of_one() -> None:
    srv = pytest.importorskip("interbotix_xs_msgs.srv")
    from ptr_bringup.xs_sdk.info import fill

    everything, gripper = srv.RobotInfo.Response(), srv.RobotInfo.Response()
    fill(everything, "all")
    fill(gripper, "gripper")
    assert (list(everything.name), everything.num_joints) == (["arm", "all"], 7)
    assert (list(gripper.name), list(gripper.joint_names)) == (["gripper"], ["left_finger"])
