# SPDX-License-Identifier: Apache-2.0
"""Two simulated arms in namespaces of one ROS domain: each moves, stops and records by itself."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ptr_msgs.msg")

from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data  # noqa: E402
from sensor_msgs.msg import CompressedImage  # noqa: E402
from tf2_msgs.msg import TFMessage  # noqa: E402

from ptr_bringup import domain  # noqa: E402
from ptr_bringup.client import NotReadyError, Robot  # noqa: E402
from ptr_models.contract import Contract  # noqa: E402
from ptr_models.episodes.reader import decode, messages, open_bag, read_episode, read_metadata  # noqa: E402
from ptr_msgs.msg import ArmState, EpisodeStatus  # noqa: E402
from ptr_msgs.srv import InjectFault  # noqa: E402
from ptr_teleop.recorder.streams import streams_for  # noqa: E402

pytestmark = pytest.mark.xdist_group("two_arms")

SIDES = ("left", "right")
TASK = "put_carrot_on_plate"
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
STILL = 0.002  # m; an arm that holds moves less
PTR = [sys.executable, "-m", "ptr_models.cli"]


@pytest.fixture(scope="module")
def states(ros, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[ArmState]]:
    """The states of both arms, each with simulator, description and recorder in its namespace."""
    found = {side: ros.collect(ArmState, f"/{side}/arm/state") for side in SIDES}
    ros.bags = {side: tmp_path_factory.mktemp(side) for side in SIDES}
    for seed, side in enumerate(SIDES):
        home = ("-r", f"__ns:=/{side}")
        ros.start("ptr_bringup.sim.node", *home, width=96, height=72, camera_rate=6.0, task=TASK, seed=seed)
        ros.start("ptr_bringup.arm.node", *home)
        ros.start("ptr_bringup.description.node", *home, rate=5.0)
        ros.start("ptr_teleop.recorder.node", *home, directory=ros.bags[side])
    ros.wait(lambda: all(found.values()), "the states of both arms", timeout=60.0)
    return found


@pytest.fixture
def left(states) -> Iterator[Robot]:
    with Robot("test", namespace="left") as robot:
        robot.wait_until_ready(timeout=60.0, cameras=["over_shoulder"])
        yield robot


def position(state: ArmState) -> np.ndarray:
    at = state.measured_pose.position
    return np.array([at.x, at.y, at.z])


def test_a_command_to_one_arm_moves_that_one_alone(ros, states, left: Robot) -> None:
    ros.spin(0.5)
    before = {side: position(states[side][-1]) for side in SIDES}
    seen = len(states["right"])
    for pose in ("home", "start"):
        left.move_to(pose)
    left.move_to("home")
    ros.spin(0.5)
    assert np.linalg.norm(position(states["left"][-1]) - before["left"]) > 0.1
    assert np.linalg.norm([position(s) - before["right"] for s in states["right"][seen:]], axis=1).max() < STILL
    assert {state.mode for state in states["right"][seen:]} == {ArmState.IDLE}


def test_stopping_one_arm_leaves_the_other_free(ros, states) -> None:
    stop = ros.run([*PTR, "arm", "stop", "--namespace", "left"], name="stop")
    ros.wait(lambda: states["left"][-1].mode == ArmState.PROTECTIVE_STOP, "the left arm's stop", timeout=60.0)
    assert stop.wait(60.0) == 0 and "until /left/arm/clear" in stop.output
    seen = len(states["right"])
    with Robot("test", namespace="right") as right:
        right.wait_until_ready(timeout=60.0)
        right.move_to("home")
        right.move_to("start")
    assert ArmState.PROTECTIVE_STOP not in {state.mode for state in states["right"][seen:]}
    ros.environment["PTR_NAMESPACE"] = "left"
    try:
        clear = ros.run([*PTR, "arm", "clear"], name="clear")
        assert clear.wait(60.0) == 0, clear.output
    finally:
        del ros.environment["PTR_NAMESPACE"]
    ros.wait(lambda: states["left"][-1].mode != ArmState.PROTECTIVE_STOP, "the left arm's release")


def test_a_fault_of_one_simulator_is_none_of_the_other(ros, states) -> None:
    images = {
        side: ros.collect(CompressedImage, f"/{side}/camera/over_shoulder/image/compressed", qos_profile_sensor_data)
        for side in SIDES
    }
    ros.wait(lambda: all(images.values()), "images of both cameras")
    gone = InjectFault.Request(fault="image_gone", value=float("nan"), duration=2.0)
    inject = ros.call(InjectFault, "/left/simulator/inject", gone)
    assert inject.success, inject.message
    ros.spin(0.5)
    for found in images.values():
        found.clear()
    ros.wait(lambda: len(images["right"]) >= 3, "images of the right camera")
    assert not images["left"]
    ros.wait(lambda: images["left"], "the left camera to be back")
    assert {images[side][-1].header.frame_id for side in SIDES} == {
        f"{side}/over_shoulder_optical_frame" for side in SIDES
    }


def test_frames_and_diagnostics_tell_the_arms_apart(ros, states) -> None:
    transforms, diagnostics = ros.collect(TFMessage, "/tf", 100), ros.collect(DiagnosticArray, "/diagnostics", 100)

    def frames() -> set[str]:
        return {one.child_frame_id for message in transforms for one in message.transforms}

    def names() -> set[str]:
        return {status.name for message in diagnostics for status in message.status}

    ros.wait(lambda: {f"{side}/shoulder_link" for side in SIDES} <= frames(), "the frames of both arms")
    wanted = {f"{side}/{name}" for side in SIDES for name in ("arm", "arm motors", "simulator", "recorder")}
    ros.wait(lambda: wanted <= names(), "what is said of both arms")
    parents = {one.header.frame_id.partition("/")[0] for message in transforms for one in message.transforms}
    assert {name.partition("/")[0] for name in frames()} == parents == set(SIDES)


def test_an_episode_of_one_arm_holds_its_streams_alone_under_plain_names(ros, states, left: Robot) -> None:
    statuses = ros.collect(EpisodeStatus, "/left/episode/status", LATCHED)
    described = {"/robot_description", "/tf_static", "/tf", "/diagnostics"}
    ros.wait(
        lambda: statuses and described <= {one.topic for one in statuses[-1].streams if one.age >= 0.0},
        "every stream at the left recorder",
    )
    left.move_to("start")
    with left.record(TASK) as episode:
        for _ in range(15):
            left.send_twist(linear=[0.0, 0.04, 0.0], duration=0.2)
            left.sleep(0.2)
        left.release()
        episode.outcome = "success"
    assert episode.path.parent == ros.bags["left"]
    metadata = read_metadata(episode.path)
    assert metadata.extra["namespace"] == "left"
    assert metadata.seed == SIDES.index("left")
    with open_bag(episode.path) as bag:
        topics = {connection.topic for connection in bag.connections}
        known = {stream.topic for stream in streams_for(["over_shoulder"])} | {"/episode/metadata"}
        assert {"/arm/state", "/arm/executed", "/joint_states", *described} <= topics <= known
        found = [(topic, decode(raw, kind)) for topic, kind, _, _, raw in messages(bag, ["/tf", "/tf_static"])]
        told = [decode(raw, kind) for _, kind, _, _, raw in messages(bag, ["/diagnostics"])]
    assert {topic for topic, _ in found} == {"/tf", "/tf_static"}
    frames = {one.child_frame_id for _, message in found for one in message.transforms}
    own = {"left"} if ros.names_publishers else set(SIDES)  # what is on shared topics can't be told apart there
    assert {name.partition("/")[0] for name in frames} == own
    assert {status.name.partition("/")[0] for message in told for status in message.status} == own
    loaded = read_episode(episode.path, Contract())
    assert len(loaded.actions) > 5
    assert loaded.actions[:, 1].sum() > 0.05
    assert not list(ros.bags["right"].glob("*/metadata.yaml"))


def test_a_session_of_ptr_collect_is_a_third_robot_in_its_namespace(ros, states, tmp_path: Path) -> None:
    third = ros.collect(ArmState, "/middle/arm/state")
    statuses = ros.collect(EpisodeStatus, "/middle/episode/status", LATCHED)
    words = ["--namespace", "middle", "--device", "page_keyboard", "--out", str(tmp_path / "bags")]
    session = ros.run([*PTR, "collect", TASK, *words], name="collect")
    ros.wait(lambda: third and statuses, "arm and recorder of the session", timeout=120.0)
    names = {f"{space.strip('/')}/{name}" for name, space in ros.node.get_node_names_and_namespaces()}
    assert {f"middle/{name}" for name in ("arm", "simulator", "recorder", "teleop", "robot_description")} <= names
    session.signal()
    assert session.wait(60.0) == 130, session.output
    assert {state.mode for state in states["left"][-5:]} == {ArmState.IDLE}


def test_one_program_moves_both_arms(states) -> None:
    with Robot("one", namespace="left") as left, Robot("other", namespace="right") as right:
        for robot in (left, right):
            robot.wait_until_ready(timeout=60.0)
        for robot in (left, right):
            robot.move_to("home")
        apart = left.state.pose.position - right.state.pose.position
    assert np.linalg.norm(apart) < 2 * STILL


def test_what_is_missing_is_named_with_its_namespace(ros, states) -> None:
    with Robot("test", namespace="middle") as robot, pytest.raises(NotReadyError, match="no /middle/arm/state"):
        robot.wait_until_ready(timeout=0.5)
    with pytest.raises(ValueError, match="'mid dle' is not a namespace"):
        Robot("test", namespace="mid dle")


def test_cameras_of_the_other_arm_are_not_its_own(states, left: Robot) -> None:
    assert left.cameras == ("over_shoulder",)
    assert left.image().shape == (72, 96, 3)


def test_an_arm_beside_others_is_a_conflict_in_its_own_namespace_alone(ros, states) -> None:
    environment: dict[str, Any] = dict(ros.environment)
    assert "nodes left/arm)" in domain.conflict(environment, ["left/arm", "left/recorder_of_mine"])
    assert domain.conflict(environment, ["middle/arm", "arm"]) == ""
    assert sorted(domain.robots_nodes(environment)) == sorted(
        f"{side}/{name}" for side in SIDES for name in ("arm", "recorder", "simulator")
    )


def test_a_second_arm_of_the_same_namespace_refuses_to_start(ros, states) -> None:
    second = ros.start("ptr_bringup.arm.node", "-r", "__ns:=/left")
    assert second.wait(60.0) == 1
    assert "/left/arm/state is already published by arm" in second.output
    assert states["left"][-1].mode != ArmState.PROTECTIVE_STOP


def test_a_file_for_an_arm_without_a_namespace_is_refused_in_one(ros, states, tmp_path: Path) -> None:
    file = tmp_path / "teleop.yaml"
    file.write_text("teleop:\n  ros__parameters: {max_linear_velocity: 0.05}\n")
    teleop = ros.start("ptr_teleop.node", "-r", "__ns:=/left", "--params-file", str(file), device="none")
    assert teleop.wait(60.0) == 1
    assert "write '/**/teleop:' instead" in teleop.output
