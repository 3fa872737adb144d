# SPDX-License-Identifier: Apache-2.0
"""Named configurations."""

from __future__ import annotations

import dataclasses

from ptr_models.algorithms.config import AlgorithmConfig
from ptr_models.networks.config import NetworkConfig
from ptr_models.replay.augment import Augmentation
from ptr_models.training.config import ConfigError, DataConfig, ScheduleConfig, TrainingConfig

_PAPER = TrainingConfig(preset="ptr_paper")

_SMALL = TrainingConfig(
    preset="ptr_small",
    networks=NetworkConfig(
        encoder="tiny",
        image_size=64,
        precision="bf16",
        state_center=(0.29, 0.0, 0.1, 0.0, 0.0, 0.0, 0.5),
        state_scale=(0.07, 0.1, 0.07, 0.3, 0.3, 0.3, 0.5),
    ),
    algorithm=AlgorithmConfig(
        alpha=1.0,
        calibrated=True,
        bc_weight=100.0,
        bc_warmup=18_000,
        critic_in_warmup=False,
        actor_rate=3e-4,
        actor_average=0.999,
    ),
    data=DataConfig(augmentation=Augmentation(pad=2)),
    schedule=ScheduleConfig(checkpoint_every=2000, target_from=22_000, mix=0.7),
)

PRESETS = {
    "ptr_paper": _PAPER,
    "ptr_small": _SMALL,
    "bc_small": dataclasses.replace(
        _SMALL,
        preset="bc_small",
        algorithm=AlgorithmConfig(name="bc", actor_rate=3e-4, actor_average=0.999),
    ),
    "bc_paper": dataclasses.replace(_PAPER, preset="bc_paper", algorithm=AlgorithmConfig(name="bc", actor_rate=3e-4)),
}
"""`ptr_paper`: the canonical run of the original code. `ptr_small`: 64x64 images on two CPU cores, with an
imitation term in the actor's loss and an averaged actor. `bc_*`: the imitation baselines."""


def preset(name: str) -> TrainingConfig:
    """The configuration of that name.

    Raises:
        ConfigError: there is none; the message lists the known ones.
    """
    if name not in PRESETS:
        raise ConfigError(f"unknown preset {name!r}; known: {', '.join(PRESETS)}")
    return PRESETS[name]
