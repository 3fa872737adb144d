# SPDX-License-Identifier: Apache-2.0
"""Bags as an RLDS data set: our importer, and TensorFlow Datasets where it is installed, read it back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bridge_sample import SAMPLE, needs_sample
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from ptr_models.cli import main
from ptr_models.contract import Contract
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.importing.bridge import find_files, import_bridge
from ptr_models.episodes.importing.tfrecord import parse_example, read_records, serialize_example
from ptr_models.episodes.reader import find_episodes, read_episode
from ptr_models.exchange.rlds import Options, export_rlds

Make = Callable[..., Path]


@pytest.fixture
def exported(make_episode: Make, tmp_path: Path) -> Path:
    """A data set of three bags: a success, a failure with an instruction, and one whose images lag."""
    make_episode(0, instruction="put the carrot into the pot", operator="Ada")
    make_episode(1, outcome="failure", task="put_corn_in_pot")
    make_episode(2, action_shift=1)
    export_rlds([tmp_path / "bags"], tmp_path / "set", Options(workers=1))
    return tmp_path / "set"


def records(folder: Path) -> list[dict[str, Any]]:
    found = [record for file in find_files(folder) for record in read_records(file)]
    return [parse_example(record) for record in found if record is not None]


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=8),
        st.lists(st.binary(max_size=9), min_size=1, max_size=4)
        | st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=5).map(np.float32)
        | st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=5).map(np.int64),
        max_size=4,
    )
)
def test_an_example_comes_back(features: dict[str, Any]) -> None:
    found = parse_example(serialize_example(features))
    assert found.keys() == features.keys()
    for name, values in features.items():
        assert type(found[name]) is type(values)
        assert_array_equal(found[name], values)


def test_a_data_set_comes_back_as_the_bags_that_it_was_made_of(exported: Path, tmp_path: Path) -> None:
    account = import_bridge(exported, tmp_path / "again")
    assert not account.left_out
    for before, after in zip(find_episodes([tmp_path / "bags"]), account.written, strict=True):
        one, two = read_episode(before), read_episode(after)
        shift = one.metadata.action_shift
        steps = len(one) - shift
        assert_allclose(two.actions, one.actions[:steps], atol=1e-6)
        assert_allclose(two.states[:steps], one.states[shift:][:steps], atol=1e-6)
        assert_array_equal(two.images["over_shoulder"][:steps], one.images["over_shoulder"][shift:][:steps])
        for name in ("task", "outcome", "operator", "instruction", "kind", "robot", "extra"):
            assert getattr(two.metadata, name) == getattr(one.metadata, name)
        assert two.metadata.action_shift == 0
        assert two.stamps[0] == one.stamps[shift]


def test_steps_carry_what_rlds_says_of_them(exported: Path) -> None:
    success, failure, _ = records(exported)
    for record, rewarded in ((success, 1.0), (failure, 0.0)):
        steps = len(record["steps/reward"])
        assert_array_equal(record["steps/is_first"], [1] + [0] * (steps - 1))
        assert_array_equal(record["steps/is_last"], [0] * (steps - 1) + [1])
        assert_array_equal(record["steps/reward"], [0.0] * (steps - 1) + [rewarded])
        assert_array_equal(record["steps/is_terminal"], record["steps/reward"])
        assert record["steps/action"].shape == (7 * steps,)
        assert len(record["steps/observation/image_0"]) == steps
    assert success["steps/language_instruction"][0] == b"put the carrot into the pot"
    assert failure["steps/language_instruction"][0] == b"put corn in pot"


def flattened(node: dict[str, Any], name: str = "") -> dict[str, dict[str, Any]]:
    """Features by the names that they have in a record."""
    if "featuresDict" in node:
        found: dict[str, dict[str, Any]] = {}
        for key, inner in node["featuresDict"]["features"].items():
            found |= flattened(inner, f"{name}/{key}" if name else key)
        return found
    if "sequence" in node:
        return flattened(node["sequence"]["feature"], name)
    return {name: node}


def test_the_description_names_exactly_the_features_of_the_records(exported: Path) -> None:
    described = flattened(json.loads((exported / "features.json").read_text()))
    for record in records(exported):
        assert record.keys() == described.keys()
    assert described["steps/observation/image_0"]["image"]["shape"]["dimensions"] == ["24", "32", "3"]
    info = json.loads((exported / "dataset_info.json").read_text())
    (split,) = info["splits"]
    assert split["shardLengths"] == ["3"]
    (file,) = find_files(exported)
    assert file.name == "ptr_dataset-train.tfrecord-00000-of-00001"
    assert int(split["numBytes"]) == file.stat().st_size - 3 * 16


@needs_sample
def test_features_are_described_as_in_the_release(exported: Path) -> None:
    ours = flattened(json.loads((exported / "features.json").read_text()))
    theirs = flattened(json.loads((SAMPLE / "features.json").read_text()))
    missing = {name for name in theirs if name not in ours}
    assert missing == {"steps/language_embedding"} | {
        f"{place}image_{n}" for n in (1, 2, 3) for place in ("steps/observation/", "episode_metadata/has_")
    }
    for name in theirs.keys() & ours.keys():
        for one in (ours[name], theirs[name]):
            one.pop("description")
            one.get("image", {}).pop("shape", None)
        assert ours[name] == theirs[name], name


def test_a_large_data_set_has_several_files_whose_lengths_are_told(make_episode: Make, tmp_path: Path) -> None:
    for seed in range(3):
        make_episode(seed)
    export_rlds([tmp_path / "bags"], tmp_path / "set", Options(name="corn", shard_bytes=1, workers=1))
    assert [file.name for file in find_files(tmp_path / "set")] == [
        f"corn-train.tfrecord-0000{number}-of-00003" for number in range(3)
    ]
    info = json.loads((tmp_path / "set" / "dataset_info.json").read_text())
    assert info["splits"][0]["shardLengths"] == ["1", "1", "1"]
    assert len(import_bridge(tmp_path / "set", tmp_path / "again").written) == 3


def test_bags_that_do_not_fit_are_left_out_and_listed(
    make_episode: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_episode(0)
    make_episode(1, outcome="failure")
    make_episode(2, kind="practice")
    make_episode(3, contract=Contract(control_rate=10.0))
    cut = next(make_episode(4).glob("*.mcap"))
    cut.write_bytes(cut.read_bytes()[:900])
    command = ["export", "rlds", str(tmp_path / "bags"), "--out", str(tmp_path / "set"), "--workers", "1"]
    assert main([*command, "--outcome", "success"]) == 0
    text = capsys.readouterr().out
    assert "1 episodes, " in text and "4 bags left out" in text
    for reason in ("its outcome is failure", "it is practice", "control_rate", "episode_0004"):
        assert reason in text
    assert main(command) == 2
    assert "already exists" in capsys.readouterr().err


def test_nothing_to_export_leaves_no_data_set(make_episode: Make, tmp_path: Path) -> None:
    make_episode(0, kind="practice")
    with pytest.raises(EpisodeError, match="none of 1 bags can be exported; it is practice"):
        export_rlds([tmp_path / "bags"], tmp_path / "set", Options(workers=1))
    assert not (tmp_path / "set").exists()


def test_tensorflow_datasets_reads_it(exported: Path) -> None:
    tfds = pytest.importorskip("tensorflow_datasets", reason="TensorFlow Datasets is not installed")
    builder = tfds.builder_from_directory(str(exported))
    episodes = list(builder.as_dataset(split="train"))
    assert len(episodes) == 3
    steps = list(episodes[0]["steps"])
    assert steps[0]["observation"]["image_0"].shape == (24, 32, 3)
    assert_allclose(np.stack([step["action"] for step in steps]).ravel(), records(exported)[0]["steps/action"])
