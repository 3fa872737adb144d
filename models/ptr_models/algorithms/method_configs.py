# SPDX-License-Identifier: Apache-2.0
"""Options of the losses of single methods, as plain data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BetConfig:
    """Losses and optimizer of the Behavior Transformer; defaults as published for the kitchen.

    Attributes:
        focal_gamma: exponent of the focal loss on the class; 0 is cross-entropy.
        offset_weight: s, weight of the squared error of the offset (mean over dimensions). Published: 1000 for the
            kitchen with 64 modes, 500 for CARLA with 32 modes (both with actions in about [-1, 1], as here), 100 000
            for block pushing, whose actions are 100 times smaller.
        weight_decay: of AdamW, on weight matrices only.
        gradient_clip: largest gradient norm over all weights.
    """

    focal_gamma: float = 2.0
    offset_weight: float = 1000.0
    weight_decay: float = 0.1
    gradient_clip: float = 1.0

    def __post_init__(self) -> None:
        if min(self.focal_gamma, self.offset_weight, self.weight_decay) < 0 or self.gradient_clip <= 0:
            raise ValueError("focal_gamma, offset_weight and weight_decay must not be negative, gradient_clip positive")


@dataclass(frozen=True)
class AwrConfig:
    """Advantage-weighted regression (Peng et al. 2019).

    Attributes:
        beta: temperature of the weights exp(A / beta), in units of Q.
        max_weight: upper bound of a weight.
    """

    beta: float = 0.3
    max_weight: float = 20.0

    def __post_init__(self) -> None:
        if min(self.beta, self.max_weight) <= 0:
            raise ValueError(f"beta is {self.beta} and max_weight {self.max_weight}; both must be positive")


@dataclass(frozen=True)
class ContrastiveConfig:
    """Time-contrastive pre-training; defaults as in R3M.

    Attributes:
        lr: learning rate of Adam.
        l1, l2: weights of the penalties that keep the features sparse and small.
    """

    lr: float = 1e-4
    l1: float = 1e-5
    l2: float = 1e-5


@dataclass(frozen=True)
class MaskedConfig:
    """Masked-autoencoder pre-training; defaults as published.

    Attributes:
        ratio: share of the patches that are hidden.
        norm_pix_loss: predict patches with zero mean and unit variance.
        base_lr: learning rate of AdamW for a batch of 256 images; it scales with the batch size.
        warmup: share of the updates in which the rate rises linearly from 0 (published: 40 of 800 epochs).
        updates: number of updates after which the rate is 0; it falls by a half-cycle cosine after the warm-up. 0: the
            length of the pre-training run, see `training.representation`; if there is none, the rate is constant.
        weight_decay: of AdamW, on weight matrices only.
    """

    ratio: float = 0.75
    norm_pix_loss: bool = True
    base_lr: float = 1.5e-4
    warmup: float = 0.05
    updates: int = 0
    weight_decay: float = 0.05

    def __post_init__(self) -> None:
        if not 0.0 < self.ratio < 1.0:
            raise ValueError(f"ratio is {self.ratio}; it must be between 0 and 1")
        if not 0.0 <= self.warmup < 1.0 or self.updates < 0:
            raise ValueError(
                f"warmup is {self.warmup} and updates {self.updates}; warmup must be in [0, 1), updates at least 0"
            )


@dataclass(frozen=True)
class IcvfConfig:
    """Values of videos without actions; defaults are those of the authors' code (github.com/dibyaghosh/icvf_release).

    Its target network follows with `algorithm.tau`, which is 0.005 there as well. The V-PTR paper's numbers for Ego4D
    are not in its code, which starts from a trained encoder. One difference: a future frame is at least one step ahead
    here, so the state itself is drawn only by `current_goal`, or by chance among all frames.

    Attributes:
        discount: gamma of the values; that of PTR is `algorithm.discount`.
        expectile: of the loss (tau in the paper); 0.5 values the average of the videos, values near 1 the best of them.
        lr, epsilon: learning rate and epsilon of Adam, published for images; for vectors: 3e-4 and 1e-8.
        random_goal, future_goal, current_goal: shares of outcomes and intents that are any frame of all videos, a later
            frame of the same video, and the state itself; they add up to 1.
        same_goal: share of outcomes that are the intent itself.
    """

    discount: float = 0.99
    expectile: float = 0.9
    lr: float = 5e-5
    epsilon: float = 3.125e-4
    random_goal: float = 0.3
    future_goal: float = 0.5
    current_goal: float = 0.2
    same_goal: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 <= self.discount < 1.0 or not 0.0 < self.expectile < 1.0:
            raise ValueError(
                f"discount is {self.discount} and expectile {self.expectile}; they must be in [0, 1) and (0, 1)"
            )
        if min(self.lr, self.epsilon) <= 0:
            raise ValueError(f"lr is {self.lr} and epsilon {self.epsilon}; both must be positive")
        goals = (self.random_goal, self.future_goal, self.current_goal)
        if min(goals) < 0 or abs(sum(goals) - 1.0) > 1e-6:
            raise ValueError(
                f"random_goal, future_goal and current_goal are {', '.join(map(str, goals))}; their sum must be 1"
            )
        if not 0.0 <= self.same_goal <= 1.0:
            raise ValueError(f"same_goal is {self.same_goal}; it must be in [0, 1]")
