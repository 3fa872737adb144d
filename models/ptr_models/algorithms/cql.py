# SPDX-License-Identifier: Apache-2.0
"""PTR: offline actor-critic with the conservative term of CQL(H), in the order of the paper.

Kumar et al., "Pre-Training for Robots", RSS 2023 (arXiv 2210.05178); Kumar et al., "Conservative Q-Learning",
NeurIPS 2020. B states, E critics, N actions per source, A action dimensions. Each network encodes the images once per
step; sampled actions reuse the embedding. Everything after the embedding is float32. A two-way gripper has G = 2
values: each motion sample is combined with both, and expectations over them are exact.

With `chunk` h an action is a chunk of h actions (Li, Zhou & Levine, "Reinforcement Learning with Action Chunking",
2025, arXiv 2507.07969): A = 7 h, and a transition goes from s_t to s_{t+h}. If the episode ends earlier, the chunk has
fewer steps; `valid` marks them, and the padding is not imitated.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from ptr_models.algorithms.batch import Transitions
from ptr_models.algorithms.config import AUTO, AlgorithmConfig
from ptr_models.networks import Actor, ActorDistribution, Critic, NetworkConfig, TanhGaussianBernoulli
from ptr_models.networks.action_chunks import split_gripper, sum_over_steps, with_gripper
from ptr_models.networks.data_parallel import averaging_gradients, uniform
from ptr_models.networks.distributions import Samples, over_gripper, with_both_grippers

Network = TypeVar("Network", bound=nn.Module)
TRANSLATION, ROTATION = (0, 1, 2), (3, 4, 5)
VALUE_RANGE = (
    -25.0,
    10.0,
)  # possible returns with rewards -1 and 10, discount 0.96; outside: a warning sign


# --------------------------------------------------------------------------- the losses
def bellman_target(
    reward: Tensor, mask: Tensor, target_q: Tensor, discount: float | Tensor, log_mass: Tensor | None = None
) -> Tensor:
    """y = r + gamma m max_j E_g min_k Q_k(s', a'_j, g): pessimistic over critics, then the best of the samples.

    Args:
        reward, mask: (B,).   target_q: (E, B, N * G) of the target critics at N policy samples in s'.
        discount: gamma, or (B,) gamma^n for chunks of n steps; `reward` is then discounted within the chunk.
        log_mass: (B, G) of the gripper in s'; None: a continuous gripper.
    Returns:
        (B,), without gradient.
    """
    value = over_gripper(target_q.min(dim=0).values, log_mass).max(dim=-1).values
    return (reward + discount * mask * value).detach()


def conservative_gap(
    q_data: Tensor, q_policy: Tensor, log_pi: Tensor, q_uniform: Tensor, dimensions: int | Tensor
) -> Tensor:
    """log sum exp of Q over M policy and N uniform actions, importance-weighted, minus Q of the data action.

    Args:
        q_data: (E, B).   q_policy: (E, B, M).   q_uniform: (E, B, N).
        log_pi: (B, M) log-densities of the policy samples, without gradient.
        dimensions: A; uniform actions have density (1/2)^A. An (N,) tensor if each uniform action differs from the data
            action in its own set of dimensions. A two-way gripper is summed over, not sampled: M and N contain both of
            its values, and neither log_pi nor A counts it. In a chunk, N contains two of the 2^h gripper sequences, so
            the gripper counts as h - 1 dimensions.
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


def actor_loss(
    q: Tensor,
    log_pi: Tensor,
    temperature: Tensor,
    critics: str = "min",
    q_weight: float = 1.0,
    log_mass: Tensor | None = None,
) -> Tensor:
    """mean of T log pi(a|s) - w E_g min_k Q_k(s, a, g), a ~ pi reparameterized.

    Args:
        q: (E, B, N * G).   log_pi: (B, N).
        critics: `min` (PTR), or `mean` of the ensemble, as in REDQ.
        q_weight: w, 1 in PTR.
        log_mass: (B, G) of the gripper, which carries its gradient; None: a continuous gripper.
    """
    return (temperature * log_pi - q_weight * expected_value(q, critics, log_mass)).mean()


def expected_value(q: Tensor, critics: str, log_mass: Tensor | None) -> Tensor:
    """E_g min_k Q_k(s, a, g), or with the mean over critics: (B, N), from q (E, B, N * G) and log_mass (B, G)."""
    return over_gripper(q.min(dim=0).values if critics == "min" else q.mean(dim=0), log_mass)


def log_likelihood(samples: Samples) -> Tensor:
    """log pi (B, N) of samples. A two-way gripper adds its negative entropy, the exact mean of its log-mass."""
    log_density = samples.log_density.sum(dim=-1)
    if samples.log_mass is None:
        return log_density
    return log_density + (samples.log_mass.exp() * samples.log_mass).sum(dim=-1, keepdim=True)


def imitation_loss(
    policy: ActorDistribution,
    action: Tensor,
    kind: str,
    weight: Tensor | None = None,
    gripper: float = 1.0,
    valid: Tensor | None = None,
) -> Tensor:
    """Squared error of the mode, summed over dimensions, or minus the log-likelihood; mean over states.

    For a two-way gripper, `squared` means binary cross-entropy.

    Args:
        weight: (B,) of each state, e.g. 0 where the episode failed and should not be imitated.
        gripper: factor of the gripper's squared error (not of a likelihood).
        valid: (B, h) 1 at the steps of a chunk that are imitated; None: a single action.
    """
    if kind == "squared":
        steps = 1 if valid is None else valid.shape[-1]
        motion, gripper_errors = split_gripper(policy.squared_errors(action), steps)
        error = sum_over_steps(motion, valid) + gripper * sum_over_steps(gripper_errors, valid)
    else:
        error = -policy.log_prob(action, valid)
    return error.mean() if weight is None else (error * weight).mean()


def spread_loss(
    policy: ActorDistribution, action: Tensor, kind: str, weight: Tensor | None = None, valid: Tensor | None = None
) -> Tensor:
    """The loss that fits log_std when the mode is trained by the squared error, which does not contain it; else 0.

    It is the negative log-likelihood with the mean detached. Its gradient reaches only the head of log_std, so the mode
    is not affected. Arguments as in `imitation_loss`.
    """
    if kind != "squared":
        return torch.zeros((), device=action.device)
    error = policy.spread_error(action, valid)
    return error.mean() if weight is None else (error * weight).mean()


def temperature_loss(log_temperature: Tensor, entropy: Tensor, target_entropy: float) -> Tensor:
    """T (H - target). Its gradient with respect to log T lowers T while the policy's entropy is above the target."""
    return log_temperature.exp() * (entropy.detach() - target_entropy)


@torch.no_grad()
def polyak_update(target: nn.Module, online: nn.Module, fraction: float) -> None:
    """target <- (1 - fraction) target + fraction online, encoder and Q-functions alike."""
    torch._foreach_lerp_(list(target.parameters()), list(online.parameters()), fraction)


# --------------------------------------------------------------------------- one update
class CQLAgent:
    """Actor, twin critics, target critics, the temperature, and the update that trains them."""

    batches = "transitions"

    def __init__(self, config: AlgorithmConfig, networks: NetworkConfig, tasks: int, device: str = "cpu") -> None:
        """Initialize all networks from PyTorch's global random state; K = tasks columns of the one-hot."""
        self.config, self.device = config, torch.device(device)
        self.critic_start = 0 if config.critic_in_bc_steps else max(config.bc_steps - config.critic_warmup_steps, 0)
        self.td_start = self.critic_start + config.critic_warmup_steps
        self.actor = Actor(networks, tasks, config.chunk).to(self.device)
        self._count_dimensions(self.actor)
        self.critic = Critic(networks, tasks, config.chunk).to(self.device)
        self.target_critic = frozen_copy(self.critic)
        self.ema_actor = frozen_copy(self.actor) if config.ema_decay > 0 else None
        self.log_temperature = nn.Parameter(torch.tensor(math.log(config.init_temperature), device=self.device))
        self.optimizers = {
            "actor": adam(self.actor.parameters(), config.actor_lr),
            "critic": adam(self.critic.parameters(), config.critic_lr),
            "temperature": adam([self.log_temperature], config.temperature_lr),
        }

    def _count_dimensions(self, actor: Actor) -> None:
        """Find the motion dimensions that count for the entropy, and those in which uniform actions differ."""
        config, chunk = self.config, self.config.chunk
        self.motion_dimensions = actor.log_std.out_features  # without a two-way gripper
        every, width = list(range(self.motion_dimensions)), self.motion_dimensions // chunk
        varying = [index for index in every if index % width in config.varying_dimensions] or every
        self.entropy_dimensions = varying
        self.uniform_dimensions = varying if config.cql_uniform_dimensions == "varying" else every
        parts = [self.uniform_dimensions]  # assigned in turn to the uniform actions of a state
        if config.cql_uniform_dimensions == "parts":
            named = ([d for d in varying if d % width in part] for part in (TRANSLATION, ROTATION))
            parts += [part for part in named if part]
        values = 2 if actor.two_way_gripper else 1  # each uniform motion is combined with every gripper value
        rows = [parts[index % len(parts)] for index in range(config.cql_n_actions) for _ in range(values)]
        differs = torch.tensor([[d in row for d in every] for row in rows], device=self.device)
        self.uniform_counts = differs.sum(dim=-1).float()
        if actor.two_way_gripper:
            self.uniform_counts += chunk - 1  # a motion is combined with two of the 2^h gripper sequences
            held = with_gripper(~differs, torch.zeros(len(rows), chunk, device=self.device))  # the gripper never is
        else:
            held = ~differs
        self.uniform_held = held if held.any() else None
        wanted = config.target_entropy
        self.target_entropy = -float(len(varying)) if wanted == AUTO else chunk * float(wanted)

    @property
    def modules(self) -> dict[str, nn.Module]:
        """What a checkpoint stores, by name."""
        modules: dict[str, nn.Module] = {
            "actor": self.actor,
            "critic": self.critic,
            "target_critic": self.target_critic,
        }
        return modules if self.ema_actor is None else modules | {"average_actor": self.ema_actor}

    def update(self, batch: Transitions, step: int) -> dict[str, Tensor]:
        """One update of critic, targets, actor and temperature, in PTR's order; `step` counts from 0.

        Returns:
            metrics as 0-d tensors without gradient.
        """
        imitate_only = step < self.config.bc_steps
        policy = self.actor(batch.image, batch.state, batch.task)  # samples for the critic now, trained below
        metrics: dict[str, Tensor] = {}
        if step >= self.critic_start:
            if step == self.critic_start and self.config.critic_encoder == "actor":
                self._copy_encoder()
            metrics |= self._learn_values(batch, policy, step)
        if imitate_only:
            actor_metrics, entropy = self._imitate(batch, policy)
        else:
            actor_metrics, entropy = self._update_actor(batch, policy)
        metrics |= actor_metrics
        if entropy is not None:
            metrics |= self._update_temperature(entropy)
        if self.ema_actor is not None:
            update_ema(self.ema_actor, self.actor, self.config.ema_decay, step)
        return metrics

    def _copy_encoder(self) -> None:
        """Copy the encoder that the actor learned by imitation to the critics."""
        for critic in (self.critic, self.target_critic):
            critic.encoder.load_state_dict(self.actor.encoder.state_dict())

    def _learn_values(self, batch: Transitions, policy: ActorDistribution, step: int) -> dict[str, Tensor]:
        """Update critic and targets: regression on returns at first, then temporal differences."""
        if step < self.td_start:
            return self._update_critic(batch, policy, on_returns=True)
        if step == self.td_start and self.config.critic_warmup_steps:
            self.target_critic.load_state_dict(self.critic.state_dict())
        if self.config.critic_td_lr:
            for group in self.optimizers["critic"].param_groups:
                group["lr"] = self.config.critic_td_lr
        metrics = self._update_critic(batch, policy)
        polyak_update(self.target_critic, self.critic, self.config.tau)
        return metrics

    def _update_critic(
        self, batch: Transitions, policy: ActorDistribution, on_returns: bool = False
    ) -> dict[str, Tensor]:
        config = self.config
        with torch.no_grad():
            ahead = config.next_policy_actions or not on_returns
            next_policy = self.actor(batch.next_image, batch.next_state, batch.task) if ahead else None
            target = batch.mc_return if next_policy is None or on_returns else self._target(batch, next_policy)
            policy_actions, log_pi, uniform_actions = self._sample_cql_actions(policy, next_policy)
            uniform_actions = self._held(uniform_actions, batch.action)

        actions = torch.cat([batch.action.unsqueeze(1), policy_actions, uniform_actions], dim=1)
        embedding = self.critic.encode(batch.image, batch.state)
        q = self.critic.q(embedding, batch.task, actions)
        q_data = q[..., 0]
        q_policy, q_uniform = q[..., 1:].split([log_pi.shape[1], uniform_actions.shape[1]], dim=-1)
        bounded = torch.maximum(q_policy, batch.mc_return[:, None]) if config.calibrated else q_policy
        gap = conservative_gap(q_data, bounded, log_pi, q_uniform, self.uniform_counts)
        loss, bellman_error, mean_gap = critic_loss(q_data, target, gap, config.cql_alpha)
        optimizer_step(self.optimizers["critic"], loss)
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

    def _target(self, batch: Transitions, next_policy: ActorDistribution) -> Tensor:
        """Bellman targets (B,) from all target critics, or from a random subset (REDQ)."""
        config = self.config
        following = next_policy.draw(config.cql_n_actions if config.max_backup else 1)
        next_embedding = self.target_critic.encode(batch.next_image, batch.next_state)
        target_q = self.target_critic.q(next_embedding, batch.task, following.actions)
        if config.target_subset:
            chosen = torch.randperm(len(target_q))[: config.target_subset].tolist()
            target_q = torch.stack([target_q[k] for k in chosen])
        discount = batch.discount(config.discount)
        target = bellman_target(batch.reward, batch.mask, target_q, discount, following.log_mass)
        return target.clamp(*config.target_bounds) if config.target_bounds else target

    def _sample_cql_actions(
        self, policy: ActorDistribution, next_policy: ActorDistribution | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Actions that the conservative term pushes down: policy samples (B, M, A), log-densities, uniform actions."""
        count = self.config.cql_n_actions
        sources = [policy.draw(count)]
        batch, motion = len(sources[0].actions), sources[0].log_density.shape[-1]
        uniform_actions = uniform(batch, count, motion, device=self.device) * 2 - 1
        if sources[0].log_mass is not None:
            uniform_actions = with_both_grippers(uniform_actions, self.config.chunk)
        if self.config.next_policy_actions and next_policy is not None:
            sources.append(next_policy.draw(count))
        policy_actions = torch.cat([source.actions for source in sources], dim=1)
        log_pi = torch.cat([self._density(source) for source in sources], dim=1)
        return policy_actions, log_pi, uniform_actions

    def _density(self, samples: Samples) -> Tensor:
        """Log-densities (B, N * G) over the dimensions in which uniform actions differ from the data action."""
        log_density = samples.log_density[..., self.uniform_dimensions].sum(dim=-1)
        values = 1 if samples.log_mass is None else samples.log_mass.shape[-1]
        return log_density.repeat_interleave(values, dim=-1)

    def _held(self, uniform_actions: Tensor, action: Tensor) -> Tensor:
        """Uniform actions (B, M, A), with the data action (B, A) copied into the dimensions that must not differ."""
        if self.uniform_held is None:
            return uniform_actions
        return torch.where(self.uniform_held, action[:, None, :], uniform_actions)

    def _update_actor(self, batch: Transitions, policy: ActorDistribution) -> tuple[dict[str, Tensor], Tensor]:
        config = self.config
        with torch.no_grad():
            embedding = self.critic.encode(batch.image, batch.state)  # by the critic as just updated
        samples = policy.draw(1)
        temperature, weight = self.log_temperature.detach().exp(), config.actor_q_weight
        log_mass, log_pi = samples.log_mass, log_likelihood(samples)
        self.critic.requires_grad_(False)
        q = self.critic.q(embedding, batch.task, samples.actions)
        if config.gripper_at_mode and isinstance(policy, TanhGaussianBernoulli):
            mode = policy.mode_with_grippers.detach()
            at_mode = expected_value(self.critic.q(embedding, batch.task, mode), config.actor_critics, log_mass)
            loss = actor_loss(q, log_pi, temperature, config.actor_critics, weight, policy.log_mass.detach())
            loss = loss - weight * at_mode.mean()
        else:
            loss = actor_loss(q, log_pi, temperature, config.actor_critics, weight, log_mass)
        self.critic.requires_grad_(True)
        if config.bc_weight > 0:
            gripper = 1.0 if config.bc_gripper_weight is None else config.bc_gripper_weight / config.bc_weight
            imitation = imitation_loss(policy, batch.action, config.bc_loss, batch.success, gripper, batch.valid)
            loss = loss + config.bc_weight * imitation
            spread = spread_loss(policy, batch.action, config.bc_loss, batch.success, batch.valid)
            loss = loss + config.bc_std_weight * spread
        optimizer_step(self.optimizers["actor"], loss)
        entropy = self._entropy(samples)
        mse = mode_error(policy, batch.action, batch.valid)
        return {"actor_loss": loss.detach(), "entropy": entropy, "actor_mse": mse}, entropy

    def _imitate(self, batch: Transitions, policy: ActorDistribution) -> tuple[dict[str, Tensor], Tensor | None]:
        """Imitation alone, or (COG) with the entropy term: T log pi(a|s) - log pi(a_data|s)."""
        imitated = (policy, batch.action, self.config.bc_loss, batch.success)
        loss = imitation_loss(*imitated, valid=batch.valid)
        samples = policy.draw(1) if self.config.entropy_in_bc_steps else None
        if samples is not None:
            loss = loss + self.log_temperature.detach().exp() * log_likelihood(samples).mean()
        optimizer_step(self.optimizers["actor"], loss + spread_loss(*imitated, valid=batch.valid))
        metrics = {"actor_loss": loss.detach(), "actor_mse": mode_error(policy, batch.action, batch.valid)}
        if samples is None:
            return metrics, None
        entropy = self._entropy(samples)
        return metrics | {"entropy": entropy}, entropy

    def _entropy(self, samples: Samples) -> Tensor:
        """-log pi of the motion, mean over samples, over the dimensions that count for the target."""
        return -samples.log_density.detach()[..., self.entropy_dimensions].sum(dim=-1).mean()

    def _update_temperature(self, entropy: Tensor) -> dict[str, Tensor]:
        loss = temperature_loss(self.log_temperature, entropy, self.target_entropy)
        optimizer_step(self.optimizers["temperature"], loss)
        return {"temperature": self.log_temperature.detach().exp()}


def update_ema(average: nn.Module, online: nn.Module, decay: float, step: int) -> None:
    """Exponential moving average of weights. The decay grows from 0.1 to its value, to forget the first weights."""
    polyak_update(average, online, 1.0 - min(decay, (1 + step) / (10 + step)))


def frozen_copy(module: Network) -> Network:
    """A copy without gradients."""
    return copy.deepcopy(module).requires_grad_(False)


def mode_error(policy: ActorDistribution, action: Tensor, valid: Tensor | None = None) -> Tensor:
    """Mean squared error per dimension between the mode and the data action, scaled units, without padded steps."""
    errors = (policy.mode - action).square()
    if valid is None:
        return errors.mean().detach()
    width = action.shape[-1] // valid.shape[-1]
    return (sum_over_steps(errors, valid).sum() / (width * valid.sum())).detach()


def trainable(module: nn.Module) -> list[nn.Parameter]:
    """The parameters of a module that are not frozen."""
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def adam(parameters: Iterable[nn.Parameter], rate: float) -> torch.optim.Adam:
    """Adam as in PTR: betas 0.9 and 0.999, eps 1e-8, no weight decay."""
    return torch.optim.Adam(parameters, lr=rate, fused=True)


def optimizer_step(
    optimizers: torch.optim.Optimizer | Sequence[torch.optim.Optimizer], loss: Tensor, clip_norm: float = 0.0
) -> None:
    """One gradient step on `loss`, which must depend on no parameters but those of the optimizers.

    Args:
        clip_norm: largest gradient norm over all their parameters; 0: no clipping.
    """
    chosen = [optimizers] if isinstance(optimizers, torch.optim.Optimizer) else list(optimizers)
    for optimizer in chosen:
        optimizer.zero_grad(set_to_none=True)
    with averaging_gradients(chosen):
        loss.backward()
    if clip_norm > 0:
        groups = [group["params"] for optimizer in chosen for group in optimizer.param_groups]
        nn.utils.clip_grad_norm_([parameter for group in groups for parameter in group], clip_norm)
    for optimizer in chosen:
        optimizer.step()
