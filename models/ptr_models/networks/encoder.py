# SPDX-License-Identifier: Apache-2.0
"""Image to embedding: backbone, spatial pooling, bottleneck."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor, nn

from ptr_models.common.errors import PtrError
from ptr_models.networks.backbones import ResNet, Tiny, make_backbone
from ptr_models.networks.config import VISION_TRANSFORMERS, NetworkConfig
from ptr_models.networks.fused import LowPrecision, embed
from ptr_models.networks.layers import truncated_normal_
from ptr_models.networks.resnet_batchnorm import BatchNormResNet50
from ptr_models.networks.vit import VisionTransformer


class SpatialEmbeddings(nn.Module):
    """Per channel F learned masks over the map: z[c, f] = sum over h, w of x[c, h, w] W[h, w, c, f].

    They can say where something is, which mean pooling cannot. The kernel is stored as (C, H*W, F).
    """

    def __init__(self, channels: int, height: int, width: int, embeddings: int) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.empty(channels, height * width, embeddings))
        truncated_normal_(self.kernel, math.sqrt(1.0 / (height * width * channels)))
        self.features = channels * embeddings
        self._low = LowPrecision()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C*F), index c*F + f."""
        return embed(x, self._low.of(self.kernel, x.dtype))


class SpatialSoftmax(nn.Module):
    """Expected image coordinates in [-1, 1] of each channel's soft maximum: (B, C, H, W) to (B, 2 C), all x first."""

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.grid: Tensor
        y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
        self.register_buffer("grid", torch.stack([x.flatten(), y.flatten()], dim=-1), persistent=False)
        self.features = 2 * channels

    def forward(self, x: Tensor) -> Tensor:
        return (x.flatten(2).float().softmax(dim=-1) @ self.grid).transpose(1, 2).flatten(1)


class MeanPool(nn.Module):
    """Mean over the map: (B, C, H, W) to (B, C)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.features = channels

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))


class EmbeddingsAndSoftmax(nn.Module):
    """Both spatial poolings side by side."""

    def __init__(self, channels: int, height: int, width: int, embeddings: int) -> None:
        super().__init__()
        self.embeddings = SpatialEmbeddings(channels, height, width, embeddings)
        self.softmax = SpatialSoftmax(channels, height, width)
        self.features = self.embeddings.features + self.softmax.features

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.embeddings(x).float(), self.softmax(x)], dim=-1)


Backbone = ResNet | Tiny | BatchNormResNet50 | VisionTransformer
Pooling = SpatialEmbeddings | SpatialSoftmax | EmbeddingsAndSoftmax | MeanPool


def _make_pooling(kind: str, channels: int, side: int, embeddings: int) -> Pooling:
    if kind == "spatial_embeddings":
        return SpatialEmbeddings(channels, side, side, embeddings)
    if kind == "spatial_softmax":
        return SpatialSoftmax(channels, side, side)
    if kind == "embeddings_and_softmax":
        return EmbeddingsAndSoftmax(channels, side, side, embeddings)
    return MeanPool(channels)


def _make_backbone(config: NetworkConfig) -> tuple[Backbone, int]:
    """The backbone, and the height and width of its map."""
    if config.encoder in VISION_TRANSFORMERS:
        reads_class = config.pooling == "class_token"
        transformer = VisionTransformer(config.encoder, config.image_size, reads_class)
        return transformer, transformer.side
    if config.encoder == "resnet50_batchnorm":
        return BatchNormResNet50(), BatchNormResNet50.side
    backbone = make_backbone(config.encoder)
    return backbone, math.ceil(config.image_size / backbone.ratio)


@functools.cache
def _has_fast_bf16(device: str) -> bool:
    """Whether bfloat16 saves time; CPUs without instructions for it are faster, and as good, in float32."""
    if device != "cpu":
        return True
    found: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))


class Encoder(nn.Module):
    """Image to a 256-d embedding in (-1, 1): backbone, pooling, dense, LayerNorm (eps 1e-6), tanh.

    With several cameras the same weights see each view, and the embeddings stand side by side, in the order of the
    contract. The code of ACT has one backbone for all views as well (Zhao et al. 2023, arXiv 2304.13705); robomimic has
    one for each, and concatenates their features (Mandlekar et al. 2021, arXiv 2108.03298).
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.precision, self.cameras = config.precision, config.cameras
        self.frozen = False
        self.backbone, side = _make_backbone(config)
        self.pooling = _make_pooling(config.pooling, self.backbone.channels, side, config.embeddings)
        features = self.pooling.features
        self.dense = nn.Linear(features, config.latent)
        truncated_normal_(self.dense.weight, math.sqrt(2.0 / (features + config.latent)))
        nn.init.zeros_(self.dense.bias)
        self.norm = nn.LayerNorm(config.latent, eps=1e-6)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # PyTorch's overloads lack it

    def freeze_backbone(self) -> None:
        """Let no gradient reach the backbone, and keep its BatchNorms (if it has any) as they are."""
        self.frozen = True
        self.backbone.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Encoder:
        """As for every module, but a frozen backbone stays in its evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    def precision_of(self, device: str) -> torch.autocast:
        """The context in which backbone and pooling compute: autocast to bfloat16, or none."""
        return torch.autocast(device, torch.bfloat16, enabled=self._is_low(device))

    def pixels(self, image: Tensor) -> Tensor:
        """(B, H, W, 3 * cameras) uint8 to (B * cameras, 3, H, W) in [0, 1], as the backbone expects it.

        The views of an image follow one another.
        """
        low = self._is_low(image.device.type)
        if self.cameras > 1:
            image = image.unflatten(-1, (self.cameras, 3)).permute(0, 3, 1, 2, 4).flatten(0, 1)
        return image.permute(0, 3, 1, 2).to(torch.bfloat16 if low else torch.float32).div_(255.0)

    def side_by_side(self, features: Tensor) -> Tensor:
        """Features of the views (B * cameras, D) to those of the images (B, cameras * D)."""
        return features if self.cameras == 1 else features.unflatten(0, (-1, self.cameras)).flatten(1)

    def _is_low(self, device: str) -> bool:
        return self.precision == "bf16" and _has_fast_bf16(device)

    def forward(self, image: Tensor) -> Tensor:
        """Embed images.

        Args:
            image: (B, H, W, 3 * cameras) uint8 RGB; in memory that is PyTorch's channels-last layout.
        Returns:
            (B, cameras * latent) float32.
        """
        with self.precision_of(image.device.type):
            features = self.pooling(self.backbone(self.pixels(image)))
        return self.side_by_side(torch.tanh(self.norm(self.dense(features.float()))))


class NoEncoder(nn.Module):
    """Stands in for an encoder if there are no images."""

    def freeze_backbone(self) -> None:
        """There is no backbone; nothing to do."""

    def forward(self, image: Tensor) -> Tensor:
        """Images (B, 0, 0, 0) to embeddings (B, 0) float32."""
        return image.new_zeros((len(image), 0), dtype=torch.float32)


def image_encoder(encoder: Encoder | NoEncoder) -> Encoder:
    """Return the encoder if it is one for images.

    Raises:
        PtrError: there are no images.
    """
    if isinstance(encoder, NoEncoder):
        raise PtrError("an image encoder is needed, but `networks.encoder` is none; choose one")
    return encoder


def make_encoder(config: NetworkConfig) -> Encoder | NoEncoder:
    """The encoder that `config.encoder` names."""
    return NoEncoder() if config.encoder == "none" else Encoder(config)
