# SPDX-License-Identifier: Apache-2.0
"""The samplers: transitions, labels, proportions, mixtures."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from ptr_models.contract import Contract
from ptr_models.episodes.actions import scale
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.labels import Labelling, label
from ptr_models.replay import Batch, Dataset, MixingSampler, Sampler, open_episodes

CONTRACT = Contract()
IDS = {"put_carrot_in_pot": 2, "put_knife_in_pot": 5}


@pytest.fixture
def data(make_episode: Callable[..., Path], tmp_path: Path) -> Dataset:
    """Three episodes of 12, 5 and 8 steps; the last one is a failed knife trial."""
    make_episode(0, steps=12)
    make_episode(1, steps=5)
    make_episode(2, steps=8, task="put_knife_in_pot", outcome="failure", kind="trial")
    return open_episodes([tmp_path / "bags"], CONTRACT, root=tmp_path / "cache", progress=False)


def test_transitions_pair_each_frame_with_its_successor_and_label(data: Dataset) -> None:
    batch = Sampler(data, IDS).gather(np.array([0, 11, 12, 16, 17, 24]))
    frames, states, actions = data.episode(0)
    assert (batch.image[0] == frames[0]).all()
    assert (batch.next_image[0] == frames[1]).all()
    assert (batch.next_image[1] == frames[12]).all()
    assert (batch.next_state[1] == states[12]).all()
    assert_allclose(batch.action[0], scale(actions[0], CONTRACT))
    assert_allclose(batch.reward, [-1, 10, -1, 10, -1, -1])
    assert_allclose(batch.mask, [1, 0, 1, 0, 1, 1])
    assert_allclose(batch.mc_return[[1, 2, 4, 5]], [10, 7.256, -25, -25], atol=1e-5)
    assert list(batch.task) == [2, 2, 2, 2, 5, 5]
    assert batch.image.dtype == np.uint8
    assert batch.action.dtype == batch.state.dtype == batch.mc_return.dtype == np.float32


def test_selecting_keeps_only_some_episodes(data: Dataset) -> None:
    carrots = data.select([task == "put_carrot_in_pot" for task in data.tasks])
    assert (len(carrots), carrots.transitions) == (2, 17)
    assert set(Sampler(carrots, IDS).sample(100).task) == {2}
    with pytest.raises(EpisodeError, match="no episode of 3 is left"):
        data.select([False] * 3)


def test_draws_are_uniform_over_transitions(data: Dataset) -> None:
    sampler = Sampler(data, IDS, seed=1)
    counts = np.zeros(25)
    drawn = sampler.sample(5000)
    keys = {float(state[0]): i for i, state in enumerate(sampler.gather(np.arange(25)).state)}
    for state in drawn.state:
        counts[keys[float(state[0])]] += 1
    chi_squared = ((counts - 200) ** 2 / 200).sum()
    assert chi_squared < 51.2  # 99.9 % quantile with 24 degrees of freedom is 51.18


def test_a_resumed_sampler_draws_the_same_batches(data: Dataset) -> None:
    first = MixingSampler(Sampler(data, IDS, seed=3), Sampler(data, IDS, seed=4), 0.5)
    first.sample(8)
    state = json.loads(json.dumps(first.state_dict()))
    second = MixingSampler(Sampler(data, IDS, seed=8), Sampler(data, IDS, seed=9), 0.5)
    second.load_state_dict(state)
    one, two = first.sample(16), second.sample(16)
    for item in dataclasses.fields(Batch):
        assert np.array_equal(getattr(one, item.name), getattr(two, item.name)), item.name


@pytest.mark.parametrize(
    ("size", "fraction", "split"),
    [
        (64, 0.9, (57, 7)),
        (64, 0.7, (44, 20)),
        (64, 0.8, (51, 13)),
        (64, 0.5, (32, 32)),
        (256, 0.9, (230, 26)),
        (64, 1.0, (64, 0)),
        (64, 0.0, (0, 64)),
    ],
)
def test_the_prior_share_is_rounded_down(data: Dataset, size: int, fraction: float, split: tuple[int, int]) -> None:
    carrots = data.select([task == "put_carrot_in_pot" for task in data.tasks])
    knives = data.select([task == "put_knife_in_pot" for task in data.tasks])
    mixing = MixingSampler(Sampler(carrots, IDS), Sampler(knives, IDS), fraction)
    assert mixing.split(size) == split
    tasks = mixing.sample(size).task
    assert ((tasks == 2).sum(), (tasks == 5).sum()) == split
    assert len(mixing.sample(size)) == size


def test_mixing_needs_the_data_it_mixes(data: Dataset) -> None:
    with pytest.raises(EpisodeError, match="needs target data"):
        MixingSampler(Sampler(data, IDS), None, 0.9)
    with pytest.raises(EpisodeError, match="must be in"):
        MixingSampler(Sampler(data, IDS), None, 1.9)
    assert len(MixingSampler(Sampler(data, IDS), None, 1.0).sample(4)) == 4


def test_a_task_without_an_id_is_refused_with_the_known_ones(data: Dataset) -> None:
    with pytest.raises(EpisodeError, match="put_knife_in_pot has no id; known tasks: put_carrot_in_pot"):
        Sampler(data, {"put_carrot_in_pot": 0})


def test_labels_computed_at_a_draw_are_those_of_the_whole_episode(data: Dataset) -> None:
    rule = Labelling(reward_steps=2, terminal="last", discount=0.9)
    batch = Sampler(data, IDS, labelling=rule).gather(np.arange(25))
    whole = [label(int(n), bool(success), rule) for n, success in zip(data.lengths, data.successes, strict=True)]
    for name in ("reward", "mask", "mc_return"):
        assert (getattr(batch, name) == np.concatenate([getattr(item, name) for item in whole])).all()


def test_a_sampler_keeps_nothing_per_transition(data: Dataset) -> None:
    sampler = Sampler(data, IDS)
    kept = [value.size for value in vars(sampler).values() if isinstance(value, np.ndarray)]
    assert max(kept) <= 6 * (int(data.lengths.max()) + 1)  # the table of labels, by steps that remain


@pytest.mark.parametrize(("balance", "share"), [(0.0, 17 / 25), (0.5, 17**0.5 / (17**0.5 + 8**0.5)), (1.0, 0.5)])
def test_tasks_are_drawn_by_a_power_of_their_size(data: Dataset, balance: float, share: float) -> None:
    drawn = Sampler(data, IDS, seed=2, task_balance=balance).sample(20_000)
    carrots = (drawn.task == 2).sum()
    assert (carrots - 20_000 * share) ** 2 / (20_000 * share * (1 - share)) < 10.83  # chi-squared, 99.9 %


def test_balanced_draws_are_uniform_within_a_task(data: Dataset) -> None:
    sampler = Sampler(data, IDS, seed=3, task_balance=1.0)
    places = {float(x): i for i, x in enumerate(sampler.gather(np.arange(25)).state[:, 0])}
    counts = np.bincount([places[float(x)] for x in sampler.sample(20_000).state[:, 0]], minlength=25)
    expected = np.array([10_000 / 17] * 17 + [10_000 / 8] * 8)
    assert ((counts - expected) ** 2 / expected).sum() < 51.2  # 99.9 % quantile, 24 degrees of freedom


def test_tasks_that_share_an_id_are_balanced_as_one(data: Dataset) -> None:
    shared = dict.fromkeys(IDS, 7)
    plain, balanced = (Sampler(data, shared, task_balance=b).sample(20_000) for b in (0.0, 1.0))
    failures = [(batch.mc_return == -25).mean() for batch in (plain, balanced)]
    assert failures[1] == pytest.approx(failures[0], abs=0.02)


def test_a_balance_out_of_range_is_refused(data: Dataset) -> None:
    with pytest.raises(EpisodeError, match="task_balance is 1.5"):
        Sampler(data, IDS, task_balance=1.5)
