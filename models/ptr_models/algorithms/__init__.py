# SPDX-License-Identifier: Apache-2.0
"""Learning algorithms: one file each, all with the same shape, found by name."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from ptr_models.algorithms.batch import Transitions
from ptr_models.algorithms.bc import BehaviourCloning
from ptr_models.algorithms.config import AlgorithmConfig
from ptr_models.algorithms.cql import Ptr
from ptr_models.networks import Actor, Critic, NetworkConfig


class Algorithm(Protocol):
    """What training, checkpoints and the policy need of an algorithm."""

    config: AlgorithmConfig
    actor: Actor
    critic: Critic | None
    log_temperature: nn.Parameter
    optimisers: dict[str, torch.optim.Adam]

    @property
    def modules(self) -> dict[str, nn.Module]: ...

    def update(self, batch: Transitions, step: int) -> dict[str, Tensor]: ...


def make_algorithm(config: AlgorithmConfig, networks: NetworkConfig, tasks: int, device: str = "cpu") -> Algorithm:
    """The algorithm that `config.name` names, freshly initialised."""
    kinds: dict[str, type] = {"ptr": Ptr, "bc": BehaviourCloning}
    return kinds[config.name](config, networks, tasks, device)


__all__ = ["Algorithm", "AlgorithmConfig", "BehaviourCloning", "Ptr", "Transitions", "make_algorithm"]
