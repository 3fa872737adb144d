# SPDX-License-Identifier: Apache-2.0
"""What every actor sees: the embedding of the image, the arm's state and the task, side by side."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ptr_models.networks.config import NetworkConfig
from ptr_models.networks.encoder import make_encoder


class ObservationFeatures(nn.Module):
    """Image encoder and normalized state; the part that actors of all kinds share.

    Attributes:
        width: F, length of the feature vector: cameras * latent + S + K.
    """

    def __init__(self, config: NetworkConfig, tasks: int) -> None:
        """Args: tasks: K columns of the one-hot."""
        super().__init__()
        self.encoder = make_encoder(config)
        self.state_center: Tensor
        self.state_scale: Tensor
        self.register_buffer("state_center", torch.tensor(config.state_center), persistent=False)
        self.register_buffer("state_scale", torch.tensor(config.state_scale), persistent=False)
        self.width = config.latent_width + len(config.state_center) + tasks

    def encode(self, image: Tensor) -> Tensor:
        """(B, H, W, 3 * cameras) uint8 to the embedding (B, cameras * latent)."""
        return self.encoder(image)

    def features(self, embedding: Tensor, state: Tensor, task: Tensor) -> Tensor:
        """(B, cameras * latent), (B, S), (B, K) one-hot to (B, F)."""
        return torch.cat([embedding, (state - self.state_center) / self.state_scale, task], dim=-1)
