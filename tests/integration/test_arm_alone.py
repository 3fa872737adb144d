# SPDX-License-Identifier: Apache-2.0
"""The arm node with a driver that the test plays: simulated time that jumps, and a stop button."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("ptr_msgs.msg")

from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

from ptr_bringup.arm.model.kinematics import FINGER_OPEN, JOINT_NAMES  # noqa: E402
from ptr_bringup.arm.motion.trajectory import NAMED_JOINTS  # noqa: E402
from ptr_bringup.ros.time import seconds, stamp_from_seconds  # noqa: E402
from ptr_msgs.msg import ArmCommand, ArmState, SafetyEvent  # noqa: E402

pytestmark = pytest.mark.xdist_group("arm_alone")

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class PlayedArm:
    """Publishes /clock and /joint_states of an arm that is where it was told to be; time runs when the test says so."""

    def __init__(self, ros, button: Path) -> None:
        self.ros, self.now = ros, 1000.0
        self.path, self.button = button, os.open(button, os.O_RDWR)
        self.joints = [*NAMED_JOINTS["start"], FINGER_OPEN]
        self.states = ros.collect(ArmState, "/arm/state")
        self.safety = ros.collect(SafetyEvent, "/arm/safety", LATCHED)
        self.diagnostics = ros.collect(DiagnosticArray, "/diagnostics")
        self._clock = ros.node.create_publisher(Clock, "/clock", 10)
        self._states = ros.node.create_publisher(JointState, "/joint_states", qos_profile_sensor_data)
        self._commands = ros.node.create_publisher(ArmCommand, "/policy/command", 10)
        ros.node.create_subscription(JointState, "/joint_commands", self._obey, 10)
        self.process = ros.start("ptr_bringup.arm.node", use_sim_time=True, stop_device=button)

    def begin(self) -> None:
        """Wait until the arm node follows."""
        ros = self.ros
        ros.wait(lambda: self.live() and self.states, "the arm's state")
        ros.wait(self._commands.get_subscription_count, "the arm's subscription")
        # An arm node that hears the clock before it is made sees no jump from no time to the test's, and reports none.
        self.wait(lambda: len(self.timely()) > 5 and self.reasons() == 0, "the arm to be normal in the test's time")

    def close(self) -> None:
        """Leave nothing that a second played arm, of a test that is run again, would take for another robot."""
        self.process.end()
        for publisher in (self._clock, self._states, self._commands):
            self.ros.node.destroy_publisher(publisher)

    def _obey(self, message: JointState) -> None:
        self.joints = list(message.position)

    def live(self, seconds: float = 0.02) -> bool:
        """Let simulated time pass, with a joint state at its end."""
        self.now += seconds
        self._clock.publish(Clock(clock=stamp_from_seconds(self.now)))
        message = JointState(name=[*JOINT_NAMES, "left_finger"], position=self.joints)
        message.header.stamp = stamp_from_seconds(self.now)
        self._states.publish(message)
        self.ros.executor.spin_once(timeout_sec=0.02)
        return True

    def wait(self, condition, what: str) -> None:
        self.ros.wait(lambda: self.live() and condition(), what)

    def send(self, velocity: float) -> None:
        message = ArmCommand(source="policy", gripper_position=1.0, deadman=True)
        message.header.stamp = stamp_from_seconds(self.now)
        message.twist.linear.y = velocity
        message.valid_for.nanosec = 200_000_000
        self._commands.publish(message)

    def timely(self) -> list[ArmState]:
        """States of the present time, not of the one before a jump."""
        return [state for state in self.states if abs(seconds(state.header.stamp) - self.now) < 10.0]

    def reasons(self) -> int:
        return self.safety[-1].reason if self.safety else 0


@pytest.fixture(scope="module")
def arm(ros, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlayedArm]:
    button = tmp_path_factory.mktemp("button") / "event0"
    os.mkfifo(button)
    played = PlayedArm(ros, button)
    try:
        played.begin()
        yield played
    finally:
        played.close()


@pytest.mark.parametrize("jump", [30.0, -60.0])
def test_a_jump_of_the_clock_holds_the_arm_until_the_next_command(arm: PlayedArm, jump: float) -> None:
    arm.wait(lambda: arm.reasons() == 0, "no reason")
    arm.wait(lambda: arm.send(0.05) or arm.states[-1].mode == ArmState.POLICY, "the policy in command")
    arm.safety.clear()
    arm.states.clear()
    arm.now += jump
    arm.wait(lambda: arm.reasons() & SafetyEvent.STALE_COMMAND, "the reason")
    arm.wait(lambda: arm.reasons() == 0, "back to normal")
    arm.wait(lambda: len(arm.timely()) > 10, "states of the time after the jump")
    after = [state.commanded_pose.position.y for state in arm.timely()]
    assert after == pytest.approx([after[0]] * len(after), abs=1e-9)
    arm.wait(
        lambda: arm.send(0.05) or arm.states[-1].commanded_pose.position.y > after[0] + 0.01, "a new command to move"
    )


def test_the_button_stops_and_has_to_be_released_before_the_arm_is_cleared(arm: PlayedArm) -> None:
    press, release = (struct.pack("=qqHHi", 0, 0, 1, 57, value) for value in (1, 0))
    os.write(arm.button, press)
    arm.wait(lambda: arm.states[-1].mode == ArmState.PROTECTIVE_STOP, "the stop")
    refused = arm.ros.call(Trigger, "/arm/clear")
    assert not refused.success
    assert "still pressed" in refused.message
    os.write(arm.button, release)
    arm.ros.wait(lambda: arm.ros.call(Trigger, "/arm/clear").success, "the release to be seen")
    arm.wait(lambda: arm.states[-1].mode == ArmState.IDLE, "the arm to be free")
    arm.send(0.0)
    arm.path.unlink()
    os.close(arm.button)
    arm.wait(lambda: arm.states[-1].mode == ArmState.PROTECTIVE_STOP, "the stop by the loss of the button")
    assert "is lost" in arm.ros.call(Trigger, "/arm/clear").message


def test_diagnostics_tell_how_punctual_the_loop_is(arm: PlayedArm) -> None:
    def values() -> dict[str, str]:
        statuses = [s for array in arm.diagnostics for s in array.status if s.name.endswith("arm")]
        return {v.key: v.value for v in statuses[-1].values} if statuses else {}

    arm.wait(lambda: "overruns" in values(), "figures of the loop")
    assert "priority" in values()["scheduling"]
    assert float(values()["period, median (ms)"]) > 0.0
