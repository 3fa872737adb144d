# SPDX-License-Identifier: Apache-2.0
"""Which action dimensions vary in the data, and the target entropy that follows.

If the operator never turns the wrist, the data has no rotation. A policy with a target entropy of -7 nats then has
almost no entropy in the rotation and compensates with nearly uniform motion.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from ptr_models.algorithms.config import AUTO
from ptr_models.replay import Dataset
from ptr_models.replay.windows import sample_actions
from ptr_models.training.config import TrainingConfig

LOGGER = logging.getLogger(__name__)
SAMPLED = 20_000
"""Number of actions sampled from each data set."""
VARIES = 0.01
"""Standard deviation (scaled units; 1 is half the range) above which a dimension varies."""


def varying_dimensions(actions: ArrayLike) -> tuple[int, ...]:
    """Indices of the dimensions that vary in scaled actions (N, A)."""
    spread = np.std(np.asarray(actions, dtype=np.float64), axis=0)
    return tuple(int(index) for index in np.flatnonzero(spread > VARIES))


def with_target_entropy(config: TrainingConfig, data: Sequence[Dataset | None]) -> TrainingConfig:
    """The configuration with `algorithm.target_entropy: auto` replaced by minus the number of dimensions that vary.

    A two-way gripper has no differential entropy and does not count.
    """
    opened = [item for item in data if item is not None]
    if config.algorithm.target_entropy != AUTO or not opened:
        return config
    found = varying_dimensions(np.concatenate([sample_actions(item, SAMPLED, config.seed) for item in opened]))
    names = opened[0].contract.action
    motion = len(names) - 1 if config.networks.gripper == "bernoulli" else len(names)
    if not any(index < motion for index in found):
        LOGGER.warning("no motion varies in the data, so the target entropy counts all dimensions")
        found = tuple(range(len(names)))
    entropy = -float(sum(index < motion for index in found))
    LOGGER.info("target entropy %g: %s vary in the data", entropy, ", ".join(names[index] for index in found))
    return replace(config, algorithm=replace(config.algorithm, target_entropy=entropy, varying_dimensions=found))
