# SPDX-License-Identifier: Apache-2.0
"""The track of a recorded episode, and the twists that follow it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.messages import STRING, typestore
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.writer import BagWriter
from ptr_teleop.replay.track import GAIN, Pose, Track, read_track

PERIOD = 0.05


def circle(seconds: float = 4.0, rate: float = 50.0) -> Track:
    """A circle of 5 cm with a turn about z, and a gripper that closes in the middle."""
    times = np.arange(0.0, seconds + 0.5 / rate, 1.0 / rate)
    angle = times / seconds * 2.0 * np.pi
    positions = np.stack([0.3 + 0.05 * np.cos(angle), 0.05 * np.sin(angle), 0.1 + 0.0 * angle], axis=1)
    quaternions = Rotation.from_rotvec(np.outer(0.3 * np.sin(angle), [0.0, 0.0, 1.0])).as_quat()
    gripper = np.where(times < seconds / 2, 1.0, 0.0)
    return Track(times, positions, quaternions, gripper, Pose(positions[-1], Rotation.from_quat(quaternions[-1])))


def follow(track: Track, start: Pose, delay: int = 0) -> Pose:
    """Integrate the twists as the arm does; each acts some periods after it was decided."""
    position, rotation = start.position.copy(), start.rotation
    waiting = [np.zeros(6)] * delay
    for step in range(round((track.duration + 1.0) / PERIOD)):
        time = step * PERIOD
        waiting.append(track.twist(time, PERIOD, Pose(position, rotation), time))
        twist = waiting.pop(0)
        position = position + twist[:3] * PERIOD
        rotation = Rotation.from_rotvec(twist[3:] * PERIOD) * rotation
    return Pose(position, rotation)


def test_a_followed_track_ends_where_it_was_recorded() -> None:
    track = circle()
    assert follow(track, track.pose(0.0)).distance(track.final) == pytest.approx((0.0, 0.0), abs=1e-6)


@given(
    offset=st.tuples(*[st.floats(-0.03, 0.03)] * 3),
    turn=st.tuples(*[st.floats(-0.2, 0.2)] * 3),
    delay=st.integers(0, 2),
)
def test_a_deviation_dies_out_also_when_commands_act_late(offset: tuple, turn: tuple, delay: int) -> None:
    track = circle()
    start = track.pose(0.0)
    moved = Pose(start.position + np.array(offset), Rotation.from_rotvec(turn) * start.rotation)
    position, rotation = follow(track, moved, delay).distance(track.final)
    assert position < 1e-4
    assert rotation < 1e-3


def test_a_twist_is_the_motion_of_the_next_period_and_a_share_of_the_deviation() -> None:
    track = circle()
    on_track = track.twist(1.0, PERIOD, track.pose(1.0), 1.0)
    assert np.linalg.norm(on_track[:3]) == pytest.approx(2 * np.pi * 0.05 / 4.0, rel=1e-3)
    off = Pose(track.pose(1.0).position + np.array([0.0, 0.0, 0.01]), track.pose(1.0).rotation)
    assert (track.twist(1.0, PERIOD, off, 1.0) - on_track)[:3] == pytest.approx([0.0, 0.0, -0.01 * GAIN])


def test_the_gripper_changes_when_it_did() -> None:
    track = circle()
    assert [track.gripper(time) for time in (-1.0, 0.0, 1.99, 2.0, 9.0)] == [1.0, 1.0, 1.0, 0.0, 0.0]


def test_before_and_after_the_recording_the_pose_stays() -> None:
    track = circle()
    assert track.pose(-1.0).position == pytest.approx(track.pose(0.0).position)
    assert track.pose(99.0).distance(track.final) == pytest.approx((0.0, 0.0), abs=1e-9)


def test_an_episode_in_which_nobody_drove_is_refused(tmp_path: Path) -> None:
    with BagWriter(tmp_path, EpisodeMetadata("still", "t")) as writer:
        writer.write_message("/note", typestore().types[STRING](data="x"), 1)
    with pytest.raises(EpisodeError, match="nobody drove the arm"):
        read_track(tmp_path / "still")
