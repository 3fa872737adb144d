# SPDX-License-Identifier: Apache-2.0
"""The Q-functions: one image encoder, and an ensemble of small networks with the action as input of every layer."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from ptr_models.networks.config import NetworkConfig
from ptr_models.networks.encoder import make_encoder


class EnsembleDense(nn.Module):
    """E fully connected layers on concatenated inputs, without concatenating them.

    The input is [first, action, embedding]. The sum of the three products equals the product with the concatenation,
    but the product with the embedding is computed once per state, not once per action.
    """

    def __init__(self, members: int, sizes: tuple[int, int, int], outputs: int, gain: float) -> None:
        super().__init__()
        self.sizes = sizes
        self.weight = nn.Parameter(torch.empty(members, sum(sizes), outputs))
        self.bias = nn.Parameter(torch.zeros(members, outputs))
        for member in self.weight.data:
            nn.init.orthogonal_(member, gain)

    def forward(self, first: Tensor, actions: Tensor, embedding: Tensor) -> Tensor:
        """Apply the E layers.

        Args:
            first: (B, F) shared by the members, or (E, B, M, F) the members' hidden layers.
            actions: (B, M, A).   embedding: (B, Z).   Inputs with size 0 in `sizes` are omitted.
        Returns:
            (E, B, M, outputs).
        """
        first_weight, action_weight, embedding_weight = self.weight.split(self.sizes, dim=1)
        members, outputs = self.weight.shape[0], self.weight.shape[2]
        actions, embedding = actions[..., : self.sizes[1]], embedding[:, : self.sizes[2]]
        batch, samples, _ = actions.shape
        once = torch.baddbmm(self.bias.unsqueeze(1), embedding.expand(members, -1, -1), embedding_weight)
        if first.dim() == 2:
            once = torch.baddbmm(once, first.expand(members, -1, -1), first_weight)
        each = actions.reshape(1, batch * samples, -1).expand(members, -1, -1) @ action_weight
        if first.dim() == 4:
            each = torch.baddbmm(each, first.reshape(members, batch * samples, -1), first_weight)
        return each.view(members, batch, samples, outputs) + once.unsqueeze(2)


class QFunction(nn.Module):
    """E independent networks Q(z, task, a) with action and embedding as inputs of every layer.

    Without `critic_injection` they are inputs of the first layer only, and all gains are 1, as in the original's plain
    critic.
    """

    def __init__(self, config: NetworkConfig, tasks: int, actions: int, embedding: int) -> None:
        super().__init__()
        widths = config.hidden
        repeated = (actions, embedding) if config.critic_injection else (0, 0)
        inputs = [(tasks, actions, embedding), *((width, *repeated) for width in widths)]
        gain, last_gain = (math.sqrt(2.0), 0.01) if config.critic_injection else (1.0, 1.0)
        self.layers = nn.ModuleList(
            EnsembleDense(config.num_critics, sizes, width, gain) for sizes, width in zip(inputs, widths, strict=False)
        )
        self.output = EnsembleDense(config.num_critics, inputs[-1], 1, last_gain)
        self.injected, self.layer_norm = config.critic_injection, config.critic_layer_norm

    def forward(self, embedding: Tensor, task: Tensor, actions: Tensor) -> Tensor:
        """(B, Z), (B, K) one-hot, (B, M, A) to (E, B, M)."""
        hidden = task
        for layer in self.layers:
            hidden = layer(hidden, actions, embedding)
            if self.layer_norm:
                hidden = functional.layer_norm(hidden, hidden.shape[-1:])
            hidden = functional.relu(hidden)
        return self.output(hidden, actions, embedding).squeeze(-1)


class Critic(nn.Module):
    """Image encoder and ensemble of Q-functions.

    PTR's critic does not get the arm's state. With `critic_proprioception` it is appended to the embedding.
    """

    def __init__(self, config: NetworkConfig, tasks: int, chunk: int = 1, actions: int = 7) -> None:
        """Args: tasks: K, width of the one-hot.   chunk: h, actions valued at once.   actions: width of one."""
        super().__init__()
        self.encoder = make_encoder(config)
        self.sees_state = config.critic_proprioception
        state = len(config.state_center) if self.sees_state else 0
        self.state_center: Tensor
        self.state_scale: Tensor
        self.register_buffer("state_center", torch.tensor(config.state_center), persistent=False)
        self.register_buffer("state_scale", torch.tensor(config.state_scale), persistent=False)
        self.q_function = QFunction(config, tasks, chunk * actions, config.latent_width + state)

    def encode(self, image: Tensor, state: Tensor) -> Tensor:
        """(B, H, W, 3 * cameras) uint8 and (B, S) to the embedding z (B, Z), once per image."""
        embedding = self.encoder(image)
        if not self.sees_state:
            return embedding
        return torch.cat([embedding, (state - self.state_center) / self.state_scale], dim=-1)

    def q(self, embedding: Tensor, task: Tensor, actions: Tensor) -> Tensor:
        """Values (E, B, M) of M scaled actions, or chunks, (B, M, A) per state: z (B, Z), task (B, K) one-hot."""
        return self.q_function(embedding, task, actions)
