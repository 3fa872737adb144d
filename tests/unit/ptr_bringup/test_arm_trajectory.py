# SPDX-License-Identifier: Apache-2.0
"""Slow moves to a pose."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ptr_bringup.arm.gate.arbiter import Command, Kind
from ptr_bringup.arm.gate.gate import Gate
from ptr_bringup.arm.gate.limits import Limits, Reason
from ptr_bringup.arm.model import kinematics
from ptr_bringup.arm.model.kinematics import Pose
from ptr_bringup.arm.motion.trajectory import NAMED_JOINTS, MoveError, minimum_jerk, plan_to_name, plan_to_pose
from ptr_bringup.arm.types import JointMeasurement, MoveReport
from ptr_models.common import rotations
from ptr_models.common.rotations import DEFAULT_ROTATION

LIMITS = Limits()
START = NAMED_JOINTS["start"]


def down(x: float, y: float, z: float) -> Pose:
    return Pose(np.array([x, y, z]), DEFAULT_ROTATION)


def plan(joints: np.ndarray, goal: Pose, duration: float = 0.0, limits: Limits = LIMITS):
    return plan_to_pose(kinematics.forward(joints), joints, goal, 1.0, duration, limits)


def test_minimum_jerk_begins_and_ends_at_rest_and_is_symmetric() -> None:
    assert [minimum_jerk(t) for t in (-1.0, 0.0, 0.5, 1.0, 2.0)] == pytest.approx([0, 0, 0.5, 1, 1])
    assert minimum_jerk(0.25) == pytest.approx(0.103515625)
    assert minimum_jerk(1e-4) / 1e-4 < 1e-6


def test_a_move_follows_a_straight_line() -> None:
    move = plan(START, down(0.35, 0.15, 0.05))
    begin, end = np.array([0.3, 0.0, 0.15]), np.array([0.35, 0.15, 0.05])
    for share in np.linspace(0.0, 1.0, 50):
        pose = kinematics.forward(move.joints(share * move.duration))
        along = float((pose.position - begin) @ (end - begin)) / float((end - begin) @ (end - begin))
        assert np.linalg.norm(pose.position - (begin + along * (end - begin))) < 1e-3
        assert np.abs(rotations.rotation_vector_from_matrix(pose.rotation @ DEFAULT_ROTATION.T)).max() < 2e-3


def test_a_move_keeps_well_below_the_speed_caps() -> None:
    move = plan(START, down(0.20, -0.18, 0.25))
    times = np.arange(0.0, move.duration, 0.01)
    places = np.array([kinematics.forward(move.joints(t)).position for t in times])
    bends = np.array([move.joints(t) for t in times])
    assert np.linalg.norm(np.diff(places, axis=0), axis=1).max() / 0.01 <= 0.61 * LIMITS.max_linear_velocity
    assert np.abs(np.diff(bends, axis=0)).max() / 0.01 <= 0.61 * LIMITS.max_joint_velocity


def test_a_longer_duration_is_respected_and_a_shorter_one_is_not() -> None:
    assert plan(START, down(0.32, 0.0, 0.15), 4.0).duration == 4.0
    assert plan(START, down(0.40, 0.15, 0.05), 0.1).duration > 1.0


@pytest.mark.parametrize(
    ("goal", "sentence"),
    [
        (down(0.5, 0.0, 0.15), "outside the workspace box"),
        (down(0.3, 0.0, 0.0), "outside the workspace box"),
        (down(0.42, 0.2, 0.3), "no joint positions reach"),
        (down(math.nan, 0.0, 0.15), "contains NaN"),
    ],
)
def test_a_goal_that_can_not_be_reached_is_refused_with_the_reason(goal: Pose, sentence: str) -> None:
    with pytest.raises(MoveError, match=sentence):
        plan(START, goal)


def test_a_move_may_take_ten_minutes() -> None:
    assert plan_to_name(START, "home", 1.0, 600.0, LIMITS).duration == 600.0


@pytest.mark.parametrize("duration", [math.nan, math.inf, -1.0, 600.1])
def test_a_duration_that_is_none_is_refused(duration: float) -> None:
    with pytest.raises(MoveError, match=f"duration is {duration} s"):
        plan(START, down(0.32, 0.0, 0.15), duration)
    with pytest.raises(MoveError, match=f"duration is {duration} s"):
        plan_to_name(START, "home", 1.0, duration, LIMITS)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(MoveError, match="start, sleep, home"):
        plan_to_name(START, "nowhere", 1.0, 0.0, LIMITS)


def test_a_speed_cap_of_zero_refuses_a_move() -> None:
    with pytest.raises(MoveError, match="speed cap is 0"):
        plan(START, down(0.35, 0.0, 0.15), limits=Limits(max_linear_velocity=0.0))


@pytest.mark.parametrize(
    ("name", "position"),
    [("start", (0.3, 0.0, 0.15)), ("sleep", (0.1227, 0.0, 0.0813)), ("home", (0.4583, 0.0, 0.3607))],
)
def test_named_poses_are_the_published_ones(name: str, position: tuple[float, float, float]) -> None:
    assert kinematics.forward(NAMED_JOINTS[name]).position == pytest.approx(position, abs=1e-4)


class Rig:
    """An arm that follows immediately, and a gate that moves it."""

    def __init__(self, joints: np.ndarray) -> None:
        self.core, self.joints, self.now = Gate(), joints.copy(), 0.0
        self.finger = kinematics.FINGER_OPEN
        self.reasons: set[Reason] = set()
        self.tick()

    def tick(self) -> MoveReport | None:
        self.now += 0.02
        state = JointMeasurement(self.now, self.joints, np.zeros(6), np.zeros(6), self.finger)
        output = self.core.tick(self.now, state)
        self.joints, self.finger = output.joints.copy(), kinematics.finger_from_gripper(output.gripper)
        self.reasons |= {event.reason for event in output.events}
        return output.move

    def finish(self) -> MoveReport:
        for _ in range(2000):
            report = self.tick()
            if report.done:
                return report
        raise AssertionError("the move did not end within 40 s")


@pytest.mark.parametrize("origin", ["sleep", "home", "start"])
def test_from_every_named_pose_the_arm_gets_to_the_start(origin: str) -> None:
    rig = Rig(NAMED_JOINTS[origin])
    assert rig.core.move_to_pose(down(0.3, 0.0, 0.15), 1.0, 0.0, rig.now) == ""
    report = rig.finish()
    assert report.success, report.message
    assert kinematics.forward(rig.joints).position == pytest.approx([0.3, 0.0, 0.15], abs=1e-3)
    assert rig.reasons <= {Reason.NONE}


@pytest.mark.parametrize("goal", ["sleep", "home"])
def test_the_arm_leaves_the_box_for_the_named_poses_only(goal: str) -> None:
    rig = Rig(START)
    assert rig.core.move_to_name(goal, 1.0, 0.0, rig.now) == ""
    assert rig.finish().success
    assert rig.joints == pytest.approx(NAMED_JOINTS[goal], abs=1e-9)


def test_the_gripper_opens_only_at_the_end_of_a_move() -> None:
    rig = Rig(START)
    rig.core.gripper = 0.0
    rig.core.move_to_pose(down(0.35, 0.1, 0.1), 1.0, 0.0, rig.now)
    before = [rig.core.gripper for _ in iter(lambda: rig.tick().progress < 1.0, False)]
    assert set(before) == {0.0}
    assert rig.finish().success
    assert rig.core.gripper == 1.0


def test_a_human_ends_a_move_by_taking_over() -> None:
    rig = Rig(START)
    rig.core.move_to_pose(down(0.35, 0.1, 0.1), 1.0, 0.0, rig.now)
    rig.tick()
    rig.core.command(Kind.HUMAN, Command(rig.now, "spacemouse", np.zeros(6), 1.0), rig.now)
    report = rig.tick()
    assert report.done
    assert not report.success
    assert "spacemouse" in report.message


def follow_half(rig: Rig) -> MoveReport:
    """Run a move with an arm that is always halfway between its start and its command."""
    report = None
    while report is None or not report.done:
        rig.now += 0.02
        measured = START + 0.5 * (rig.core.joints - START)
        report = rig.core.tick(rig.now, JointMeasurement(rig.now, measured, np.zeros(6), np.zeros(6), rig.finger)).move
    return report


def test_an_arm_that_ends_elsewhere_reports_how_far_it_is_off() -> None:
    rig = Rig(START)
    rig.core.move_to_pose(down(0.34, 0.0, 0.15), 1.0, 0.0, rig.now)
    report = follow_half(rig)
    assert not report.success
    assert "0.020 m" in report.message


def test_a_move_ends_when_no_joint_moves() -> None:
    rig = Rig(START)
    rig.core.move_to_pose(down(0.34, 0.0, 0.15), 1.0, 0.0, rig.now)
    report, efforts = None, np.zeros(6)
    while report is None or not report.done:
        rig.now += 0.02
        efforts = efforts + 0.1
        report = rig.core.tick(rig.now, JointMeasurement(rig.now, START, np.zeros(6), efforts, rig.finger)).move
    assert not report.success
    assert "no joint moves" in report.message
    assert report.progress < 0.8


@pytest.mark.parametrize(("gap", "success"), [(1.5, True), (3.0, False)])
def test_a_move_waits_two_seconds_for_joint_states(gap: float, success: bool) -> None:
    rig = Rig(START)
    rig.core.move_to_pose(down(0.35, 0.1, 0.1), 1.0, 0.0, rig.now)
    for _ in range(20):
        rig.tick()
    old = JointMeasurement(rig.now, rig.joints, np.zeros(6), np.zeros(6), rig.finger)
    report, held = None, None
    while rig.now < old.stamp + gap and not (report and report.done):
        rig.now += 0.02
        output = rig.core.tick(rig.now, old)
        report = output.move
        if output.joints is None:
            held = rig.core.joints.copy() if held is None else held
            assert (rig.core.joints == held).all()
    assert held is not None
    if success:
        report = rig.finish()
    assert report.done
    assert report.success is success
