# SPDX-License-Identifier: Apache-2.0
"""Learning algorithms: one file each, all with the same shape, found by name."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ptr_models.algorithms.autoregressive_bc import AutoregressiveCloning
from ptr_models.algorithms.awr import AdvantageWeightedRegression
from ptr_models.algorithms.batch import Transitions
from ptr_models.algorithms.bc import BehaviourCloning
from ptr_models.algorithms.bet import BehaviourTransformerCloning
from ptr_models.algorithms.config import ALGORITHMS, AlgorithmConfig
from ptr_models.algorithms.cql import Ptr
from ptr_models.algorithms.icvf import IntentConditionedValues
from ptr_models.algorithms.masked_autoencoder import MaskedAutoencoder
from ptr_models.algorithms.sequences import ClipTensors, IntentTensors, WindowTensors, to_tensors
from ptr_models.algorithms.time_contrastive import TimeContrastive
from ptr_models.networks import Critic, NetworkConfig


class ActionDistribution(Protocol):
    """What an actor says of B states: the distribution of their scaled actions, A dimensions."""

    @property
    def mode(self) -> Tensor:
        """(B, A), the action to take when it must be one."""

    def sample(self, count: int) -> tuple[Tensor, Tensor]:
        """Actions (B, count, A) and their log-probabilities (B, count)."""

    def sample_gripper(self) -> Tensor:
        """(B, A), the mode with a gripper that is drawn."""

    def log_prob(self, actions: Tensor) -> Tensor:
        """(B,) of actions (B, A): a log-density, or for discrete distributions a log-mass."""


class Algorithm(Protocol):
    """What training, checkpoints and the policy need of an algorithm.

    Attributes:
        actor: maps image (B, H, W, 3), state (B, S) and task (B, K) to an `ActionDistribution`.
        batches: what it learns from: transitions, windows, clips or intents (`ptr_models.replay`).
    """

    config: AlgorithmConfig
    actor: nn.Module
    critic: Critic | None
    log_temperature: nn.Parameter
    optimisers: dict[str, torch.optim.Optimizer]
    batches: str

    @property
    def modules(self) -> dict[str, nn.Module]: ...

    def update(self, batch: Any, step: int) -> dict[str, Tensor]: ...


def make_algorithm(config: AlgorithmConfig, networks: NetworkConfig, tasks: int, device: str = "cpu") -> Algorithm:
    """The algorithm that `config.name` names, freshly initialised."""
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
    "BehaviourCloning",
    "BehaviourTransformerCloning",
    "ClipTensors",
    "IntentConditionedValues",
    "IntentTensors",
    "MaskedAutoencoder",
    "Ptr",
    "TimeContrastive",
    "Transitions",
    "WindowTensors",
    "batches_of",
    "make_algorithm",
    "to_tensors",
]
