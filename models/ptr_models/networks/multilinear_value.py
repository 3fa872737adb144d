# SPDX-License-Identifier: Apache-2.0
"""V(s, s+, z) = phi(s)^T T(z) psi(s+): how soon s+ is reached from s by an agent that wants to reach z.

Ghosh, Bhateja, Levine, "Reinforcement Learning from Passive Data via Latent Intentions", ICML 2023 (arXiv 2304.04782).
B states, E members, Z the width of an embedding, D the width of phi, psi and T.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from ptr_models.networks.layers import truncated_normal_
from ptr_models.networks.method_configs import MultilinearValueConfig


class MultilinearMember(nn.Module):
    """One member of the ensemble.

    T(z) is of low rank, as in the authors' code: diag(t) A^T B diag(t) with A, B learned and t a network of psi(z), so
    that V = (A (t * phi)) . (B (t * psi)).
    """

    def __init__(self, inputs: int, hidden: tuple[int, ...]) -> None:
        """Args: inputs: Z.   hidden: widths of the layers of phi, psi and t; the last one is D."""
        super().__init__()
        width = hidden[-1]
        self.phi, self.psi, self.intent = (_layers(size, hidden) for size in (inputs, inputs, width))
        self.left, self.right = _linear(width), _linear(width)

    def forward(self, state: Tensor, outcome: Tensor, intent: Tensor) -> Tensor:
        """Embeddings (B, Z) of s, s+ and z to values (B,)."""
        scale = self.intent(self.psi(intent))
        return (self.left(scale * self.phi(state)) * self.right(scale * self.psi(outcome))).sum(dim=-1)


class MultilinearValue(nn.Module):
    """An ensemble on the embeddings of one encoder."""

    def __init__(self, config: MultilinearValueConfig, inputs: int) -> None:
        """Args: inputs: Z."""
        super().__init__()
        self.members = nn.ModuleList(MultilinearMember(inputs, config.hidden) for _ in range(config.members))

    def forward(self, state: Tensor, outcome: Tensor, intent: Tensor) -> Tensor:
        """Embeddings (B, Z) of s, s+ and z to values (E, B)."""
        return torch.stack([member(state, outcome, intent) for member in self.members])


def _layers(inputs: int, hidden: tuple[int, ...]) -> nn.Sequential:
    """Fully connected layers, each followed by a ReLU; Xavier-uniform weights, zero biases."""
    layers: list[nn.Module] = []
    for before, after in pairwise((inputs, *hidden)):
        linear = nn.Linear(before, after)
        nn.init.xavier_uniform_(linear.weight)
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers)


def _linear(width: int) -> nn.Linear:
    """A square layer with flax's usual initialization: LeCun-normal weights, zero biases."""
    layer = nn.Linear(width, width)
    truncated_normal_(layer.weight, math.sqrt(1.0 / width))
    nn.init.zeros_(layer.bias)
    return layer
