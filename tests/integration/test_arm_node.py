# SPDX-License-Identifier: Apache-2.0
"""The arm node and the simulator node, as processes, over real ROS 2."""

from __future__ import annotations

import math
import signal
from collections.abc import Iterator

import cv2
import numpy as np
import pytest

pytest.importorskip("ptr_msgs.msg")

from rclpy.action import ActionClient  # noqa: E402
from rclpy.qos import qos_profile_sensor_data  # noqa: E402
from sensor_msgs.msg import CameraInfo, CompressedImage, JointState  # noqa: E402
from std_msgs.msg import Bool  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

from ptr_msgs.action import MoveTo  # noqa: E402
from ptr_msgs.msg import ArmCommand, ArmState, ExecutedCommand, ObjectStates, SafetyEvent  # noqa: E402
from ptr_msgs.srv import GetOutcome, ResetScene  # noqa: E402

pytestmark = pytest.mark.xdist_group("arm_node")


class Robot:
    """Simulator and arm, what they publish, and a hand on the two command topics."""

    def __init__(self, ros) -> None:
        self.ros = ros
        self.states = ros.collect(ArmState, "/arm/state")
        self.executed = ros.collect(ExecutedCommand, "/arm/executed")
        self.safety = ros.collect(SafetyEvent, "/arm/safety")
        self.joints = ros.collect(JointState, "/joint_states", qos_profile_sensor_data)
        self.objects = ros.collect(ObjectStates, "/simulator/objects")
        self.publishers = {
            kind: ros.node.create_publisher(ArmCommand, f"/{kind}/command", 10) for kind in ("teleop", "policy")
        }
        ros.start("ptr_bringup.sim.node", width=160, height=120, camera_rate=10.0, kitchen="toykitchen1")
        self.start_arm()
        ros.wait(lambda: self.objects, "objects")

    def start_arm(self) -> None:
        self.states.clear()
        self.arm = self.ros.start("ptr_bringup.arm.node")
        self.ros.wait(lambda: self.states, "arm state")
        for publisher in self.publishers.values():
            self.ros.wait(publisher.get_subscription_count, "the arm's subscription")

    def send(self, linear=(0.0, 0.0, 0.0), kind="teleop", gripper=1.0, deadman=True, age=0.0) -> None:
        """One command as a source at 5 Hz sends it."""
        message = ArmCommand(source=kind, gripper_position=gripper, deadman=deadman)
        now = self.ros.node.get_clock().now().nanoseconds - int(age * 1e9)
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(now, 10**9)
        message.twist.linear.x, message.twist.linear.y, message.twist.linear.z = linear
        message.valid_for.nanosec = 200_000_000
        self.publishers[kind].publish(message)

    def fresh(self) -> ArmState:
        """The next arm state."""
        known = len(self.states)
        self.ros.wait(lambda: len(self.states) > known + 1, "an arm state")
        return self.states[-1]

    def wait_for_mode(self, mode: int) -> None:
        self.ros.wait(lambda: self.states[-1].mode == mode, f"mode {mode}")

    def wait_for_reason(self, reason: int) -> SafetyEvent:
        """The first event with this reason; on a busy machine STATE_TIMEOUT may come beside it."""
        self.ros.wait(lambda: any(e.reason & reason for e in self.safety), f"reason {reason}")
        return next(e for e in self.safety if e.reason & reason)

    def at_rest(self) -> bool:
        return np.abs(self.states[-1].joint_velocities).max() < 0.01

    def go(self, **goal) -> MoveTo.Result:
        return self.ros.act(MoveTo, "/arm/move_to", MoveTo.Goal(**goal))


def position(pose) -> np.ndarray:
    return np.array([pose.position.x, pose.position.y, pose.position.z])


@pytest.fixture(scope="module")
def robot(ros) -> Robot:
    return Robot(ros)


@pytest.fixture
def started(robot: Robot) -> Iterator[Robot]:
    """The arm at its start pose, open, nobody in command, and no reason pending."""
    result = robot.go(named_pose="start", gripper_position=1.0)
    assert result.success, result.message
    robot.ros.wait(lambda: not robot.safety or robot.safety[-1].reason == 0, "no reason pending")
    robot.safety.clear()
    yield robot
    robot.send(deadman=False)
    assert robot.ros.call(Trigger, "/arm/clear").success


def test_a_commanded_twist_moves_the_simulated_arm_by_the_expected_vector(started: Robot) -> None:
    begin = started.fresh()
    for _ in range(4):
        started.send((0.1, -0.05, -0.1))
        started.ros.spin(0.2)
    started.send(deadman=False)
    started.wait_for_mode(ArmState.IDLE)
    started.ros.wait(started.at_rest, "the arm to come to rest")
    end = started.fresh()
    expected = np.array([0.08, -0.04, -0.08])
    assert position(end.commanded_pose) - position(begin.commanded_pose) == pytest.approx(expected, abs=2e-3)
    assert position(end.measured_pose) - position(end.commanded_pose) == pytest.approx(np.zeros(3), abs=2e-3)
    assert started.executed[-1].joint_positions == pytest.approx(end.joint_positions, abs=0.02)


def test_silence_holds_the_arm_and_is_published(started: Robot) -> None:
    started.send((0.1, 0.0, 0.0), kind="policy")
    started.wait_for_mode(ArmState.POLICY)
    started.wait_for_mode(ArmState.HOLD)
    place = position(started.fresh().commanded_pose)
    started.wait_for_reason(SafetyEvent.COMMAND_TIMEOUT)
    started.ros.spin(0.3)
    assert position(started.fresh().commanded_pose) == pytest.approx(place, abs=1e-9)


def test_a_stop_latches_until_it_is_cleared(started: Robot) -> None:
    assert started.ros.call(Trigger, "/arm/stop").success
    started.wait_for_mode(ArmState.PROTECTIVE_STOP)
    place = position(started.fresh().commanded_pose)
    started.send((0.2, 0.0, 0.0))
    refused = started.go(named_pose="start")
    assert not refused.success
    assert "stopped" in refused.message
    assert started.fresh().mode == ArmState.PROTECTIVE_STOP
    assert position(started.states[-1].commanded_pose) == pytest.approx(place, abs=1e-9)
    assert started.ros.call(Trigger, "/arm/clear").success
    started.wait_for_mode(ArmState.IDLE)


def test_a_stop_request_by_topic_latches_and_false_does_not_clear(started: Robot) -> None:
    requests = started.ros.node.create_publisher(Bool, "/arm/stop_request", 10)
    started.ros.wait(requests.get_subscription_count, "the arm's subscription")
    started.send((0.1, 0.0, 0.0))
    started.wait_for_mode(ArmState.TELEOP)
    requests.publish(Bool(data=True))
    started.wait_for_mode(ArmState.PROTECTIVE_STOP)
    requests.publish(Bool(data=False))
    started.send((0.1, 0.0, 0.0))
    assert "/arm/stop_request" in started.wait_for_reason(SafetyEvent.STOPPED).message
    assert started.fresh().mode == ArmState.PROTECTIVE_STOP
    assert started.ros.call(Trigger, "/arm/clear").success
    started.ros.node.destroy_publisher(requests)


def test_two_policies_at_once_hold_the_arm_though_they_have_one_name(started: Robot) -> None:
    first = started.publishers["policy"]
    second = started.ros.node.create_publisher(ArmCommand, "/policy/command", 10)
    started.ros.wait(second.get_subscription_count, "the arm's subscription")
    started.send((0.05, 0.0, 0.0), kind="policy")
    started.wait_for_mode(ArmState.POLICY)
    for velocity, publisher in (((0.0, 0.05, 0.0), second), ((0.05, 0.0, 0.0), first)):
        started.publishers["policy"] = publisher  # one right after the other, and each holds for 0.2 s: 10 mm
        started.send(velocity, kind="policy")
    assert "2 policies" in started.wait_for_reason(SafetyEvent.PREEMPTED).message
    place = position(started.fresh().commanded_pose)
    started.ros.spin(0.3)
    assert position(started.fresh().commanded_pose) == pytest.approx(place, abs=2e-3)
    assert started.states[-1].mode != ArmState.POLICY
    started.send((0.05, 0.0, 0.0), kind="policy", deadman=False)
    started.ros.node.destroy_publisher(second)


def test_releasing_the_deadman_keeps_the_gripper_closed(started: Robot) -> None:
    started.send(gripper=0.0)
    started.wait_for_mode(ArmState.TELEOP)
    started.send(gripper=1.0, deadman=False)
    started.wait_for_mode(ArmState.IDLE)
    started.ros.wait(lambda: started.states[-1].gripper_position < 0.05, "the gripper to close")
    assert started.fresh().commanded_gripper_position == 0.0


def test_a_human_overrides_the_policy(started: Robot) -> None:
    started.send(kind="policy")
    started.wait_for_mode(ArmState.POLICY)
    started.send(kind="teleop")
    started.wait_for_mode(ArmState.TELEOP)
    started.send((0.1, 0.0, 0.0), kind="policy")
    assert started.wait_for_reason(SafetyEvent.PREEMPTED).source == "policy"
    assert started.states[-1].source == "teleop"


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ({"linear": (math.nan, 0.0, 0.0)}, SafetyEvent.NOT_FINITE),
        ({"linear": (0.1, 0.0, 0.0), "age": 1.0}, SafetyEvent.STALE_COMMAND),
    ],
)
def test_a_command_that_is_refused_is_published_with_its_reason(started: Robot, command: dict, reason: int) -> None:
    place = position(started.fresh().commanded_pose)
    started.send(**command)
    started.wait_for_reason(reason)
    assert position(started.fresh().commanded_pose) == pytest.approx(place, abs=1e-9)


def test_a_twist_out_of_the_box_stops_at_its_face(started: Robot) -> None:
    goal = MoveTo.Goal().pose
    goal.position.x, goal.position.y, goal.position.z = 0.3, 0.19, 0.15
    goal.orientation.y = goal.orientation.w = math.sqrt(0.5)
    assert started.go(pose=goal, gripper_position=1.0).success
    started.send((0.0, 0.2, 0.0))
    event = started.wait_for_reason(SafetyEvent.WORKSPACE_LIMIT)
    assert event.requested_pose.position.y > 0.2
    assert event.limited_pose.position.y == pytest.approx(0.2)


def test_a_move_outside_of_the_box_or_without_orientation_is_refused(started: Robot) -> None:
    goal = MoveTo.Goal().pose
    goal.position.x = 0.6
    assert "outside the workspace box" in started.go(pose=goal).message
    goal.orientation.w = 0.0
    assert "zero quaternion" in started.go(pose=goal).message
    assert "start, sleep, home" in started.go(named_pose="moon").message


def test_a_new_scene_is_laid_and_the_arm_stays_where_the_scene_puts_it(started: Robot) -> None:
    goal = MoveTo.Goal().pose
    goal.position.x, goal.position.y, goal.position.z = 0.25, -0.19, 0.25
    goal.orientation.y = goal.orientation.w = math.sqrt(0.5)
    assert started.go(pose=goal, gripper_position=1.0).success
    request = ResetScene.Request(kitchen="toykitchen2", task="put_corn_in_pot", seed=5)
    assert started.ros.call(ResetScene, "/simulator/reset", request).success
    started.ros.wait(lambda: started.objects[-1].kitchen == "toykitchen2", "the new kitchen")
    scene = started.objects[-1]
    assert (scene.task, scene.seed, sorted(scene.names)) == ("put_corn_in_pot", 5, ["corn", "pot"])
    started.ros.wait(
        lambda: np.linalg.norm(position(started.states[-1].commanded_pose) - [0.3, 0.0, 0.15]) < 0.03,
        "the arm to go on from where the scene has put it",
    )
    outcome = started.ros.call(GetOutcome, "/simulator/outcome")
    assert outcome.success
    assert not outcome.task_succeeded
    assert "corn" in outcome.message


@pytest.mark.parametrize(("field", "known"), [("kitchen", "toykitchen1"), ("task", "put_carrot_on_plate")])
def test_an_unknown_kitchen_or_task_is_answered_with_the_known_ones(started: Robot, field: str, known: str) -> None:
    answer = started.ros.call(ResetScene, "/simulator/reset", ResetScene.Request(**{field: "moon_base"}))
    assert not answer.success
    assert "moon_base" in answer.message
    assert known in answer.message


def test_the_simulator_publishes_what_an_arm_and_a_camera_publish(started: Robot) -> None:
    images = started.ros.collect(CompressedImage, "/camera/over_shoulder/image/compressed", qos_profile_sensor_data)
    infos = started.ros.collect(CameraInfo, "/camera/over_shoulder/camera_info", qos_profile_sensor_data)
    started.ros.wait(lambda: images and infos, "an image")
    image = cv2.imdecode(np.frombuffer(images[0].data, np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (120, 160, 3)
    assert image.std() > 10.0
    assert images[0].header.frame_id == infos[0].header.frame_id == "over_shoulder_optical_frame"
    assert (infos[0].width, infos[0].height) == (160, 120)
    joints = started.joints[-1]
    assert list(joints.name) == [
        "waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate",
        "gripper", "left_finger", "right_finger",
    ]  # fmt: skip
    assert len(joints.position) == len(joints.velocity) == len(joints.effort) == 9
    assert joints.position[7] == pytest.approx(0.037, abs=1e-3)


def test_a_move_ends_with_the_reason_when_its_arm_node_is_stopped(started: Robot) -> None:
    ros, feedback = started.ros, []
    client = ActionClient(ros.node, MoveTo, "/arm/move_to")
    ros.wait(client.server_is_ready, "the action")
    goal = MoveTo.Goal(named_pose="home", gripper_position=1.0, duration=30.0)
    handle = ros.result(client.send_goal_async(goal, feedback_callback=feedback.append), "acceptance", 20.0)
    result = handle.get_result_async()
    ros.wait(lambda: any(message.feedback.progress > 0.0 for message in feedback), "the move to begin")
    started.arm.signal(signal.SIGINT)
    ended = ros.result(result, "the end of the move", 20.0).result
    assert (ended.success, ended.message) == (False, "The move was ended: the arm node is being stopped.")
    assert started.arm.wait() == 0
    client.destroy()
    started.start_arm()
