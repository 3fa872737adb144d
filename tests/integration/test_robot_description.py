# SPDX-License-Identifier: Apache-2.0
"""The node `robot_description` beside simulator and arm: what RViz and Foxglove get to see."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ptr_msgs.msg")

from geometry_msgs.msg import PoseStamped, TransformStamped  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from std_msgs.msg import String  # noqa: E402
from tf2_msgs.msg import TFMessage  # noqa: E402

from ptr_bringup.arm.messages import pose_from  # noqa: E402
from ptr_bringup.arm.model.kinematics import JOINT_NAMES, Pose, forward  # noqa: E402
from ptr_bringup.description.urdf import read_urdf  # noqa: E402
from ptr_bringup.ros.time import nanoseconds, stamp_from_nanoseconds  # noqa: E402
from ptr_models.common.rotations import matrix_from_quaternion  # noqa: E402
from ptr_models.episodes.reader import decode, messages, open_bag  # noqa: E402
from ptr_msgs.action import MoveTo  # noqa: E402
from ptr_msgs.msg import ArmState, EpisodeStatus  # noqa: E402
from ptr_msgs.srv import StartEpisode, StopEpisode  # noqa: E402

pytestmark = pytest.mark.xdist_group("robot_description")

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
URDF = Path(__file__).resolve().parents[2] / "ptr_bringup" / "urdf" / "wx250s.urdf"


class Display:
    """What a display such as RViz hears: it comes after the robot, and keeps the newest transform of each frame."""

    def __init__(self, ros) -> None:
        self.ros = ros
        self.descriptions = ros.collect(String, "/robot_description", LATCHED)
        self.moving = ros.collect(TFMessage, "/tf", 100)
        self.static = ros.collect(TFMessage, "/tf_static", LATCHED)

    @property
    def fixed(self) -> dict[str, TransformStamped]:
        return {one.child_frame_id: one for message in self.static for one in message.transforms}

    def pose(self, message: TFMessage, frame: str) -> Pose:
        """A frame in the root of the tree, at the time of a message of /tf."""
        known = self.fixed | {one.child_frame_id: one for one in message.transforms}
        pose = Pose(np.zeros(3), np.eye(3))
        while frame in known:
            moved, turned = known[frame].transform.translation, known[frame].transform.rotation
            rotation = matrix_from_quaternion([turned.x, turned.y, turned.z, turned.w])
            position = np.array([moved.x, moved.y, moved.z]) + rotation @ pose.position
            pose, frame = Pose(position, rotation @ pose.rotation), known[frame].header.frame_id
        assert frame == "base_link"
        return pose


def stamp_of(message: TFMessage) -> int:
    (stamp,) = {nanoseconds(one.header.stamp) for one in message.transforms}
    return stamp


@pytest.fixture(scope="module")
def display(ros) -> Display:
    states = ros.collect(ArmState, "/arm/state")
    ros.start("ptr_bringup.sim.node", width=64, height=48, camera_rate=5.0)
    ros.start("ptr_bringup.arm.node")
    ros.start("ptr_bringup.description.node")
    ros.wait(lambda: states, "the arm")
    found = Display(ros)
    ros.wait(lambda: found.descriptions and found.moving and found.static, "the description and the transforms")
    return found


def test_the_description_reaches_who_comes_later(display: Display) -> None:
    assert [message.data for message in display.descriptions] == [URDF.read_text()]
    later = display.ros.collect(String, "/robot_description", LATCHED)
    display.ros.wait(lambda: later, "the description for one who came later")
    assert later[0].data == URDF.read_text()


def test_the_chain_ends_at_the_pose_that_the_arm_reports_while_it_moves(display: Display) -> None:
    joints = display.ros.collect(JointState, "/joint_states", qos_profile_sensor_data)
    states = display.ros.collect(ArmState, "/arm/state")
    before = len(display.moving)
    for pose in ("sleep", "start"):
        assert display.ros.act(MoveTo, "/arm/move_to", MoveTo.Goal(named_pose=pose, gripper_position=0.5)).success
    measured = {nanoseconds(message.header.stamp): message for message in joints}
    reported = {nanoseconds(message.header.stamp): pose_from(message.measured_pose) for message in states}
    compared = []
    for message in display.moving[before:]:
        found, stamp = display.pose(message, "ee_gripper_link"), stamp_of(message)
        if stamp not in measured:
            continue
        positions = dict(zip(measured[stamp].name, measured[stamp].position, strict=True))
        assert found.position == pytest.approx(forward([positions[n] for n in JOINT_NAMES]).position, abs=1e-6)
        fingers = [display.pose(message, f"{side}_finger_link") for side in ("left", "right")]
        apart = np.linalg.norm(fingers[0].position - fingers[1].position)
        assert apart == pytest.approx(2 * positions["left_finger"], abs=1e-6)
        nearest = min(reported, key=lambda other: abs(other - stamp))
        if abs(nearest - stamp) < 1000:  # the arm node has stamps as s, which costs some ns
            assert found.position == pytest.approx(reported[nearest].position, abs=1e-3)
            assert found.rotation == pytest.approx(reported[nearest].rotation, abs=1e-3)
            compared.append(reported[nearest].position)
    assert len(compared) > 20
    assert np.ptp(compared, axis=0).max() > 0.05  # it has moved meanwhile


def test_a_camera_whose_pose_is_known_is_in_the_tree_and_moves_with_its_calibration(display: Display) -> None:
    wrist = display.ros.node.create_publisher(PoseStamped, "/camera/wrist/pose", LATCHED)
    where = functools.partial(PoseStamped, header=display.static[-1].transforms[0].header)
    message = where()
    message.header.frame_id = "gripper_link"
    message.pose.position.x = 0.05
    wrist.publish(message)
    names = {"wrist_optical_frame", "over_shoulder_optical_frame"}
    display.ros.wait(lambda: names <= set(display.fixed), "the frames of both cameras")
    assert display.fixed["wrist_optical_frame"].header.frame_id == "gripper_link"
    assert display.fixed["wrist_optical_frame"].transform.translation.x == 0.05
    assert display.fixed["over_shoulder_optical_frame"].header.frame_id == "base_link"
    message.pose.position.x = 0.06
    wrist.publish(message)
    display.ros.wait(
        lambda: display.fixed["wrist_optical_frame"].transform.translation.x == 0.06, "the frame's new place"
    )
    assert names | {"ee_gripper_link"} <= {one.child_frame_id for one in display.static[-1].transforms}


def test_a_bag_shows_the_arm_by_itself(display: Display, tmp_path: Path) -> None:
    """A description, every fixed frame and the moving ones: all that a display of the bag needs."""
    ros = display.ros
    statuses = ros.collect(EpisodeStatus, "/episode/status", LATCHED)
    recorder = ros.start("ptr_teleop.recorder.node", directory=tmp_path / "episodes")
    heard = {"/robot_description", "/tf_static", "/tf", "/arm/executed", "/camera/over_shoulder/image/compressed"}
    ros.wait(
        lambda: statuses and heard <= {stream.topic for stream in statuses[-1].streams if stream.age >= 0.0},
        "every stream at the recorder",
    )
    started = ros.call(StartEpisode, "/recorder/start", StartEpisode.Request(task="put_carrot_on_plate"))
    assert started.success, started.message
    ros.spin(1.0)
    stop = StopEpisode.Request(save=True, outcome="success", score=float("nan"))
    path = Path(ros.call(StopEpisode, "/recorder/stop", stop).path)
    recorder.end()
    with open_bag(path) as bag:
        found = [(topic, decode(raw, kind)) for topic, kind, _, _, raw in messages(bag, sorted(heard))]
    kept = {topic: [message for name, message in found if name == topic] for topic in heard}
    assert [message.data for message in kept["/robot_description"]] == [URDF.read_text()]
    links = {one.child_frame_id for topic in ("/tf_static", "/tf") for one in kept[topic][0].transforms}
    assert links >= {joint.child for joint in read_urdf(URDF).joints} | {"over_shoulder_optical_frame"}
    assert len(kept["/tf_static"]) == 1 and len(kept["/tf"]) > 5
    assert kept["/tf"][0].transforms[0].header.frame_id == "base_link"


def test_joint_states_without_numbers_are_not_shown_and_a_clock_that_went_back_is(ros) -> None:
    ros.start(
        "ptr_bringup.description.node",
        *("-r", "__node:=other", "-r", "/joint_states:=/other/joint_states", "-r", "/tf:=/other/tf"),
        urdf=URDF,
        rate=50.0,
    )
    publisher = ros.node.create_publisher(JointState, "/other/joint_states", qos_profile_sensor_data)
    ros.wait(publisher.get_subscription_count, "the other node")
    found = ros.collect(TFMessage, "/other/tf", 100)
    ros.wait(lambda: ros.node.count_publishers("/other/tf"), "its transforms")

    def show(seconds: int, position: float) -> JointState:
        message = JointState(name=["waist"], position=[position])
        message.header.stamp = stamp_from_nanoseconds(seconds * 10**9)
        return message

    def repeat(message: JointState) -> bool:
        """Best effort: what is lost, or replaced before the node looks, is sent again."""
        publisher.publish(message)
        return bool(found) and found[-1].transforms[0].header.stamp == message.header.stamp

    ros.wait(lambda: repeat(show(100, 0.1)), "the first one")
    for position in (float("nan"), float("inf")):
        for _ in range(5):
            publisher.publish(show(101, position))
            ros.spin(0.05)
    ros.wait(lambda: repeat(show(50, 0.2)), "one that is older")
    assert {stamp_of(message) for message in found} == {100 * 10**9, 50 * 10**9}
    assert [one.child_frame_id for one in found[-1].transforms] == ["shoulder_link"]


def test_a_description_that_can_not_be_used_is_an_error_with_its_reason(ros, tmp_path: Path) -> None:
    file = tmp_path / "arm.urdf.xacro"
    file.write_text("<robot name='arm'><link name='a'/><link name='b'/></robot>")
    node = ros.start("ptr_bringup.description.node", urdf=file)
    assert node.wait() == 1
    assert "2 links and 0 joints don't form a tree" in node.output
