# SPDX-License-Identifier: Apache-2.0
"""The policy: image, state and task to a Gaussian squashed into the action box."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ptr_models.networks.config import NetworkConfig
from ptr_models.networks.features import ObservationFeatures
from ptr_models.networks.layers import dense
from ptr_models.networks.shared_batch import normal

LOG_STD_RANGE = (-5.0, 2.0)


@dataclass(frozen=True)
class TanhGaussian:
    """The distribution of a = tanh(u), u ~ N(mean, exp(log_std)^2), per state.

    Attributes:
        mean, log_std: (B, A).
    """

    mean: Tensor
    log_std: Tensor

    @property
    def mode(self) -> Tensor:
        """tanh(mean), (B, A): what PTR does at test time."""
        return torch.tanh(self.mean)

    def sample(self, count: int) -> tuple[Tensor, Tensor]:
        """Reparameterised samples and their log-densities: (B, count, A), (B, count)."""
        mean, log_std = self.mean.unsqueeze(1), self.log_std.unsqueeze(1)
        noise = normal(mean.shape[0], count, mean.shape[2], device=mean.device)
        raw = mean + log_std.exp() * noise
        log_normal = -0.5 * noise.square() - log_std - 0.5 * math.log(2 * math.pi)
        return torch.tanh(raw), (log_normal - log_tanh_slope(raw)).sum(dim=-1)

    def log_prob(self, actions: Tensor) -> Tensor:
        """Log-density (B,) of actions (B, A) inside (-1, 1)."""
        raw = torch.atanh(actions)
        noise = (raw - self.mean) * torch.exp(-self.log_std)
        log_normal = -0.5 * noise.square() - self.log_std - 0.5 * math.log(2 * math.pi)
        return (log_normal - log_tanh_slope(raw)).sum(dim=-1)


def log_tanh_slope(raw: Tensor) -> Tensor:
    """log(1 - tanh(u)^2) in a form that does not underflow: 2 (log 2 - u - softplus(-2 u))."""
    return 2.0 * (math.log(2.0) - raw - functional.softplus(-2.0 * raw))


class Actor(ObservationFeatures):
    """Encoder, three dense layers on [embedding, state, task], heads for mean and log standard deviation."""

    def __init__(self, config: NetworkConfig, tasks: int, actions: int = 7) -> None:
        super().__init__(config, tasks)
        widths = (self.width, *config.hidden)
        self.layers = nn.ModuleList(dense(a, b, 1.0) for a, b in zip(widths, widths[1:], strict=False))
        self.mean = dense(widths[-1], actions, 0.01)
        self.log_std = dense(widths[-1], actions, 0.01)

    def head(self, embedding: Tensor, state: Tensor, task: Tensor) -> TanhGaussian:
        """(B, latent), (B, S), (B, K) one-hot to the distribution of scaled actions."""
        x = self.features(embedding, state, task)
        for layer in self.layers:
            x = functional.relu(layer(x))
        return TanhGaussian(self.mean(x), self.log_std(x).clamp(*LOG_STD_RANGE))

    def forward(self, image: Tensor, state: Tensor, task: Tensor) -> TanhGaussian:
        return self.head(self.encode(image), state, task)
