# SPDX-License-Identifier: Apache-2.0
"""Distributions of scaled actions given B states: a squashed Gaussian, and one with a two-way gripper.

A squashed Gaussian has one peak, so it can't represent both an open and a closed gripper: its mean passes through
everything in between. `TanhGaussianBernoulli` gives the gripper, the last dimension, two values.

An action may be a chunk of h steps (`action_chunks`) with A dimensions in total. One uniform number per chunk then
decides the gripper of all steps: step t is open if the number is below its probability. Each step keeps its own
probability, the gripper does not flutter within a chunk, and there are h + 1 cases to sum over instead of 2^h.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ptr_models.episodes.actions import MARGIN
from ptr_models.networks.action_chunks import split_gripper, sum_over_steps, with_gripper
from ptr_models.networks.data_parallel import normal, uniform

CLOSED, OPEN = -MARGIN, MARGIN
"""Scaled commands of a two-way gripper."""
STD_FLOOR = math.exp(-4.0)
"""Noise (raw units) that the fit of log_std adds to the data. Otherwise a dimension that never moves would drive
log_std out of its range, where it has no gradient."""
MIN_LOGIT_GAP = 1e-6
"""Smallest difference of two adjacent logits, so that the mass between them has a finite logarithm."""


@dataclass(frozen=True)
class Samples:
    """N samples per state, each with all G cases of a discrete gripper (G = 1 if it is continuous, else h + 1).

    Attributes:
        actions: (B, N * G, A); the G cases of a sample are adjacent.
        log_density: (B, N, C) log-densities of the C continuous dimensions.
        log_mass: (B, G) log-probabilities of the gripper's cases; None if it is continuous.
    """

    actions: Tensor
    log_density: Tensor
    log_mass: Tensor | None = None


@dataclass(frozen=True)
class TanhGaussian:
    """The distribution of a = tanh(u), u ~ N(mean, exp(log_std)^2), per state.

    Attributes:
        mean, log_std: (B, A).
        head_log_std: (B, A) the same values as log_std, but their gradient reaches only the weights of its head, not
            the layers shared with the mean; None: log_std.
        steps: h, of a chunk.
    """

    mean: Tensor
    log_std: Tensor
    head_log_std: Tensor | None = None
    steps: int = 1

    @property
    def mode(self) -> Tensor:
        """tanh(mean), (B, A): PTR's action at test time."""
        return torch.tanh(self.mean)

    def draw(self, count: int) -> Samples:
        """Reparameterized samples with the log-density of each dimension."""
        mean, log_std = self.mean.unsqueeze(1), self.log_std.unsqueeze(1)
        noise = normal(mean.shape[0], count, mean.shape[2], device=mean.device)
        raw = mean + log_std.exp() * noise
        log_normal = -0.5 * noise.square() - log_std - 0.5 * math.log(2 * math.pi)
        return Samples(torch.tanh(raw), log_normal - log_tanh_slope(raw))

    def sample(self, count: int) -> tuple[Tensor, Tensor]:
        """Reparameterized samples and their log-densities: (B, count, A), (B, count)."""
        samples = self.draw(count)
        return samples.actions, samples.log_density.sum(dim=-1)

    def sample_gripper(self) -> Tensor:
        """The mode with the gripper sampled open or closed, P(open) = (mode + 1) / 2: (B, A)."""
        motion, gripper = split_gripper(self.mode, self.steps)
        return with_gripper(motion, two_way((gripper + 1) / 2))

    def log_prob(self, actions: Tensor, valid: Tensor | None = None) -> Tensor:
        """Log-density (B,) of actions (B, A) inside (-1, 1).

        Args:
            valid: (B, h) 0 at steps of a chunk that are padding and don't count; None: all do.
        """
        raw = torch.atanh(actions)
        noise = (raw - self.mean) * torch.exp(-self.log_std)
        log_normal = -0.5 * noise.square() - self.log_std - 0.5 * math.log(2 * math.pi)
        return sum_over_steps(log_normal - log_tanh_slope(raw), valid)

    def squared_errors(self, actions: Tensor) -> Tensor:
        """Squared error of the mode in each dimension, (B, A)."""
        return (self.mode - actions).square()

    def spread_error(self, actions: Tensor, valid: Tensor | None = None) -> Tensor:
        """-log N(u; mean, std) up to a constant, the mean detached: (B,). It fits log_std, and nothing else.

        Args:
            actions: (B, A) inside (-1, 1), u = atanh(a).   valid: as in `log_prob`.
        """
        log_std = self.log_std if self.head_log_std is None else self.head_log_std
        squared = (torch.atanh(actions) - self.mean.detach()).square() + STD_FLOOR**2
        return sum_over_steps(0.5 * squared * torch.exp(-2.0 * log_std) + log_std, valid)


@dataclass(frozen=True)
class TanhGaussianBernoulli:
    """A `TanhGaussian` of all dimensions but the gripper, which is open with probability sigmoid(logit) in each step.

    The gripper's values are CLOSED and OPEN; its log-probability is a mass, not a density.

    Attributes:
        motion: of A - h dimensions.   logit: (B, h).
    """

    motion: TanhGaussian
    logit: Tensor

    @property
    def grippers(self) -> Tensor:
        """The cases of the gripper, (B, h + 1, h): in case k the k steps that are most probably open are open."""
        ranks = self.logit.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)
        opened = torch.arange(self.logit.shape[-1] + 1, device=ranks.device).unsqueeze(-1)
        return torch.where(ranks.unsqueeze(1) < opened, OPEN, CLOSED)

    @property
    def log_mass(self) -> Tensor:
        """Log-probabilities (B, h + 1) of the cases; of a single action: of closed and open.

        sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)).
        """
        if self.logit.shape[-1] == 1:
            return torch.cat([functional.logsigmoid(-self.logit), functional.logsigmoid(self.logit)], dim=-1)
        ordered = self.logit.sort(dim=-1, descending=True, stable=True).values
        upper, lower = ordered[..., :-1], ordered[..., 1:]
        gap = torch.log(-torch.expm1(-(upper - lower).clamp(min=MIN_LOGIT_GAP)))
        between = functional.logsigmoid(upper) + functional.logsigmoid(-lower) + gap
        never, always = functional.logsigmoid(-ordered[..., :1]), functional.logsigmoid(ordered[..., -1:])
        return torch.cat([never, between, always], dim=-1)

    @property
    def mode(self) -> Tensor:
        """The motion's mode with the more probable gripper, (B, A)."""
        return with_gripper(self.motion.mode, torch.where(self.logit > 0, OPEN, CLOSED))

    @property
    def mode_with_grippers(self) -> Tensor:
        """The motion's mode with each case of the gripper, (B, h + 1, A)."""
        return with_grippers(self.motion.mode.unsqueeze(1), self.grippers)

    def draw(self, count: int) -> Samples:
        """Samples of the motion, each with all cases of the gripper."""
        motion = self.motion.draw(count)
        return Samples(with_grippers(motion.actions, self.grippers), motion.log_density, self.log_mass)

    def sample(self, count: int) -> tuple[Tensor, Tensor]:
        """Samples (B, count, A); the sum of the motion's log-density and the gripper's log-mass (B, count)."""
        motion, log_density = self.motion.sample(count)
        drawn = uniform(len(motion), count, device=motion.device)
        is_open = drawn.unsqueeze(-1) < torch.sigmoid(self.logit).unsqueeze(1)
        log_mass = self.log_mass.gather(-1, is_open.sum(dim=-1))
        return with_gripper(motion, torch.where(is_open, OPEN, CLOSED)), log_density + log_mass

    def sample_gripper(self) -> Tensor:
        """The mode with the gripper drawn by its probability: (B, A)."""
        return with_gripper(self.motion.mode, two_way(torch.sigmoid(self.logit)))

    def log_prob(self, actions: Tensor, valid: Tensor | None = None) -> Tensor:
        """Log-density of the motion plus log-mass of the gripper (open above 0) of each step: (B,) of actions (B, A).

        In a chunk the masses of the steps are taken one by one, a composite likelihood: data may hold cases that the
        policy does not.

        Args:
            valid: as in `TanhGaussian.log_prob`.
        """
        motion, gripper = split_gripper(actions, self.logit.shape[-1])
        return self.motion.log_prob(motion, valid) - sum_over_steps(self._gripper_errors(gripper), valid)

    def squared_errors(self, actions: Tensor) -> Tensor:
        """Squared error of the motion's mode in each dimension, and the gripper's binary cross-entropy: (B, A)."""
        motion, gripper = split_gripper(actions, self.logit.shape[-1])
        return with_gripper(self.motion.squared_errors(motion), self._gripper_errors(gripper))

    def spread_error(self, actions: Tensor, valid: Tensor | None = None) -> Tensor:
        """That of the motion, (B,); see `TanhGaussian.spread_error`."""
        return self.motion.spread_error(split_gripper(actions, self.logit.shape[-1])[0], valid)

    def _gripper_errors(self, gripper: Tensor) -> Tensor:
        """Binary cross-entropy of each step, (B, h)."""
        is_open = (gripper > 0).to(self.logit.dtype)
        return functional.binary_cross_entropy_with_logits(self.logit, is_open, reduction="none")


ActorDistribution = TanhGaussian | TanhGaussianBernoulli


def log_tanh_slope(raw: Tensor) -> Tensor:
    """log(1 - tanh(u)^2) in a form that does not underflow: 2 (log 2 - u - softplus(-2 u))."""
    return 2.0 * (math.log(2.0) - raw - functional.softplus(-2.0 * raw))


def with_grippers(motion: Tensor, grippers: Tensor) -> Tensor:
    """N motions (B, N, A - h), each with G cases of the gripper (B, G, h) side by side: (B, N * G, A)."""
    cases = grippers.shape[1]
    return with_gripper(motion.repeat_interleave(cases, dim=1), grippers.repeat(1, motion.shape[1], 1))


def with_both_grippers(motion: Tensor, steps: int = 1) -> Tensor:
    """N motions (B, N, A - h), each with the gripper closed, then open: (B, 2 N, A).

    In a chunk of several steps the first case is drawn uniformly from all 2^h, the second is its opposite.
    """
    batch, count, _ = motion.shape
    if steps == 1:
        first = torch.full((batch, count, 1), CLOSED, device=motion.device)
    else:
        first = torch.where(uniform(batch, count, steps, device=motion.device) < 0.5, OPEN, CLOSED)
    return with_gripper(motion.repeat_interleave(2, dim=1), torch.stack([first, -first], dim=2).flatten(1, 2))


def two_way(probability: Tensor) -> Tensor:
    """OPEN with probabilities (B, h), else CLOSED; one number decides all steps of a chunk."""
    drawn = uniform(len(probability), device=probability.device)
    return torch.where(drawn.unsqueeze(-1) < probability, OPEN, CLOSED)


def over_gripper(values: Tensor, log_mass: Tensor | None) -> Tensor:
    """Exact expectation of values (B, N * G) over the G cases of the gripper: (B, N).

    Args:
        log_mass: (B, G); None: the gripper is continuous, and the values are returned as they are.
    """
    if log_mass is None:
        return values
    return (values.unflatten(-1, (-1, log_mass.shape[-1])) * log_mass.exp().unsqueeze(1)).sum(dim=-1)
