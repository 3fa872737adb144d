# SPDX-License-Identifier: Apache-2.0
"""Importing real WidowX episodes: the TFRecord reader, the Example parser, and the Bridge sample itself."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from bridge_sample import SAMPLE, needs_sample
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from ptr_models.cli import main
from ptr_models.common.output_folder import FolderInUseError, locked
from ptr_models.contract import Camera, Contract
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.importing.bridge import find_files, import_bridge, read_bridge
from ptr_models.episodes.importing.naming import SourceFolder, task_name
from ptr_models.episodes.importing.tfrecord import masked_crc, parse_example, read_records
from ptr_models.episodes.reader import find_episodes, read_episode, read_metadata
from ptr_models.episodes.trajectory import encode_jpeg
from ptr_models.episodes.writer import BagWriter


def frame(record: bytes) -> bytes:
    length = struct.pack("<Q", len(record))
    return length + struct.pack("<I", masked_crc(length)) + record + struct.pack("<I", masked_crc(record))


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def block(number: int, data: bytes) -> bytes:
    """A length-delimited protobuf field."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def example(features: dict[str, Sequence[bytes] | np.ndarray]) -> bytes:
    """A tf.train.Example, encoded by hand."""
    entries = b""
    for name, values in features.items():
        if isinstance(values, np.ndarray):
            feature = block(2, block(1, values.astype("<f4").tobytes()))
        else:
            feature = block(1, b"".join(block(1, value) for value in values))
        entries += block(1, block(1, name.encode()) + block(2, feature))
    return block(1, entries)


def bridge_features(steps: int = 3) -> dict[str, Sequence[bytes] | np.ndarray]:
    generator = np.random.default_rng(0)
    return {
        "steps/action": generator.uniform(-0.05, 0.05, steps * 7),
        "steps/observation/state": generator.uniform(0, 0.3, steps * 7),
        "steps/observation/image_0": [encode_jpeg(np.zeros((16, 16, 3), np.uint8))] * steps,
        "steps/language_instruction": [b"Put the carrot on a plate!"] * steps,
    }


def test_the_checksum_is_crc32c() -> None:
    crc = 0xE3069283  # of "123456789", RFC 3720
    assert masked_crc(b"123456789") == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_records_come_back(tmp_path_factory: pytest.TempPathFactory, records: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("records") / "a.tfrecord"
    path.write_bytes(b"".join(map(frame, records)))
    assert list(read_records(path)) == records


@settings(max_examples=60)
@given(st.data())
def test_a_record_file_that_was_cut_or_changed_is_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = frame(b"hello bridge") + frame(b"x" * 50)
    cut = data.draw(st.integers(1, len(whole) - 1).filter(lambda n: n != len(frame(b"hello bridge"))))
    path = tmp_path_factory.mktemp("records") / "a.tfrecord"
    path.write_bytes(whole[:cut])
    with pytest.raises(EpisodeError, match="record [01]"):
        list(read_records(path))
    place, bit = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 7))
    flipped = bytearray(whole)
    flipped[place] ^= 1 << bit
    path.write_bytes(flipped)
    with pytest.raises(EpisodeError, match="wrong checksum"):
        list(read_records(path))


@given(
    st.dictionaries(st.text(min_size=1, max_size=8), st.lists(st.binary(max_size=9), min_size=1, max_size=4)),
    st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=9),
)
def test_examples_are_parsed(texts: dict[str, list[bytes]], numbers: list[float]) -> None:
    values = np.array(numbers, dtype=np.float32)
    features = parse_example(example({**texts, "the/numbers": values}))
    assert {name: features[name] for name in texts} == texts
    assert_allclose(features["the/numbers"], values)


@settings(max_examples=200)
@given(st.binary(max_size=120))
def test_any_bytes_are_features_or_an_episode_error(data: bytes) -> None:
    try:
        assert isinstance(parse_example(data), dict)
    except EpisodeError:
        pass


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"steps/action": [b"x"]}, "steps/action is not a list of rows of 7"),
        ({"steps/action": np.zeros(6)}, "steps/action is not a list of rows of 7"),
        ({"steps/action": np.zeros(14)}, "it has 2 actions but"),
        ({"steps/action": np.full(21, np.nan)}, "not finite"),
        ({"steps/observation/image_0": np.zeros(3)}, "image_0 is missing"),
        ({"steps/observation/state": np.zeros(0)}, "it has 3 actions but"),
    ],
)
def test_episodes_that_are_not_bridge_are_refused(
    tmp_path: Path, change: dict[str, Sequence[bytes] | np.ndarray], words: str
) -> None:
    path = tmp_path / "a.tfrecord"
    path.write_bytes(frame(example(bridge_features() | change)))
    with pytest.raises(EpisodeError, match=f"a.tfrecord, record 0: .*{words}"):
        list(read_bridge(path))


def record(seed: int = 0, **change: Sequence[bytes] | np.ndarray) -> bytes:
    """A framed record that differs from those of other seeds."""
    features = bridge_features() | {"steps/action": np.random.default_rng(seed).uniform(-0.05, 0.05, 21)}
    return frame(example(features | {f"steps/{name}": value for name, value in change.items()}))


def places(bags: Sequence[Path]) -> list[str]:
    """Names of bags without the checksum at their end."""
    return [path.name.rpartition("_")[0] for path in bags]


def test_an_episode_becomes_a_bag_with_the_same_actions_and_states(tmp_path: Path) -> None:
    (tmp_path / "a.tfrecord").write_bytes(frame(example(bridge_features())))
    first = import_bridge(tmp_path, tmp_path / "bags")
    assert (places(first.written), first.kept, first.left_out) == (["bridge_a_00000"], [], [])
    episode = read_episode(first.written[0])
    source = next(read_bridge(tmp_path / "a.tfrecord"))
    assert_allclose(episode.actions, source.actions, atol=1e-6)
    assert_allclose(episode.states[:-1], source.states, atol=1e-6)
    assert episode.metadata.task == "put_the_carrot_on_a_plate"
    again = import_bridge(tmp_path, tmp_path / "bags")
    assert (again.written, again.kept) == ([], first.written)


def test_shards_that_arrive_one_by_one_are_each_imported_once(tmp_path: Path) -> None:
    source, names = tmp_path / "source", [f"bridge-train.tfrecord-{shard:05d}-of-01024" for shard in (5, 2, 9)]
    source.mkdir()
    for seed, name in enumerate(names):
        (source / name).write_bytes(record(seed))
        account = import_bridge(source, tmp_path / "bags")
        assert (len(account.written), len(account.kept)) == (1, seed)
    assert places(find_episodes([tmp_path / "bags"])) == [f"bridge_train_{shard:05d}_00000" for shard in (2, 5, 9)]


def test_two_sources_whose_files_have_one_name_both_come_into_a_folder(tmp_path: Path) -> None:
    for seed, source in enumerate(("old", "new")):
        (tmp_path / source).mkdir()
        (tmp_path / source / "bridge-train.tfrecord-00000-of-00001").write_bytes(record(seed))
        assert len(import_bridge(tmp_path / source, tmp_path / "bags").written) == 1
    assert places(find_episodes([tmp_path / "bags"])) == ["bridge_train_00000_00000"] * 2


def test_bags_of_another_contract_are_not_taken_for_those_that_are_wanted(tmp_path: Path) -> None:
    (tmp_path / "a.tfrecord").write_bytes(record())
    import_bridge(tmp_path, tmp_path / "bags")
    with pytest.raises(EpisodeError, match=r"imported with another contract \(control_rate: 10.0 != 5.0\).*--out"):
        import_bridge(tmp_path, tmp_path / "bags", Contract(control_rate=10.0))


def test_episodes_without_an_instruction_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.tfrecord").write_bytes(record(0, language_instruction=[b""] * 3) + record(1))
    account = import_bridge(tmp_path, tmp_path / "bags")
    assert places(account.written) == ["bridge_a_00001"]
    assert list(map(str, account.left_out)) == ["a.tfrecord, record 0: it has no instruction"]


ODD: dict[str, tuple[dict[str, Sequence[bytes] | np.ndarray], str]] = {
    "an instruction of signs": ({"language_instruction": [b"..."] * 3}, "gives no task name"),
    "an action that is no number": ({"action": np.full(21, np.nan)}, "not finite"),
    "an image missing": ({"observation/image_0": [b"x"] * 2}, "it has 3 actions but"),
    "an image that is none": ({"observation/image_0": [b"<html>"] * 3}, "image_0 of step 0 .6 bytes. is not an image"),
    "a state far away": ({"observation/state": np.full(21, 1e38)}, "the state of step 0 holds 1e[+]38 m; at most 2"),
    "an action too far": ({"action": np.full(21, 5.0)}, "the action of step 0 holds 5 m; at most 2"),
}


@pytest.mark.parametrize(("change", "reason"), ODD.values(), ids=ODD)
def test_an_odd_record_is_left_out_with_its_reason_and_the_others_come(
    tmp_path: Path, change: dict[str, Sequence[bytes] | np.ndarray], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.tfrecord").write_bytes(record(0) + record(1, **change) + record(2))
    assert main(["import", "bridge", str(tmp_path), "--out", str(tmp_path / "bags")]) == 0
    output = capsys.readouterr().out
    assert "2 written, 0 kept, 1 left out" in output
    assert re.search(f"a.tfrecord, record 1: .*{reason}", output)
    assert places(find_episodes([tmp_path / "bags"])) == ["bridge_a_00000", "bridge_a_00002"]


def test_a_bit_that_flipped_costs_one_record_and_a_broken_length_the_rest_of_its_file(tmp_path: Path) -> None:
    one = record(0)
    (tmp_path / "a.tfrecord").write_bytes(one[:200] + bytes([one[200] ^ 1]) + one[201:] + record(1))
    (tmp_path / "b.tfrecord").write_bytes(record(2) + b"\xff" + record(3)[1:] + record(4))
    (tmp_path / "c.tfrecord").write_bytes(record(5) + record(6)[:-9])
    (tmp_path / "d.tfrecord").write_bytes(record(7))
    account = import_bridge(tmp_path, tmp_path / "bags")
    assert places(account.written) == ["bridge_a_00001", "bridge_b_00000", "bridge_c_00000", "bridge_d_00000"]
    assert [(item.file.name, item.number) for item in account.left_out] == [
        ("a.tfrecord", 0),
        ("b.tfrecord", None),
        ("c.tfrecord", None),
    ]


def test_an_import_that_was_interrupted_goes_on_with_the_same_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C or a full disk in the middle of the second of three bags."""
    (tmp_path / "a.tfrecord").write_bytes(record(0) + record(1) + record(2))
    honest, count = BagWriter.close, 0

    def fail(writer: BagWriter) -> Path:
        nonlocal count
        count += 1
        if count == 2:
            raise EpisodeError("the disk is full")
        return honest(writer)

    monkeypatch.setattr(BagWriter, "close", fail)
    assert main(["import", "bridge", str(tmp_path), "--out", str(tmp_path / "bags")]) == 2
    assert "1 written, 0 kept, 0 left out; the same command continues" in capsys.readouterr().err
    assert len(list((tmp_path / "bags").glob("*.partial"))) == 1
    monkeypatch.setattr(BagWriter, "close", honest)
    assert main(["import", "bridge", str(tmp_path), "--out", str(tmp_path / "bags")]) == 0
    assert "2 written, 1 kept, 0 left out" in capsys.readouterr().out
    assert len(find_episodes([tmp_path / "bags"])) == 3
    assert not list((tmp_path / "bags").glob("*.partial"))


def test_two_imports_into_one_folder_at_once_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tfrecord").write_bytes(record())
    with locked(tmp_path / "bags"), pytest.raises(FolderInUseError, match="bags is in use: process"):
        import_bridge(tmp_path, tmp_path / "bags")


def test_an_episode_without_the_image_of_a_camera_is_left_out(tmp_path: Path) -> None:
    both = Contract(cameras=(Camera("over_shoulder"), Camera("side_1")))
    black, grey = (encode_jpeg(np.full((16, 16, 3), level, np.uint8)) for level in (0, 90))
    features = [bridge_features() | {"steps/observation/image_1": [image] * 3} for image in (grey, black)]
    (tmp_path / "a.tfrecord").write_bytes(b"".join(frame(example(record)) for record in features))
    account = import_bridge(tmp_path, tmp_path / "bags", both)
    assert places(account.written) == ["bridge_a_00000"]
    assert [item.reason for item in account.left_out] == ["it has no image_1, only a black image in its place"]


def test_instructions_become_task_names() -> None:
    assert task_name("Put carrot on plate.") == "put_carrot_on_plate"
    with pytest.raises(EpisodeError, match="gives no task name"):
        task_name("...")


@pytest.mark.parametrize(
    ("source", "domain", "task"),
    [
        ("/nfs/v1/berkeley/toykitchen6/put_lime_in_pan_sink/val/out.npy", "toykitchen6", "put_lime_in_pan_sink"),
        ("/nfs/a/numpy_256/rss/toykitchen2/pnp_sweep/120/train/out.npy", "toykitchen2", "pnp_sweep"),
        ("/raw/toykitchen2/put_lime/2021-06-01_10-00-00/raw/traj_group0/traj3", "toykitchen2", "put_lime"),
        ("/raw/rss/toykitchen2/pnp/07/2022-06-01_10-00-00/raw/traj_group0/traj3", "toykitchen2", "pnp"),
        ("/raw/toykitchen2/put_lime/traj_group0/traj3", "", ""),
        ("out.npy", "", ""),
        ("", "", ""),
    ],
)
def test_the_path_of_the_release_names_kitchen_and_task(source: str, domain: str, task: str) -> None:
    assert SourceFolder.of(source) == SourceFolder(domain, task)


@pytest.mark.parametrize(
    ("options", "task"), [([], "put_carrot_in_sink"), (["--names", "instruction"], "put_the_carrot_on_a_plate")]
)
def test_tasks_are_named_after_folders_or_instructions(tmp_path: Path, options: list[str], task: str) -> None:
    known = {"episode_metadata/file_path": [b"/a/berkeley/toysink2_bww/put_carrot-in_sink/03/train/out.npy"]}
    records = (bridge_features() | known, bridge_features())  # nothing is known of the second one's folder
    (tmp_path / "a.tfrecord").write_bytes(b"".join(frame(example(features)) for features in records))
    assert main(["import", "bridge", str(tmp_path), "--out", str(tmp_path / "bags"), *options]) == 0
    found = [read_metadata(path) for path in find_episodes([tmp_path / "bags"])]
    assert [item.task for item in found] == [task, "put_the_carrot_on_a_plate"]
    assert [item.kitchen for item in found] == ["toysink2_bww", ""]
    assert [item.action_shift for item in found] == [0, 0]


def test_data_that_no_conversion_has_shifted_can_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.tfrecord").write_bytes(frame(example(bridge_features())))
    command = ["import", "bridge", str(tmp_path), "--out", str(tmp_path / "bags"), "--action-shift"]
    assert main([*command, "-1"]) == 2
    assert "error: argument --action-shift: 0 or more is needed, not -1" in capsys.readouterr().err
    assert main([*command, "1"]) == 0
    (bag,) = find_episodes([tmp_path / "bags"])
    assert read_metadata(bag).action_shift == 1


def test_a_folder_without_records_is_refused_by_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", "bridge", str(tmp_path), "--out", str(tmp_path / "bags")]) == 2
    assert "error: " in (text := capsys.readouterr().err)
    assert "holds no .tfrecord file" in text
    assert "Traceback" not in text


@needs_sample
def test_the_real_sample_comes_back_exactly(tmp_path: Path) -> None:
    assert main(["import", "bridge", str(SAMPLE), "--out", str(tmp_path)]) == 0
    episodes = [read_episode(path) for path in find_episodes([tmp_path])]
    source = list(read_bridge(find_files(SAMPLE)[0]))
    assert len(episodes) == len(source) == 25
    counts: dict[str, int] = {}
    for episode, original in zip(episodes, source, strict=True):
        counts[episode.metadata.task] = counts.get(episode.metadata.task, 0) + 1
        assert len(episode) == 10
        assert_allclose(episode.actions, original.actions, atol=1e-6)
        assert_allclose(episode.states[:-1], original.states, atol=1e-6)
        assert episode.images["over_shoulder"].shape == (11, 64, 64, 3)
        assert (episode.metadata.kitchen, episode.metadata.action_shift) == ("toysink2_bww", 0)
    assert counts == {
        "put_carrot_on_plate": 8,
        "put_cup_from_counter_or_drying_rack_into_sink": 6,
        "turn_lever_vertical_to_front": 6,
        "flip_pot_upright_which_is_in_sink": 5,
    }


def test_further_cameras_are_taken_from_the_episodes_that_have_them(tmp_path: Path) -> None:
    black, grey, light = (encode_jpeg(np.full((16, 16, 3), level, np.uint8)) for level in (0, 90, 180))
    more = [{"image_3": grey}, {"image_3": black}, {"image_1": light, "image_3": grey}]
    features = [
        bridge_features() | {f"steps/observation/{name}": [image] * 3 for name, image in one.items()} for one in more
    ]
    (tmp_path / "a.tfrecord").write_bytes(b"".join(frame(example(record)) for record in features))
    further = ("side_1", "side_2", "wrist")
    account = import_bridge(tmp_path, tmp_path / "bags", further=further)
    assert not account.left_out
    seen = [[camera.name for camera in read_metadata(path).contract.cameras] for path in account.written]
    assert seen == [["over_shoulder", "wrist"], ["over_shoulder"], ["over_shoulder", "side_1", "wrist"]]
    images = read_episode(account.written[2]).images
    assert [round(images[name].mean() / 10) for name in ("side_1", "wrist")] == [18, 9]
    assert len(import_bridge(tmp_path, tmp_path / "bags", further=further).kept) == 3
    with pytest.raises(EpisodeError, match="Bridge has no image for camera front"):
        import_bridge(tmp_path, tmp_path / "bags", further=["front"])
