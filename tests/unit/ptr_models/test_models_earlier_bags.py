# SPDX-License-Identifier: Apache-2.0
"""Bags that were recorded before fields and reasons got their present names are read as those of today."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from earlier_bags import DEFINITIONS, earlier_types, header, pose, with_earlier_definitions
from rosbags.rosbag2 import Reader

from ptr_models.episodes.bag import decode
from ptr_models.episodes.bag_audit import reason_names
from ptr_models.episodes.cdr_fields import arm_state, executed
from ptr_models.episodes.inspection import inspect
from ptr_models.episodes.messages import ARM_STATE, ARM_STATE_TOPIC, EVENT_TOPIC, SAFETY_TOPIC, typestore
from ptr_models.episodes.reader import read_episode
from ptr_models.episodes.recovery import recover
from ptr_models.exchange.alignment import aligned_steps
from ptr_models.viewing.recording import read_recording

START = 1_700_000_000 * 10**9
"""ns; see conftest.py."""
EXECUTED = "ptr_msgs/msg/ExecutedCommand"


@pytest.fixture
def both(make_episode: Callable[..., Path], tmp_path: Path) -> tuple[Path, Path]:
    """An episode, and the same with a safety event and an event of the recorder as it was recorded earlier."""
    types, at = earlier_types().types, START + 10**9
    refused = types["ptr_msgs/msg/SafetyEvent"](
        header(at), 1 | 4, "policy", "The target was moved to the border of the box.", pose(0.5), pose(0.42)
    )
    lost = types["ptr_msgs/msg/EpisodeEvent"](
        header(at + 1), "episode_0000", "messages_lost", "2 messages of /teleop/command never arrived"
    )
    new = make_episode()
    more = [(SAFETY_TOPIC, at, refused), (EVENT_TOPIC, at + 1, lost)]
    return new, with_earlier_definitions(new, tmp_path / "earlier", more)


def test_the_bag_carries_the_definitions_of_then(both: tuple[Path, Path]) -> None:
    with Reader(both[1]) as reader:
        texts = {item.topic: str(item.msgdef.data) for item in reader.connections}
    assert "geometry_msgs/Pose measured\n" in texts[ARM_STATE_TOPIC]
    assert "string kind\n" in texts[EVENT_TOPIC]
    assert "string detail\n" in texts[SAFETY_TOPIC]


def test_training_and_export_read_the_same_from_both(both: tuple[Path, Path]) -> None:
    new, old = (read_episode(path) for path in both)
    for name in ("states", "actions", "stamps"):
        assert np.array_equal(getattr(new, name), getattr(old, name))
    assert np.array_equal(new.images["over_shoulder"], old.images["over_shoulder"])
    steps = [aligned_steps(path, new.metadata, new.metadata.contract) for path in both]
    assert np.array_equal(steps[0].actions, steps[1].actions)


def test_the_audit_reads_measured_and_commanded_poses_and_events(both: tuple[Path, Path]) -> None:
    new, old = (inspect(path) for path in both)
    assert (old.problem, old.motion) == (new.problem, new.motion)
    assert any("2 messages of /teleop/command never arrived" in finding for finding in old.findings)


def test_the_viewer_shows_events_and_what_the_gate_said(both: tuple[Path, Path]) -> None:
    new, old = (read_recording(path) for path in both)
    assert [text for _, text in old.events] == [
        "gate: The target was moved to the border of the box.",
        "messages lost: 2 messages of /teleop/command never arrived",
    ]
    assert np.array_equal(new.gripper, old.gripper)
    assert np.array_equal(new.actions, old.actions)


def test_a_recovered_bag_has_the_definitions_of_today(both: tuple[Path, Path], tmp_path: Path) -> None:
    folder = recover(both[1], tmp_path / "recovered").folder
    with Reader(folder) as reader:
        texts = {item.topic: str(item.msgdef.data) for item in reader.connections}
    assert "geometry_msgs/Pose measured_pose\n" in texts[ARM_STATE_TOPIC]
    assert np.array_equal(read_episode(folder).actions, read_episode(both[0]).actions)


@pytest.mark.parametrize("little_endian", [True, False])
def test_values_keep_their_places(little_endian: bool) -> None:
    types, six = earlier_types().types, np.arange(6.0)
    state = types[ARM_STATE](header(1), 4, "joy", pose(0.25), pose(0.3), six, six + 10, six + 20, 0.75, 0.5)
    raw = earlier_types().serialize_cdr(state, ARM_STATE, little_endian=little_endian)
    read = decode(bytes(raw), ARM_STATE)
    assert (read.measured_pose.position.x, read.commanded_pose.position.x) == (0.25, 0.3)
    assert (read.gripper_position, read.commanded_gripper_position) == (0.75, 0.5)
    assert read.mode == read.PROTECTIVE_STOP
    assert arm_state(bytes(raw)).position == (0.25, 0.0, 0.1)
    sent = types[EXECUTED](header(1), "joy", header(2).stamp, pose(0.35), 0.25, six, 128 | 512)
    raw = bytes(earlier_types().serialize_cdr(sent, EXECUTED, little_endian=little_endian))
    assert (executed(raw).pose[0], executed(raw).gripper) == (0.35, 0.25)
    assert reason_names(decode(raw, EXECUTED).reason) == ["COMMAND_TIMEOUT", "PREEMPTED"]


@pytest.mark.parametrize("kind", DEFINITIONS)
def test_no_definition_has_changed_in_more_than_names(kind: str) -> None:
    """Bags of then are read by position, so that the types of all fields and the values of constants must stay."""
    (then, fields_then), (now, fields_now) = (store.fielddefs[kind] for store in (earlier_types(), typestore()))
    assert [type_ for _, type_ in fields_then] == [type_ for _, type_ in fields_now]
    assert [(type_, value) for _, type_, value in then] == [(type_, value) for _, type_, value in now]
