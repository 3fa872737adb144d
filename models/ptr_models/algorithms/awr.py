# SPDX-License-Identifier: Apache-2.0
"""One-step advantage-weighted regression: learn the value of the behavior policy, then imitate what was better.

Peng et al., "Advantage-Weighted Regression", 2019 (arXiv 1910.00177), on PTR's critic. The critic regresses on the
returns of the data with the conservative term and never bootstraps (Brandfonbrener et al. 2021, "Offline RL Without
Off-Policy Evaluation", arXiv 2106.08909). B states, E critics, N actions of the policy.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ptr_models.algorithms.batch import Transitions
from ptr_models.algorithms.cql import CQLAgent, imitation_loss, mode_error, optimizer_step, spread_loss, update_ema
from ptr_models.networks import ActorDistribution
from ptr_models.networks.distributions import over_gripper


# --------------------------------------------------------------------------- the losses
def advantage(q_data: Tensor, q_policy: Tensor, log_mass: Tensor | None = None) -> Tensor:
    """A = min_k Q_k(s, a) - mean over the policy's actions of min_k Q_k(s, a'), exact over a two-way gripper.

    Args:
        q_data: (E, B).   q_policy: (E, B, N * G).   log_mass: (B, G) of the gripper; None: it is continuous.
    Returns:
        (B,).
    """
    value = over_gripper(q_policy.min(dim=0).values, log_mass).mean(dim=-1)
    return q_data.min(dim=0).values - value


def advantage_weight(advantages: Tensor, beta: float, max_weight: float) -> Tensor:
    """min(exp(A / beta), max_weight) of advantages (B,), without gradient."""
    return (advantages.detach() / beta).clamp(max=60.0).exp().clamp(max=max_weight)


# --------------------------------------------------------------------------- one update
class AdvantageWeightedRegression(CQLAgent):
    """PTR's networks. The critic learns from returns alone, the actor from the actions of the data alone."""

    def update(self, batch: Transitions, step: int) -> dict[str, Tensor]:
        """One update of critic and actor. In the first `bc_steps` updates all actions have the same weight."""
        policy = self.actor(batch.image, batch.state, batch.task)
        metrics: dict[str, Tensor] = {}
        if step >= self.critic_start:
            metrics |= self._update_critic(batch, policy, on_returns=True)
        if step < self.config.bc_steps:
            metrics |= self._imitate(batch, policy)[0]
        else:
            metrics |= self._imitate_weighted(batch, policy)
        if self.ema_actor is not None:
            update_ema(self.ema_actor, self.actor, self.config.ema_decay, step)
        return metrics

    def _imitate_weighted(self, batch: Transitions, policy: ActorDistribution) -> dict[str, Tensor]:
        config, options = self.config, self.config.awr
        with torch.no_grad():
            samples = policy.draw(config.cql_n_actions)
            actions = torch.cat([batch.action.unsqueeze(1), samples.actions], dim=1)
            q = self.critic.q(self.critic.encode(batch.image, batch.state), batch.task, actions)
            advantages = advantage(q[..., 0], q[..., 1:], samples.log_mass)
            weight = advantage_weight(advantages, options.beta, options.max_weight)
            counted = weight if batch.success is None else weight * batch.success
        imitated = (policy, batch.action, config.bc_loss, counted)
        loss = imitation_loss(*imitated, valid=batch.valid)
        optimizer_step(self.optimizers["actor"], loss + spread_loss(*imitated, valid=batch.valid))
        return {
            "actor_loss": loss.detach(),
            "actor_mse": mode_error(policy, batch.action, batch.valid),
            "advantage": advantages.mean(),
            "advantage_weight": weight.mean(),
        }
