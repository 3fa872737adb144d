# SPDX-License-Identifier: Apache-2.0
"""From bags to arrays: exact actions, live parity, and one sentence for whatever is wrong."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcap.reader import make_reader
from numpy.testing import assert_allclose

from ptr_models.contract import Camera, Contract, ContractError
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.messages import (
    ARM_STATE_TOPIC,
    EPISODE_EVENT,
    EVENT_TOPIC,
    EXECUTED_TOPIC,
    METADATA_TOPIC,
    header_stamp,
    image_topic,
    typestore,
)
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.reader import find_episodes, messages, open_bag, read_episode
from ptr_models.episodes.sampling import LatestBuffer, arm_sample, choose, observation_of
from ptr_models.episodes.trajectory import write_episode
from ptr_models.episodes.writer import BagWriter


def test_reading_gives_the_actions_that_were_written(tmp_path: Path, make_trajectory: Callable[..., Any]) -> None:
    trajectory, actions = make_trajectory(seed=3, steps=20)
    episode = read_episode(write_episode(tmp_path, EpisodeMetadata("e", "t"), trajectory), Contract())
    assert len(episode) == 20
    assert_allclose(episode.actions, actions, atol=1e-6)
    assert_allclose(episode.states[:, :3], trajectory.measured_position, atol=1e-6)
    assert_allclose(episode.states[:, 6], trajectory.gripper, atol=1e-6)
    assert episode.images["over_shoulder"].shape == (21, 64, 64, 3)
    assert (np.diff(episode.stamps) == 200_000_000).all()


def test_next_observations_are_the_following_rows_and_the_last_is_its_own_frame(
    make_episode: Callable[..., Path],
) -> None:
    episode = read_episode(make_episode(steps=6))
    frames = episode.images["over_shoulder"]
    assert len(frames) == len(episode) + 1
    assert (frames[-1] != frames[-2]).any()


def test_a_recording_fed_through_live_buffers_gives_the_same_bits(make_episode: Callable[..., Path]) -> None:
    folder = make_episode(seed=5, steps=15)
    episode = read_episode(folder)
    images: dict[str, LatestBuffer[bytes]] = {"over_shoulder": LatestBuffer()}
    arm: LatestBuffer[Any] = LatestBuffer()
    seen = []
    with (folder / f"{folder.name}.mcap").open("rb") as file:
        incoming = sorted(make_reader(file).iter_messages(), key=lambda item: item[2].log_time)
    for stamp in episode.stamps:
        while incoming and incoming[0][2].log_time <= stamp:
            schema, channel, message = incoming.pop(0)
            assert schema is not None
            if channel.topic == image_topic("over_shoulder"):
                decoded = typestore().deserialize_cdr(message.data, schema.name)
                images["over_shoulder"].append(header_stamp(message.data), bytes(decoded.data))
            elif channel.topic == ARM_STATE_TOPIC:
                decoded = typestore().deserialize_cdr(message.data, schema.name)
                arm.append(header_stamp(message.data), arm_sample(decoded))
        seen.append(observation_of(Contract(), choose(Contract(), images, arm, int(stamp))))
    assert all(
        (live.images[0] == recorded).all() for live, recorded in zip(seen, episode.images["over_shoulder"], strict=True)
    )
    assert (np.stack([live.state for live in seen]) == episode.states).all()


def copy_bag(source: Path, root: Path, name: str, keep: Callable[[str, int], bool]) -> Path:
    """A copy of an episode with the messages for which keep(topic, stamp since the start in ns) is true."""
    with open_bag(source) as reader:
        rows = list(messages(reader))
    start = min(row[2] for row in rows)
    with BagWriter(root, EpisodeMetadata(name, "put_carrot_in_pot", start_ns=start)) as writer:
        for topic, kind, stamp, arrival, raw in rows:
            if topic != "/episode/metadata" and keep(topic, stamp - start):
                writer.write(topic, kind, arrival, raw)
        return writer.close()


@pytest.mark.parametrize(
    ("topic", "stream"),
    [
        (image_topic("over_shoulder"), "camera over_shoulder"),
        (ARM_STATE_TOPIC, "arm state"),
        (EXECUTED_TOPIC, EXECUTED_TOPIC),
    ],
)
def test_a_hole_in_a_stream_is_named_with_its_time(
    make_episode: Callable[..., Path], tmp_path: Path, topic: str, stream: str
) -> None:
    hole = copy_bag(make_episode(steps=12), tmp_path, "hole", lambda name, at: name != topic or not 0.9e9 < at < 1.5e9)
    with pytest.raises(EpisodeError, match=rf"hole: stream {stream} has a newest sample 0.400 s old.* 1.2 s after"):
        read_episode(hole)


def test_one_missing_frame_is_no_hole(make_episode: Callable[..., Path], tmp_path: Path) -> None:
    image = image_topic("over_shoulder")
    source = make_episode(steps=12)
    folder = copy_bag(source, tmp_path, "gap", lambda name, at: name != image or not 0.9e9 < at < 1.1e9)
    frames = read_episode(folder).images["over_shoulder"]
    assert (frames[5] == frames[4]).all()


def test_a_missing_stream_is_named(make_episode: Callable[..., Path], tmp_path: Path) -> None:
    folder = copy_bag(make_episode(), tmp_path, "x", lambda name, at: name != EXECUTED_TOPIC)
    with pytest.raises(EpisodeError, match="stream /arm/executed is empty"):
        read_episode(folder)


def test_the_grid_begins_when_every_stream_has_a_sample(make_episode: Callable[..., Path], tmp_path: Path) -> None:
    folder = copy_bag(make_episode(steps=12), tmp_path, "late", lambda name, at: name == EVENT_TOPIC or at > 0.5e9)
    episode = read_episode(folder)
    assert len(episode) == 9
    assert episode.stamps[0] - episode.metadata.start_ns == 600_000_000


def rewrite(
    source: Path, root: Path, in_force: Callable[[int], bool], events: dict[str, int] | None = None
) -> tuple[Path, int]:
    """A copy of an episode, `live`, with events at given times and commands only where in_force(k) is true.

    Returns its folder and the stamp of its first instant.
    """
    types = typestore().types
    with open_bag(source) as reader:
        rows = [row for row in messages(reader) if row[0] not in (EVENT_TOPIC, METADATA_TOPIC)]
    begin, instant = rows[0][2], 0
    with BagWriter(root, EpisodeMetadata("live", "t", start_ns=begin)) as writer:
        for topic, kind, _, arrival, raw in rows:
            if topic == EXECUTED_TOPIC:
                message: Any = typestore().deserialize_cdr(raw, kind)
                message.source = "spacemouse" if in_force(instant) else ""
                instant += 1
                writer.write_message(topic, message, arrival)
            else:
                writer.write(topic, kind, arrival, raw)
        for kind, at in (events or {}).items():
            second, nanosecond = divmod(begin + at, 10**9)
            stamp = types["builtin_interfaces/msg/Time"](sec=second, nanosec=nanosecond)
            header = types["std_msgs/msg/Header"](stamp=stamp, frame_id="")
            event = types[EPISODE_EVENT](header=header, episode_id="live", type=kind, message="")
            writer.write_message(EVENT_TOPIC, event, begin + at)
        return writer.close(), begin


@pytest.mark.parametrize(
    ("commanded", "first", "steps"),
    [(True, 600_000_000, 4), (False, 410_000_000, 5)],
    ids=["from the first command", "without commands"],
)
def test_start_and_stop_events_bound_the_grid(
    make_episode: Callable[..., Path], tmp_path: Path, commanded: bool, first: int, steps: int
) -> None:
    events = {"start": 410_000_000, "stop": 1_500_000_000}
    folder, begin = rewrite(make_episode(steps=12), tmp_path, lambda k: commanded, events)
    episode = read_episode(folder)
    assert episode.stamps[0] - begin == first
    assert len(episode) == steps


def test_idling_before_the_first_and_after_the_last_command_is_no_step(
    make_episode: Callable[..., Path], tmp_path: Path
) -> None:
    events = {"start": 0, "stop": 2_400_000_000}
    folder, begin = rewrite(make_episode(steps=12), tmp_path, lambda k: 3 <= k <= 8, events)
    episode = read_episode(folder)
    assert episode.stamps[0] - begin == 600_000_000
    assert len(episode) == 5


def test_a_pause_between_commands_stays_in_the_episode(make_episode: Callable[..., Path], tmp_path: Path) -> None:
    folder, _ = rewrite(make_episode(steps=12), tmp_path, lambda k: not 4 <= k <= 9)
    assert len(read_episode(folder)) == 12


def test_a_bag_of_another_contract_is_refused_with_the_difference(make_episode: Callable[..., Path]) -> None:
    folder = make_episode(contract=dataclasses.replace(Contract(), control_rate=10.0))
    with pytest.raises(ContractError, match=r"episode .*episode_0000 follows another contract.*control_rate"):
        read_episode(folder, Contract())


def test_a_camera_that_was_not_recorded_is_refused(make_episode: Callable[..., Path]) -> None:
    folder = make_episode(contract=Contract(cameras=(Camera("wrist"),)))
    with pytest.raises(EpisodeError, match="stream camera wrist is empty"):
        read_episode(folder)


def test_folders_without_a_bag_are_refused_in_one_sentence(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(EpisodeError, match="empty is empty"):
        read_episode(empty)
    (empty / "notes.txt").write_text("x")
    with pytest.raises(EpisodeError, match="holds no MCAP file"):
        read_episode(empty)
    with pytest.raises(EpisodeError, match="does not exist"):
        read_episode(tmp_path / "nowhere")
    with pytest.raises(EpisodeError, match="holds no complete episode"):
        find_episodes([empty])
    with pytest.raises(EpisodeError, match="does not exist"):
        find_episodes([tmp_path / "nowhere"])


def test_finding_episodes_leaves_out_partial_and_discarded_ones(
    make_episode: Callable[..., Path], tmp_path: Path
) -> None:
    kept = [make_episode(seed, root=tmp_path / "bags" / "morning") for seed in (2, 1)]
    make_episode(3, root=tmp_path / "bags" / "discarded")
    shutil.copytree(kept[0], tmp_path / "bags" / "x.partial")
    assert find_episodes([tmp_path / "bags", tmp_path / "bags" / "morning"]) == sorted(kept)


def test_damaged_metadata_beside_a_bag_says_how_to_go_on(make_episode: Callable[..., Path]) -> None:
    folder = make_episode()
    (folder / "episode.json").write_text("{")
    with pytest.raises(EpisodeError, match="episode.json cannot be read.*delete it to use the copy in the bag"):
        read_episode(folder)


@pytest.mark.parametrize("stream", ["measured_position", "commanded_position", "gripper"])
def test_numbers_that_are_not_finite_are_refused(
    tmp_path: Path, make_trajectory: Callable[..., Any], stream: str
) -> None:
    trajectory, _ = make_trajectory()
    values = getattr(trajectory, stream).copy()
    values[3] = np.nan
    folder = write_episode(tmp_path, EpisodeMetadata("e", "t"), dataclasses.replace(trajectory, **{stream: values}))
    with pytest.raises(EpisodeError, match="has a value that is not finite"):
        read_episode(folder)


def test_a_bag_shorter_than_a_step_is_refused(make_episode: Callable[..., Path], tmp_path: Path) -> None:
    folder = copy_bag(make_episode(), tmp_path, "x", lambda name, at: name != EVENT_TOPIC and at < 0.1e9)
    with pytest.raises(EpisodeError, match="less than one control step"):
        read_episode(folder)


def test_live_samples_go_on_after_the_clock_was_set_back() -> None:
    buffer: LatestBuffer[str] = LatestBuffer(size=4)
    for second in range(100, 110):
        buffer.append(second * 10**9, "before")
    for second in range(50, 60):
        buffer.append(second * 10**9, "after")
        assert buffer.as_of(second * 10**9) == (second * 10**9, "after")


def test_a_late_sample_takes_its_place_in_time() -> None:
    buffer: LatestBuffer[int] = LatestBuffer(size=4)
    for stamp in (10, 20, 40, 30):
        buffer.append(stamp, stamp)
    assert [buffer.as_of(time) for time in (9, 25, 35, 99)] == [None, (20, 20), (30, 30), (40, 40)]
