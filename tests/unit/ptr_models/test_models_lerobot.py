# SPDX-License-Identifier: Apache-2.0
"""Bags to LeRobotDataset v3.0 and back, v2.1 into bags, and data sets that do not fit or do not mean well."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from ptr_models.cli import main
from ptr_models.contract import Camera, Contract
from ptr_models.episodes.bag import decode
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.messages import image_topic
from ptr_models.episodes.metadata import Label
from ptr_models.episodes.reader import find_episodes, read_episode, read_metadata
from ptr_models.episodes.scan import scan
from ptr_models.episodes.writer import PARTIAL
from ptr_models.exchange.lerobot import layout

pytest.importorskip("pyarrow", reason="LeRobot data sets need pyarrow and av: pip install './models[lerobot]'")
pytest.importorskip("av", reason="LeRobot data sets need pyarrow and av: pip install './models[lerobot]'")

import pyarrow.parquet as pq  # noqa: E402
from lerobot_sets import SIZE, old_rows, smooth_images, write_bag, write_old  # noqa: E402

from ptr_models.exchange.lerobot import statistics, video  # noqa: E402
from ptr_models.exchange.lerobot.exporting import Exported, Options, export_lerobot  # noqa: E402
from ptr_models.exchange.lerobot.importing import Options as ImportOptions  # noqa: E402
from ptr_models.exchange.lerobot.importing import import_lerobot  # noqa: E402
from ptr_models.exchange.lerobot.mapping import match  # noqa: E402

BESIDE = Path(__file__).resolve().parents[4] / "shared" / "data" / "bridge_sample"
SAMPLE = Path(os.environ.get("PTR_BRIDGE_SAMPLE", BESIDE))
TWO = Contract(cameras=(Camera("over_shoulder"), Camera("wrist")))
ALONE = Options(workers=1)
POSE = ["x", "y", "z", "roll", "pitch", "yaw", "gripper"]
DISPLACEMENTS = ["dx", "dy", "dz", "droll", "dpitch", "dyaw", "gripper"]
CODEC_ERROR = 4.0
"""Mean difference of a smooth image after video and JPEG."""


def info_of(dataset: Path) -> dict:
    return json.loads((dataset / "meta" / "info.json").read_text())


def episodes_of(dataset: Path) -> list[dict]:
    paths = sorted((dataset / "meta" / "episodes").glob("*/*.parquet"))
    return [row for path in paths for row in pq.read_table(path).to_pylist()]


def rows_in(dataset: Path) -> dict[str, list]:
    return pq.read_table(sorted((dataset / "data").glob("*/*.parquet"))).to_pydict()


def jpegs(bag: Path, camera: str) -> list[bytes]:
    kind, raws = scan(bag, [image_topic(camera)])[image_topic(camera)]
    return [decode(raw.data, kind).data.tobytes() for raw in raws]


def import_alone(source: Path, out: Path, **options: object):
    return import_lerobot(source, out, ImportOptions(workers=1, **options))


# --- there -------------------------------------------------------------------------------------------------------


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
    label = Label("failure", 5, by="anna", score=0.25, note="dropped it: ü")
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
    with pytest.raises(EpisodeError, match="exists already"):
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


# --- and from elsewhere --------------------------------------------------------------------------------------------


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
    assert "no intact MP4" in reasons[0]
    assert "no intact Parquet" in reasons[1]
    assert "is missing" in reasons[2]


def test_a_grippers_sense_can_be_turned(tmp_path: Path) -> None:
    write_old(tmp_path / "old", 1)
    import_alone(tmp_path / "old", tmp_path / "bags", gripper_closed_is_1=True)
    episode = read_episode(find_episodes([tmp_path / "bags"])[0])
    assert_allclose(episode.actions[:, 6], 1 - old_rows(0)["action"][:, 6], atol=1e-6)


def feature(names: list[str] | None, size: int = 7) -> dict:
    return {"dtype": "float32", "shape": [size], "names": names}


JOINTS = ["shoulder_pan.pos", "shoulder_lift.pos", "elbow_flex.pos", "wrist_flex.pos", "wrist_roll.pos", "gripper.pos"]
IMAGE = {"observation.images.front": {"dtype": "video", "shape": [64, 64, 3]}}


@pytest.mark.parametrize(
    ("state", "action", "robot", "reason"),
    [
        (feature(JOINTS, 6), feature(JOINTS, 6), "so100", r"so100 holds joints \(shoulder_pan.*needed"),
        (feature(POSE), feature(POSE), "franka", "may be poses as well as displacements"),
        (feature(POSE), feature(None), "widowx", "7 numbers and 0 names; tell them with --action-names"),
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
    with pytest.raises(EpisodeError, match="say which with --camera over_shoulder=KEY"):
        match(features, "widowx", Contract(), {})
    found = match(features, "widowx", Contract(), {"over_shoulder": "front"})
    assert found.cameras["over_shoulder"] == "observation.images.front"
    assert found.cameras["wrist_cam"] == "observation.images.wrist.cam"
    assert found.left_out == {"observation.images.depth": "it is depth"}


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
        ("../secret/episode_{episode_index:06d}.parquet", "leads out of the data set"),
        ("/etc/passwd", "leads out of the data set"),
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
    assert "no intact MP4 video" in account.left_out[0].reason


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


# --- the commands ----------------------------------------------------------------------------------------------------


def test_the_commands_say_what_they_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_bag(tmp_path / "bags", 0)
    write_bag(tmp_path / "bags", 1, outcome="failure")
    words = ["export", "lerobot", str(tmp_path / "bags"), "--out", str(tmp_path / "set"), "--workers", "1"]
    assert main([*words, "--outcome", "success"]) == 0
    assert "1 episodes, 8 frames, 1 bags left out" in capsys.readouterr().out
    assert main(["import", "lerobot", str(tmp_path / "set"), "--out", str(tmp_path / "back"), "--workers", "1"]) == 0
    assert "1 written, 0 kept, 0 left out" in capsys.readouterr().out
    assert main([*words]) == 2
    assert "exists already" in capsys.readouterr().err


def test_without_the_extra_a_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "av" else found(name, *more))
    assert main(["export", "lerobot", str(tmp_path), "--out", str(tmp_path / "set")]) == 2
    assert "need av: pip install 'ptr_models[lerobot]'" in capsys.readouterr().err


# --- the real ones ---------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not SAMPLE.is_dir(), reason=f"the Bridge sample is not at {SAMPLE}")
def test_the_bridge_sample_goes_there_and_back(tmp_path: Path) -> None:
    assert main(["import", "bridge", str(SAMPLE), "--out", str(tmp_path / "bags")]) == 0
    account = export_lerobot([tmp_path / "bags"], tmp_path / "set", ALONE)
    assert (account.episodes, account.frames, account.left_out) == (25, 250, [])
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
def test_lerobots_own_loader_opens_an_export(tmp_path: Path) -> None:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

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
