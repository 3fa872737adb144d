# SPDX-License-Identifier: Apache-2.0
"""Motors that fail, and motors that get warm, in the running simulator and arm node; the way back with `ptr arm`."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("ptr_msgs.msg")

from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from std_srvs.srv import SetBool, Trigger  # noqa: E402

from ptr_msgs.action import MoveTo  # noqa: E402
from ptr_msgs.msg import ArmCommand, ArmState, ExecutedCommand, MotorStates, SafetyEvent  # noqa: E402
from ptr_msgs.srv import InjectFault, ResetScene  # noqa: E402

pytestmark = pytest.mark.xdist_group("arm_motors")
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
BOUND = 0.3
"""s, within which the arm holds after a fault: one control period at 5 Hz, and 100 ms."""


def seconds(stamp) -> float:
    return stamp.sec + 1e-9 * stamp.nanosec


def place(pose) -> np.ndarray:
    return np.array([pose.position.x, pose.position.y, pose.position.z])


class Robot:
    """Simulator and arm, and what they say."""

    def __init__(self, ros) -> None:
        self.ros = ros
        self.states = ros.collect(ArmState, "/arm/state")
        self.executed = ros.collect(ExecutedCommand, "/arm/executed")
        self.motors = ros.collect(MotorStates, "/arm/motors", LATCHED)
        self.readings = ros.collect(MotorStates, "/simulator/motors")
        self.safety = ros.collect(SafetyEvent, "/arm/safety", LATCHED)
        self.commands = ros.node.create_publisher(ArmCommand, "/policy/command", 10)
        ros.start("ptr_bringup.sim.node", width=160, height=120, camera_rate=1.0)
        ros.start("ptr_bringup.arm.node")
        ros.wait(lambda: self.states and self.motors, "arm state and motors", 40.0)
        ros.wait(self.commands.get_subscription_count, "the arm's subscription")

    def command(self, linear=(0.0, 0.0, 0.0), deadman: bool = True) -> None:
        message = ArmCommand(source="policy", gripper_position=1.0, deadman=deadman)
        message.header.stamp = self.ros.node.get_clock().now().to_msg()
        message.twist.linear.x, message.twist.linear.y, message.twist.linear.z = linear
        message.valid_for.nanosec = 200_000_000
        self.commands.publish(message)

    def inject(self, fault: str, **request) -> str:
        wanted = InjectFault.Request(fault=fault, **{"value": math.nan, **request})
        answer = self.ros.call(InjectFault, "/simulator/inject", wanted)
        assert answer.success, answer.message
        return answer.message

    def wait_for_level(self, level: int) -> MotorStates:
        self.ros.wait(lambda: self.motors[-1].level == level, f"motors at level {level}")
        return self.motors[-1]

    def wait_for_mode(self, mode: int) -> None:
        self.ros.wait(lambda: self.states[-1].mode == mode, f"mode {mode}")

    def ptr(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command line beside the spinning harness."""
        process = subprocess.Popen(
            [sys.executable, "-m", "ptr_models", *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**self.ros.environment, "COLUMNS": "200"},
        )  # fmt: skip
        self.ros.wait(lambda: process.poll() is not None, f"the end of ptr {' '.join(words)}", 90.0)
        out, err = process.communicate()
        return subprocess.CompletedProcess(words, process.returncode, out, err)


@pytest.fixture(scope="module")
def robot(ros) -> Robot:
    return Robot(ros)


@pytest.fixture
def well(robot: Robot) -> Iterator[Robot]:
    """The arm in a new scene, its motors well, nobody in command."""
    robot.command(deadman=False)
    robot.inject("clear")
    assert robot.ros.call(ResetScene, "/simulator/reset", ResetScene.Request(seed=0)).success
    robot.wait_for_level(MotorStates.OK)
    assert robot.ros.call(Trigger, "/arm/clear").success
    robot.wait_for_mode(ArmState.IDLE)
    robot.ros.wait(lambda: found(robot.states[-1]), "the arm to find that the new scene has moved it")
    yield robot


def found(state: ArmState) -> bool:
    """Is the commanded pose that of the joints?"""
    return place(state.commanded_pose) == pytest.approx(place(state.measured_pose), abs=0.02)


def stamp_of_fault(robot: Robot, fault: str, **request) -> float:
    """Inject a motor's fault; s of the first reading that shows it, by which time it had happened."""
    known = len(robot.readings)
    robot.inject(fault, **request)

    def failed() -> list[float]:
        new = robot.readings[known:]
        return [
            seconds(s.header.stamp)
            for s in new
            if any(m.hardware_error_status or not m.torque_enabled for m in s.motors)
        ]

    robot.ros.wait(failed, "the fault")
    return failed()[0]


@pytest.mark.parametrize(
    ("fault", "request_", "word"),
    [
        ("overload", {"target": "shoulder"}, "overload"),
        ("overheating", {"target": "elbow"}, "overheating at 76 deg C"),
        ("torque_lost", {}, "every motor"),
        ("voltage_low", {"value": 9.0}, "input voltage"),
        ("encoder", {}, "encoder"),
    ],
)
def test_a_motor_that_fails_under_a_running_command_stops_the_arm_within_the_bound(
    well: Robot, fault: str, request_: dict, word: str
) -> None:
    well.command((0.0, 0.08, 0.0))
    well.wait_for_mode(ArmState.POLICY)
    began = well.states[-1].header.stamp
    failed = None
    for step in range(400):  # a source that goes on commanding
        if step == 4:
            failed = stamp_of_fault(well, fault, **request_)
        well.command((0.0, 0.08, 0.0) if step % 8 < 4 else (0.0, -0.08, 0.0))
        well.ros.spin(0.1)
        if failed is not None and seconds(well.executed[-1].header.stamp) > failed + 1.0:
            break
    states = well.wait_for_level(MotorStates.FAULT)
    assert word in states.message
    well.wait_for_mode(ArmState.PROTECTIVE_STOP)
    faults = [event for event in well.safety if event.reason & SafetyEvent.MOTOR_FAULT]
    told = [event.message for event in faults if seconds(event.header.stamp) > seconds(began)]
    assert well.safety[-1].reason & SafetyEvent.MOTOR_FAULT
    assert any(word in detail for detail in told), told
    held = [place(e.target) for e in well.executed if seconds(e.header.stamp) > failed + BOUND]
    moved = [place(e.target) for e in well.executed if seconds(began) <= seconds(e.header.stamp) <= failed]
    assert len(held) > 10
    assert np.ptp(np.array(held), axis=0).max() == 0.0
    assert np.ptp(np.array(moved), axis=0).max() > 0.003


def test_a_failed_motor_keeps_the_arm_stopped_until_it_is_rebooted_and_holds(well: Robot) -> None:
    well.inject("overload", target="elbow")
    well.wait_for_mode(ArmState.PROTECTIVE_STOP)
    refused = well.ros.call(Trigger, "/arm/clear")
    assert not refused.success
    assert "elbow" in refused.message
    torque = well.ros.call(SetBool, "/arm/torque", SetBool.Request(data=True))
    assert not torque.success
    assert "Reboot" in torque.message
    assert well.ros.call(Trigger, "/arm/reboot_motors").success
    well.ros.wait(lambda: not any(m.hardware_error_status for m in well.motors[-1].motors), "the reboot")
    assert well.motors[-1].level == MotorStates.FAULT
    assert well.ros.call(SetBool, "/arm/torque", SetBool.Request(data=True)).success
    well.wait_for_level(MotorStates.OK)
    assert well.states[-1].mode == ArmState.PROTECTIVE_STOP
    assert well.ros.call(Trigger, "/arm/clear").success
    well.wait_for_mode(ArmState.IDLE)


def fallen(measured: list[JointState]) -> bool:
    """Whether the arm has come down: half a second was measured in which it at most rolled slowly onto its side."""
    last = [message.position[:6] for message in measured[-25:]]
    return len(last) == 25 and np.ptp(last, axis=0).max() < 0.05


def test_torque_returns_where_the_arm_has_sunk_to_and_nothing_jumps(well: Robot) -> None:
    before = np.array(well.states[-1].joint_positions)
    well.inject("torque_lost")
    well.ros.wait(lambda: np.abs(np.array(well.states[-1].joint_positions) - before).max() > 0.5, "the arm to sink")
    joints = well.ros.collect(JointState, "/joint_states", qos_profile_sensor_data)
    well.ros.wait(lambda: fallen(joints), "the arm to come down")
    assert well.ros.call(SetBool, "/arm/torque", SetBool.Request(data=True)).success
    known = len(joints)
    well.wait_for_level(MotorStates.OK)
    assert well.ros.call(Trigger, "/arm/clear").success
    well.ros.wait(lambda: len(joints) > known + 50, "a second of joint states")
    since = np.array([list(m.position[:6]) for m in joints[known - 1 :]])
    times = np.array([seconds(m.header.stamp) for m in joints[known - 1 :]])
    speeds = np.abs(np.diff(since, axis=0)).max(axis=1) / np.maximum(np.diff(times), 0.02)
    assert speeds.max() < 10.0  # rad/s: it may still roll; half a radian within a cycle of 20 ms would be 25
    assert np.abs(since - before).max(axis=1).min() > 0.4  # it was not pulled back up to where it had been told to be


def test_torque_is_not_switched_while_somebody_commands(well: Robot) -> None:
    well.command()
    well.wait_for_mode(ArmState.POLICY)
    for name, kind in (("torque", SetBool), ("reboot_motors", Trigger)):
        well.command()
        well.wait_for_mode(ArmState.POLICY)
        answer = well.ros.call(kind, f"/arm/{name}")
        assert not answer.success
        assert "policy" in answer.message
    assert all(m.torque_enabled for m in well.motors[-1].motors)


def test_a_warm_motor_prompts_a_rest_and_the_arm_goes_on(well: Robot) -> None:
    well.inject("warm", target="gripper", value=62.0)
    states = well.wait_for_level(MotorStates.WARN)
    assert "gripper" in states.message
    assert "rest" in states.message
    result = well.ros.act(MoveTo, "/arm/move_to", MoveTo.Goal(named_pose="home", gripper_position=1.0))
    assert result.success, result.message
    well.inject("clear")
    well.wait_for_level(MotorStates.OK)


def test_ptr_arm_leads_back_after_a_trip(well: Robot) -> None:
    well.inject("overload", target="shoulder")
    well.wait_for_mode(ArmState.PROTECTIVE_STOP)
    status = well.ptr("arm", "status", "--json")
    assert status.returncode == 1, status.stderr
    report = json.loads(status.stdout)
    assert (report["mode"], report["level"]) == ("PROTECTIVE_STOP", "FAULT")
    assert [m["name"] for m in report["motors"] if m["error"]] == ["shoulder"]
    asked = well.ptr("arm", "recover")
    assert asked.returncode == 2
    assert "--yes" in asked.stderr
    assert well.states[-1].mode == ArmState.PROTECTIVE_STOP
    recovered = well.ptr("arm", "recover", "--yes")
    assert recovered.returncode == 0, recovered.stdout + recovered.stderr
    assert "ready" in recovered.stdout
    well.wait_for_mode(ArmState.IDLE)
    assert place(well.states[-1].measured_pose) == pytest.approx([0.3, 0.0, 0.15], abs=0.02)
    well.ros.wait(lambda: well.ptr("arm", "status").returncode == 0, "a status without complaint", timeout=60.0)


def test_ptr_inject_says_what_is_wrong_and_refuses_what_it_does_not_know(well: Robot) -> None:
    injected = well.ptr("inject", "joint_states_late", "--value", "0.4")
    assert injected.returncode == 0, injected.stderr
    assert "delay 0.4 s" in injected.stdout
    well.ros.wait(lambda: well.safety[-1].reason & SafetyEvent.STATE_TIMEOUT, "late joint states")
    assert well.ptr("inject", "clear").returncode == 0
    refused = well.ptr("inject", "overload", "--target", "knee")
    assert refused.returncode == 2
    assert "knee" in refused.stderr
