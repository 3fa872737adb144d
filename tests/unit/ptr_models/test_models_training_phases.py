# SPDX-License-Identifier: Apache-2.0
"""The two phases, and the samplers behind them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ptr_models.common.errors import PtrError
from ptr_models.contract import Contract
from ptr_models.replay import MixingSampler, Sampler, open_episodes
from ptr_models.training.run_setup import (
    Bags,
    PhasedSource,
    limited,
)
from ptr_models.training.tasks import TaskTable


def phased(training_bags: Bags, target_from: int, mix: float = 0.9) -> PhasedSource:
    contract = Contract()
    prior = open_episodes(training_bags.prior, contract, root=training_bags.cache, progress=False)
    target = open_episodes(training_bags.target, contract, root=training_bags.cache, progress=False)
    ids = TaskTable.from_names([*prior.tasks, *target.tasks], 0).ids([*prior.tasks, *target.tasks])
    return PhasedSource(Sampler(prior, ids, 0), Sampler(target, ids, 1), target_from, mix)


def test_target_data_enter_with_the_update_after_the_switch(training_bags: Bags) -> None:
    source, new = phased(training_bags, 160_000), 1  # put_knife_in_pot is the second of three names
    for done in (0, 80_000, 159_999):
        assert (source.sample(64, done).task != new).all()
    assert (source.sample(64, 160_000).task == new).sum() == 7


def test_joint_training_mixes_from_the_first_update(training_bags: Bags) -> None:
    assert (phased(training_bags, 0, 0.7).sample(64, 0).task == 1).sum() == 20


def test_state_of_the_source_reproduces_its_batches(training_bags: Bags) -> None:
    source, again = phased(training_bags, 2), phased(training_bags, 2)
    for done in range(3):
        source.sample(8, done)
    again.load_state_dict(json.loads(json.dumps(source.state_dict())))
    for done in range(3, 6):
        np.testing.assert_array_equal(source.sample(8, done).action, again.sample(8, done).action)


def test_a_mixture_needs_both_data_sets() -> None:
    with pytest.raises(PtrError, match="needs prior data"):
        MixingSampler(None, None, 0.5)


def test_a_number_of_target_demonstrations_is_chosen_by_the_seed(training_bags: Bags) -> None:
    data = open_episodes(training_bags.prior, Contract(), root=training_bags.cache, progress=False)
    assert len(limited(data, 2, seed=0)) == 2 and limited(data, -1, seed=0) is data
    assert limited(data, 2, seed=0).paths == limited(data, 2, seed=0).paths
