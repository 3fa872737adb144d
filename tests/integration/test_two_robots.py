# SPDX-License-Identifier: Apache-2.0
"""Two robots in one ROS domain are noticed: by the arm, the recorder, the launcher and `ptr doctor`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("ptr_msgs.msg")

from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data  # noqa: E402
from sensor_msgs.msg import CompressedImage, JointState  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

from ptr_bringup import domain  # noqa: E402
from ptr_bringup.arm.model.kinematics import FINGER_OPEN, JOINT_NAMES  # noqa: E402
from ptr_bringup.arm.motion.trajectory import NAMED_JOINTS  # noqa: E402
from ptr_msgs.msg import ArmState, EpisodeStatus, ExecutedCommand, SafetyEvent  # noqa: E402
from ptr_msgs.srv import StartEpisode, StopEpisode  # noqa: E402

pytestmark = pytest.mark.xdist_group("two_robots")

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Joints:
    """Publishes joint states; a second one is a second robot."""

    def __init__(self, ros) -> None:
        self._ros = ros
        self._sender = ros.node.create_publisher(JointState, "/joint_states", qos_profile_sensor_data)
        self._timer = ros.node.create_timer(0.02, self._publish)

    def _publish(self) -> None:
        message = JointState(name=[*JOINT_NAMES, "left_finger"], position=[*NAMED_JOINTS["start"], FINGER_OPEN])
        message.header.stamp = self._ros.node.get_clock().now().to_msg()
        self._sender.publish(message)

    def end(self) -> None:
        """Leave the graph, once."""
        if self._timer is not None:
            self._ros.node.destroy_timer(self._timer)
            self._ros.node.destroy_publisher(self._sender)
            self._timer = None


@pytest.fixture(scope="module")
def states(ros) -> list[ArmState]:
    """States of the first arm, which has its joints."""
    found = ros.collect(ArmState, "/arm/state")
    Joints(ros)
    ros.start("ptr_bringup.arm.node")
    ros.wait(lambda: found, "the first arm's state")
    return found


@pytest.fixture
def second_joints(ros, states: list[ArmState]) -> Iterator[Joints]:
    joints = Joints(ros)
    yield joints
    joints.end()


def test_a_second_arm_refuses_to_start_and_the_first_goes_on(ros, states: list[ArmState]) -> None:
    second = ros.start("ptr_bringup.arm.node")
    ros.wait(lambda: not second.running, "the end of the second arm node")
    assert second.wait() == 1
    assert "/arm/state is already published by arm" in second.output
    assert f"ROS domain {ros.domain}" in second.output
    assert states[-1].mode == ArmState.IDLE


def test_a_second_source_of_joint_states_latches_the_stop_and_names_the_domain(ros, states, second_joints) -> None:
    safety = ros.collect(SafetyEvent, "/arm/safety", LATCHED)
    ros.wait(lambda: states[-1].mode == ArmState.PROTECTIVE_STOP, "the stop")
    ros.wait(lambda: any("/joint_states has 2 publishers" in event.message for event in safety), "the reason")
    assert any(f"ROS domain {ros.domain}" in event.message for event in safety)
    refused = ros.call(Trigger, "/arm/clear")
    assert not refused.success
    assert "/joint_states has 2 publishers" in refused.message
    second_joints.end()
    ros.wait(lambda: ros.call(Trigger, "/arm/clear").success, "the stop can be cleared once there is one again")
    ros.wait(lambda: states[-1].mode == ArmState.IDLE, "the arm is free")


def test_the_recorder_refuses_a_stream_with_two_publishers(ros, states, tmp_path: Path, second_joints) -> None:
    image = ros.node.create_publisher(CompressedImage, "/camera/over_shoulder/image/compressed", 5)
    executed = ros.node.create_publisher(ExecutedCommand, "/arm/executed", 5)
    ros.node.create_timer(0.05, lambda: image.publish(CompressedImage(data=b"\xff\xd8\xff\xd9")))
    ros.node.create_timer(0.05, lambda: executed.publish(ExecutedCommand()))
    status = ros.collect(EpisodeStatus, "/episode/status", LATCHED)
    ros.start("ptr_teleop.recorder.node", directory=str(tmp_path / "bags"))

    def heard() -> bool:
        streams = status[-1].streams if status else []
        return bool(streams) and all(one.age >= 0.0 and not one.stalled for one in streams if one.required)

    ros.wait(heard, "every stream at the recorder")
    answers = []

    def refused() -> bool:
        answers.append(ros.call(StartEpisode, "/recorder/start", StartEpisode.Request(task="put_carrot_on_plate")))
        return not (answers[-1].success and ros.call(StopEpisode, "/recorder/stop").success)

    ros.wait(refused, "the refusal, once both publishers were heard")
    answer = answers[-1]
    assert "/joint_states" in answer.message
    assert "two publishers" in answer.message
    assert f"ROS domain ({ros.domain})" in answer.message


def test_a_launch_beside_a_running_robot_is_refused_and_a_free_domain_is_named(ros, states) -> None:
    file = Path(__file__).resolve().parents[2] / "ptr_bringup" / "launch" / "robot.launch.xml"
    launch = ros.run([sys.executable, "-m", "ptr_models.cli", "launch", str(file), "console:=false"], name="launch")
    ros.wait(lambda: not launch.running, "the end of the launch", timeout=60.0)
    assert launch.wait() == 2
    assert f"a robot is already running in ROS domain {ros.domain} (nodes arm)" in launch.output
    named = int(launch.output.partition("export ROS_DOMAIN_ID=")[2].split()[0])
    assert named != ros.domain


def test_doctor_names_what_runs_twice(ros, states, monkeypatch: pytest.MonkeyPatch) -> None:
    from ptr_bringup.doctor.checks import one_robot
    from ptr_bringup.doctor.findings import AbsentError

    os.environ["ROS_DOMAIN_ID"] = str(ros.domain)
    assert one_robot().startswith(f"{ros.domain}, arm")
    monkeypatch.setattr("ptr_bringup.doctor.checks.robots_nodes", lambda environment: ["arm", "arm", "recorder"])
    with pytest.raises(AbsentError, match="two robots .running twice: arm."):
        one_robot()


def test_a_domain_with_a_participant_of_this_machine_is_not_free(ros) -> None:
    assert domain.occupied(ros.domain)
    assert not domain.occupied(domain.free_domain())
