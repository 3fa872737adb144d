# SPDX-License-Identifier: Apache-2.0
"""Behavior Transformer: a causal transformer over frames that picks one of k typical actions and corrects it.

Shafiullah et al., "Behavior Transformers: Cloning k modes with one stone", NeurIPS 2022 (arXiv 2206.11251).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from ptr_models.networks.attention import TransformerBlock
from ptr_models.networks.config import NetworkConfig
from ptr_models.networks.features import ObservationFeatures


@dataclass(frozen=True)
class ModesWithOffsets:
    """k point masses: mode k is center k plus the offset that the network predicts for it.

    Attributes:
        logits: (B, k).   offsets: (B, k, A).   centers: (k, A).
    """

    logits: Tensor
    offsets: Tensor
    centers: Tensor

    @property
    def mode(self) -> Tensor:
        """The action of the most probable class, (B, A)."""
        return self.action_of(self.logits.argmax(dim=-1, keepdim=True)).squeeze(1)

    def sample(self, count: int) -> tuple[Tensor, Tensor]:
        """Actions of sampled classes, and the log-masses of the classes: (B, count, A), (B, count)."""
        log_p = self.logits.log_softmax(dim=-1)
        chosen = torch.multinomial(log_p.exp(), count, replacement=True)
        return self.action_of(chosen), log_p.gather(-1, chosen)

    def sample_gripper(self) -> Tensor:
        """The mode, with the gripper (the last dimension) of a sampled class: (B, A)."""
        return torch.cat([self.mode[:, :-1], self.sample(1)[0][:, 0, -1:]], dim=-1)

    def log_prob(self, actions: Tensor) -> Tensor:
        """Log-mass (B,) of the class whose center is nearest to actions (B, A); not a density."""
        return self.logits.log_softmax(dim=-1).gather(-1, self.nearest(actions).unsqueeze(-1)).squeeze(-1)

    def action_of(self, classes: Tensor) -> Tensor:
        """Center plus offset of classes (B, M): (B, M, A)."""
        index = classes.unsqueeze(-1).expand(-1, -1, self.offsets.shape[-1])
        return self.centers[classes] + self.offsets.gather(1, index)

    def nearest(self, actions: Tensor) -> Tensor:
        """Class (B,) of each action (B, A): the nearest center."""
        return torch.cdist(actions, self.centers).argmin(dim=-1)


class BehaviorTransformer(ObservationFeatures):
    """Features of up to `window` frames, causally mixed, to modes with offsets for every frame.

    Attributes:
        window: maximum number of frames, including the present one.
        centres: (k, A) typical actions from the training data; zeros until they are fitted.
    """

    def __init__(self, config: NetworkConfig, tasks: int, actions: int = 7) -> None:
        super().__init__(config, tasks)
        options = config.transformer
        self.window, self.actions = options.window, actions
        self.embed = nn.Linear(self.width, options.width)
        self.positions = nn.Parameter(torch.zeros(1, options.window, options.width))
        self.blocks = nn.ModuleList(
            TransformerBlock(options.width, options.heads, dropout=options.dropout, causal=True)
            for _ in range(options.layers)
        )
        self.norm = nn.LayerNorm(options.width)
        self.classes = nn.Linear(options.width, options.modes, bias=False)
        self.offsets = nn.Linear(options.width, options.modes * actions)
        self.centres: Tensor  # the name in checkpoints
        self.register_buffer("centres", torch.zeros(options.modes, actions))
        self._initialize()

    def _initialize(self) -> None:
        """As GPT-2: normal with std 0.02, smaller where a block adds to the stream; biases 0."""
        for module in (self.embed, self.blocks, self.classes, self.offsets):
            for layer in module.modules():
                if isinstance(layer, nn.Linear):
                    nn.init.normal_(layer.weight, std=0.02)
                    if layer.bias is not None:
                        nn.init.zeros_(layer.bias)
        for block in cast("Iterable[TransformerBlock]", self.blocks):
            for layer in (block.attn.proj, block.mlp.fc2):
                nn.init.normal_(layer.weight, std=0.02 / math.sqrt(2 * len(self.blocks)))
        nn.init.normal_(self.positions, std=0.02)

    def decide(self, features: Tensor) -> ModesWithOffsets:
        """Features of L <= window consecutive frames (B, L, F), oldest first, to B*L distributions."""
        batch, length, _ = features.shape
        x = self.embed(features) + self.positions[:, :length]
        for block in self.blocks:
            x = block(x)
        x = self.norm(x).flatten(0, 1)
        offsets = self.offsets(x).view(batch * length, -1, self.actions)
        return ModesWithOffsets(self.classes(x), offsets, self.centres)

    def observe(self, image: Tensor, state: Tensor, task: Tensor) -> Tensor:
        """Features (B, F) of single frames, for a history."""
        return self.features(self.encode(image), state, task)

    def forward(self, image: Tensor, state: Tensor, task: Tensor) -> ModesWithOffsets:
        """The decision at the first frame of an episode, without a history."""
        return self.decide(self.observe(image, state, task).unsqueeze(1))
