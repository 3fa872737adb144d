# SPDX-License-Identifier: Apache-2.0
"""LeRobot data sets into bags: those that fit, those that do not, and those that do not mean well."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from ptr_models.contract import Contract
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.reader import find_episodes, read_episode

pytest.importorskip("pyarrow", reason="LeRobot data sets need pyarrow and av: pip install './models[lerobot]'")
pytest.importorskip("av", reason="LeRobot data sets need pyarrow and av: pip install './models[lerobot]'")

import pyarrow.parquet as pq  # noqa: E402
from lerobot_sets import (
    CODEC_ERROR,
    DISPLACEMENTS,
    POSE,
    feature,
    import_alone,
    info_of,
    jpegs,
    old_rows,
    smooth_images,
    write_old,
)  # noqa: E402

from ptr_models.common import video  # noqa: E402
from ptr_models.exchange.lerobot.importing import Options as ImportOptions  # noqa: E402
from ptr_models.exchange.lerobot.importing import import_lerobot  # noqa: E402
from ptr_models.exchange.lerobot.mapping import match  # noqa: E402


def test_a_v21_data_set_of_a_widowx_becomes_bags(tmp_path: Path) -> None:
    write_old(tmp_path / "old")
    account = import_alone(tmp_path / "old", tmp_path / "bags")
    assert (len(account.written), account.left_out) == (2, [])
    for number, path in enumerate(find_episodes([tmp_path / "bags"])):
        episode, rows = read_episode(path), old_rows(number)
        assert_allclose(episode.actions, rows["action"], atol=1e-6)
        assert_allclose(episode.states[:-1], rows["observation.state"][:, [0, 1, 2, 3, 4, 5, 7]], atol=1e-6)
        difference = episode.images["over_shoulder"][:-1].astype(int) - smooth_images(number, 6, (64, 64))[..., ::-1]
        assert np.abs(difference).mean() < 1.5 * CODEC_ERROR  # colors of half the resolution, of 64 x 64 pixels
        assert episode.metadata.task == "put_the_pot_on_the_stove"
        assert episode.metadata.instruction == "Put the pot on the stove"
        assert (episode.metadata.outcome, episode.metadata.robot) == ("success", "wx250s")


def test_an_import_that_is_called_again_keeps_what_is_there(tmp_path: Path) -> None:
    write_old(tmp_path / "old")
    first = import_alone(tmp_path / "old", tmp_path / "bags")
    again = import_lerobot(tmp_path / "old", tmp_path / "bags", ImportOptions(workers=2))
    assert (again.kept, again.written) == (first.written, [])


def test_an_episode_that_is_damaged_is_left_out_and_the_others_come(tmp_path: Path) -> None:
    root = write_old(tmp_path / "old", 4)
    videos = root / "videos/chunk-000/observation.images.image_0"
    (videos / "episode_000000.mp4").write_bytes((videos / "episode_000000.mp4").read_bytes()[:500])
    (root / "data/chunk-000/episode_000001.parquet").write_bytes(b"PAR1 no table PAR1")
    (videos / "episode_000002.mp4").unlink()
    account = import_alone(root, tmp_path / "bags")
    assert len(account.written) == 1
    reasons = {item.number: item.reason for item in account.left_out}
    assert "not an intact MP4" in reasons[0]
    assert "not an intact Parquet" in reasons[1]
    assert "is missing" in reasons[2]


def test_a_grippers_sense_can_be_turned(tmp_path: Path) -> None:
    write_old(tmp_path / "old", 1)
    import_alone(tmp_path / "old", tmp_path / "bags", gripper_closed_is_1=True)
    episode = read_episode(find_episodes([tmp_path / "bags"])[0])
    assert_allclose(episode.actions[:, 6], 1 - old_rows(0)["action"][:, 6], atol=1e-6)


JOINTS = ["shoulder_pan.pos", "shoulder_lift.pos", "elbow_flex.pos", "wrist_flex.pos", "wrist_roll.pos", "gripper.pos"]
IMAGE = {"observation.images.front": {"dtype": "video", "shape": [64, 64, 3]}}


@pytest.mark.parametrize(
    ("state", "action", "robot", "reason"),
    [
        (feature(JOINTS, 6), feature(JOINTS, 6), "so100", r"so100 holds joints \(shoulder_pan.*needed"),
        (feature(POSE), feature(POSE), "franka", "may be poses as well as displacements"),
        (feature(POSE), feature(None), "widowx", "7 numbers and 0 names; give them with --action-names"),
        (feature(POSE), None, "widowx", "has no action; needed"),
        (feature(POSE[:6], 6), feature(POSE), "widowx", "has no gripper among x, y, z"),
        ({"dtype": "float32", "shape": [2, 7]}, feature(POSE), "widowx", r"of shape \[2, 7\]"),
    ],
)
def test_features_that_do_not_fit_are_refused_with_the_reason(
    state: dict, action: dict | None, robot: str, reason: str
) -> None:
    features = {"observation.state": state, **IMAGE} | ({"action": action} if action else {})
    with pytest.raises(EpisodeError, match=reason):
        match(features, robot, Contract(), {})


def test_names_can_be_told(tmp_path: Path) -> None:
    features = {"observation.state": feature(None), "action": feature(POSE), **IMAGE}
    found = match(features, "franka", Contract(), {}, tuple(POSE), tuple(DISPLACEMENTS))
    assert found.cameras == {"over_shoulder": "observation.images.front"}


def test_cameras_are_taken_as_asked_and_depth_is_left_out() -> None:
    features = {"observation.state": feature(POSE), "action": feature(POSE)} | {
        f"observation.images.{name}": {"dtype": "video", "info": {"video.is_depth_map": name == "depth"}}
        for name in ("front", "wrist.cam", "depth")
    }
    with pytest.raises(EpisodeError, match="select one with --camera over_shoulder=KEY"):
        match(features, "widowx", Contract(), {})
    found = match(features, "widowx", Contract(), {"over_shoulder": "front"})
    assert found.cameras["over_shoulder"] == "observation.images.front"
    assert found.cameras["wrist_cam"] == "observation.images.wrist.cam"
    assert found.left_out == {"observation.images.depth": "it is a depth image"}


def test_actions_that_are_poses_are_left_out(tmp_path: Path) -> None:
    root = write_old(tmp_path / "old", 1)
    path = root / "data/chunk-000/episode_000000.parquet"
    table = pq.read_table(path).to_pydict()
    table["action"] = [[*row[:6], row[7]] for row in table["observation.state"]]
    import pyarrow as pa

    pq.write_table(pa.table(table), path)
    account = import_alone(root, tmp_path / "bags")
    assert "poses, not displacements" in account.left_out[0].reason


def test_images_in_the_rows_are_kept_byte_for_byte(tmp_path: Path) -> None:
    import cv2
    import pyarrow as pa

    root = write_old(tmp_path / "old", 1)
    info = info_of(root)
    info["features"]["observation.images.image_0"]["dtype"] = "image"
    (root / "meta/info.json").write_text(json.dumps(info))
    pngs = [cv2.imencode(".png", image)[1].tobytes() for image in smooth_images(0, 6, (64, 64))]
    path = root / "data/chunk-000/episode_000000.parquet"
    table = pq.read_table(path)
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    cells = pa.array([{"bytes": png, "path": None} for png in pngs], kind)
    pq.write_table(table.append_column("observation.images.image_0", cells), path)
    account = import_alone(root, tmp_path / "bags")
    assert jpegs(account.written[0], "over_shoulder") == pngs


# --- and from those who mean no good ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        ({"codebase_version": "v2.0"}, "version v2.0; known: v2.1, v3.0"),
        ({"fps": 0.5}, "frames per second"),
        ({"features": []}, "no features"),
        ({"data_path": None}, "no data_path"),
    ],
)
def test_an_info_that_makes_no_sense_is_refused(tmp_path: Path, info: dict, reason: str) -> None:
    write_old(tmp_path / "old", 1, **info)
    with pytest.raises(EpisodeError, match=reason):
        import_alone(tmp_path / "old", tmp_path / "bags")


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("../secret/episode_{episode_index:06d}.parquet", "points outside the data set"),
        ("/etc/passwd", "points outside the data set"),
        ("{episode_index.__class__.__mro__}", "is missing"),
        ("{episode_index:0999999999d}", "is missing"),
        ("{secret}", "needs 'secret'"),
    ],
)
def test_a_path_that_leaves_the_data_set_is_not_opened(tmp_path: Path, template: str, reason: str) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/episode_000000.parquet").write_bytes(b"PAR1")
    write_old(tmp_path / "old", 1, data_path=template)
    account = import_alone(tmp_path / "old", tmp_path / "bags")
    assert reason in account.left_out[0].reason


@pytest.mark.parametrize(
    "content",
    [
        b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        pickle.dumps({"a": 1}),
        b"",
    ],
    ids=["playlist", "concat", "pickle", "empty"],
)
def test_a_video_that_is_none_opens_nothing(tmp_path: Path, content: bytes) -> None:
    root = write_old(tmp_path / "old", 1)
    next(root.rglob("*.mp4")).write_bytes(content)
    account = import_alone(root, tmp_path / "bags")
    assert "not an intact MP4 video" in account.left_out[0].reason


def test_a_table_that_claims_too_much_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ptr_models.exchange.lerobot import reading

    root = write_old(tmp_path / "old", 1)
    monkeypatch.setattr(reading, "MAX_COLUMN_BYTES", 100)
    assert "claims a column of" in import_alone(root, tmp_path / "bags").left_out[0].reason
    monkeypatch.setattr(reading, "MAX_TABLE_ROWS", 5)
    assert "claims 6 rows" in import_alone(root, tmp_path / "bags").left_out[0].reason


def test_a_video_that_claims_too_many_pixels_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_old(tmp_path / "old", 1)
    monkeypatch.setattr(video, "MAX_IMAGE_PIXELS", 1000)
    assert "64 x 64 pixels; at most 1000" in import_alone(root, tmp_path / "bags").left_out[0].reason
