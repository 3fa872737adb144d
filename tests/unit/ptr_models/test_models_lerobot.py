# SPDX-License-Identifier: Apache-2.0
"""The commands of the LeRobot exchange, the Bridge sample, and LeRobot's own loader and writer."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest
from bridge_sample import SAMPLE, needs_sample
from numpy.testing import assert_allclose

from ptr_models.cli import main
from ptr_models.episodes.reader import find_episodes, read_episode

pytest.importorskip("pyarrow", reason="LeRobot data sets need pyarrow and av: pip install './models[lerobot]'")
pytest.importorskip("av", reason="LeRobot data sets need pyarrow and av: pip install './models[lerobot]'")

from lerobot_sets import (
    ALONE,
    CODEC_ERROR,
    DISPLACEMENTS,
    POSE,
    TWO,
    feature,
    import_alone,
    old_rows,
    smooth_images,
    write_bag,
)  # noqa: E402

from ptr_models.exchange.exporting import Exported  # noqa: E402
from ptr_models.exchange.lerobot.exporting import export_lerobot  # noqa: E402


def test_the_commands_say_what_they_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_bag(tmp_path / "bags", 0)
    write_bag(tmp_path / "bags", 1, outcome="failure")
    words = ["export", "lerobot", str(tmp_path / "bags"), "--out", str(tmp_path / "set"), "--workers", "1"]
    assert main([*words, "--outcome", "success"]) == 0
    assert "1 episodes, 8 steps, 1 bags left out" in capsys.readouterr().out
    assert main(["import", "lerobot", str(tmp_path / "set"), "--out", str(tmp_path / "back"), "--workers", "1"]) == 0
    assert "1 written, 0 kept, 0 left out" in capsys.readouterr().out
    assert main([*words]) == 2
    assert "already exists" in capsys.readouterr().err


def test_without_the_extra_a_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "av" else found(name, *more))
    assert main(["export", "lerobot", str(tmp_path), "--out", str(tmp_path / "set")]) == 2
    assert "need av: pip install 'ptr_models[lerobot]'" in capsys.readouterr().err


# --- the real ones ---------------------------------------------------------------------------------------------------


@needs_sample
def test_the_bridge_sample_goes_there_and_back(tmp_path: Path) -> None:
    assert main(["import", "bridge", str(SAMPLE), "--out", str(tmp_path / "bags")]) == 0
    account = export_lerobot([tmp_path / "bags"], tmp_path / "set", ALONE)
    assert (account.episodes, account.steps, account.left_out) == (25, 250, [])
    import_alone(tmp_path / "set", tmp_path / "back")
    for path in find_episodes([tmp_path / "bags"]):
        before, after = read_episode(path), read_episode(tmp_path / "back" / path.name)
        assert_allclose(after.actions, before.actions, atol=1e-6)
        difference = np.abs(after.images["over_shoulder"][:-1].astype(int) - before.images["over_shoulder"][:-1])
        assert difference.mean() < 8.0  # 64 x 64 pixels with colors at half the resolution
        assert after.metadata.task == before.metadata.task


needs_lerobot = pytest.mark.skipif(
    importlib.util.find_spec("lerobot") is None, reason="LeRobot itself is not installed: pip install 'lerobot>=0.4'"
)


@needs_lerobot
def test_lerobots_own_loader_opens_an_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset
    from lerobot_training import decoded

    monkeypatch.setattr("lerobot.datasets.lerobot_dataset.decode_video_frames", decoded)
    for seed in range(3):
        write_bag(tmp_path / "bags", seed, cameras=("over_shoulder", "wrist"), contract=TWO)
    export_lerobot([tmp_path / "bags"], tmp_path / "set", ALONE)
    ahead = {"action": [0.0, 0.2, 0.4]}
    dataset = LeRobotDataset("ptr/test", root=tmp_path / "set", delta_timestamps=ahead, video_backend="pyav")
    assert (dataset.num_episodes, dataset.num_frames, dataset.fps) == (3, 24, 5)
    for index in (0, 7, 8, 23):
        item = dataset[index]
        seed, step = divmod(index, 8)
        episode = read_episode(tmp_path / "bags" / f"episode_{seed:04d}")
        assert item["task"] == "put carrot in pot"
        assert_allclose(item["action"][0], episode.actions[step], atol=1e-6)
        assert_allclose(item["observation.state"], episode.states[step], atol=1e-6)
        for number, name in enumerate(("over_shoulder", "wrist")):
            image = item[f"observation.images.{name}"].permute(1, 2, 0).numpy() * 255
            assert np.abs(image - smooth_images(seed + number, 9)[step]).mean() < CODEC_ERROR
    assert_allclose(dataset.meta.stats["action"]["mean"].shape, (7,))


@needs_lerobot
def test_a_data_set_of_lerobots_own_writer_becomes_bags(tmp_path: Path) -> None:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    features = {
        "observation.state": feature(POSE),
        "action": feature(DISPLACEMENTS),
        "observation.images.front": {"dtype": "video", "shape": (64, 64, 3), "names": ["height", "width", "channels"]},
    }
    features = {key: value | {"shape": tuple(value["shape"])} for key, value in features.items()}
    dataset = LeRobotDataset.create("ptr/test", 5, features, root=tmp_path / "set", robot_type="widowx")
    for number in range(2):
        rows = old_rows(number)
        for step in range(6):
            dataset.add_frame(
                {
                    "observation.state": rows["observation.state"][step][[0, 1, 2, 3, 4, 5, 7]],
                    "action": rows["action"][step],
                    "observation.images.front": smooth_images(number, 6, (64, 64))[step],
                    "task": "Put the pot on the stove",
                }
            )
        dataset.save_episode()
    dataset.finalize()
    for thread in os.listdir("/proc/self/task"):  # SVT-AV1, LeRobot's encoder, takes real-time priority if it may
        os.sched_setscheduler(int(thread), os.SCHED_OTHER, os.sched_param(0))
    account = import_alone(tmp_path / "set", tmp_path / "bags")
    assert (len(account.written), account.left_out) == (2, [])
    for number, path in enumerate(account.written):
        episode = read_episode(path)
        assert_allclose(episode.actions, old_rows(number)["action"], atol=1e-6)
        difference = episode.images["over_shoulder"][:-1].astype(int) - smooth_images(number, 6, (64, 64))
        assert np.abs(difference).mean() < 2 * CODEC_ERROR
        assert episode.metadata.instruction == "Put the pot on the stove"


def test_an_account_names_the_first_bags_that_are_left_out() -> None:
    account = Exported(1, 5, [(Path(f"bag{number}"), "odd") for number in range(30)])
    assert "bag19: odd" in account.account() and "and 10 more" in account.account()
