# SPDX-License-Identifier: Apache-2.0
"""`ptr replay` against the simulated arm: recorded poses are reached, and others can take the arm."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ptr_msgs.msg")

from geometry_msgs.msg import Pose  # noqa: E402
from rclpy.qos import qos_profile_sensor_data  # noqa: E402
from scipy.spatial.transform import Rotation  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

from ptr_models.common.rotations import DEFAULT_ROTATION, matrix_from_rpy  # noqa: E402
from ptr_models.episodes.metadata import EpisodeMetadata  # noqa: E402
from ptr_models.episodes.trajectory import Trajectory, write_episode  # noqa: E402
from ptr_msgs.msg import ArmState  # noqa: E402
from ptr_teleop.replay.track import read_track  # noqa: E402

pytestmark = pytest.mark.xdist_group("recording")

STEPS = 25


@pytest.fixture(scope="module")
def robot(ros):
    """The simulated arm; its states are in `states`."""
    ros.start("ptr_bringup.sim.node", width=64, height=64, camera_rate=5.0)
    ros.start("ptr_bringup.arm.node")
    ros.states = ros.collect(ArmState, "/arm/state", qos_profile_sensor_data)
    ros.wait(lambda: ros.states, "the arm's state")
    return ros


@pytest.fixture(scope="module")
def episode(tmp_path_factory) -> Path:
    """A recording of 5 s: an arc of 20 cm above the table with a turn of the wrist; the gripper closes half-way."""
    share = np.linspace(0.0, 1.0, STEPS + 1)
    angle = np.pi * share
    positions = np.stack([0.25 + 0.05 * np.sin(angle), 0.1 * np.cos(angle), 0.15 + 0.03 * share], axis=1)
    turns = np.stack([0.0 * share, 0.0 * share, 0.4 * share], axis=1)
    rotations = matrix_from_rpy(turns) @ DEFAULT_ROTATION
    gripper = np.where(share < 0.5, 1.0, 0.0)
    trajectory = Trajectory(
        images={"over_shoulder": np.zeros((STEPS + 1, 16, 16, 3), np.uint8)},
        measured_position=positions,
        measured_rotation=rotations,
        commanded_position=positions,
        commanded_rotation=rotations,
        gripper=gripper,
        gripper_commanded=gripper,
        joint_positions=None,
        start_ns=1_700_000_000 * 10**9,
        source="scripted",
    )
    metadata = EpisodeMetadata("arc", "put_carrot_on_plate", outcome="success")
    return write_episode(tmp_path_factory.mktemp("replay"), metadata, trajectory)


def replay(robot, *words: object):
    """Start `ptr replay`."""
    return robot.run([sys.executable, "-m", "ptr_models.cli", "replay", *map(str, words)], name="replay")


def distance(pose: Pose, position: np.ndarray, rotation: Rotation) -> tuple[float, float]:
    """m and rad between a measured pose and another."""
    at, turn = pose.position, pose.orientation
    measured = Rotation.from_quat([turn.x, turn.y, turn.z, turn.w])
    return float(np.linalg.norm([at.x, at.y, at.z] - position)), float((measured * rotation.inv()).magnitude())


def test_the_arm_follows_the_recording_at_its_rate_and_ends_where_it_ended(robot, episode: Path) -> None:
    process = replay(robot, episode, "--yes")
    del robot.states[:]
    robot.wait(lambda: not process.running, "the end of the replay", timeout=60.0)
    assert process.wait() == 0, process.output
    track = read_track(episode)
    position, rotation = distance(robot.states[-1].measured_pose, track.final.position, track.final.rotation)
    assert position < 0.008
    assert rotation < 0.05
    assert "from its recorded pose" in process.output
    driven = [state for state in robot.states if state.source == "replay"]
    stamps = [state.header.stamp.sec + state.header.stamp.nanosec * 1e-9 for state in driven]
    assert stamps[-1] - stamps[0] == pytest.approx(track.duration + 0.6, abs=0.4)
    farthest = 0.0
    for stamp, state in zip(stamps, driven, strict=True):
        pose = track.pose(stamp - stamps[0])
        farthest = max(farthest, distance(state.measured_pose, pose.position, pose.rotation)[0])
    assert farthest < 0.03
    closed = [
        stamp - stamps[0] for stamp, state in zip(stamps, driven, strict=True) if state.commanded_gripper_position < 0.5
    ]
    assert closed[0] == pytest.approx(track.duration / 2, abs=0.4)


def test_without_a_yes_nothing_moves(robot, episode: Path) -> None:
    process = replay(robot, episode)
    robot.wait(lambda: not process.running, "the refusal", timeout=60.0)
    assert process.wait() == 2
    assert "nothing was moved; confirm, or give --yes" in process.output


def test_a_stop_of_the_arm_ends_the_replay_with_a_sentence(robot, episode: Path) -> None:
    process = replay(robot, episode, "--yes")
    robot.wait(lambda: robot.states[-1].source == "replay", "the replay", timeout=60.0)
    assert robot.call(Trigger, "/arm/stop").success
    robot.wait(lambda: not process.running, "the end of the replay")
    assert process.wait() == 2
    assert "the arm was stopped during playback" in process.output
    assert robot.call(Trigger, "/arm/clear").success
