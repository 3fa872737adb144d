# SPDX-License-Identifier: Apache-2.0
"""Parsing and checks of xs_sdk's joint states."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("sensor_msgs.msg")

from sensor_msgs.msg import JointState  # noqa: E402

from ptr_bringup.arm.drivers.interbotix.gripper_pwm import GripperSettings  # noqa: E402
from ptr_bringup.arm.drivers.interbotix.readings import ReadingError, reading_from  # noqa: E402
from ptr_bringup.arm.drivers.interbotix.registers import (  # noqa: E402
    ERROR,
    ON_BUS,
    TEMPERATURE,
    TORQUE,
    VOLTAGE,
    RegisterReader,
)
from ptr_bringup.arm.drivers.interbotix.xs_sdk_procedures import differences, wrong_arm  # noqa: E402
from ptr_bringup.arm.model.kinematics import JOINT_NAMES, gripper_from_finger  # noqa: E402
from ptr_bringup.arm.motors.readings import HardwareError  # noqa: E402

STROKE = GripperSettings()
DEGREES_LOWER = np.radians([-180, -108, -123, -180, -100, -180])
DEGREES_UPPER = np.radians([180, 114, 92, 180, 123, 180])


def joint_states(**changes: list) -> JointState:
    """As xs_sdk publishes them."""
    message = JointState(name=[*JOINT_NAMES, "gripper", "left_finger", "right_finger"])
    message.position = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 1.0, 0.030, -0.030]
    message.velocity = [float(k) for k in range(9)]
    message.effort = [10.0 * k for k in range(9)]
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def test_joints_are_read_by_name_not_by_place() -> None:
    plain = joint_states()
    turned = joint_states(
        name=plain.name[::-1],
        position=plain.position[::-1],
        velocity=plain.velocity[::-1],
        effort=plain.effort[::-1],
    )
    reading = reading_from(turned, STROKE)
    assert reading.joints.positions == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert reading.joints.velocities.tolist() == [0, 1, 2, 3, 4, 5]
    assert reading.efforts["gripper"] == 60.0
    assert "left_finger" not in reading.efforts


def test_without_velocities_and_efforts_they_are_zero() -> None:
    """xs_sdk_sim publishes neither."""
    joints = reading_from(joint_states(velocity=[], effort=[]), STROKE).joints
    assert joints.velocities.tolist() == joints.efforts.tolist() == [0.0] * 6


def test_a_short_message_says_what_is_missing() -> None:
    with pytest.raises(ReadingError, match="lack wrist_rotate, gripper, left_finger"):
        reading_from(joint_states(position=[0.1] * 5), STROKE)


def test_a_pulled_cable_is_not_an_arm_at_minus_pi() -> None:
    """xs_sdk publishes register 0 of motors that it can't read: -pi, with a fresh stamp."""
    with pytest.raises(ReadingError, match="can't read waist, .*gripper.*cable"):
        reading_from(joint_states(position=[-math.pi] * 7 + [0.0195, -0.0195]), STROKE)
    one = list(joint_states().position)
    one[5] = -3.1415927410125732  # as a float32
    with pytest.raises(ReadingError, match="can't read wrist_rotate"):
        reading_from(joint_states(position=one), STROKE)


def test_a_joint_that_is_no_number_is_left_to_the_gate() -> None:
    broken = [math.nan, *joint_states().position[1:]]
    assert not reading_from(joint_states(position=broken), STROKE).joints.finite


def test_the_configured_stroke_spans_the_gripper() -> None:
    reading = reading_from(joint_states(), GripperSettings(closed=0.010, opened=0.035))
    assert reading.finger == 0.030
    assert gripper_from_finger(reading.joints.finger) == pytest.approx(0.8)


def info(**changes: object) -> SimpleNamespace:
    """The answer of xs_sdk for a wx250s: limits of the URDF, in whole degrees."""
    facts = {
        "joint_names": list(JOINT_NAMES),
        "joint_ids": [1, 2, 4, 6, 7, 8],
        "joint_lower_limits": list(DEGREES_LOWER),
        "joint_upper_limits": list(DEGREES_UPPER),
        "joint_sleep_positions": [0.0, -1.80, 1.55, 0.0, 0.8, 0.0],
    }
    return SimpleNamespace(**(facts | changes))


def test_the_published_wx250s_has_no_differences() -> None:
    assert wrong_arm(info()) == ""
    assert differences(info()) == ()


def test_limits_that_xs_sdk_does_not_know_are_no_difference() -> None:
    assert differences(info(joint_lower_limits=[], joint_upper_limits=[])) == ()


def test_each_difference_is_one_sentence() -> None:
    narrow = list(DEGREES_UPPER)
    narrow[2] = 1.2
    found = differences(info(joint_ids=[1, 2, 4, 5, 6, 7], joint_upper_limits=narrow))
    assert "The upper limit of elbow is 1.200 rad instead of 1.606." in found
    assert "The motor of forearm_roll has id 5 instead of 6." in found
    assert len(found) == 4


def test_an_arm_with_other_joints_is_refused() -> None:
    five = info(joint_names=["waist", "shoulder", "elbow", "wrist_angle", "wrist_rotate"])
    assert "robot_model:=wx250s" in wrong_arm(five)
    assert "no joints" in wrong_arm(info(joint_names=[]))


WELL = {ERROR: [0], TORQUE: [1], TEMPERATURE: [30], VOLTAGE: [121]}


def read_rounds(reader: RegisterReader, rounds: int, answer=lambda motor, register: WELL[register]) -> None:
    for _ in range(rounds * 27):
        motor, register = reader.next()
        reader.update(motor, register, answer(motor, register))


def test_a_round_reads_error_and_torque_of_every_motor_and_two_rounds_everything() -> None:
    reader = RegisterReader()
    asked = [reader.next() for _ in range(54)]
    for register in (ERROR, TORQUE):
        assert [motor for motor, name in asked[:27] if name == register] == list(ON_BUS)
    for register in (TEMPERATURE, VOLTAGE):
        assert sorted(motor for motor, name in asked if name == register) == sorted(ON_BUS)


def test_nothing_is_told_before_each_register_was_read() -> None:
    reader = RegisterReader()
    read_rounds(reader, 1)
    assert reader.motors(0.0, {}) is None
    read_rounds(reader, 1)
    waist = reader.motors(1.0, {"waist": 250.0}).readings[0]
    assert (waist.name, waist.temperature, waist.voltage, waist.effort) == ("waist", 30.0, pytest.approx(12.1), 250.0)
    assert waist.torque
    assert waist.error == HardwareError.NONE


def test_a_joint_with_two_motors_is_as_bad_as_the_worse_one() -> None:
    def answer(motor: str, register: str) -> list[int]:
        hot = {ERROR: [32], TORQUE: [0], TEMPERATURE: [71], VOLTAGE: [98]}
        return hot[register] if motor == "shoulder_shadow" else WELL[register]

    reader = RegisterReader()
    read_rounds(reader, 2, answer)
    shoulder = reader.motors(0.0, {}).readings[1]
    assert shoulder.name == "shoulder"
    assert (shoulder.temperature, shoulder.voltage) == (71.0, pytest.approx(9.8))
    assert shoulder.error == HardwareError.OVERLOAD
    assert not shoulder.torque
    assert reader.tripped == ("shoulder_shadow",)
    assert reader.holding.tolist() == [True, False, True, True, True, True]


def test_a_motor_that_stops_answering_is_reported_after_two_rounds() -> None:
    reader = RegisterReader()
    read_rounds(reader, 2)
    for found in ((), ("wrist_angle",)):
        read_rounds(reader, 1, lambda motor, register: [] if motor == "wrist_angle" else WELL[register])
        assert reader.silent == found
    reading = reader.motors(0.0, {}).readings[4]
    assert math.isnan(reading.temperature)
    assert not reading.torque
    read_rounds(reader, 1)
    assert reader.silent == ()


def test_an_xs_sdk_that_reads_no_registers_is_left_alone() -> None:
    reader = RegisterReader()
    read_rounds(reader, 1, lambda *_: [])
    assert not reader.offered
    assert reader.motors(0.0, {}) is None


def test_errors_that_the_manual_does_not_know_are_left_out() -> None:
    reader = RegisterReader()
    read_rounds(reader, 2, lambda motor, register: [0xFF] if register == ERROR else WELL[register])
    assert reader.motors(0.0, {}).readings[0].error == HardwareError(1 | 4 | 8 | 16 | 32)
