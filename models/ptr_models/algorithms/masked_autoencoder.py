# SPDX-License-Identifier: Apache-2.0
"""Masked-autoencoder pre-training of a Vision Transformer: hide most patches, predict their pixels.

He et al., "Masked Autoencoders Are Scalable Vision Learners", CVPR 2022 (arXiv 2111.06377). B images of N
patches, V of which stay visible, P = patch^2 * channels values per patch.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ptr_models.algorithms.batch import Transitions
from ptr_models.algorithms.bet import BETAS, decayed_groups
from ptr_models.algorithms.config import AlgorithmConfig
from ptr_models.algorithms.cql import optimizer_step
from ptr_models.algorithms.method_configs import MaskedConfig
from ptr_models.common.errors import PtrError
from ptr_models.networks import Actor, NetworkConfig
from ptr_models.networks.data_parallel import global_batch_size, uniform
from ptr_models.networks.encoder import image_encoder
from ptr_models.networks.masked_decoder import MaskedDecoder, patchify
from ptr_models.networks.vit import VisionTransformer


# --------------------------------------------------------------------------- the loss
def visible_patches(noise: Tensor, ratio: float) -> Tensor:
    """Indices (B, V) of the patches that stay, V = floor(N (1 - ratio)) but at least 1.

    Args:
        noise: (B, N) uniform; patches with the smallest values stay, so all subsets are equally likely.
    """
    visible = max(int(noise.shape[1] * (1.0 - ratio)), 1)
    return noise.argsort(dim=1)[:, :visible]


def normalized(patches: Tensor) -> Tensor:
    """Patches (B, N, P) with zero mean and unit variance each."""
    variance, mean = torch.var_mean(patches, dim=-1, keepdim=True)
    return (patches - mean) / (variance + 1e-6).sqrt()


def reconstruction_loss(predicted: Tensor, patches: Tensor, visible: Tensor) -> Tensor:
    """Mean squared error over the hidden patches.

    Args:
        predicted, patches: (B, N, P).   visible: (B, V) indices of the patches that were seen.
    """
    hidden = torch.ones(patches.shape[:2], device=patches.device).scatter(1, visible, 0.0)
    error = (predicted - patches).square().mean(dim=-1)
    return (error * hidden).sum() / hidden.sum()


# --------------------------------------------------------------------------- the learning rate
REFERENCE_BATCH = 256
"""Batch size that `base_lr` refers to."""


def learning_rate(options: MaskedConfig, images: int, step: int) -> float:
    """Learning rate after `step` updates: linear warm-up from 0, then half a cosine down to 0.

    Args:
        images: per update, in all processes together.
    """
    peak = options.base_lr * images / REFERENCE_BATCH
    if not options.updates:
        return peak
    warmup = options.warmup * options.updates
    if step < warmup:
        return peak * step / warmup
    share = min((step - warmup) / (options.updates - warmup), 1.0)
    return peak * 0.5 * (1.0 + math.cos(math.pi * share))


# --------------------------------------------------------------------------- one update
class MaskedAutoencoder:
    """Trains an actor's Vision Transformer, with a decoder. `algorithm.next_algorithm` trains the rest of the actor."""

    critic = None
    batches = "transitions"

    def __init__(self, config: AlgorithmConfig, networks: NetworkConfig, tasks: int, device: str = "cpu") -> None:
        """Initialize the networks from PyTorch's global random state; K = tasks columns of the one-hot.

        Raises:
            PtrError: the encoder is not a Vision Transformer.
        """
        self.config, self.device = config, torch.device(device)
        self.actor = Actor(networks, tasks, config.chunk).to(self.device)
        self._encoder = image_encoder(self.actor.encoder)
        transformer = self._encoder.backbone
        if not isinstance(transformer, VisionTransformer):
            raise PtrError(f"masked_autoencoder needs a Vision Transformer, e.g. vit_tiny, not {networks.encoder}")
        self._transformer = transformer
        self.decoder = MaskedDecoder(networks.masked_decoder, transformer).to(self.device)
        self.log_temperature = nn.Parameter(torch.zeros((), device=self.device))
        self.optimizers = {"actor": self._adamw(transformer), "decoder": self._adamw(self.decoder)}

    def _adamw(self, module: nn.Module) -> torch.optim.AdamW:
        options = self.config.masked
        return torch.optim.AdamW(
            decayed_groups(module, options.weight_decay), lr=options.base_lr, betas=BETAS, fused=True
        )

    @property
    def modules(self) -> dict[str, nn.Module]:
        """What a checkpoint stores, by name."""
        return {"actor": self.actor, "decoder": self.decoder}

    def update(self, batch: Transitions, step: int) -> dict[str, Tensor]:
        """One update of encoder and decoder."""
        options, encoder, transformer = self.config.masked, self._encoder, self._transformer
        prepared = transformer.prepare(encoder.pixels(batch.image))
        patches = patchify(prepared.float(), transformer.patch)
        target = normalized(patches) if options.norm_pix_loss else patches
        noise = uniform(*patches.shape[:2], device=patches.device)
        visible = visible_patches(noise, options.ratio)
        with encoder.precision_of(batch.image.device.type):
            predicted = self.decoder(transformer.encode(prepared, visible), visible)
        loss = reconstruction_loss(predicted.float(), target, visible)
        rate = learning_rate(options, global_batch_size(len(prepared)), step)
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = rate
        optimizer_step(list(self.optimizers.values()), loss)
        return {"reconstruction_loss": loss.detach(), "learning_rate": loss.detach().new_full((), rate)}
