# SPDX-License-Identifier: Apache-2.0
"""Distributions of scaled actions given B states: a squashed Gaussian, and one with a two-way gripper.

A Gaussian that is squashed into the box has one peak, so it can't wait with an open gripper and be ready to close it:
its mean crosses everything in between. `TanhGaussianBernoulli` gives the gripper, the last dimension, two values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ptr_models.episodes.actions import MARGIN
from ptr_models.networks.shared_batch import normal, uniform

GRIPPER = -1
"""Place of the gripper among the action dimensions."""
CLOSED, OPEN = -MARGIN, MARGIN
"""Scaled commands of a two-way gripper."""
STD_FLOOR = math.exp(-4.0)
"""Noise (raw units) that the fit of the spread adds to the data. A dimension that never moves would otherwise drive
log_std beyond the edge of its range, where no gradient brings it back."""


@dataclass(frozen=True)
class Samples:
    """N draws per state, each with all G values of a discrete gripper (G = 1 when the gripper is continuous).

    Attributes:
        actions: (B, N * G, A); the G values of a draw stand side by side.
        log_density: (B, N, C) log-densities of the C continuous dimensions.
        log_mass: (B, G) log-probabilities of the gripper's values; None when it is continuous.
    """

    actions: Tensor
    log_density: Tensor
    log_mass: Tensor | None = None


@dataclass(frozen=True)
class TanhGaussian:
    """The distribution of a = tanh(u), u ~ N(mean, exp(log_std)^2), per state.

    Attributes:
        mean, log_std: (B, A).
        head_log_std: (B, A) the same values as log_std with a gradient that reaches the weights of its head alone,
            not the layers that it shares with the mean; None: log_std.
    """

    mean: Tensor
    log_std: Tensor
    head_log_std: Tensor | None = None

    @property
    def mode(self) -> Tensor:
        """tanh(mean), (B, A): what PTR does at test time."""
        return torch.tanh(self.mean)

    def draw(self, count: int) -> Samples:
        """Reparameterised samples with the log-density of each dimension."""
        mean, log_std = self.mean.unsqueeze(1), self.log_std.unsqueeze(1)
        noise = normal(mean.shape[0], count, mean.shape[2], device=mean.device)
        raw = mean + log_std.exp() * noise
        log_normal = -0.5 * noise.square() - log_std - 0.5 * math.log(2 * math.pi)
        return Samples(torch.tanh(raw), log_normal - log_tanh_slope(raw))

    def sample(self, count: int) -> tuple[Tensor, Tensor]:
        """Reparameterised samples and their log-densities: (B, count, A), (B, count)."""
        samples = self.draw(count)
        return samples.actions, samples.log_density.sum(dim=-1)

    def sample_gripper(self) -> Tensor:
        """The mode with the gripper drawn open or closed, P(open) = (mode + 1) / 2: (B, A)."""
        mode = self.mode
        return with_gripper(mode[..., :GRIPPER], two_way((mode[..., GRIPPER] + 1) / 2))

    def log_prob(self, actions: Tensor) -> Tensor:
        """Log-density (B,) of actions (B, A) inside (-1, 1)."""
        raw = torch.atanh(actions)
        noise = (raw - self.mean) * torch.exp(-self.log_std)
        log_normal = -0.5 * noise.square() - self.log_std - 0.5 * math.log(2 * math.pi)
        return (log_normal - log_tanh_slope(raw)).sum(dim=-1)

    def squared_error(self, actions: Tensor) -> Tensor:
        """Squared error (B,) of the mode, summed over dimensions."""
        return (self.mode - actions).square().sum(dim=-1)

    def spread_error(self, actions: Tensor) -> Tensor:
        """-log N(u; mean, std) up to a constant, the mean detached: (B,). It fits log_std, and nothing else.

        Args:
            actions: (B, A) inside (-1, 1), u = atanh(a).
        """
        log_std = self.log_std if self.head_log_std is None else self.head_log_std
        squared = (torch.atanh(actions) - self.mean.detach()).square() + STD_FLOOR**2
        return (0.5 * squared * torch.exp(-2.0 * log_std) + log_std).sum(dim=-1)


@dataclass(frozen=True)
class TanhGaussianBernoulli:
    """A `TanhGaussian` of all dimensions but the last, and a gripper that is open with probability sigmoid(logit).

    The gripper's values are CLOSED and OPEN; its log-probability is a mass, not a density.

    Attributes:
        motion: of A - 1 dimensions.   logit: (B,).
    """

    motion: TanhGaussian
    logit: Tensor

    @property
    def log_mass(self) -> Tensor:
        """Log-probabilities (B, 2) of closed and open."""
        return torch.stack([functional.logsigmoid(-self.logit), functional.logsigmoid(self.logit)], dim=-1)

    @property
    def mode(self) -> Tensor:
        """The motion's mode with the more probable gripper, (B, A)."""
        return with_gripper(self.motion.mode, torch.where(self.logit > 0, OPEN, CLOSED))

    def draw(self, count: int) -> Samples:
        """Samples of the motion, each with the gripper closed and open."""
        motion = self.motion.draw(count)
        return Samples(with_both_grippers(motion.actions), motion.log_density, self.log_mass)

    def sample(self, count: int) -> tuple[Tensor, Tensor]:
        """Samples (B, count, A); the sum of the motion's log-density and the gripper's log-mass (B, count)."""
        motion, log_density = self.motion.sample(count)
        is_open = uniform(len(motion), count, device=motion.device) < torch.sigmoid(self.logit).unsqueeze(-1)
        log_mass = self.log_mass.gather(-1, is_open.long())
        return with_gripper(motion, torch.where(is_open, OPEN, CLOSED)), log_density + log_mass

    def sample_gripper(self) -> Tensor:
        """The mode with the gripper drawn by its probability: (B, A)."""
        return with_gripper(self.motion.mode, two_way(torch.sigmoid(self.logit)))

    def log_prob(self, actions: Tensor) -> Tensor:
        """Log-density of the motion plus log-mass of the gripper (open above 0): (B,) of actions (B, A)."""
        return self.motion.log_prob(actions[..., :GRIPPER]) - self._gripper_error(actions)

    def squared_error(self, actions: Tensor) -> Tensor:
        """Squared error of the motion's mode plus the gripper's binary cross-entropy: (B,)."""
        return self.motion.squared_error(actions[..., :GRIPPER]) + self._gripper_error(actions)

    def spread_error(self, actions: Tensor) -> Tensor:
        """That of the motion, (B,); see `TanhGaussian.spread_error`."""
        return self.motion.spread_error(actions[..., :GRIPPER])

    def _gripper_error(self, actions: Tensor) -> Tensor:
        is_open = (actions[..., GRIPPER] > 0).to(self.logit.dtype)
        return functional.binary_cross_entropy_with_logits(self.logit, is_open, reduction="none")


ActorDistribution = TanhGaussian | TanhGaussianBernoulli


def log_tanh_slope(raw: Tensor) -> Tensor:
    """log(1 - tanh(u)^2) in a form that does not underflow: 2 (log 2 - u - softplus(-2 u))."""
    return 2.0 * (math.log(2.0) - raw - functional.softplus(-2.0 * raw))


def with_gripper(motion: Tensor, gripper: Tensor) -> Tensor:
    """(..., A - 1) and (...) to (..., A)."""
    return torch.cat([motion, gripper.to(motion.dtype).unsqueeze(-1)], dim=-1)


def with_both_grippers(motion: Tensor) -> Tensor:
    """(B, N, A - 1) to (B, 2 N, A): each motion with the gripper closed, then open."""
    twice = motion.repeat_interleave(2, dim=1)
    values = torch.tensor([CLOSED, OPEN], device=motion.device).repeat(motion.shape[1])
    return with_gripper(twice, values.expand(twice.shape[:-1]))


def two_way(probability: Tensor) -> Tensor:
    """OPEN with a probability (B,), else CLOSED."""
    drawn = uniform(len(probability), device=probability.device)
    return torch.where(drawn < probability, OPEN, CLOSED)


def over_gripper(values: Tensor, log_mass: Tensor | None) -> Tensor:
    """Exact expectation of values (B, N * G) over the G values of the gripper: (B, N).

    Args:
        log_mass: (B, G); None: the gripper is continuous, and the values are returned as they are.
    """
    if log_mass is None:
        return values
    return (values.unflatten(-1, (-1, log_mass.shape[-1])) * log_mass.exp().unsqueeze(1)).sum(dim=-1)
