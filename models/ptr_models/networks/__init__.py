# SPDX-License-Identifier: Apache-2.0
"""Encoders, actor and critic."""

from ptr_models.networks.actor import Actor
from ptr_models.networks.autoregressive import AutoregressiveActor
from ptr_models.networks.behavior_transformer import BehaviorTransformer
from ptr_models.networks.config import NetworkConfig
from ptr_models.networks.critic import Critic
from ptr_models.networks.distributions import ActorDistribution, TanhGaussian, TanhGaussianBernoulli
from ptr_models.networks.encoder import Encoder

__all__ = [
    "Actor",
    "ActorDistribution",
    "AutoregressiveActor",
    "BehaviorTransformer",
    "Critic",
    "Encoder",
    "NetworkConfig",
    "TanhGaussian",
    "TanhGaussianBernoulli",
]
