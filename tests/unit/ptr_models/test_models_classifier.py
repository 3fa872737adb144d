# SPDX-License-Identifier: Apache-2.0
"""The success classifier: which frames teach it, which threshold it gets, when an episode counts as a success."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ptr_models.common.errors import PtrError
from ptr_models.contract import Contract
from ptr_models.networks import NetworkConfig
from ptr_models.replay import Dataset, open_episodes
from ptr_models.reward.classifier import INDEX, WEIGHTS, ClassifierError, SuccessClassifier, SuccessNetwork
from ptr_models.reward.fitting import balanced_weights, calibrate
from ptr_models.reward.frames import Frames, hold_out, label_frames
from ptr_models.reward.success_rule import Streak, first_success
from ptr_models.training.tasks import TaskError, TaskTable

PUT, TAKE = "put_carrot_in_pot", "take_carrot_out_of_pot"
TABLE = TaskTable((PUT, TAKE), 3)


@pytest.fixture
def data(make_episode: Callable[..., Path], tmp_path: Path) -> Dataset:
    """A success of each task with 12 steps, and a failure of the first with 5."""
    make_episode(0, task=PUT)
    make_episode(1, task=TAKE)
    make_episode(2, task=PUT, steps=5, outcome="failure")
    return open_episodes([tmp_path / "bags"], Contract(), root=tmp_path / "cache", progress=False)


def classifier(thresholds: dict[str, float] | None = None) -> SuccessClassifier:
    """A small classifier with random weights."""
    torch.manual_seed(0)
    config = NetworkConfig(encoder="tiny", image_size=64, latent=16)
    network = SuccessNetwork(config, TABLE.slots).eval()
    return SuccessClassifier(network, Contract(), TABLE, config, thresholds or {PUT: 0.5}, consecutive=3)


def test_success_is_the_third_frame_in_a_row() -> None:
    assert first_success([0.9, 0.9, 0.1, 0.9, 0.9, 0.5, 0.9], 0.5, 3) == 5
    assert first_success([0.9, 0.9, 0.4, 0.9, 0.9], 0.5, 3) is None
    assert first_success([0.1, 0.6], 0.5, 1) == 1


@given(st.lists(st.floats(0, 1)), st.floats(0, 1), st.integers(1, 5))
def test_the_running_rule_and_its_definition_agree(values: list[float], threshold: float, needed: int) -> None:
    above = [value >= threshold for value in values]
    wanted = [i for i in range(len(values)) if i + 1 >= needed and all(above[i + 1 - needed : i + 1])]
    streak = Streak(threshold, needed)
    assert [i for i, value in enumerate(values) if streak.add(value)] == wanted
    assert first_success(values, threshold, needed) == (wanted[0] if wanted else None)


def test_a_rule_without_frames_is_refused() -> None:
    with pytest.raises(PtrError, match="0 frames in a row above 0.5"):
        Streak(0.5, 0)


def examples(data: Dataset, frames: Frames) -> set[tuple[int, int, bool, int]]:
    """(episode, frame of it, done, task) of each example."""
    steps = frames.rows - data.starts[frames.episode]
    columns = (frames.episode, steps, frames.done, frames.task)
    return set(zip(*(column.tolist() for column in columns), strict=True))


def test_only_the_last_frames_of_a_success_are_positive(data: Dataset) -> None:
    frames = label_frames(data, TABLE, 3)
    assert len(frames) == 13 + 13 + 6
    positive = {(0, step, True, 0) for step in (10, 11, 12)} | {(1, step, True, 1) for step in (10, 11, 12)}
    assert {item for item in examples(data, frames) if item[2]} == positive


def test_frames_just_before_the_end_of_a_success_are_neither(data: Dataset) -> None:
    found = examples(data, label_frames(data, TABLE, 3, 2))
    assert {step for episode, step, _, _ in found if episode == 0} == set(range(13)) - {8, 9}
    assert {step for episode, step, _, _ in found if episode == 2} == set(range(6))
    short = examples(data, label_frames(data, TABLE, 12, 5))
    assert {step for episode, step, _, _ in short if episode == 0} == set(range(1, 13))


def test_tasks_that_undo_each_other_are_done_where_the_other_begins(data: Dataset) -> None:
    own = examples(data, label_frames(data, TABLE, 3))
    extra = examples(data, label_frames(data, TABLE, 3, 0, [(PUT, TAKE)])) - own
    begins = {(0, 0, True, 1), (1, 0, True, 0), (2, 0, True, 1)}
    ends = {(0, step, False, 1) for step in (10, 11, 12)} | {(1, step, False, 0) for step in (10, 11, 12)}
    assert extra == begins | ends


def test_unknown_tasks_that_undo_each_other_are_refused_with_the_nearest(data: Dataset) -> None:
    with pytest.raises(TaskError, match=f"there is no task 'put_carot_in_pot'; the nearest is {PUT}"):
        label_frames(data, TABLE, 3, 0, [("put_carot_in_pot", TAKE)])


def test_of_each_task_and_outcome_with_several_episodes_one_is_held_out(data: Dataset) -> None:
    assert not hold_out(data, 0.2, 0).any()
    double = replace(
        data,
        starts=np.tile(data.starts, 4),
        lengths=np.tile(data.lengths, 4),
        tasks=data.tasks * 4,
        successes=np.tile(data.successes, 4),
        paths=data.paths * 4,
    )
    held = hold_out(double, 0.2, 0)
    assert held.sum() == 3
    assert {(double.tasks[i], bool(double.successes[i])) for i in np.flatnonzero(held)} == {
        (PUT, True),
        (TAKE, True),
        (PUT, False),
    }


def test_half_of_a_batch_is_positive_and_tasks_weigh_the_same(data: Dataset) -> None:
    frames = label_frames(data, TABLE, 3)
    weights = balanced_weights(frames)
    assert weights[frames.done].sum() == pytest.approx(0.5)
    assert weights[frames.done & (frames.task == 0)].sum() == pytest.approx(0.25)
    assert weights[~frames.done & (frames.task == 0)].sum() == pytest.approx(0.25)


def test_the_threshold_lies_in_the_middle_of_the_gap() -> None:
    found = calibrate([0.1, 0.2, 0.3, 0.7, 0.9], [False, False, False, True, True])
    assert found.threshold == pytest.approx(0.5)
    assert (found.precision, found.recall, found.positives, found.negatives) == (1.0, 1.0, 2, 3)


def test_where_frames_overlap_precision_comes_first() -> None:
    found = calibrate([0.1, 0.4, 0.6, 0.8, 0.9], [False, True, False, True, True])
    assert found.threshold == pytest.approx(0.7)
    assert (found.precision, found.recall) == (1.0, pytest.approx(2 / 3))


def test_without_positives_to_calibrate_on_the_threshold_is_a_half() -> None:
    found = calibrate([0.1, 0.2], [False, False])
    assert found.threshold == 0.5 and np.isnan(found.precision) and np.isnan(found.recall)


def test_a_classifier_survives_its_folder(tmp_path: Path) -> None:
    original = classifier({PUT: 0.7})
    images = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)
    loaded = SuccessClassifier.load(original.save(tmp_path / "done"))
    assert np.array_equal(loaded.probabilities(images, PUT), original.probabilities(images, PUT))
    assert (loaded.threshold(PUT), loaded.consecutive, loaded.tasks) == (0.7, 3, TABLE)
    with pytest.raises(ClassifierError, match="already exists"):
        original.save(tmp_path / "done")


def test_a_classifier_of_an_earlier_version_has_a_former_key(tmp_path: Path) -> None:
    path = classifier().save(tmp_path / "done")
    index = json.loads((path / INDEX).read_text())
    index["networks"]["critics"] = index["networks"].pop("num_critics")
    (path / INDEX).write_text(json.dumps(index))
    assert SuccessClassifier.load(path).networks == classifier().networks


def test_a_damaged_or_missing_classifier_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = classifier().save(tmp_path / "done")
    weights = bytearray((path / WEIGHTS).read_bytes())
    weights[-1] ^= 1
    (path / WEIGHTS).write_bytes(weights)
    with pytest.raises(ClassifierError, match="damaged"):
        SuccessClassifier.load(path)
    with pytest.raises(ClassifierError, match="no success classifier"):
        SuccessClassifier.load(tmp_path / "other")


def test_a_task_that_it_was_not_trained_for_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ClassifierError, match=f"not trained for '{TAKE}'; it knows: {PUT}"):
        classifier().threshold(TAKE)
