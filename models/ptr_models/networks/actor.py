# SPDX-License-Identifier: Apache-2.0
"""The policy: image, state and task to a distribution over the action box."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from ptr_models.networks.action_chunks import split_gripper
from ptr_models.networks.config import NetworkConfig
from ptr_models.networks.distributions import ActorDistribution, TanhGaussian, TanhGaussianBernoulli
from ptr_models.networks.features import ObservationFeatures
from ptr_models.networks.layers import dense

LOG_STD_RANGE = (-5.0, 2.0)


class Actor(ObservationFeatures):
    """Encoder, three dense layers on [embedding, state, task], heads for mean and log standard deviation.

    With `gripper: bernoulli` the last output per step of the head for the mean is the logit of an open gripper.
    """

    def __init__(self, config: NetworkConfig, tasks: int, chunk: int = 1, actions: int = 7) -> None:
        """Args: tasks: K, width of the one-hot.   chunk: h, actions predicted at once.   actions: width of one."""
        super().__init__(config, tasks)
        self.chunk = chunk
        widths = (self.width, *config.hidden)
        self.layers = nn.ModuleList(dense(a, b, 1.0) for a, b in zip(widths, widths[1:], strict=False))
        self.two_way_gripper = config.gripper == "bernoulli"
        self.mean = dense(widths[-1], chunk * actions, 0.01)
        self.log_std = dense(widths[-1], chunk * (actions - self.two_way_gripper), 0.01)

    def head(self, embedding: Tensor, state: Tensor, task: Tensor) -> ActorDistribution:
        """(B, latent), (B, S), (B, K) one-hot to the distribution of scaled actions, or of chunks of them."""
        x = self.features(embedding, state, task)
        for layer in self.layers:
            x = functional.relu(layer(x))
        mean = self.mean(x)
        log_std, head_log_std = (self.log_std(values).clamp(*LOG_STD_RANGE) for values in (x, x.detach()))
        if not self.two_way_gripper:
            return TanhGaussian(mean, log_std, head_log_std, self.chunk)
        motion, logit = split_gripper(mean, self.chunk)
        return TanhGaussianBernoulli(TanhGaussian(motion, log_std, head_log_std, self.chunk), logit)

    def forward(self, image: Tensor, state: Tensor, task: Tensor) -> ActorDistribution:
        return self.head(self.encode(image), state, task)
