# SPDX-License-Identifier: Apache-2.0
"""An autoregressive policy over binned actions: p(a) = prod_i p(a_i | s, a_<i), each factor categorical.

The discretized policy of PTR's code: one network per action dimension, conditioned on the bin centers of the previous
dimensions. Unlike a Gaussian, it can represent several ways to act.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ptr_models.networks.config import NetworkConfig
from ptr_models.networks.features import ObservationFeatures
from ptr_models.networks.layers import dense


def bin_of(values: Tensor, bins: int) -> Tensor:
    """Index of the bin of values in [-1, 1]: clip(floor((v + 1) / 2 * bins), 0, bins - 1)."""
    return torch.floor((values + 1) / 2 * bins).clamp(0, bins - 1).long()


def center_of(index: Tensor, bins: int) -> Tensor:
    """Center of a bin: 2 (b + 0.5) / bins - 1."""
    return 2 * (index.float() + 0.5) / bins - 1


class ConditionalBins(nn.Module):
    """Logits of one action dimension, given the state's features and the previous dimensions."""

    def __init__(self, features: int, previous: int, hidden: tuple[int, ...], bins: int, gain: float) -> None:
        """Args: previous: number of dimensions before this one.  gain: of the last layer's initial weights."""
        super().__init__()
        self.split = features
        widths = (features + previous, *hidden)
        self.layers = nn.ModuleList(dense(a, b, 1.0) for a, b in zip(widths, widths[1:], strict=False))
        self.logits = dense(widths[-1], bins, gain)

    def forward(self, features: Tensor, previous: Tensor) -> Tensor:
        """(B, F) and (B, M, i) centers of M prefixes to logits (B, M, bins).

        The product with the features is computed once per state, not once per prefix.
        """
        first = cast(nn.Linear, self.layers[0])
        state_weight, action_weight = first.weight.split([self.split, first.in_features - self.split], dim=1)
        x = functional.linear(features, state_weight, first.bias).unsqueeze(1) + previous @ action_weight.T
        for layer in self.layers[1:]:
            x = layer(functional.relu(x))
        return self.logits(functional.relu(x))


@dataclass(frozen=True)
class AutoregressiveCategorical:
    """The distribution of A binned action dimensions, per state.

    Its probabilities are masses of bins, not densities: log-density = log-mass + A log(bins / 2).

    Attributes:
        features: (B, F).   heads: A networks, one per dimension.   bins: per dimension.   beam: width of the search.
    """

    features: Tensor
    heads: Sequence[ConditionalBins]
    bins: int
    beam: int

    @cached_property
    def mode(self) -> Tensor:
        """The most probable action that a beam search finds, (B, A) bin centers."""
        states, device = len(self.features), self.features.device
        prefixes = torch.zeros(states, 1, 0, device=device)
        score = torch.zeros(states, 1, device=device)
        centers = center_of(torch.arange(self.bins, device=device), self.bins)
        for head in self.heads:
            total = (score.unsqueeze(-1) + head(self.features, prefixes).log_softmax(-1)).flatten(1)
            score, best = total.topk(min(self.beam, total.shape[1]), dim=1)
            parent = (best // self.bins).unsqueeze(-1).expand(-1, -1, prefixes.shape[-1])
            prefixes = torch.cat([prefixes.gather(1, parent), centers[best % self.bins].unsqueeze(-1)], dim=-1)
        return prefixes[:, 0]

    def sample(self, count: int) -> tuple[Tensor, Tensor]:
        """Ancestral samples and their log-masses: (B, count, A), (B, count)."""
        states, device = len(self.features), self.features.device
        prefixes = torch.zeros(states, count, 0, device=device)
        log_mass = torch.zeros(states, count, device=device)
        for head in self.heads:
            log_p = head(self.features, prefixes).log_softmax(-1)
            chosen = torch.multinomial(log_p.exp().flatten(0, 1), 1).view(states, count, 1)
            log_mass = log_mass + log_p.gather(-1, chosen).squeeze(-1)
            prefixes = torch.cat([prefixes, center_of(chosen, self.bins)], dim=-1)
        return prefixes, log_mass

    def sample_gripper(self) -> Tensor:
        """The mode in all dimensions except the last, which is sampled given the others: (B, A)."""
        before = self.mode[:, :-1]
        logits = self.heads[-1](self.features, before.unsqueeze(1)).squeeze(1)
        drawn = torch.multinomial(logits.softmax(dim=-1), 1)
        return torch.cat([before, center_of(drawn, self.bins)], dim=-1)

    def log_prob(self, actions: Tensor) -> Tensor:
        """Log-mass (B,) of the bins of actions (B, A)."""
        return -self.surprise(actions).sum(dim=-1)

    def surprise(self, actions: Tensor) -> Tensor:
        """-log p(a_i | s, a_<i) of each dimension, (B, A), with the previous ones from the data."""
        target = bin_of(actions, self.bins)
        centers = center_of(target, self.bins).unsqueeze(1)
        surprises = []
        for i, head in enumerate(self.heads):
            logits = head(self.features, centers[..., :i]).squeeze(1)
            surprises.append(functional.cross_entropy(logits, target[:, i], reduction="none"))
        return torch.stack(surprises, dim=-1)


class AutoregressiveActor(ObservationFeatures):
    """Encoder, and per action dimension a network on [embedding, state, task, earlier dimensions]."""

    def __init__(self, config: NetworkConfig, tasks: int, actions: int = 7) -> None:
        super().__init__(config, tasks)
        options = config.autoregressive
        self.bins, self.beam = options.bins, options.beam
        self.heads = nn.ModuleList(
            ConditionalBins(self.width, i, config.hidden, options.bins, options.output_gain) for i in range(actions)
        )

    def head(self, embedding: Tensor, state: Tensor, task: Tensor) -> AutoregressiveCategorical:
        """(B, latent), (B, S), (B, K) one-hot to the distribution of scaled actions."""
        features = self.features(embedding, state, task)
        return AutoregressiveCategorical(
            features, cast("list[ConditionalBins]", list(self.heads)), self.bins, self.beam
        )

    def forward(self, image: Tensor, state: Tensor, task: Tensor) -> AutoregressiveCategorical:
        return self.head(self.encode(image), state, task)
