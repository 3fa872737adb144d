# SPDX-License-Identifier: Apache-2.0
"""Behaviour cloning with PTR's actor: the baseline that shares everything with PTR but the objective.

The squared error of the mode, or the negative log-likelihood, of the demonstrated action. PTR's own BC
baseline is a Gaussian of standard deviation 1, whose likelihood is the squared error up to a constant and a
factor 1/2. log_std is fitted beside it, which leaves the mode alone, so that samples are like the data. A two-way
gripper (`networks.gripper: bernoulli`) learns by binary cross-entropy. With `chunk` h the actor predicts h actions at
once, and each step of the chunk counts alike.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ptr_models.algorithms.batch import Transitions
from ptr_models.algorithms.config import AlgorithmConfig
from ptr_models.algorithms.cql import (
    adam,
    average_weights,
    descend,
    frozen_copy,
    imitation_loss,
    mode_error,
    spread_loss,
    trainable,
)
from ptr_models.networks import Actor, NetworkConfig


class BehaviourCloning:
    """An actor and the update that trains it; there is no critic."""

    critic = None
    batches = "transitions"

    def __init__(self, config: AlgorithmConfig, networks: NetworkConfig, tasks: int, device: str = "cpu") -> None:
        """Initialise the actor from PyTorch's global random state; K = tasks columns of the one-hot."""
        self.config, self.device = config, torch.device(device)
        self.actor = Actor(networks, tasks, config.chunk).to(self.device)
        if config.freeze_backbone:
            self.actor.encoder.freeze_backbone()
        self.average_actor = frozen_copy(self.actor) if config.ema_decay > 0 else None
        self.log_temperature = nn.Parameter(torch.zeros((), device=self.device))
        self.optimisers = {"actor": adam(trainable(self.actor), config.actor_lr)}

    @property
    def modules(self) -> dict[str, nn.Module]:
        """What a checkpoint stores, by name."""
        modules: dict[str, nn.Module] = {"actor": self.actor}
        return modules if self.average_actor is None else modules | {"average_actor": self.average_actor}

    def update(self, batch: Transitions, step: int) -> dict[str, Tensor]:
        """One update of the actor."""
        policy = self.actor(batch.image, batch.state, batch.task)
        imitated = (policy, batch.action, self.config.bc_loss, batch.success)
        loss = imitation_loss(*imitated, valid=batch.valid)
        spread = spread_loss(*imitated, valid=batch.valid)
        descend(self.optimisers["actor"], loss + spread)
        if self.average_actor is not None:
            average_weights(self.average_actor, self.actor, self.config.ema_decay, step)
        return {"actor_loss": loss.detach(), "actor_mse": mode_error(policy, batch.action, batch.valid)}
