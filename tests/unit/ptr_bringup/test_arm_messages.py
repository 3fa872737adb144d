# SPDX-License-Identifier: Apache-2.0
"""Plain data and messages agree."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("ptr_msgs.msg")

from geometry_msgs.msg import Pose as PoseMessage  # noqa: E402
from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from ptr_bringup.arm.gate.arbiter import Mode  # noqa: E402
from ptr_bringup.arm.gate.limits import Reason  # noqa: E402
from ptr_bringup.arm.messages import (  # noqa: E402
    command_from,
    pose_from,
    pose_message,
)
from ptr_bringup.arm.model.kinematics import Pose  # noqa: E402
from ptr_bringup.ros.time import seconds, stamp_from_seconds  # noqa: E402
from ptr_bringup.sim_ros.publishers import motor_angle  # noqa: E402
from ptr_models.common.rotations import matrix_from_rotation_vector  # noqa: E402
from ptr_msgs.msg import ArmCommand, ArmState, SafetyEvent  # noqa: E402


def test_the_reasons_are_those_of_the_message_with_the_same_bits() -> None:
    """By name: iteration over a flag leaves out members of several bits."""
    values = {name: getattr(SafetyEvent, name) for name in dir(SafetyEvent) if name.isupper()}
    constants = {name: value for name, value in values.items() if isinstance(value, int)}
    assert {name: int(reason) for name, reason in Reason.__members__.items()} == constants


@pytest.mark.parametrize("mode", list(Mode), ids=lambda mode: mode.name)
def test_each_mode_has_the_value_of_the_message(mode: Mode) -> None:
    assert getattr(ArmState, mode.name) == int(mode)


def test_a_pose_survives_the_message() -> None:
    pose = Pose(np.array([0.3, -0.1, 0.2]), matrix_from_rotation_vector(np.array([0.3, -0.2, 1.0])))
    back = pose_from(pose_message(pose))
    assert back.position == pytest.approx(pose.position)
    assert back.rotation == pytest.approx(pose.rotation)


def test_a_pose_that_nobody_filled_is_refused() -> None:
    empty = PoseMessage()
    empty.orientation.w = 0.0
    with pytest.raises(ValueError, match="zero quaternion"):
        pose_from(empty)


@given(time=st.floats(0.0, 4e9))
def test_a_time_survives_the_stamp(time: float) -> None:
    assert seconds(stamp_from_seconds(time)) == pytest.approx(time, abs=1e-6)
    assert 0 <= stamp_from_seconds(time).nanosec < 1_000_000_000


def test_a_command_is_read_in_the_order_of_the_twist() -> None:
    message = ArmCommand(source="keyboard", gripper_position=0.5, deadman=True)
    message.twist.linear.x, message.twist.linear.y, message.twist.linear.z = 1.0, 2.0, 3.0
    message.twist.angular.x, message.twist.angular.y, message.twist.angular.z = 4.0, 5.0, 6.0
    message.valid_for.nanosec = 200_000_000
    command = command_from(message)
    assert command.twist.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert (command.source, command.gripper, command.deadman) == ("keyboard", 0.5, True)
    assert command.valid_for == pytest.approx(0.2)


def test_the_grippers_crank_closes_its_triangle() -> None:
    for finger in (0.015, 0.026, 0.037):  # m; horn 0.014 m, arm 0.024 m
        angle = motor_angle(finger)
        assert 0.014**2 + finger**2 - 2 * 0.014 * finger * math.sin(angle) == pytest.approx(0.024**2)


def sound() -> ArmCommand:
    """A valid command."""
    message = ArmCommand(source="policy", gripper_position=1.0, deadman=True)
    message.valid_for.nanosec = 200_000_000
    return message


@pytest.mark.parametrize("frame", ["", "base_link", "left/base_link"])
def test_a_sound_command_has_no_problem(frame: str) -> None:
    message = sound()
    message.header.frame_id = frame
    assert command_from(message).problem == ""


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda m: setattr(m.valid_for, "sec", 1000), "its valid_for is 1000.2 s; the maximum is 1 s"),
        (lambda m: setattr(m.valid_for, "sec", -5), "its valid_for is -4.8 s"),
        (lambda m: setattr(m, "source", "x" * 100_000), "its source has 100000 characters"),
        (lambda m: setattr(m, "source", "\x1b[2Jpolicy"), "unprintable ones"),
        (lambda m: setattr(m.twist.linear, "x", 1e200), "its twist has a component of 1e+200"),
        (lambda m: setattr(m, "gripper_position", -1e9), "its gripper opening is -1e+09"),
        (lambda m: setattr(m.header, "frame_id", "ee_gripper_link"), "in the frame 'ee_gripper_link'; use base_link"),
    ],
)
def test_a_field_of_a_command_that_is_out_of_its_bounds_is_named(change, sentence: str) -> None:
    message = sound()
    change(message)
    command = command_from(message)
    assert sentence in command.problem
    assert len(command.source) <= 64
    assert command.source.isprintable()
    assert 0.0 <= command.valid_for <= 1.0


@pytest.mark.parametrize("length", [1e200, 1e-3, 2.0, math.inf, math.nan])
def test_a_quaternion_that_is_no_rotation_is_refused(length: float) -> None:
    message = PoseMessage()
    message.orientation.w = length
    with pytest.raises(ValueError, match="orientation"):
        pose_from(message)
