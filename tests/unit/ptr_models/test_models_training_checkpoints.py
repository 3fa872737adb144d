# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: whole or not at all, and verified."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ptr_models.inference.policy import Policy
from ptr_models.training import checkpoint as checkpoints
from ptr_models.training.checkpoint import (
    CheckpointError,
    read_checkpoint,
    save_checkpoint,
)
from ptr_models.training.export import export
from ptr_models.training.run_setup import (
    Bags,
    resume,
    start_finetuning,
)


@pytest.mark.parametrize("name", [checkpoints.MODEL, checkpoints.OPTIMIZER, checkpoints.RANDOM])
def test_a_flipped_byte_is_noticed(trained: Path, name: str) -> None:
    data = bytearray((trained / name).read_bytes())
    data[len(data) // 2] ^= 1
    (trained / name).write_bytes(data)
    with pytest.raises(CheckpointError, match=f"{name} is damaged"):
        read_checkpoint(trained)


def test_a_missing_file_is_named(trained: Path) -> None:
    (trained / checkpoints.MODEL).unlink()
    with pytest.raises(CheckpointError, match=checkpoints.MODEL):
        read_checkpoint(trained)


def test_a_folder_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        read_checkpoint(tmp_path / "nothing")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": 1}', '{"format": 99}', "null"])
def test_a_malformed_index_is_refused_in_one_sentence(trained: Path, text: str) -> None:
    (trained / checkpoints.INDEX).write_text(text)
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(trained)
    assert "\n" not in str(caught.value)


def test_weights_of_another_size_are_refused(trained: Path) -> None:
    checkpoint = read_checkpoint(trained)
    wider = replace(checkpoint.config, networks=replace(checkpoint.config.networks, latent=32))
    with pytest.raises(CheckpointError, match="do not fit"):
        checkpoints.load_algorithm(replace(checkpoint, config=wider))


def test_an_existing_checkpoint_is_not_overwritten(trained: Path) -> None:
    checkpoint = read_checkpoint(trained)
    with pytest.raises(CheckpointError, match="already exists"):
        save_checkpoint(trained, checkpoints.load_algorithm(checkpoint), checkpoint)


def test_a_shipped_checkpoint_finetunes_and_one_for_inference_acts(
    trained: Path, training_bags: Bags, tmp_path: Path
) -> None:
    shipped = export(trained, tmp_path / "shipped", card={"seed": 42})
    assert read_checkpoint(shipped).card == {"seed": 42} and not (shipped / checkpoints.RANDOM).exists()
    start_finetuning(shipped, training_bags, tmp_path / "tuned", ["schedule.steps=5"]).run()
    lean = export(trained, tmp_path / "lean", inference=True)
    assert sorted(file.name for file in lean.iterdir()) == [checkpoints.INDEX, checkpoints.MODEL]
    image, state = np.zeros((64, 64, 3), np.uint8), np.zeros(7, np.float32)
    decisions = [Policy.load(path).act(image, state, "put_carrot_in_pot") for path in (trained, lean)]
    np.testing.assert_array_equal(decisions[0].action, decisions[1].action)


@pytest.mark.parametrize(
    ("section", "value", "sentence"),
    [
        (("tasks", "slots"), 10**9, "tasks.slots is 1000000000; it must be from"),
        (("tasks", "slots"), "8", "tasks.slots is '8'; it must be an integer"),
        (("tasks", "names"), [None], "tasks.names is .*; of each of its values it must be a text"),
        (("step",), True, "step is True; it must be an integer"),
        (("step",), -1, "step is -1; it must be from 0"),
        (("metrics",), [1], r"metrics is \[1\]; it must be an object"),
        (("versions",), {"torch": 2}, "of 'torch' it must be a text"),
        (("config", "networks", "latent"), 10**9, "networks.latent is 1000000000, but model.safetensors has"),
        (("config", "networks", "hidden"), [10**9], "networks.hidden is 1000000000, but model.safetensors has"),
        (("files", "../../secret"), {"sha256": ""}, "names the file '../../secret', which is outside its folder"),
        (("contract", "control_rate"), 1e8, "control_rate is 100000000"),
    ],
)
def test_an_index_with_a_wrong_value_names_it(
    trained: Path, section: tuple[str, ...], value: object, sentence: str
) -> None:
    index = json.loads((trained / checkpoints.INDEX).read_text())
    node = index
    for name in section[:-1]:
        node = node[name]
    node[section[-1]] = value
    (trained / checkpoints.INDEX).write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=sentence):
        read_checkpoint(trained)


def test_a_file_that_the_index_does_not_know_is_not_read(trained: Path, tmp_path: Path) -> None:
    """Moments put beside a checkpoint for inference; nobody has verified them."""
    lean = export(trained, tmp_path / "lean", inference=True)
    (lean / checkpoints.OPTIMIZER).write_bytes(b"what it is")
    (lean / checkpoints.RANDOM).write_bytes(b"what it is")
    checkpoint = read_checkpoint(lean)
    algorithm = checkpoints.load_algorithm(checkpoint)
    assert not any(optimizer.state for optimizer in algorithm.optimizers.values())
    checkpoints.restore_random_state(checkpoint)


def test_a_resume_whose_newest_checkpoint_is_damaged_offers_the_one_before(trained: Path) -> None:
    run = trained.parents[1]
    newest = trained.with_name("step_99999999")
    shutil.copytree(trained, newest)
    (newest / checkpoints.MODEL).write_bytes(b"")
    with pytest.raises(CheckpointError, match=rf"damaged.*{trained.name} is intact: move {newest} away"):
        resume(None, run)
