# SPDX-License-Identifier: Apache-2.0
"""Autoregressive behavior cloning: the likelihood of binned actions, one dimension after the other.

The discretized policy of PTR's code (100 bins per dimension), trained by negative log-likelihood alone. Unlike the mean
of a Gaussian, bins can represent several ways to act.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ptr_models.algorithms.batch import Transitions
from ptr_models.algorithms.config import AlgorithmConfig
from ptr_models.algorithms.cql import adam, frozen_copy, optimizer_step, trainable, update_ema
from ptr_models.networks import AutoregressiveActor, NetworkConfig


def negative_log_likelihood(surprise: Tensor, success: Tensor | None = None) -> Tensor:
    """mean over states of -log p(a|s) = -sum_i log p(a_i | s, a_<i).

    Args:
        surprise: (B, A), -log p of each dimension.
        success: (B,) 0 where the episode failed; its actions should not be imitated and count as 0.
    """
    error = surprise.sum(dim=-1)
    return error.mean() if success is None else (error * success).mean()


class AutoregressiveCloning:
    """A binned actor and the update that trains it; there is no critic."""

    critic = None
    batches = "transitions"

    def __init__(self, config: AlgorithmConfig, networks: NetworkConfig, tasks: int, device: str = "cpu") -> None:
        """Initialize the actor from PyTorch's global random state; K = tasks columns of the one-hot."""
        self.config, self.device = config, torch.device(device)
        self.actor = AutoregressiveActor(networks, tasks).to(self.device)
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
        surprise = self.actor(batch.image, batch.state, batch.task).surprise(batch.action)
        loss = negative_log_likelihood(surprise, batch.success)
        optimizer_step(self.optimizers["actor"], loss)
        if self.ema_actor is not None:
            update_ema(self.ema_actor, self.actor, self.config.ema_decay, step)
        return {
            "actor_loss": loss.detach(),
            "bin_probability": (-surprise.detach()).exp().mean(),
            "worst_dimension": surprise.detach().mean(dim=0).max(),
        }
