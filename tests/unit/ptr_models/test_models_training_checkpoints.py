# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: whole or not at all, and verified."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ptr_models.training import checkpoint as checkpoints
from ptr_models.training.checkpoint import (
    CheckpointError,
    read_checkpoint,
    save_checkpoint,
)
from ptr_models.training.policy import Policy
from ptr_models.training.session import (
    Bags,
    export,
    start_finetuning,
)


@pytest.mark.parametrize("name", [checkpoints.MODEL, checkpoints.OPTIMISER, checkpoints.RANDOM])
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
    with pytest.raises(CheckpointError, match="exists already"):
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
