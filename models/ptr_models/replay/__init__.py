# SPDX-License-Identifier: Apache-2.0
"""Replay buffer: from bags to training batches, by a memory-mapped cache, mixing samplers and augmentation."""

from ptr_models.replay.augment import Augmentation, augment
from ptr_models.replay.batch import Batch
from ptr_models.replay.cache import open_episodes
from ptr_models.replay.dataset import Dataset, LeftOut
from ptr_models.replay.mixing import MixingSampler
from ptr_models.replay.sampler import Sampler

__all__ = [
    "Augmentation",
    "Batch",
    "Dataset",
    "LeftOut",
    "MixingSampler",
    "Sampler",
    "augment",
    "open_episodes",
]
