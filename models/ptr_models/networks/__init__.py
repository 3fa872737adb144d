# SPDX-License-Identifier: Apache-2.0
"""Encoders, actor and critic."""

from ptr_models.networks.actor import Actor, TanhGaussian
from ptr_models.networks.config import NetworkConfig
from ptr_models.networks.critic import Critic
from ptr_models.networks.encoder import Encoder

__all__ = ["Actor", "Critic", "Encoder", "NetworkConfig", "TanhGaussian"]
