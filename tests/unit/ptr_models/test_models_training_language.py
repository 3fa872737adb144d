# SPDX-License-Identifier: Apache-2.0
"""Policies that are told their task in words."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from training_runs import SMALL

from ptr_models.common.errors import PtrError
from ptr_models.inference.policy import Policy
from ptr_models.replay import open_episodes
from ptr_models.training.checkpoint import CheckpointError, read_checkpoint
from ptr_models.training.config import TrainingConfig
from ptr_models.training.data import Bags
from ptr_models.training.run_setup import resume, start_finetuning, start_pretraining
from ptr_models.training.tasks import LanguageTable, TaskError
from ptr_models.training.text_encoders import HashingEncoder, TextEncoderError, text_encoder

LANGUAGE = replace(SMALL, data=replace(SMALL.data, task_conditioning="language"))
CARROT, LIME = "Put the carrot in the pot.", "remove the lime from the pot"


@pytest.fixture
def bags(make_episode: Callable[..., Path], tmp_path: Path) -> Bags:
    """Two instructed demonstrations of one task, one without words, and one of a new task."""
    prior, target = tmp_path / "prior", tmp_path / "target"
    for seed, words in enumerate((CARROT, "place carrot in pot", "")):
        make_episode(seed, root=prior, instruction=words)
    make_episode(7, root=target, task="take_lime_out_of_pot", instruction=LIME)
    return Bags((prior,), (target,), tmp_path / "cache")


def pretrained(bags: Bags, folder: Path) -> Path:
    start_pretraining(LANGUAGE, replace(bags, target=()), folder).run()
    return folder


def test_each_wording_is_an_entry_and_its_vector_an_embedding(bags: Bags, tmp_path: Path) -> None:
    checkpoint = read_checkpoint(pretrained(bags, tmp_path / "run"))
    table = checkpoint.tasks
    assert isinstance(table, LanguageTable)
    assert table.names == ("place carrot in pot", "put carrot in pot", "put the carrot in the pot")
    assert np.array_equal(table.lookup(), HashingEncoder().encode(table.names))
    assert table.vector("put_carrot_in_pot") == pytest.approx(table.vector(CARROT))


def test_a_policy_acts_on_words_that_no_demonstration_had(bags: Bags, tmp_path: Path) -> None:
    policy = Policy.load(pretrained(bags, tmp_path / "run"))
    image, state = np.zeros(policy.contract.image_shape, np.uint8), np.zeros(7, np.float32)
    told = [policy.act(image, state, words).scaled for words in ("grab the carrot", "grab the carrot", "wipe the pan")]
    assert np.array_equal(told[0], told[1])
    assert not np.array_equal(told[0], told[2])
    with pytest.raises(TaskError, match="empty"):
        policy.act(image, state, " _ ")


def test_fine_tuning_adds_instructions_without_slots_and_a_run_resumes(bags: Bags, tmp_path: Path) -> None:
    trainer = start_finetuning(pretrained(bags, tmp_path / "run"), bags, tmp_path / "tuned", ["schedule.steps=8"])
    trainer.run()
    table = read_checkpoint(tmp_path / "tuned").tasks
    assert table.names[-1] == LIME and table.slots == HashingEncoder.width
    again = resume(bags, tmp_path / "tuned", ["schedule.steps=10"])
    assert again.start.tasks == table
    again.run()


def test_conditioning_can_not_change_in_fine_tuning(bags: Bags, tmp_path: Path) -> None:
    run = pretrained(bags, tmp_path / "run")
    with pytest.raises(PtrError, match="language, which can't become one_hot"):
        start_finetuning(run, bags, tmp_path / "tuned", ["data.task_conditioning=one_hot"])


def test_another_encoder_than_that_of_the_training_is_refused(bags: Bags, tmp_path: Path) -> None:
    path = read_checkpoint(pretrained(bags, tmp_path / "run")).path
    index = json.loads((path / "checkpoint.json").read_text())
    index["tasks"]["text_encoder"]["fingerprint"] = "of another one"
    (path / "checkpoint.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="was trained with another text encoder"):
        read_checkpoint(path)


def test_instructions_are_read_into_a_cache_of_before(bags: Bags, tmp_path: Path) -> None:
    contract = read_checkpoint(pretrained(bags, tmp_path / "run")).contract
    (index,) = (tmp_path / "cache").rglob("index.sqlite")
    with sqlite3.connect(index) as connection:
        connection.execute("DROP TABLE instructions")
    frames = index.parent / "frames.bin"
    size = frames.stat().st_size
    data = open_episodes(bags.prior, contract, root=tmp_path / "cache")
    assert sorted(data.instructions) == sorted([CARROT, "place carrot in pot", ""])
    assert frames.stat().st_size == size  # nothing was decoded again


def test_an_edited_instruction_is_seen(bags: Bags, tmp_path: Path) -> None:
    contract = read_checkpoint(pretrained(bags, tmp_path / "run")).contract
    file = next(bags.prior[0].glob("*0000/episode.json"))
    metadata: dict[str, Any] = json.loads(file.read_text())
    file.write_text(json.dumps(metadata | {"instruction": "stow the carrot"}))
    data = open_episodes(bags.prior, contract, root=tmp_path / "cache")
    assert "stow the carrot" in data.by_instruction().tasks
    assert "put_carrot_in_pot" in data.by_instruction().tasks  # of the bag without words


@given(st.text(max_size=40))
def test_hashed_words_have_length_one_or_none(text: str) -> None:
    length = float(np.linalg.norm(HashingEncoder().encode([text])[0]))
    assert length == pytest.approx(1.0, abs=1e-5) or length == 0.0


def test_wordings_are_as_near_as_their_words() -> None:
    put, place, other = HashingEncoder().encode(
        ["put the carrot in the pot", "place a carrot in a pot", "take sushi off the pan"]
    )
    assert put @ place > 0.6
    assert abs(put @ other) < 0.3


def test_a_folder_without_a_model_or_with_pickles_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TextEncoderError, match="holds no model"):
        text_encoder(str(tmp_path))
    (tmp_path / "model.safetensors").touch()
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(TextEncoderError, match="could run code"):
        text_encoder(str(tmp_path))


def test_an_unknown_kind_of_conditioning_is_refused() -> None:
    with pytest.raises(PtrError, match="known: one_hot, language"):
        TrainingConfig().replaced(["data.task_conditioning=words"])


def test_a_local_model_embeds_without_a_download(tmp_path: Path) -> None:
    """A model of two words and random weights, as `SentenceTransformer.save` writes it."""
    sentence_transformers = pytest.importorskip("sentence_transformers")
    transformers = pytest.importorskip("transformers")
    (tmp_path / "vocabulary.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nput\ncarrot\n")
    tokenizer = transformers.BertTokenizer(str(tmp_path / "vocabulary.txt"))
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    model = transformers.BertModel(transformers.BertConfig(vocab_size=7, **sizes))
    model.save_pretrained(tmp_path / "bert")
    tokenizer.save_pretrained(tmp_path / "bert")
    modules = pytest.importorskip("sentence_transformers.sentence_transformer.modules")
    words = modules.Transformer(str(tmp_path / "bert"))
    folder = tmp_path / "model"
    sentence_transformers.SentenceTransformer(modules=[words, modules.Pooling(8)], device="cpu").save(str(folder))
    encoder = text_encoder(str(folder))
    vectors = encoder.encode(["put carrot", "carrot"])
    assert vectors.shape == (2, encoder.width) == (2, 8)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert np.array_equal(encoder.encode(["carrot", "put carrot"]), vectors[::-1])
    assert encoder.name == str(folder.resolve())
