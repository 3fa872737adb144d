# SPDX-License-Identifier: Apache-2.0
"""Behavior cloning with PTR's actor: the baseline that differs from PTR in the objective only.

The loss is the squared error of the mode, or the negative log-likelihood of the demonstrated action. PTR's own BC
baseline is a Gaussian with standard deviation 1, whose negative log-likelihood is half the squared error plus a
constant. log_std is fitted separately so that samples resemble the data; this does not affect the mode. A two-way
gripper (`networks.gripper: bernoulli`) learns by binary cross-entropy. With `chunk` h the actor predicts h actions at
once, and all steps of a chunk have the same weight.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ptr_models.algorithms.batch import Transitions
from ptr_models.algorithms.config import AlgorithmConfig
from ptr_models.algorithms.cql import (
    adam,
    frozen_copy,
    imitation_loss,
    mode_error,
    optimizer_step,
    spread_loss,
    trainable,
    update_ema,
)
from ptr_models.networks import Actor, NetworkConfig


class BehaviorCloning:
    """An actor and the update that trains it; there is no critic."""

    critic = None
    batches = "transitions"

    def __init__(self, config: AlgorithmConfig, networks: NetworkConfig, tasks: int, device: str = "cpu") -> None:
        """Initialize the actor from PyTorch's global random state; K = tasks columns of the one-hot."""
        self.config, self.device = config, torch.device(device)
        self.actor = Actor(networks, tasks, config.chunk).to(self.device)
        if config.freeze_backbone:
            self.actor.encoder.freeze_backbone()
        self.ema_actor = frozen_copy(self.actor) if config.ema_decay > 0 else None
        self.log_temperature = nn.Parameter(torch.zeros((), device=self.device))
        self.optimizers = {"actor": adam(trainable(self.actor), config.actor_lr)}

    @property
    def modules(self) -> dict[str, nn.Module]:
        """What a checkpoint stores, by name."""
        modules: dict[str, nn.Module] = {"actor": self.actor}
        return modules if self.ema_actor is None else modules | {"average_actor": self.ema_actor}

    def update(self, batch: Transitions, step: int) -> dict[str, Tensor]:
        """One update of the actor."""
        policy = self.actor(batch.image, batch.state, batch.task)
        imitated = (policy, batch.action, self.config.bc_loss, batch.success)
        loss = imitation_loss(*imitated, valid=batch.valid)
        spread = spread_loss(*imitated, valid=batch.valid)
        optimizer_step(self.optimizers["actor"], loss + spread)
        if self.ema_actor is not None:
            update_ema(self.ema_actor, self.actor, self.config.ema_decay, step)
        return {"actor_loss": loss.detach(), "actor_mse": mode_error(policy, batch.action, batch.valid)}
