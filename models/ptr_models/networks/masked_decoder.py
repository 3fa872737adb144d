# SPDX-License-Identifier: Apache-2.0
"""The light decoder of the masked autoencoder: from visible tokens to the pixels of all patches."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ptr_models.networks.attention import TransformerBlock
from ptr_models.networks.method_configs import MaskedDecoderConfig
from ptr_models.networks.vit import VisionTransformer, initialize, sine_positions


class MaskedDecoder(nn.Module):
    """A transformer over the visible tokens and, in place of the hidden patches, a learned mask token."""

    def __init__(self, options: MaskedDecoderConfig, encoder: VisionTransformer) -> None:
        super().__init__()
        width = options.width
        self.embed = nn.Linear(encoder.channels, width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions: Tensor
        positions = torch.cat([torch.zeros(1, width), sine_positions(encoder.grid, width)]).unsqueeze(0)
        self.register_buffer("positions", positions, persistent=False)
        self.blocks = nn.ModuleList(TransformerBlock(width, options.heads, epsilon=1e-6) for _ in range(options.layers))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.pixels = nn.Linear(width, encoder.patch**2 * 3)
        initialize(self)

    def forward(self, tokens: Tensor, visible: Tensor) -> Tensor:
        """Predict every patch.

        Args:
            tokens: (B, 1 + V, D) of the encoder, the class token first.   visible: (B, V) indices of its patches.
        Returns:
            (B, N, patch^2 * C), the pixels of a patch row by row, channels last.
        """
        x = self.embed(tokens)
        patches = self.mask_token.to(x.dtype).expand(len(x), self.positions.shape[1] - 1, -1)
        patches = patches.scatter(1, visible.unsqueeze(-1).expand(-1, -1, x.shape[-1]), x[:, 1:])
        x = torch.cat([x[:, :1], patches], dim=1) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.pixels(self.norm(x)[:, 1:])


def patchify(images: Tensor, patch: int) -> Tensor:
    """(B, C, H, W) to (B, N, patch^2 * C), patches row by row, channels last within a patch."""
    batch, channels, height, width = images.shape
    cut = images.view(batch, channels, height // patch, patch, width // patch, patch)
    return cut.permute(0, 2, 4, 3, 5, 1).reshape(batch, -1, patch * patch * channels)
