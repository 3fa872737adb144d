# SPDX-License-Identifier: Apache-2.0
"""Playback and the page read bags that were recorded before fields got their present names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ptr_msgs.msg")

from earlier_bags import earlier_types, header, pose, with_earlier_definitions  # noqa: E402

from ptr_models.common.rotations import DEFAULT_ROTATION  # noqa: E402
from ptr_models.episodes.messages import EVENT_TOPIC, SAFETY_TOPIC  # noqa: E402
from ptr_models.episodes.metadata import EpisodeMetadata  # noqa: E402
from ptr_models.episodes.trajectory import Trajectory, write_episode  # noqa: E402
from ptr_teleop.console.recording import read_recording  # noqa: E402
from ptr_teleop.replay.track import read_track  # noqa: E402

STEPS, START = 6, 1_700_000_000 * 10**9


@pytest.fixture
def both(tmp_path: Path) -> tuple[Path, Path]:
    """An episode of today, and the same with two more events as it was recorded earlier."""
    trajectory = Trajectory.from_actions(
        np.full((STEPS, 7), 0.01),
        images={"over_shoulder": np.zeros((STEPS + 1, 24, 32, 3), np.uint8)},
        measured_position=np.linspace([0.2, 0.0, 0.1], [0.3, 0.1, 0.2], STEPS + 1),
        measured_rotation=np.repeat(DEFAULT_ROTATION[None], STEPS + 1, axis=0),
        gripper=np.linspace(1.0, 0.0, STEPS + 1),
        joint_positions=np.zeros((STEPS + 1, 6)),
        start_ns=START,
    )
    new = write_episode(tmp_path / "today", EpisodeMetadata("episode_1", "put_carrot_in_pot"), trajectory)
    types, at = earlier_types().types, START + 5 * 10**8
    slowed = types["ptr_msgs/msg/SafetyEvent"](header(at), 4, "joy", "The twist is too large.", pose(0.5), pose(0.4))
    lost = types["ptr_msgs/msg/EpisodeEvent"](header(at + 1), "episode_1", "messages_lost", "2 never arrived")
    more = [(SAFETY_TOPIC, at, slowed), (EVENT_TOPIC, at + 1, lost)]
    return new, with_earlier_definitions(new, tmp_path / "earlier", more)


def test_playback_follows_the_same_track(both: tuple[Path, Path]) -> None:
    new, old = (read_track(path) for path in both)
    assert old.duration == new.duration
    for time in np.linspace(0.0, new.duration, 5):
        assert old.pose(time).distance(new.pose(time)) == pytest.approx((0.0, 0.0), abs=1e-12)
        assert old.gripper(time) == new.gripper(time)
    assert old.final.position == pytest.approx([0.3, 0.1, 0.2])


def test_the_page_shows_actions_and_events(both: tuple[Path, Path]) -> None:
    new, old = (read_recording(path).view for path in both)
    assert (old["actions"], old["steps"]) == (new["actions"], new["steps"])
    told = [(event["kind"], event["text"]) for event in old["events"] if event["kind"] not in ("start", "stop")]
    assert told == [("safety", "too fast, slowed down"), ("messages lost", "2 never arrived")]
