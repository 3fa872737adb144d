# SPDX-License-Identifier: Apache-2.0
"""PTR: offline actor-critic with the conservative term of CQL(H), to be read beside the paper.

Kumar et al., "Pre-Training for Robots", RSS 2023 (arXiv 2210.05178); Kumar et al., "Conservative Q-Learning",
NeurIPS 2020. B states, E critics, N actions per source, A action dimensions. Images are encoded once per
network and step; samples of actions reuse the embedding. Everything after the embedding is float32.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ptr_models.algorithms.batch import Transitions
from ptr_models.algorithms.config import AlgorithmConfig
from ptr_models.networks import Actor, Critic, NetworkConfig, TanhGaussian
from ptr_models.networks.shared_batch import averaging_gradients, uniform

VALUE_RANGE = (-25.0, 10.0)  # what rewards -1 and 10 at discount 0.96 allow; values outside are an alarm


# --------------------------------------------------------------------------- the losses
def bellman_target(reward: Tensor, mask: Tensor, target_q: Tensor, discount: float) -> Tensor:
    """y = r + gamma m max_j min_k Q_k(s', a'_j): pessimistic over critics, then the best of the samples.

    Args:
        reward, mask: (B,).   target_q: (E, B, N) of the target critics at N policy samples in s'.
    Returns:
        (B,), without gradient.
    """
    value = target_q.min(dim=0).values.max(dim=-1).values
    return (reward + discount * mask * value).detach()


def conservative_gap(q_data: Tensor, q_policy: Tensor, log_pi: Tensor, q_uniform: Tensor, dimensions: int) -> Tensor:
    """log sum exp of Q over M policy and N uniform actions, importance-weighted, minus Q of the data action.

    Args:
        q_data: (E, B).   q_policy: (E, B, M).   q_uniform: (E, B, N).
        log_pi: (B, M) log-densities of the policy samples, without gradient.
        dimensions: A; uniform actions have density (1/2)^A.
    Returns:
        (E, B).
    """
    log_uniform = dimensions * math.log(0.5)
    weighted = torch.cat([q_policy - log_pi, q_uniform - log_uniform], dim=-1)
    return torch.logsumexp(weighted, dim=-1) - q_data


def critic_loss(q_data: Tensor, target: Tensor, gap: Tensor, alpha: float) -> tuple[Tensor, Tensor, Tensor]:
    """Mean squared Bellman error (no 1/2) + alpha * mean conservative gap, over critics and states.

    Args:
        q_data, gap: (E, B).   target: (B,).
    Returns:
        the loss, its Bellman part, the mean gap.
    """
    bellman_error = (q_data - target).square().mean()
    return bellman_error + alpha * gap.mean(), bellman_error, gap.mean()


def actor_loss(q: Tensor, log_pi: Tensor, temperature: Tensor, critics: str = "min") -> Tensor:
    """mean of T log pi(a|s) - min_k Q_k(s, a), a ~ pi reparameterised.

    Args:
        q: (E, B, N).   log_pi: (B, N).
        critics: `min` (PTR), or `mean` of the ensemble, as REDQ has it.
    """
    value = q.min(dim=0).values if critics == "min" else q.mean(dim=0)
    return (temperature * log_pi - value).mean()


def imitation_loss(policy: TanhGaussian, action: Tensor, kind: str, success: Tensor | None = None) -> Tensor:
    """Squared error of the mode, summed over dimensions, or minus the log-likelihood; mean over states.

    Args:
        success: (B,) 0 where the episode failed: such actions count as 0, since they are not to be imitated.
    """
    squared = kind == "squared"
    error = (policy.mode - action).square().sum(dim=-1) if squared else -policy.log_prob(action)
    return error.mean() if success is None else (error * success).mean()


def temperature_loss(log_temperature: Tensor, entropy: Tensor, target_entropy: float) -> Tensor:
    """T (H - target): its gradient with respect to log T lowers T while the policy is too random."""
    return log_temperature.exp() * (entropy.detach() - target_entropy)


@torch.no_grad()
def polyak_update(target: nn.Module, online: nn.Module, fraction: float) -> None:
    """target <- (1 - fraction) target + fraction online, encoder and Q-functions alike."""
    torch._foreach_lerp_(list(target.parameters()), list(online.parameters()), fraction)


# --------------------------------------------------------------------------- one update
class Ptr:
    """Actor, twin critics, their slow targets, the temperature, and the update that trains them."""

    batches = "transitions"

    def __init__(self, config: AlgorithmConfig, networks: NetworkConfig, tasks: int, device: str = "cpu") -> None:
        """Initialise all networks from PyTorch's global random state; K = tasks columns of the one-hot."""
        self.config, self.device = config, torch.device(device)
        self.actor = Actor(networks, tasks).to(self.device)
        self.critic = Critic(networks, tasks).to(self.device)
        self.target_critic = frozen_copy(self.critic)
        self.average_actor = frozen_copy(self.actor) if config.actor_average > 0 else None
        self.log_temperature = nn.Parameter(torch.zeros((), device=self.device))
        self.optimisers = {
            "actor": adam(self.actor.parameters(), config.actor_rate),
            "critic": adam(self.critic.parameters(), config.critic_rate),
            "temperature": adam([self.log_temperature], config.temperature_rate),
        }

    @property
    def modules(self) -> dict[str, nn.Module]:
        """What a checkpoint stores, by name."""
        modules = {"actor": self.actor, "critic": self.critic, "target_critic": self.target_critic}
        return modules if self.average_actor is None else modules | {"average_actor": self.average_actor}

    def update(self, batch: Transitions, step: int) -> dict[str, Tensor]:
        """One update of critic, targets, actor and temperature, in PTR's order; `step` counts from 0.

        Returns:
            metrics as 0-d tensors without gradient.
        """
        imitate_only = step < self.config.bc_warmup
        policy = self.actor(batch.image, batch.state, batch.task)  # its samples train the critic, itself later
        metrics: dict[str, Tensor] = {}
        if not imitate_only or self.config.critic_in_warmup:
            metrics |= self._update_critic(batch, policy)
            polyak_update(self.target_critic, self.critic, self.config.polyak)
        if imitate_only:
            metrics |= self._imitate(batch, policy)
        else:
            actor_metrics, entropy = self._update_actor(batch, policy)
            metrics |= actor_metrics | self._update_temperature(entropy)
        if self.average_actor is not None:
            average_weights(self.average_actor, self.actor, self.config.actor_average, step)
        return metrics

    def _update_critic(self, batch: Transitions, policy: TanhGaussian) -> dict[str, Tensor]:
        config = self.config
        with torch.no_grad():
            next_policy = self.actor(batch.next_image, batch.next_state, batch.task)
            target = self._target(batch, next_policy)
            policy_actions, log_pi, uniform_actions = self._contrast(policy, next_policy)

        actions = torch.cat([batch.action.unsqueeze(1), policy_actions, uniform_actions], dim=1)
        embedding = self.critic.encode(batch.image, batch.state)
        q = self.critic.q(embedding, batch.task, actions)
        q_data, q_policy, q_uniform = q[..., 0], *q[..., 1:].split([log_pi.shape[1], config.samples], dim=-1)
        bounded = torch.maximum(q_policy, batch.mc_return[:, None]) if config.calibrated else q_policy
        gap = conservative_gap(q_data, bounded, log_pi, q_uniform, actions.shape[-1])
        loss, bellman_error, mean_gap = critic_loss(q_data, target, gap, config.alpha)
        descend(self.optimisers["critic"], loss)
        outside = (target < VALUE_RANGE[0]) | (target > VALUE_RANGE[1])
        return {
            "critic_loss": loss.detach(),
            "bellman_error": bellman_error.detach(),
            "cql_gap": mean_gap.detach(),
            "q_data": q_data.detach().mean(),
            "q_policy": q_policy.detach().mean(),
            "q_uniform": q_uniform.detach().mean(),
            "q_minus_return": (q_data.detach().mean(dim=0) - batch.mc_return).mean(),
            "target": target.mean(),
            "target_outside": outside.float().mean(),
        }

    def _target(self, batch: Transitions, next_policy: TanhGaussian) -> Tensor:
        """Bellman targets (B,) from the target critics, or (REDQ) a few of them drawn for this update."""
        config = self.config
        next_actions, _ = next_policy.sample(config.samples if config.max_backup else 1)
        next_embedding = self.target_critic.encode(batch.next_image, batch.next_state)
        target_q = self.target_critic.q(next_embedding, batch.task, next_actions)
        if config.target_subset:
            chosen = torch.randperm(len(target_q))[: config.target_subset].tolist()
            target_q = torch.stack([target_q[k] for k in chosen])
        target = bellman_target(batch.reward, batch.mask, target_q, config.discount)
        return target.clamp(*config.target_bounds) if config.target_bounds else target

    def _contrast(self, policy: TanhGaussian, next_policy: TanhGaussian) -> tuple[Tensor, Tensor, Tensor]:
        """Actions that the conservative term pushes down: the policies' (B, M, A) with log-densities, uniform ones."""
        samples = self.config.samples
        policy_actions, log_pi = policy.sample(samples)
        batch, _, dimensions = policy_actions.shape
        uniform_actions = uniform(batch, samples, dimensions, device=policy_actions.device) * 2 - 1
        if self.config.next_policy_actions:
            next_actions, next_log_pi = next_policy.sample(samples)
            policy_actions = torch.cat([policy_actions, next_actions], dim=1)
            log_pi = torch.cat([log_pi, next_log_pi], dim=1)
        return policy_actions, log_pi, uniform_actions

    def _update_actor(self, batch: Transitions, policy: TanhGaussian) -> tuple[dict[str, Tensor], Tensor]:
        config = self.config
        with torch.no_grad():
            embedding = self.critic.encode(batch.image, batch.state)  # with the critic of this step
        actions, log_pi = policy.sample(1)
        self.critic.requires_grad_(False)
        q = self.critic.q(embedding, batch.task, actions)
        self.critic.requires_grad_(True)
        loss = actor_loss(q, log_pi, self.log_temperature.detach().exp(), config.actor_critics)
        if config.bc_weight > 0:
            loss = loss + config.bc_weight * imitation_loss(policy, batch.action, config.bc_loss, batch.success)
        descend(self.optimisers["actor"], loss)
        entropy = -log_pi.detach().mean()
        metrics = {
            "actor_loss": loss.detach(),
            "entropy": entropy,
            "actor_mse": mode_error(policy, batch.action),
        }
        return metrics, entropy

    def _imitate(self, batch: Transitions, policy: TanhGaussian) -> dict[str, Tensor]:
        loss = imitation_loss(policy, batch.action, self.config.bc_loss, batch.success)
        descend(self.optimisers["actor"], loss)
        return {"actor_loss": loss.detach(), "actor_mse": mode_error(policy, batch.action)}

    def _update_temperature(self, entropy: Tensor) -> dict[str, Tensor]:
        loss = temperature_loss(self.log_temperature, entropy, self.config.target_entropy)
        descend(self.optimisers["temperature"], loss)
        return {"temperature": self.log_temperature.detach().exp()}


def average_weights(average: nn.Module, online: nn.Module, decay: float, step: int) -> None:
    """Running average of weights; the decay grows from 0.1 to its value, to forget the first weights."""
    polyak_update(average, online, 1.0 - min(decay, (1 + step) / (10 + step)))


def frozen_copy(module: nn.Module) -> nn.Module:
    """A copy with the same weights that no gradient reaches."""
    return copy.deepcopy(module).requires_grad_(False)


def mode_error(policy: TanhGaussian, action: Tensor) -> Tensor:
    """Mean squared error per dimension of the mode to the data action, scaled units."""
    return (policy.mode - action).square().mean().detach()


def trainable(module: nn.Module) -> list[nn.Parameter]:
    """The parameters of a module that are not frozen."""
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def adam(parameters: list[nn.Parameter] | object, rate: float) -> torch.optim.Adam:
    """Adam as in PTR: betas 0.9 and 0.999, eps 1e-8, no weight decay."""
    return torch.optim.Adam(parameters, lr=rate, fused=True)  # type: ignore[arg-type]


def descend(
    optimisers: torch.optim.Optimizer | Sequence[torch.optim.Optimizer], loss: Tensor, clip_norm: float = 0.0
) -> None:
    """One step down the gradient of `loss`, which reaches no other parameters than those of the optimisers.

    Args:
        clip_norm: largest norm of the gradient of all their parameters together; 0: any.
    """
    chosen = [optimisers] if isinstance(optimisers, torch.optim.Optimizer) else list(optimisers)
    for optimiser in chosen:
        optimiser.zero_grad(set_to_none=True)
    with averaging_gradients(chosen):
        loss.backward()
    if clip_norm > 0:
        groups = [group["params"] for optimiser in chosen for group in optimiser.param_groups]
        nn.utils.clip_grad_norm_([parameter for group in groups for parameter in group], clip_norm)
    for optimiser in chosen:
        optimiser.step()
