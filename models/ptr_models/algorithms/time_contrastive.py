# SPDX-License-Identifier: Apache-2.0
"""Time-contrastive pre-training of the backbone, after R3M: frames close in time get similar features.

Nair et al., "R3M: A Universal Visual Representation for Robot Manipulation", CoRL 2022 (arXiv 2203.12601),
without its language term, since the videos here have no captions; Sermanet et al. 2018. Negatives are the other videos
of the batch. B clips of an early, a middle and a late frame; D features, averaged over the feature map.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ptr_models.algorithms.config import AlgorithmConfig
from ptr_models.algorithms.cql import adam, optimizer_step, trainable
from ptr_models.algorithms.sequences import ClipTensors
from ptr_models.networks import Actor, NetworkConfig
from ptr_models.networks.encoder import image_encoder


# --------------------------------------------------------------------------- the losses
def similarity(first: Tensor, second: Tensor) -> Tensor:
    """S(x, y) = -||x - y|| over the last axis, with gradient 0 (not undefined) at x = y."""
    return -((first - second).square().sum(dim=-1) + 1e-12).sqrt()


def info_nce(anchor: Tensor, near: Tensor, far: Tensor, video: Tensor) -> Tensor:
    """-log of exp S(anchor, near) over the sum of itself, exp S(anchor, far) and those of other videos.

    Args:
        anchor, near, far: (B, D) features of frames of the same clip, `near` nearer in time.
        video: (B,); clips of the same video are not negatives of each other.
    Returns:
        (B,).
    """
    positive, temporal = similarity(anchor, near), similarity(anchor, far)
    others = similarity(anchor.unsqueeze(1), anchor.unsqueeze(0))
    others = others.masked_fill(video.unsqueeze(1) == video.unsqueeze(0), -torch.inf)
    return torch.logsumexp(torch.cat([positive[:, None], temporal[:, None], others], dim=1), dim=1) - positive


def time_contrastive_loss(early: Tensor, middle: Tensor, late: Tensor, video: Tensor) -> Tensor:
    """Mean of both directions: the middle frame is closer to the early (late) frame than the late (early) one is."""
    forward = info_nce(early, middle, late, video)
    backward = info_nce(late, middle, early, video)
    return (forward + backward).mean() / 2


def sparsity(features: Tensor, l1: float, l2: float) -> Tensor:
    """R3M's penalty: l1 times the mean L1 norm plus l2 times the mean L2 norm of features (N, D)."""
    return l1 * features.abs().sum(dim=-1).mean() + l2 * features.norm(dim=-1).mean()


# --------------------------------------------------------------------------- one update
class TimeContrastive:
    """Trains an actor's backbone on clips. `algorithm.next_algorithm` trains the rest of the actor."""

    critic = None
    batches = "clips"

    def __init__(self, config: AlgorithmConfig, networks: NetworkConfig, tasks: int, device: str = "cpu") -> None:
        """Initialize the actor from PyTorch's global random state; K = tasks columns of the one-hot."""
        self.config, self.device = config, torch.device(device)
        self.actor = Actor(networks, tasks, config.chunk).to(self.device)
        self.log_temperature = nn.Parameter(torch.zeros((), device=self.device))
        self.optimizers = {"actor": adam(trainable(image_encoder(self.actor.encoder).backbone), config.contrastive.lr)}

    @property
    def modules(self) -> dict[str, nn.Module]:
        """What a checkpoint stores, by name."""
        return {"actor": self.actor}

    def update(self, batch: ClipTensors, step: int) -> dict[str, Tensor]:
        """One update of the backbone."""
        features = self._features(batch.image)
        early, middle, late = features.unflatten(0, (-1, batch.length)).unbind(dim=1)
        contrastive = time_contrastive_loss(early, middle, late, batch.video)
        loss = contrastive + sparsity(features, self.config.contrastive.l1, self.config.contrastive.l2)
        optimizer_step(self.optimizers["actor"], loss)
        with torch.no_grad():
            far = similarity(early, late)
            ordered = (similarity(early, middle) > far) & (similarity(middle, late) > far)
        return {
            "contrastive_loss": contrastive.detach(),
            "ordered": ordered.float().mean(),
            "feature_norm": features.detach().norm(dim=-1).mean(),
        }

    def _features(self, image: Tensor) -> Tensor:
        """(N, H, W, 3 * cameras) uint8 to the mean of the backbone's map, (N, cameras * D) float32."""
        encoder = image_encoder(self.actor.encoder)
        with encoder.precision_of(image.device.type):
            features = encoder.backbone(encoder.pixels(image))
        return encoder.side_by_side(features.float().mean(dim=(2, 3)))
