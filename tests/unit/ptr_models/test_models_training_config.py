# SPDX-License-Identifier: Apache-2.0
"""Configuration: YAML and assignments, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptr_models.episodes.labels import Labelling
from ptr_models.networks import NetworkConfig
from ptr_models.training.config import ConfigError, TrainingConfig, without_retired
from ptr_models.training.presets import preset, presets


def test_the_paper_preset_holds_the_values_of_the_original_run() -> None:
    config = preset("ptr_paper")
    assert config.batch_size == 64 and config.seed == 42
    assert config.networks == NetworkConfig()
    assert (config.networks.encoder, config.networks.image_size) == ("resnet34", 128)
    assert (config.networks.latent, config.networks.hidden, config.networks.num_critics) == (256, (256,) * 3, 2)
    assert config.networks.state_scale == (1.0,) * 7 and not config.networks.critic_proprioception
    algorithm = config.algorithm
    assert (algorithm.name, algorithm.discount, algorithm.tau, algorithm.cql_alpha) == (
        "ptr",
        0.96,
        0.005,
        10.0,
    )
    assert (algorithm.cql_n_actions, algorithm.target_entropy) == (4, -7.0)
    assert (algorithm.actor_lr, algorithm.critic_lr, algorithm.temperature_lr) == (1e-4, 3e-4, 3e-4)
    assert (algorithm.bc_weight, algorithm.bc_steps, algorithm.ema_decay) == (0.0, 0, 0.0)
    assert not algorithm.calibrated and algorithm.target_bounds == ()
    assert (config.data.labelling.reward_steps, config.data.labelling.scale, config.data.labelling.shift) == (
        3,
        11,
        -1,
    )
    assert (config.schedule.target_from, config.schedule.mix, config.schedule.checkpoint_every) == (
        160_000,
        0.9,
        20_000,
    )


@pytest.mark.parametrize("name", presets())
def test_presets_survive_yaml(name: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(preset(name).to_yaml())
    assert TrainingConfig.from_yaml(file) == preset(name)


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("algorithm.alhpa=3", "algorithm.cql_alpha"),
        ("networks.encoder=resnet35", "resnet34"),
        ("schedule.mix=2", "mix is 2"),
        ("batch_size=many", "batch_size is 'many'"),
        ("algorithm=3", "section"),
        ("alpha", "section.key=value"),
        ("data.labelling.terminal=never", "rewarded, last"),
        ("data.task_balance=1.5", "task_balance is 1.5"),
        ("data.spare_tasks=-1", "spare_tasks is -1"),
        ("data.action_shift=1", "data.action_shift no longer exists: each bag"),
        ("algorithm.masked.rate=1e-3", "algorithm.masked.rate no longer exists: algorithm.masked.base_lr"),
        ("batch_size=0", "batch_size is 0"),
        ("algorithm.target_subset=3", "but there are 2 critics"),
    ],
)
def test_a_wrong_assignment_is_refused_in_one_sentence(assignment: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        TrainingConfig().replaced([assignment])
    assert "\n" not in str(caught.value)


def test_assignments_change_nested_values_and_nothing_else() -> None:
    changed = TrainingConfig().replaced(["algorithm.actor_lr=3e-4", "networks.hidden=[8, 8]", "seed=7"])
    assert changed.algorithm.actor_lr == 3e-4 and changed.networks.hidden == (8, 8) and changed.seed == 7
    back = changed.replaced(["algorithm.actor_lr=1e-4", "networks.hidden=[256, 256, 256]", "seed=42"])
    assert back == TrainingConfig()


def test_returns_are_discounted_as_the_algorithm_discounts() -> None:
    config = TrainingConfig().replaced(["algorithm.discount=0.9", "data.labelling.reward_steps=2"])
    assert config.labelling == Labelling(reward_steps=2, discount=0.9)


def test_a_checkpoint_of_an_earlier_version_may_have_keys_that_are_gone() -> None:
    old = TrainingConfig().to_dict()
    old["data"]["action_shift"] = 1
    old["algorithm"]["masked"]["rate"] = 1e-3
    assert TrainingConfig.from_dict(without_retired(old)) == TrainingConfig()
