# SPDX-License-Identifier: Apache-2.0
"""Learning algorithms, one file each, with a common interface; looked up by name."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ptr_models.algorithms.autoregressive_bc import AutoregressiveCloning
from ptr_models.algorithms.awr import AdvantageWeightedRegression
from ptr_models.algorithms.batch import Transitions
from ptr_models.algorithms.bc import BehaviorCloning
from ptr_models.algorithms.bet import BehaviorTransformerCloning
from ptr_models.algorithms.config import ALGORITHMS, AlgorithmConfig
from ptr_models.algorithms.cql import CQLAgent
from ptr_models.algorithms.icvf import IntentConditionedValues
from ptr_models.algorithms.masked_autoencoder import MaskedAutoencoder
from ptr_models.algorithms.sequences import ClipTensors, IntentTensors, WindowTensors, to_tensors
from ptr_models.algorithms.time_contrastive import TimeContrastive
from ptr_models.networks import Critic, NetworkConfig


class ActionDistribution(Protocol):
    """An actor's output for B states: a distribution over scaled actions with A dimensions."""

    @property
    def mode(self) -> Tensor:
        """(B, A), the single action to take."""

    def sample(self, count: int) -> tuple[Tensor, Tensor]:
        """Actions (B, count, A) and their log-probabilities (B, count)."""

    def sample_gripper(self) -> Tensor:
        """(B, A), the mode with a sampled gripper."""

    def log_prob(self, actions: Tensor) -> Tensor:
        """(B,) of actions (B, A): a log-density, or for discrete distributions a log-mass."""


class Algorithm(Protocol):
    """The interface that training, checkpoints and the policy use.

    Attributes:
        actor: maps image (B, H, W, 3), state (B, S) and task (B, K) to an `ActionDistribution`.
        critic: None without a Q-function.
        log_temperature: of the entropy term; a constant 0 without one.
        optimizers: by name; checkpoints store their state.
        batches: what it learns from: transitions, windows, clips or intents (`ptr_models.replay`).
    """

    config: AlgorithmConfig
    actor: nn.Module
    critic: Critic | None
    log_temperature: nn.Parameter
    optimizers: dict[str, torch.optim.Optimizer]
    batches: str

    @property
    def modules(self) -> dict[str, nn.Module]:
        """What a checkpoint stores, by name."""

    def update(self, batch: Any, step: int) -> dict[str, Tensor]:
        """One update with a batch of the kind `batches`, after `step` updates; returns scalar metrics."""


def make_algorithm(config: AlgorithmConfig, networks: NetworkConfig, tasks: int, device: str = "cpu") -> Algorithm:
    """The algorithm that `config.name` names, freshly initialized."""
    return ALGORITHMS[config.name](config, networks, tasks, device)


def batches_of(name: str) -> str:
    """What the algorithm of that name learns from: transitions, windows, clips or intents."""
    return ALGORITHMS[name].batches


__all__ = [
    "ALGORITHMS",
    "ActionDistribution",
    "AdvantageWeightedRegression",
    "Algorithm",
    "AlgorithmConfig",
    "AutoregressiveCloning",
    "BehaviorCloning",
    "BehaviorTransformerCloning",
    "ClipTensors",
    "IntentConditionedValues",
    "IntentTensors",
    "MaskedAutoencoder",
    "CQLAgent",
    "TimeContrastive",
    "Transitions",
    "WindowTensors",
    "batches_of",
    "make_algorithm",
    "to_tensors",
]
