# SPDX-License-Identifier: Apache-2.0
"""Behavior Transformer: classify which of k typical actions comes next, then regress the offset from it.

Shafiullah et al., "Behavior Transformers: Cloning k modes with one stone", NeurIPS 2022 (arXiv 2206.11251).
The k typical actions are the centers of k-means over the actions of the training data. B windows, L frames, k
classes, A action dimensions.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ptr_models.algorithms.config import AlgorithmConfig
from ptr_models.algorithms.cql import frozen_copy, optimizer_step, update_ema
from ptr_models.algorithms.sequences import WindowTensors
from ptr_models.networks import BehaviorTransformer, NetworkConfig

ROUNDS = 100
BETAS = (0.9, 0.95)  # of AdamW, as in minGPT
CLUSTERED = 20_000
"""Actions given to k-means; 24 cluster centers in 7 dimensions don't need more."""


def kmeans(points: NDArray[np.float32], count: int, seed: int) -> NDArray[np.float32]:
    """Centers (count, A) of points (N, A), seeded as k-means++ (Arthur & Vassilvitskii 2007).

    With fewer distinct points than centers, some centers coincide.
    """
    from scipy.cluster.vq import kmeans2  # imported here: only the first step of a Behavior Transformer needs it

    data = np.asarray(points, dtype=np.float64)
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore", UserWarning)  # a center with no nearest point keeps its place
        centers, _ = kmeans2(data, count, iter=ROUNDS, minit="++", seed=np.random.default_rng(seed))
    return centers.astype(np.float32)


# --------------------------------------------------------------------------- the losses


def focal_loss(logits: Tensor, target: Tensor, gamma: float) -> Tensor:
    """-(1 - p)^gamma log p of the true class: cross-entropy with more weight on hard samples.

    Lin et al. 2017, eq. 4.  logits: (N, k).  target: (N,).  Returns (N,).
    """
    log_p = logits.log_softmax(dim=-1).gather(-1, target.unsqueeze(-1)).squeeze(-1)
    return -((1.0 - log_p.exp()) ** gamma) * log_p


def offset_loss(offsets: Tensor, target: Tensor, residual: Tensor) -> Tensor:
    """Squared error of the true class's offset, mean over dimensions. Offsets of other classes are not trained.

    Args:
        offsets: (N, k, A).   target: (N,) classes.   residual: (N, A) action minus the center of its class.
    Returns:
        (N,).
    """
    predicted = offsets[torch.arange(len(target), device=target.device), target]
    return (predicted - residual).square().mean(dim=-1)


def masked_mean(values: Tensor, valid: Tensor) -> Tensor:
    """Mean of values (N,) where valid (N,) is 1."""
    return (values * valid).sum() / valid.sum()


# --------------------------------------------------------------------------- one update
class BehaviorTransformerCloning:
    """A transformer over windows of frames and the update that trains it; there is no critic."""

    critic = None
    batches = "windows"

    def __init__(self, config: AlgorithmConfig, networks: NetworkConfig, tasks: int, device: str = "cpu") -> None:
        """Initialize the actor from PyTorch's global random state; K = tasks columns of the one-hot."""
        self.config, self.device = config, torch.device(device)
        self.actor = BehaviorTransformer(networks, tasks).to(self.device)
        self.ema_actor = frozen_copy(self.actor) if config.ema_decay > 0 else None
        self.log_temperature = nn.Parameter(torch.zeros((), device=self.device))
        groups = list(decayed_groups(self.actor, config.bet.weight_decay))
        self.optimizers = {"actor": torch.optim.AdamW(groups, lr=config.actor_lr, betas=BETAS, fused=True)}

    @property
    def modules(self) -> dict[str, nn.Module]:
        """What a checkpoint stores, by name."""
        modules: dict[str, nn.Module] = {"actor": self.actor}
        return modules if self.ema_actor is None else modules | {"average_actor": self.ema_actor}

    def fit_centers(self, actions: NDArray[np.float32], seed: int) -> None:
        """Find the k typical actions. Call it once, before the first update.  actions: (N, A) scaled."""
        centers = torch.from_numpy(kmeans(actions, len(self.actor.centres), seed))
        for actor in (self.actor, self.ema_actor):
            if actor is not None:
                actor.centres.copy_(centers)

    def update(self, batch: WindowTensors, step: int) -> dict[str, Tensor]:
        """One update of the actor, on all frames of the windows."""
        options = self.config.bet
        frames = self.actor.observe(batch.image, batch.state, batch.task)
        policy = self.actor.decide(frames.unflatten(0, (-1, batch.length)))
        target = policy.nearest(batch.action)
        class_loss = masked_mean(focal_loss(policy.logits, target, options.focal_gamma), batch.valid)
        residual = batch.action - policy.centers[target]
        regression = masked_mean(offset_loss(policy.offsets, target, residual), batch.valid)
        loss = class_loss + options.offset_weight * regression
        optimizer_step(self.optimizers["actor"], loss, options.gradient_clip)
        if self.ema_actor is not None:
            update_ema(self.ema_actor, self.actor, self.config.ema_decay, step)
        return {
            "actor_loss": loss.detach(),
            "class_loss": class_loss.detach(),
            "class_accuracy": masked_mean((policy.logits.argmax(-1) == target).float(), batch.valid),
            "offset_mse": regression.detach(),
            "actor_mse": masked_mean((policy.mode - batch.action).square().mean(-1), batch.valid).detach(),
        }


def decayed_groups(module: nn.Module, weight_decay: float) -> Iterator[dict[str, object]]:
    """Parameter groups for AdamW: matrices and kernels decay; biases, norms and tokens don't."""
    trained = [(name, value) for name, value in module.named_parameters() if value.requires_grad]
    free = ("positions", "pos_embed", "cls_token", "mask_token")

    def decays(name: str, value: Tensor) -> bool:
        return value.dim() >= 2 and not name.endswith(free)

    yield {"params": [value for name, value in trained if decays(name, value)], "weight_decay": weight_decay}
    yield {"params": [value for name, value in trained if not decays(name, value)], "weight_decay": 0.0}
