# SPDX-License-Identifier: Apache-2.0
"""Bags to LeRobotDataset v3.0, and from there back."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from ptr_models.contract import Camera, Contract
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.metadata import Label
from ptr_models.episodes.reader import find_episodes, read_episode, read_metadata
from ptr_models.episodes.writer import PARTIAL
from ptr_models.exchange.lerobot import layout

pytest.importorskip("pyarrow", reason="LeRobot data sets need pyarrow and av: pip install './models[lerobot]'")
pytest.importorskip("av", reason="LeRobot data sets need pyarrow and av: pip install './models[lerobot]'")

import pyarrow.parquet as pq  # noqa: E402
from lerobot_sets import (
    ALONE,
    CODEC_ERROR,
    DISPLACEMENTS,
    SIZE,
    TWO,
    episodes_of,
    import_alone,
    info_of,
    jpegs,
    rows_in,
    smooth_images,
    write_bag,
)  # noqa: E402

from ptr_models.exchange.lerobot import statistics, video  # noqa: E402
from ptr_models.exchange.lerobot.exporting import Options, export_lerobot  # noqa: E402


def test_an_export_has_the_files_and_columns_of_a_v3_data_set(tmp_path: Path) -> None:
    for seed in range(3):
        write_bag(tmp_path / "bags", seed, steps=5 + seed, cameras=("over_shoulder", "wrist"), contract=TWO)
    export_lerobot([tmp_path / "bags"], tmp_path / "set", ALONE)
    info = info_of(tmp_path / "set")
    assert (info["codebase_version"], info["fps"]) == ("v3.0", 5)
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"]) == (3, 5 + 6 + 7, 1)
    assert info["features"]["action"]["names"] == DISPLACEMENTS
    assert info["features"]["action"]["units"][:4] == ["m per step"] * 3 + ["rad per step"]
    assert info["features"]["observation.images.wrist"]["shape"] == [*SIZE, 3]
    rows = rows_in(tmp_path / "set")
    assert rows["index"] == list(range(18))
    assert rows["frame_index"] == [*range(5), *range(6), *range(7)]
    assert_allclose(rows["timestamp"][5:8], [0, 0.2, 0.4], atol=1e-7)
    assert [index for index, done in enumerate(rows["next.done"]) if done] == [4, 10, 17]
    table = episodes_of(tmp_path / "set")
    assert [(row["dataset_from_index"], row["dataset_to_index"]) for row in table] == [(0, 5), (5, 11), (11, 18)]
    assert [row["videos/observation.images.wrist/from_timestamp"] for row in table] == [0, 1.0, 2.2]
    assert pq.read_table(tmp_path / "set/meta/tasks.parquet").to_pydict() == {
        "task_index": [0],
        "task": ["put carrot in pot"],
    }


def test_there_and_back_keeps_actions_states_images_and_labels(tmp_path: Path) -> None:
    label = Label("failure", 5, annotator="anna", score=0.25, note="dropped it: ü")
    for seed in range(2):
        write_bag(
            tmp_path / "bags",
            seed,
            cameras=("over_shoulder", "wrist"),
            contract=TWO,
            instruction="Put the carrot into the pot, bitte schön",
            operator="anna",
            kitchen="toykitchen2",
            outcome="failure",
            score=0.25,
            labels=(label,),
        )
    export_lerobot([tmp_path / "bags"], tmp_path / "set", ALONE)
    account = import_alone(tmp_path / "set", tmp_path / "back")
    assert [len(account.written), account.left_out] == [2, []]
    for path in find_episodes([tmp_path / "bags"]):
        before, after = read_episode(path), read_episode(tmp_path / "back" / path.name)
        assert_allclose(after.actions, before.actions, atol=1e-6)
        assert_allclose(after.states[:-1], before.states[:-1], atol=1e-6)
        assert_array_equal(after.stamps, before.stamps)
        for name in before.images:
            difference = np.abs(after.images[name][:-1].astype(int) - before.images[name][:-1])
            assert difference.mean() < CODEC_ERROR
        kept = dataclasses.replace(after.metadata, extra={}, end_ns=before.metadata.end_ns)
        assert kept == dataclasses.replace(before.metadata, extra={})
        assert after.metadata.labels == (label,)


def test_images_are_exported_as_large_as_they_were_recorded(tmp_path: Path) -> None:
    write_bag(tmp_path / "bags", size=(120, 161))
    export_lerobot([tmp_path / "bags"], tmp_path / "set", ALONE)
    import_alone(tmp_path / "set", tmp_path / "back")
    back = jpegs(tmp_path / "back" / "episode_0000", "over_shoulder")
    assert video_size(tmp_path / "set") == (120, 161)
    assert len(back) == 8


def test_smaller_images_are_those_that_training_would_see(tmp_path: Path) -> None:
    write_bag(tmp_path / "bags", size=(96, 128))
    export_lerobot([tmp_path / "bags"], tmp_path / "set", dataclasses.replace(ALONE, image_size=(72, 96)))
    assert info_of(tmp_path / "set")["features"]["observation.images.over_shoulder"]["shape"] == [72, 96, 3]
    assert json.loads((tmp_path / "set" / "meta" / "ptr.json").read_text())["image_size"] == "96x72"
    small = dataclasses.replace(Contract(), cameras=(Camera("over_shoulder", 72, 96),))
    seen = read_episode(tmp_path / "bags" / "episode_0000", small).images["over_shoulder"]
    path = next((tmp_path / "set" / "videos").rglob("*.mp4"))
    frame = next(video.decode(path, 0.0, np.zeros(1), 5))
    assert frame.shape == (72, 96, 3)
    assert np.abs(frame[..., ::-1].astype(int) - seen[0]).mean() < CODEC_ERROR


@pytest.mark.parametrize(
    ("size", "sentence"),
    [
        ((48, 64), "images of 64x48 pixels are smaller than the 64x64 that policies see of camera over_shoulder"),
        ((96, 160), "over_shoulder was recorded with 128x96 pixels, fewer than the requested 160x96"),
    ],
)
def test_images_are_neither_enlarged_nor_made_smaller_than_policies_see(
    tmp_path: Path, size: tuple[int, int], sentence: str
) -> None:
    write_bag(tmp_path / "bags", size=(96, 128))
    with pytest.raises(EpisodeError, match=sentence):
        export_lerobot([tmp_path / "bags"], tmp_path / "set", dataclasses.replace(ALONE, image_size=size))


def video_size(dataset: Path) -> tuple[int, int]:
    path = next((dataset / "videos").rglob("*.mp4"))
    return next(video.decode(path, 0.0, np.zeros(1), 5)).shape[:2]


def test_a_camera_that_the_contract_does_not_name_can_be_exported(tmp_path: Path) -> None:
    write_bag(tmp_path / "bags", cameras=("over_shoulder", "side"))
    export_lerobot([tmp_path / "bags"], tmp_path / "set", Options(("over_shoulder", "side"), workers=1))
    assert "observation.images.side" in info_of(tmp_path / "set")["features"]
    import_alone(tmp_path / "set", tmp_path / "back")
    assert len(jpegs(tmp_path / "back" / "episode_0000", "side")) == 8


def test_a_camera_that_was_not_recorded_is_named(tmp_path: Path) -> None:
    write_bag(tmp_path / "bags")
    with pytest.raises(EpisodeError, match="none of 1 bags can be exported.*stream camera side is empty"):
        export_lerobot([tmp_path / "bags"], tmp_path / "set", Options(("side",), workers=1))


def test_an_action_shift_is_applied(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bags", action_shift=1)
    episode = read_episode(path)
    export_lerobot([tmp_path / "bags"], tmp_path / "set", ALONE)
    rows = rows_in(tmp_path / "set")
    assert_allclose(rows["action"], episode.actions[:-1], atol=1e-7)
    assert_allclose(rows["observation.state"], episode.states[1:-1], atol=1e-7)
    import_alone(tmp_path / "set", tmp_path / "back")
    assert read_metadata(tmp_path / "back" / path.name).action_shift == 0


def test_a_latency_is_applied_once(tmp_path: Path) -> None:
    late = Contract(cameras=(Camera(latency=0.2),))
    path = write_bag(tmp_path / "bags", contract=late)
    export_lerobot([tmp_path / "bags"], tmp_path / "set", ALONE)
    import_alone(tmp_path / "set", tmp_path / "back")
    before, after = read_episode(path), read_episode(tmp_path / "back" / path.name)
    assert_allclose(after.states[:-1], before.states[:-1], atol=1e-6)
    assert after.metadata.contract.cameras[0].latency == 0
    assert after.metadata.extra["lerobot"]["latencies"] == {"over_shoulder": 0.2}


def test_bags_that_do_not_fit_are_left_out_with_the_reason(tmp_path: Path) -> None:
    write_bag(tmp_path / "bags", 0)
    write_bag(tmp_path / "bags", 1, contract=Contract(control_rate=10.0))
    write_bag(tmp_path / "bags", 2, size=(64, 64))
    write_bag(tmp_path / "bags", 3, kind="practice")
    damaged = next(write_bag(tmp_path / "bags", 4).glob("*.mcap"))
    damaged.write_bytes(damaged.read_bytes()[:5000])
    account = export_lerobot([tmp_path / "bags"], tmp_path / "set", ALONE)
    reasons = {path.name: reason for path, reason in account.left_out}
    assert account.episodes == 1
    assert "control_rate: 5.0 != 10.0" in reasons["episode_0001"]
    assert "(64, 64)" in reasons["episode_0002"]
    assert "practice" in reasons["episode_0003"]
    assert "cut off or damaged" in reasons["episode_0004"]
    told = json.loads((tmp_path / "set" / layout.PROVENANCE).read_text())["left_out"]
    assert {item["bag"] for item in told} == set(reasons)


def test_an_export_that_was_interrupted_goes_on_where_it_was(tmp_path: Path) -> None:
    for seed in range(3):
        write_bag(tmp_path / "bags", seed)

    def interrupt(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_lerobot([tmp_path / "bags"], tmp_path / "set", ALONE, interrupt)
    assert not (tmp_path / "set").exists()
    staged = {path: path.stat().st_mtime_ns for path in (tmp_path / f"set{PARTIAL}" / "staged").glob("*/rows.npz")}
    assert len(staged) == 2
    seen = []
    export_lerobot(
        [tmp_path / "bags"],
        tmp_path / "set",
        ALONE,
        lambda done, total: seen.extend(path.stat().st_mtime_ns for path in staged) if done == total else None,
    )
    assert seen == list(staged.values())
    assert info_of(tmp_path / "set")["total_episodes"] == 3
    assert not (tmp_path / f"set{PARTIAL}").exists()


def test_two_processes_export_the_same_as_one(tmp_path: Path) -> None:
    for seed in range(3):
        write_bag(tmp_path / "bags", seed)
    export_lerobot([tmp_path / "bags"], tmp_path / "one", ALONE)
    export_lerobot([tmp_path / "bags"], tmp_path / "two", Options(workers=2))
    for path in sorted((tmp_path / "one").rglob("*")):
        if path.is_file() and path.suffix != ".json":
            assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()


def test_what_exists_is_not_overwritten(tmp_path: Path) -> None:
    write_bag(tmp_path / "bags")
    (tmp_path / "set").mkdir()
    with pytest.raises(EpisodeError, match="already exists"):
        export_lerobot([tmp_path / "bags"], tmp_path / "set", ALONE)


def test_a_rate_that_is_no_whole_number_is_refused(tmp_path: Path) -> None:
    write_bag(tmp_path / "bags", contract=Contract(control_rate=2.5))
    with pytest.raises(EpisodeError, match=r"2\.5 Hz; LeRobot knows whole frames"):
        export_lerobot([tmp_path / "bags"], tmp_path / "set", ALONE)


def test_files_are_rolled_over_when_they_are_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "DATA_MEGABYTES", 0)
    monkeypatch.setattr(layout, "VIDEO_MEGABYTES", 0)
    for seed in range(3):
        write_bag(tmp_path / "bags", seed)
    export_lerobot([tmp_path / "bags"], tmp_path / "set", ALONE)
    assert [row["data/file_index"] for row in episodes_of(tmp_path / "set")] == [0, 1, 2]
    assert len(list((tmp_path / "set" / "videos").rglob("*.mp4"))) == 3
    monkeypatch.undo()
    assert len(import_alone(tmp_path / "set", tmp_path / "back").written) == 3


def test_statistics_are_those_of_all_rows_and_pixels(tmp_path: Path) -> None:
    images = [smooth_images(seed, 9) for seed in range(2)]
    for seed in range(2):
        write_bag(tmp_path / "bags", seed)
    export_lerobot([tmp_path / "bags"], tmp_path / "set", ALONE)
    stats = json.loads((tmp_path / "set" / layout.STATS).read_text())
    actions = np.array(rows_in(tmp_path / "set")["action"], np.float64)
    assert_allclose(stats["action"]["mean"], actions.mean(0))
    assert_allclose(stats["action"]["q90"], np.quantile(actions, 0.9, axis=0))
    pixels = np.concatenate([part[:8].reshape(-1, 3) for part in images]) / 255
    found = stats["observation.images.over_shoulder"]
    assert found["count"] == [16]
    assert_allclose(np.array(found["mean"])[:, 0, 0], pixels.mean(0), atol=0.01)
    assert_allclose(np.array(found["std"])[:, 0, 0], pixels.std(0), atol=0.01)


def test_the_histogram_of_an_image_gives_its_exact_statistics() -> None:
    image = np.random.default_rng(0).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    found = statistics.of_histogram(statistics.histogram(image), 1)
    rgb = image[..., ::-1].reshape(-1, 3) / 255
    assert_allclose(np.array(found["mean"])[:, 0, 0], rgb.mean(0))
    assert_allclose(np.array(found["std"])[:, 0, 0], rgb.std(0))
    assert_allclose(np.array(found["max"])[:, 0, 0], rgb.max(0))
    assert_allclose(np.array(found["q50"])[:, 0, 0], np.quantile(rgb, 0.5, axis=0, method="inverted_cdf"))


@pytest.mark.parametrize("codec", ["h264", "av1"])
def test_gray_stays_gray_in_a_video(tmp_path: Path, codec: str) -> None:
    gray = np.full((4, 64, 64, 3), 128, np.uint8)
    video.encode(tmp_path / "a.mp4", gray, (64, 64), 5, video.Encoding(codec))
    for image in video.decode(tmp_path / "a.mp4", 0.0, np.arange(4) / 5, 5):
        assert np.abs(image.astype(int) - 128).max() <= 1
