# SPDX-License-Identifier: Apache-2.0
"""The audit of a recorded episode: what it measures, and what it recommends."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptr_models.cli import main
from ptr_models.common.image_checks import frozen_stretches
from ptr_models.episodes.bag import messages, open_bag
from ptr_models.episodes.bag_audit import reason_names
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.inspection import inspect
from ptr_models.episodes.messages import METADATA_TOPIC, image_topic, settings_topic, typestore
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.overview import both_ends
from ptr_models.episodes.quality import (
    DISCARD,
    KEEP,
    Motion,
    StreamReport,
    gripper_events,
    idle_share,
    judge,
    stream_report,
)
from ptr_models.episodes.trajectory import write_episode
from ptr_models.episodes.writer import BagWriter

GOOD = Motion(steps=50, duration=10.0, idle=0.1, closes=1, opens=1, clipped={}, frozen={"over_shoulder": 0.0})
CAMERA = StreamReport("/camera/over_shoulder/image/compressed", "", 300, 30.0, 0.04, 0.002, 0.01, 10**6)
MS = 10**6


def test_a_stream_is_measured_by_its_source_stamps() -> None:
    source = np.array([0, 100, 200, 300, 700]) * MS
    rows = np.stack([source, source + 5 * MS, np.full(5, 10)], axis=1)
    report = stream_report("/x", "t", rows[::-1], lost=3)
    assert (report.count, report.size, report.lost) == (5, 50, 3)
    assert report.rate == pytest.approx(4 / 0.7)
    assert report.longest_gap == pytest.approx(0.4)
    assert report.delay == pytest.approx(0.005)
    assert report.jitter == pytest.approx(np.percentile([0, 0, 0, 0.3], 95))


def test_a_single_message_has_no_rate_and_no_gap() -> None:
    report = stream_report("/x", "t", np.array([[5, 6, 7]]))
    assert (report.rate, report.longest_gap, report.jitter) == (0.0, 0.0, 0.0)


def test_idle_steps_command_neither_motion_nor_gripper() -> None:
    actions = np.zeros((10, 7))
    actions[:, 6] = 1.0
    assert idle_share(actions) == 1.0
    actions[0, 2] = 0.01
    actions[1, 4] = 0.1
    actions[5:, 6] = 0.0  # one change
    assert idle_share(actions) == pytest.approx(0.7)


def test_gripper_events_are_crossings_of_one_half() -> None:
    assert gripper_events(np.array([1.0, 0.9, 0.4, 0.0, 0.6, 1.0, 0.2])) == (2, 1)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30))
def test_a_frame_that_repeats_is_frozen_only_while_the_arm_moves(contents: list[int]) -> None:
    stamps = [k * 100 * MS for k in range(len(contents))]
    times = np.array(stamps)
    still, moving = np.zeros((len(stamps), 3)), np.outer(np.arange(len(stamps)), [0.05, 0.0, 0.0])
    assert not list(frozen_stretches(stamps, contents, times, still))
    runs, length = [], 1
    for one, other in zip(contents, contents[1:], strict=False):
        length = length + 1 if one == other else 1
        runs.append(length)
    found = [duration for _, _, duration in frozen_stretches(stamps, contents, times, moving)]
    assert max(found, default=0.0) == pytest.approx(0.1 * (max(runs, default=1) - 1))


def test_a_position_that_is_not_finite_hides_no_frozen_camera() -> None:
    stamps = [k * 100 * MS for k in range(11)]
    moving = np.outer(np.arange(11), [0.05, 0.0, 0.0])
    moving[5] = np.nan
    found = [duration for _, _, duration in frozen_stretches(stamps, [7] * 11, np.array(stamps), moving)]
    assert found == [pytest.approx(1.0)]


@pytest.mark.parametrize(("name", "value"), [("action_shift", -1), ("action_shift", 10**30), ("start_ns", 10**30)])
def test_numbers_of_the_metadata_that_nothing_can_hold_are_refused(name: str, value: int) -> None:
    with pytest.raises(EpisodeError, match=f"{name} is "):
        EpisodeMetadata("e", "t", **{name: value})


@pytest.mark.parametrize("width", [-3, 2, 4, 12])
def test_names_are_shortened_even_to_nothing(width: int) -> None:
    assert len(both_ends("20261130-172814-put_carrot_on_plate", width)) == max(width, 4)


def test_a_good_episode_is_kept_without_remarks() -> None:
    judgment = judge("", GOOD, [CAMERA], [])
    assert (judgment.recommendation, judgment.findings) == (KEEP, ())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"idle": 0.94}, "the arm was commanded to move in only 3 of 50 steps"),
        ({"duration": 0.4}, "it lasts only 0.4 s"),
        ({"frozen": {"wrist": 0.9}}, "camera wrist showed the same frame for 0.9 s while the arm moved"),
    ],
)
def test_what_spoils_an_episode_is_a_reason_to_discard_it(change: dict[str, Any], sentence: str) -> None:
    judgment = judge("", dataclasses.replace(GOOD, **change), [CAMERA], [])
    assert judgment.recommendation == DISCARD
    assert sentence in judgment.findings[0]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"idle": 0.6}, "idle in 60% of the steps; training can leave out pauses (data.max_idle_steps)"),
        ({"steps": 200, "idle": 0.9}, "idle in 90% of the steps"),  # a person who thinks between taps
        ({"clipped": {"VELOCITY_LIMIT": 0.5, "WORKSPACE_LIMIT": 0.1}}, "in 50% of the driven time (VELOCITY_LIMIT)"),
        ({"closes": 0, "opens": 0}, "never commanded to open or close"),
    ],
)
def test_what_is_odd_is_remarked_upon_and_the_episode_kept(change: dict[str, Any], sentence: str) -> None:
    judgment = judge("", dataclasses.replace(GOOD, **change), [CAMERA], [])
    assert judgment.recommendation == KEEP
    assert len(judgment.findings) == 1
    assert sentence in judgment.findings[0]


def test_streams_with_gaps_and_losses_are_named() -> None:
    gap = StreamReport("/joint_states", "", 500, 50.0, 0.25, 0.0, 0.0, 1)
    assert judge("", GOOD, [gap], []).findings == ("/joint_states paused for 0.25 s, 50 Hz on average",)
    few, many = dataclasses.replace(CAMERA, lost=3), dataclasses.replace(CAMERA, lost=30)
    assert judge("", GOOD, [few], []).recommendation == KEEP
    judgment = judge("", GOOD, [many], [])
    assert judgment.recommendation == DISCARD
    assert judgment.findings == ("30 messages of /camera/over_shoulder/image/compressed were lost (9.1%)",)
    pauses = StreamReport("/teleop/command", "", 100, 20.0, 4.0, 0.0, 0.0, 1)
    assert judge("", GOOD, [pauses], []).findings == ()  # a human may pause


SLOW = dataclasses.replace(CAMERA, rate=4.2, longest_gap=0.3, asked=15.0)
"""A camera that was asked for 15 Hz."""
TIMER = StreamReport("/arm/executed", "", 500, 50.0, 0.03, 0.0, 0.0, 1)
"""The arm node's own rhythm, undisturbed."""


def test_a_camera_slower_than_asked_for_is_remarked_upon_and_the_episode_kept() -> None:
    judgment = judge("", GOOD, [SLOW, TIMER], [])
    assert judgment.recommendation == KEEP
    (finding,) = judgment.findings
    assert "came at 4.2 Hz, 15 Hz were requested; check the camera's cable" in finding
    assert judge("", GOOD, [dataclasses.replace(SLOW, rate=13.0), TIMER], []).findings == ()
    assert judge("", GOOD, [dataclasses.replace(SLOW, asked=0.0), TIMER], []).findings == ()  # nobody knows


def test_a_busy_computer_is_told_from_a_bad_cable() -> None:
    (finding,) = judge("", GOOD, [SLOW, TIMER], [], processor_use=0.97).findings
    assert finding.endswith("were requested: the computer was busy, 97% of its processors were in use")
    late = dataclasses.replace(TIMER, longest_gap=0.4)
    findings = judge("", GOOD, [SLOW, late], [], processor_use=0.5).findings
    assert all(text.endswith("the computer was busy, its own timers paused as well") for text in findings)
    assert len(findings) == 2
    (finding,) = judge("", GOOD, [SLOW, TIMER], [], processor_use=0.5).findings
    assert "cable" in finding


def test_no_hardware_is_blamed_for_a_simulated_camera() -> None:
    (finding,) = judge("", GOOD, [dataclasses.replace(SLOW, simulated=True), TIMER], []).findings
    assert finding.endswith("15 Hz were requested: this computer is too slow for it; request fewer or smaller images")


def test_what_training_cannot_use_is_to_be_discarded_and_says_why() -> None:
    judgment = judge("stream camera wrist is empty", None, [], ["no message on /joint_states for 0.7 s"])
    assert judgment.recommendation == DISCARD
    assert judgment.findings == (
        "training cannot use it: stream camera wrist is empty",
        "no message on /joint_states for 0.7 s",
    )


def test_an_episode_that_two_robots_published_is_to_be_discarded() -> None:
    judgment = judge("", None, [], [], ["/joint_states has two publishers"])
    assert judgment.recommendation == DISCARD
    assert judgment.findings == ("two robots are mixed in it: /joint_states has two publishers",)


def test_reasons_have_the_names_of_the_safety_events() -> None:
    assert reason_names(1 | 4 | 1024) == ["WORKSPACE_LIMIT", "VELOCITY_LIMIT", "COLLISION"]
    assert reason_names(64 | 128 | 512) == ["STATE_TIMEOUT", "COMMAND_TIMEOUT", "PREEMPTED"]  # bags hold the numbers
    assert reason_names(0) == []


def test_a_bag_is_audited_by_what_is_in_it(tmp_path: Path, make_trajectory: Callable[..., Any]) -> None:
    trajectory, actions = make_trajectory(steps=30)
    frames = trajectory.images["over_shoulder"].copy()
    frames[10:16] = frames[10]  # hangs for 1 s
    frozen = dataclasses.replace(trajectory, images={"over_shoulder": frames})
    metadata = EpisodeMetadata("e", "t", outcome="success", lost={"/joint_states": 4})
    report = inspect(write_episode(tmp_path, metadata, frozen))
    assert report.steps == 30
    assert report.motion.frozen == {"over_shoulder": pytest.approx(1.0)}
    assert report.motion.idle == pytest.approx(idle_share(actions), abs=0.04)
    streams = {stream.topic: stream for stream in report.streams}
    assert streams["/camera/over_shoulder/image/compressed"].repeated == 5
    assert streams["/joint_states"].lost == 4
    assert report.recommendation == DISCARD
    assert "camera over_shoulder showed the same frame for 1.0 s while the arm moved" in report.findings


@pytest.mark.parametrize(
    ("settings", "asked"),
    [
        ({"rate": 15.0, "simulated": True}, (15.0, True)),
        ({"rate": math.nan}, (0.0, False)),
        ('{"rate": 15.0, "simulated": true}', (15.0, True)),  # as older bags hold them
        ('{"fps": 30}', (0.0, False)),
        ('{"rate": "15"}', (0.0, False)),
        ("no JSON", (0.0, False)),
    ],
)
def test_a_bag_says_what_its_camera_was_asked_for(
    tmp_path: Path, make_trajectory: Callable[..., Any], settings: dict | str, asked: tuple[float, bool]
) -> None:
    metadata = EpisodeMetadata("e", "t", outcome="success", extra={"processor_use": 0.5})
    folder = write_episode(tmp_path, metadata, make_trajectory(steps=30)[0])
    if isinstance(settings, str):
        message = typestore().types["std_msgs/msg/String"](data=settings)
    else:
        fields = {"camera": "over_shoulder", "width": 640, "height": 480, "rate": 0.0, "simulated": False}
        message = typestore().types["ptr_msgs/msg/CameraSettings"](**(fields | settings), settings=[])
    with BagWriter(tmp_path / "with", metadata) as bag, open_bag(folder) as reader:
        bag.write_message(settings_topic("over_shoulder"), message, metadata.start_ns + 1)
        for topic, kind, stamp, _, raw in messages(reader):
            if topic != METADATA_TOPIC:
                bag.write(topic, kind, stamp, raw)
        path = bag.close()
    camera = next(s for s in inspect(path).streams if s.topic == image_topic("over_shoulder"))
    assert (camera.asked, camera.simulated) == asked


def test_ptr_inspect_prints_the_recommendation_and_its_reasons(
    tmp_path: Path, make_trajectory: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    still = make_trajectory(steps=20)[0]
    still = dataclasses.replace(
        still,
        commanded_position=np.repeat(still.commanded_position[:1], 21, axis=0),
        commanded_rotation=np.repeat(still.commanded_rotation[:1], 21, axis=0),
        gripper_commanded=np.ones(21),
    )
    folder = write_episode(tmp_path, EpisodeMetadata("e", "t", instruction="put it there"), still)
    assert main(["inspect", str(folder)]) == 0
    output = capsys.readouterr().out
    assert "recommendation: discard" in output
    assert "- the arm was commanded to move in only 0 of 20 steps" in output
    assert f"`ptr discard {folder}` removes it from the data" in output
    assert '"put it there"' in output
    assert main(["inspect", "--json", str(folder)]) == 0
    assert json.loads(capsys.readouterr().out)[0]["motion"]["idle"] == 1.0
