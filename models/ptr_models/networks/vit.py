# SPDX-License-Identifier: Apache-2.0
"""The Vision Transformer as an image encoder that can leave patches out, as the masked autoencoder does.

Dosovitskiy et al. 2021 (arXiv 2010.11929); He et al., "Masked Autoencoders", CVPR 2022 (arXiv 2111.06377).
Names and shapes of `vit_b16` are those of MAE's published weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ptr_models.common.errors import PtrError
from ptr_models.networks.attention import TransformerBlock
from ptr_models.networks.pixels import PublishedInput


@dataclass(frozen=True)
class Size:
    """Patches of `patch` pixels, `layers` blocks; the image is resized to `image` pixels, 0: used as it is."""

    patch: int
    width: int
    layers: int
    heads: int
    image: int = 0


SIZES = {"vit_tiny": Size(8, 96, 4, 3), "vit_b16": Size(16, 768, 12, 12, image=224)}


def sine_positions(side: int, width: int) -> Tensor:
    """Fixed two-dimensional position code of side * side patches: (side^2, width).

    The first half of the columns encodes the column of the patch, the second its row; within each half sines
    come first, then cosines, of frequencies 10000^(-i / (width / 4)).
    """
    frequency = 10000.0 ** -(torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    angles = [axis.reshape(-1, 1).double() * frequency for axis in (columns, rows)]
    return torch.cat([part for angle in angles for part in (angle.sin(), angle.cos())], dim=1).float()


class PatchEmbedding(nn.Module):
    """Patches of an image, each mapped to a vector: (B, C, H, W) to (B, N, D)."""

    def __init__(self, channels: int, patch: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, width, patch, patch)
        nn.init.xavier_uniform_(self.proj.weight.view(width, -1))
        if self.proj.bias is not None:
            nn.init.zeros_(self.proj.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x).flatten(2).transpose(1, 2)


class VisionTransformer(nn.Module):
    """Image to a map of patch features, or to the class token as a map of one place.

    Attributes:
        channels: D of the features.   side: height and width of the map.   patch: pixels.
        prepare: resizes and normalizes; its output is what patches are cut from.
    """

    def __init__(self, name: str, image_size: int, class_token: bool = False) -> None:
        """Args: image_size: of the contract.  class_token: return it instead of the map."""
        super().__init__()
        size = SIZES[name]
        pixels = size.image or image_size
        if pixels % size.patch:
            raise PtrError(f"images of {pixels} pixels can't be cut into patches of {size.patch}; choose a multiple")
        self.prepare = PublishedInput(pixels)
        self.patch, self.channels, self.grid = size.patch, size.width, pixels // size.patch
        self.reads_class_token, self.side = class_token, 1 if class_token else self.grid
        self.patch_embed = PatchEmbedding(3, size.patch, size.width)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, size.width))
        positions = torch.cat([torch.zeros(1, size.width), sine_positions(self.grid, size.width)])
        self.pos_embed = nn.Parameter(positions.unsqueeze(0), requires_grad=False)
        self.blocks = nn.ModuleList(TransformerBlock(size.width, size.heads, epsilon=1e-6) for _ in range(size.layers))
        self.norm = nn.LayerNorm(size.width, eps=1e-6)
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) in [0, 1] to (B, D, side, side)."""
        tokens = self.encode(self.prepare(x))
        chosen = tokens[:, :1] if self.reads_class_token else tokens[:, 1:]
        return chosen.transpose(1, 2).unflatten(2, (self.side, self.side))

    def encode(self, prepared: Tensor, visible: Tensor | None = None) -> Tensor:
        """All tokens, or the class token and those of the visible patches.

        Args:
            prepared: output of `prepare`.   visible: (B, V) indices of patches, None: all of them.
        Returns:
            (B, 1 + V, D), the class token first.
        """
        x = self.patch_embed(prepared) + self.pos_embed[:, 1:]
        if visible is not None:
            x = x.gather(1, visible.unsqueeze(-1).expand(-1, -1, x.shape[-1]))
        x = torch.cat([(self.cls_token + self.pos_embed[:, :1]).expand(len(x), -1, -1).to(x.dtype), x], dim=1)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


def initialize(module: nn.Module) -> None:
    """As published: xavier-uniform weights, zero biases, tokens from N(0, 0.02^2)."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight)
            nn.init.zeros_(part.bias)
    for name in ("cls_token", "mask_token"):
        if hasattr(module, name):
            nn.init.normal_(getattr(module, name), std=0.02)
