# SPDX-License-Identifier: Apache-2.0
"""Options of the networks that only some methods use, as plain data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AutoregressiveConfig:
    """The binned policy of autoregressive behavior cloning; defaults as in PTR's code.

    Attributes:
        bins: per action dimension.
        beam: width of the search for the mode.
        output_gain: of the initial weights of the logits; small means that all bins are about equally likely at first.
    """

    bins: int = 100
    beam: int = 20
    output_gain: float = 1e-4

    def __post_init__(self) -> None:
        if min(self.bins, self.beam) < 1:
            raise ValueError(f"bins is {self.bins} and beam {self.beam}; both must be at least 1")


@dataclass(frozen=True)
class TransformerConfig:
    """The causal transformer of the Behavior Transformer; defaults as published for the kitchen.

    Attributes:
        window: maximum number of frames that it sees.
        modes: clusters of actions (k); published: 64 for the kitchen, 32 for CARLA, 24 for block pushing.
        layers, heads, width: of the transformer; width is a multiple of heads.
        dropout: rate while training.
    """

    window: int = 10
    modes: int = 64
    layers: int = 6
    heads: int = 6
    width: int = 120
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if min(self.window, self.modes, self.layers, self.heads) < 1:
            raise ValueError("window, modes, layers and heads must be at least 1")
        if self.width % self.heads:
            raise ValueError(f"width is {self.width}; it must be a multiple of heads, {self.heads}")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout is {self.dropout}; it must be in [0, 1)")


@dataclass(frozen=True)
class MaskedDecoderConfig:
    """The decoder of the masked autoencoder, used in pre-training only; defaults as published.

    Attributes:
        layers, heads, width: of its transformer; width is a multiple of heads and of 4.
    """

    layers: int = 8
    heads: int = 16
    width: int = 512

    def __post_init__(self) -> None:
        if self.width % self.heads or self.width % 4:
            raise ValueError(f"width is {self.width}; it must be a multiple of 4 and of heads, {self.heads}")


@dataclass(frozen=True)
class MultilinearValueConfig:
    """The values of videos on the embeddings of an encoder, used in pre-training only; defaults as in ICVF's code.

    Attributes:
        hidden: widths of the layers of phi, psi and T.
        members: size of the ensemble.
    """

    hidden: tuple[int, ...] = (256, 256)
    members: int = 2

    def __post_init__(self) -> None:
        if self.members < 1 or not self.hidden or min(self.hidden) < 1:
            raise ValueError(f"members is {self.members} and hidden {self.hidden}; give at least one of each")
