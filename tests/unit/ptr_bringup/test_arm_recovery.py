# SPDX-License-Identifier: Apache-2.0
"""Guided recovery: the steps for each failure, their order, and the message if one fails."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from ptr_bringup.arm.gate.arbiter import Mode
from ptr_bringup.arm.motors.health import Level
from ptr_bringup.arm.motors.readings import MOTOR_NAMES, SHUTDOWN, HardwareError, MotorReading
from ptr_bringup.arm.motors.recovery import Condition, Recovery, RecoveryError

OVERLOAD = {"error": HardwareError.OVERLOAD, "torque": False}
OVERHEATING = {"error": HardwareError.OVERHEATING, "torque": False, "temperature": 75.0}


class FakeArm:
    """An arm whose motors behave like real ones: torque needs a reboot after a trip, a reboot leaves no torque.

    Args:
        changes: of the readings, by motor; None: the motor does not answer.
        broken: motors whose error comes back.
        blocked: (from, to) pairs of poses between which the gate refuses a move.
    """

    def __init__(self, broken: tuple[str, ...] = (), blocked: tuple[tuple[str, str], ...] = (), **changes) -> None:
        self.motors = {
            name: None
            if changes.get(name, {}) is None
            else dataclasses.replace(MotorReading(name, 30.0, 12.0, 0.0), **changes.get(name, {}))
            for name in MOTOR_NAMES
        }
        self.mode, self.pose = Mode.PROTECTIVE_STOP, "sunk"
        self.broken, self.blocked = broken, blocked
        self.log: list[str] = []

    def condition(self) -> Condition:
        found = tuple(reading for reading in self.motors.values() if reading is not None)
        well = len(found) == 7 and all(reading.torque and not reading.error for reading in found)
        return Condition(self.mode, Level.OK if well else Level.FAULT, "" if well else "A motor has failed.", found)

    def wait_until(self, wanted: Callable[[Condition], bool], timeout: float) -> bool:
        """Waiting cools warm motors by a degree a minute."""
        for _ in range(60):
            if wanted(self.condition()):
                return True
            for name, reading in self.motors.items():
                if reading is not None and reading.temperature > 20.0:
                    cooler = reading.temperature - timeout / 3600
                    self.motors[name] = dataclasses.replace(reading, temperature=cooler)
        return False

    def torque(self, on: bool) -> str:
        self.log.append("torque")
        for name, reading in self.motors.items():
            self.motors[name] = dataclasses.replace(reading, torque=on and not reading.error & SHUTDOWN)
        return "Torque enabled."

    def reboot(self) -> str:
        self.log.append("reboot")
        for name, reading in self.motors.items():
            if reading.error and name not in self.broken:
                self.motors[name] = dataclasses.replace(reading, error=HardwareError.NONE, torque=False)
        return "Rebooting."

    def clear(self) -> str:
        self.log.append("clear")
        self.mode = Mode.IDLE
        return "The arm may move again."

    def try_move(self, pose: str) -> str:
        if (self.pose, pose) in self.blocked:
            return "The gripper would be too close to the table."
        self.log.append(pose)
        self.pose = pose
        return ""


class FakePerson:
    """Does what it is asked; calls `before` at the first question."""

    def __init__(self, arm: FakeArm, before: Callable[[], None] = lambda: None) -> None:
        self.arm, self.before, self.told = arm, before, []

    def show(self, text: str) -> None:
        self.told.append(text)

    def confirm(self, text: str) -> None:
        self.arm.log.append("confirm")
        self.told.append(text)
        self.before()


def recover(arm: FakeArm, **options) -> list[str]:
    assert Recovery(arm, FakePerson(arm), **options).run()
    assert arm.condition().well
    return arm.log


def test_an_arm_that_is_well_is_left_alone() -> None:
    arm = FakeArm()
    arm.mode = Mode.IDLE
    assert not Recovery(arm, FakePerson(arm)).run()
    assert arm.log == []


def test_an_arm_whose_motors_nobody_reads_is_only_cleared_and_moved() -> None:
    class Unread(FakeArm):
        def condition(self) -> Condition:
            return Condition(self.mode, None, "This driver does not read the motors.", ())

    assert recover(Unread()) == ["clear", "sleep", "start"]


def test_after_a_trip_the_arm_is_supported_before_anything_lets_go_and_holds_before_it_is_cleared() -> None:
    assert recover(FakeArm(shoulder=OVERLOAD)) == ["confirm", "reboot", "torque", "clear", "sleep", "start"]


def test_torque_that_was_switched_off_needs_no_reboot() -> None:
    limp = dict.fromkeys(MOTOR_NAMES, {"torque": False})
    assert recover(FakeArm(**limp)) == ["confirm", "torque", "clear", "sleep", "start"]


def test_a_stop_without_a_failed_motor_is_cleared() -> None:
    assert recover(FakeArm(), poses=()) == ["clear"]


def test_a_hot_motor_cools_before_it_is_rebooted() -> None:
    arm = FakeArm(elbow=OVERHEATING)
    temperatures = []
    reboot = arm.reboot
    arm.reboot = lambda: (temperatures.append(arm.motors["elbow"].temperature), reboot())[1]
    log = recover(arm, cool=50.0)
    assert temperatures[0] <= 50.0
    assert log == ["confirm", "confirm", "reboot", "torque", "clear", "sleep", "start"]  # supported after the wait


def test_a_motor_that_stays_hot_ends_the_recovery_before_the_reboot() -> None:
    arm = FakeArm(elbow=OVERHEATING)
    with pytest.raises(RecoveryError, match=r"still hot after 60 min: elbow \(75 deg C\)"):
        Recovery(arm, FakePerson(arm), cool=10.0).run()
    assert arm.log == ["confirm"]


def test_an_error_that_stays_after_the_reboot_ends_the_recovery_without_torque() -> None:
    arm = FakeArm(elbow=OVERLOAD, broken=("elbow",))
    with pytest.raises(RecoveryError, match="the error of elbow remained or came back"):
        Recovery(arm, FakePerson(arm)).run()
    assert arm.log == ["confirm", "reboot"]


def test_a_motor_without_an_answer_is_looked_for_first() -> None:
    arm = FakeArm(wrist_angle=None)

    def plug_in() -> None:
        arm.motors["wrist_angle"] = MotorReading("wrist_angle", 30.0, 12.0, 0.0, torque=False)

    person = FakePerson(arm, plug_in)
    assert Recovery(arm, person).run()
    assert arm.log == ["confirm", "confirm", "torque", "clear", "sleep", "start"]
    assert any("wrist_angle" in text and "cables" in text for text in person.told)


def test_a_motor_that_never_answers_ends_the_recovery() -> None:
    arm = FakeArm(wrist_angle=None)
    with pytest.raises(RecoveryError, match="still no answer from wrist_angle"):
        Recovery(arm, FakePerson(arm)).run()


def test_torque_that_does_not_come_back_ends_the_recovery_before_the_stop_is_released() -> None:
    arm = FakeArm(elbow={"torque": False})
    arm.torque = lambda on: "Torque enabled."
    with pytest.raises(RecoveryError, match="no torque at elbow"):
        Recovery(arm, FakePerson(arm)).run()
    assert "clear" not in arm.log


def test_a_pose_that_can_not_be_reached_straight_is_reached_by_way_of_another() -> None:
    arm = FakeArm(shoulder=OVERLOAD, blocked=(("sunk", "sleep"),))
    assert recover(arm)[-3:] == ["start", "sleep", "start"]


def test_when_no_way_is_free_the_person_is_told_to_place_the_arm_by_hand() -> None:
    arm = FakeArm(shoulder=OVERLOAD, blocked=tuple(("sunk", pose) for pose in ("sleep", "start", "home")))
    with pytest.raises(RecoveryError, match=r"too close to the table\. Support the arm, let it go limp"):
        Recovery(arm, FakePerson(arm)).run()
