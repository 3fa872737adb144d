# SPDX-License-Identifier: Apache-2.0
"""Sizes and options of the networks, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field

from ptr_models.networks.method_configs import (
    AutoregressiveConfig,
    MaskedDecoderConfig,
    MultilinearValueConfig,
    TransformerConfig,
)

VISION_TRANSFORMERS = ("vit_tiny", "vit_b16")
BACKBONES = ("resnet_small", "resnet18", "resnet34", "resnet50", "tiny", "resnet50_batchnorm", *VISION_TRANSFORMERS)
ENCODERS = (*BACKBONES, "none")
POOLINGS = ("spatial_embeddings", "spatial_softmax", "embeddings_and_softmax", "mean", "class_token")
PRECISIONS = ("fp32", "bf16")
GRIPPERS = ("gaussian", "bernoulli")


@dataclass(frozen=True)
class NetworkConfig:
    """Networks of actor and critic. The defaults are PTR's.

    Attributes:
        encoder: one of ENCODERS. `tiny` is for 64x64 images on a CPU; `resnet50_batchnorm` is the ResNet-50 of R3M;
            `vit_tiny` and `vit_b16` are Vision Transformers; the other ResNets are the paper's; `none` is for
            contracts without cameras.
        image_size: height and width of the (square) image, pixels; learned embeddings tie a checkpoint to it.
        cameras: views in an image, stacked along its channels. One encoder processes each view, and the embeddings are
            concatenated. A goal image has as many views as the image.
        pooling: from the feature map to a vector, one of POOLINGS; `class_token` is for Vision Transformers.
        embeddings: learned spatial masks per channel.
        latent: width of the bottleneck, the embedding of one view.
        hidden: widths of the hidden layers of actor and critic.
        num_critics: size of the ensemble on one critic encoder.
        critic_injection: feed action and embedding to every layer of the critic (PTR), not only to the first.
        critic_layer_norm: normalize the hidden layers of the critic (not in PTR).
        critic_proprioception: give the critic the arm's state in addition to the image (not in PTR).
        state_center, state_scale: the actor's input is (state - center) / scale; PTR does not normalize: 0 and 1.
        gripper: the gripper's distribution in the actor of ptr, bc and awr, one of GRIPPERS: the last dimension of the
            Gaussian (PTR), or a probability of open versus closed.
        precision: arithmetic of the encoders. bf16 is used on GPUs and on processors with AMX or avx512_bf16; others
            compute in fp32. Everything after the embedding is fp32.
        weights: initial weights: a file with published weights of the backbone (R3M's for `resnet50_batchnorm`, MAE's
            for `vit_b16`), or the folder of a run with the same encoder; empty: random.
        autoregressive, transformer, masked_decoder, multilinear_value: networks of autoregressive_bc, bet,
            masked_autoencoder and icvf.
    """

    encoder: str = "resnet34"
    image_size: int = 128
    cameras: int = 1
    pooling: str = "spatial_embeddings"
    embeddings: int = 8
    latent: int = 256
    hidden: tuple[int, ...] = (256, 256, 256)
    num_critics: int = 2
    critic_injection: bool = True
    critic_layer_norm: bool = False
    critic_proprioception: bool = False
    state_center: tuple[float, ...] = (0.0,) * 7
    state_scale: tuple[float, ...] = (1.0,) * 7
    gripper: str = "gaussian"
    precision: str = "bf16"
    weights: str = ""
    autoregressive: AutoregressiveConfig = field(default_factory=AutoregressiveConfig)
    transformer: TransformerConfig = field(default_factory=TransformerConfig)
    masked_decoder: MaskedDecoderConfig = field(default_factory=MaskedDecoderConfig)
    multilinear_value: MultilinearValueConfig = field(default_factory=MultilinearValueConfig)

    def __post_init__(self) -> None:
        choices = (("encoder", ENCODERS), ("pooling", POOLINGS), ("gripper", GRIPPERS), ("precision", PRECISIONS))
        for name, known in choices:
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is {getattr(self, name)!r}; known: {', '.join(known)}")
        if self.pooling == "class_token" and self.encoder not in VISION_TRANSFORMERS:
            raise ValueError(f"pooling class_token needs one of {', '.join(VISION_TRANSFORMERS)}, not {self.encoder}")
        if self.encoder == "none" and self.weights:
            raise ValueError("weights need a backbone, but encoder is 'none'; omit them")
        if self.encoder == "none" and not self.critic_proprioception:
            raise ValueError("critic_proprioception must be true if encoder is 'none': the critic would have no input")
        if len(self.state_center) != len(self.state_scale):
            raise ValueError("state_center and state_scale must have the same length")
        if min(self.state_scale) <= 0:
            raise ValueError(f"state_scale is {self.state_scale}; every scale must be positive")

    @property
    def latent_width(self) -> int:
        """Width of the image embedding: `latent` for each camera, or 0 without an encoder."""
        return 0 if self.encoder == "none" else self.cameras * self.latent
