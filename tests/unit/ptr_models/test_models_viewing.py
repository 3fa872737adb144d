# SPDX-License-Identifier: Apache-2.0
"""Bags as videos, and in Rerun."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from ptr_models import cli
from ptr_models.common.errors import PtrError
from ptr_models.contract import Contract
from ptr_models.episodes.bag import messages, open_bag
from ptr_models.episodes.messages import EXECUTED_TOPIC, METADATA_TOPIC
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.reader import read_episode
from ptr_models.episodes.trajectory import write_episode
from ptr_models.episodes.writer import BagWriter
from ptr_models.viewing.drawing import CAPTION, Drawing
from ptr_models.viewing.files import write_video
from ptr_models.viewing.recording import read_recording, with_values
from ptr_models.viewing.rerun_export import require_rerun, write_rrd

Make = Callable[..., Any]


def frames_of(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]


def test_a_video_has_the_images_of_the_bag_at_their_times(tmp_path: Path, make_trajectory: Make) -> None:
    trajectory, _ = make_trajectory(steps=10)
    gray = np.linspace(40, 200, 11).astype(np.uint8)
    trajectory.images["over_shoulder"][:] = gray[:, None, None, None]
    bag = write_episode(tmp_path / "bags", EpisodeMetadata("one", task="t", outcome="success"), trajectory)
    drawing = Drawing(read_recording(bag), 160, 5, curves=False)
    path = write_video(tmp_path / "one.mp4", drawing, 5)
    frames = frames_of(path)
    assert len(frames) == len(drawing) == 10  # 10 steps at 5 Hz
    assert frames[0].shape == (120, 160, 3)
    assert [frame[:100].mean() for frame in frames] == pytest.approx(gray[:10], abs=4.0)
    assert not list(tmp_path.glob(".*"))


def test_curves_are_under_the_images_and_the_cursor_moves(make_episode: Make) -> None:
    recording = read_recording(make_episode(steps=10))
    with_curves, without = Drawing(recording, 320, 5), Drawing(recording, 320, 5, curves=False)
    height = without.size[0]
    assert with_curves.size[0] > height + 200
    first, *_, last = (frame[height:].astype(int) for frame in with_curves)
    changed = np.flatnonzero(np.abs(first - last).sum(axis=(0, 2)) > 1000)
    assert changed[0] < 80 and changed[-1] > 250  # where the cursor was and is


def test_actions_are_those_that_training_sees(make_episode: Make) -> None:
    bag = make_episode(steps=12)
    recording, episode = read_recording(bag), read_episode(bag)
    np.testing.assert_allclose(recording.actions[: len(episode)], episode.actions, atol=1e-6)
    np.testing.assert_array_equal(recording.action_stamps[: len(episode)], episode.stamps[:-1])


def test_a_bag_that_training_refuses_is_shown(tmp_path: Path, make_trajectory: Make) -> None:
    trajectory, _ = make_trajectory(steps=10)
    metadata = EpisodeMetadata("without_commands", task="t", outcome="failure")
    with open_bag(write_episode(tmp_path / "bags", metadata, trajectory)) as reader:
        everything = list(messages(reader))
    with BagWriter(tmp_path / "cut", metadata) as writer:
        for topic, kind, stamp, _, raw in everything:
            if topic not in (EXECUTED_TOPIC, METADATA_TOPIC):
                writer.write(topic, kind, stamp, raw)
        cut = writer.close()
    with pytest.raises(PtrError, match="executed"):
        read_episode(cut)
    recording = read_recording(cut)
    assert len(recording.actions) == 0 and recording.duration == pytest.approx(2.0)
    assert len(list(Drawing(recording, 160, 5))) == 10


def test_a_bag_whose_clock_jumped_is_not_drawn_for_hours(make_episode: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    bag = make_episode(steps=10)
    monkeypatch.setattr("ptr_models.viewing.recording.LONGEST", 1)
    with pytest.raises(PtrError, match="lasts 2 s; at most 1 s can be shown"):
        read_recording(bag)


def test_events_are_said_while_they_happen(make_episode: Make) -> None:
    recording = read_recording(make_episode(steps=30))
    assert recording.events == ()  # start and stop say nothing new
    told = dataclasses.replace(recording, events=((recording.begin + 10**9, "takeover: a person drives"),))
    height = Drawing(recording, 320, 5, curves=False).size[0]
    texts = (slice(height, height + CAPTION), slice(70, None))  # right of the time
    quiet, loud = ([frame[texts] for frame in Drawing(one, 320, 5)] for one in (recording, told))
    differs = [bool((a != b).any()) for a, b in zip(quiet, loud, strict=True)]
    assert differs == [5 <= index <= 15 for index in range(30)]  # from 1 s to 3 s, at 5 Hz


class Critics:
    """Two critics: the sum of the scaled action, and one more; its own action is 0."""

    contract, by_goal_image, chunk = Contract(), False, 1

    def values(self, images: Any, states: Any, actions: Any, task: str) -> np.ndarray:
        assert images.shape == (len(actions), *self.contract.image_shape) and task == "put_carrot_in_pot"
        return np.stack([actions.sum(axis=-1), actions.sum(axis=-1) + 1.0])

    def modes(self, images: Any, states: Any, task: str) -> np.ndarray:
        return np.zeros((len(states), 7), np.float32)


def test_values_of_a_checkpoint_are_of_the_recorded_and_its_own_actions(tmp_path: Path, make_trajectory: Make) -> None:
    trajectory, _ = make_trajectory(steps=8, size=(64, 64))
    metadata = EpisodeMetadata("one", task="put_carrot_in_pot", outcome="success")
    bag = write_episode(tmp_path / "bags", metadata, trajectory)
    recording = read_recording(bag)
    assert not recording.values
    valued = with_values(recording, Critics())  # type: ignore[arg-type]
    taken, own = valued.values.values()
    low, high = np.array(Contract().action_low), np.array(Contract().action_high)
    expected = np.clip(2 * (read_episode(bag).actions - low) / (high - low) - 1, -0.99, 0.99).sum(axis=1)
    np.testing.assert_allclose(taken, expected, atol=1e-4)
    np.testing.assert_array_equal(own, 0.0)
    assert Drawing(valued, 320, 5).size[0] > Drawing(recording, 320, 5).size[0]


def test_the_command_writes_one_file_per_episode(
    tmp_path: Path, make_episode: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    bags = make_episode(0).parent
    make_episode(1)
    assert cli.main(["view", str(bags), "--out", str(tmp_path / "v"), "--width", "160"]) == 0
    assert sorted(path.name for path in (tmp_path / "v").iterdir()) == ["episode_0000.mp4", "episode_0001.mp4"]
    printed = capsys.readouterr().out
    assert printed.count(".mp4\n") == 2 and f"next: ptr view {bags} --checkpoint … " in printed


def test_a_damaged_bag_keeps_none_of_the_others_from_being_shown(
    tmp_path: Path, make_episode: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    bags = make_episode(0).parent
    make_episode(1)
    (bags / "episode_0000" / "episode_0000.mcap").write_bytes(b"cut off")
    assert cli.main(["view", str(bags), "--out", str(tmp_path / "v"), "--width", "160", "--no-curves"]) == 2
    assert [path.name for path in (tmp_path / "v").iterdir()] == ["episode_0001.mp4"]
    assert capsys.readouterr().err.count("error: ") == 1


@pytest.mark.parametrize("format", ["webp", "gif"])
def test_an_animated_image_has_every_frame(tmp_path: Path, make_episode: Make, format: str) -> None:
    words = ["view", str(make_episode(steps=10)), "--out", str(tmp_path), "--format", format, "--no-curves"]
    assert cli.main([*words, "--fps", "5", "--width", "160"]) == 0
    with Image.open(tmp_path / f"episode_0000.{format}") as image:
        assert image.n_frames == 10
        assert image.info["loop"] == 0


def test_an_unwritten_video_leaves_nothing_behind(tmp_path: Path, make_episode: Make) -> None:
    drawing = Drawing(read_recording(make_episode()), 160, 5, curves=False)
    with pytest.raises(PtrError, match="mp4, webp, gif"):
        write_video(tmp_path / "one.avi", drawing, 5)
    (tmp_path / "one.mp4").mkdir()
    with pytest.raises(PtrError, match=r"one\.mp4 cannot be written"):
        write_video(tmp_path / "one.mp4", drawing, 5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bags", "one.mp4"]


def test_without_rerun_one_sentence_says_how_to_get_it(
    make_episode: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "rerun" else object())
    with pytest.raises(PtrError):
        require_rerun()
    assert cli.main(["view", str(make_episode()), "--rerun"]) == 2
    assert "pip install rerun-sdk" in capsys.readouterr().err


def test_a_recording_for_rerun_holds_images_actions_and_gripper(tmp_path: Path, make_episode: Make) -> None:
    pytest.importorskip("rerun", reason="rerun-sdk is not installed: pip install rerun-sdk")
    path = write_rrd(read_recording(make_episode(steps=6)), tmp_path / "one.rrd")
    content = path.read_bytes()
    for entity in (b"/camera/over_shoulder", b"/action/translation/x", b"/gripper/measured"):
        assert entity in content
    assert cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) is None  # it is no image
