# SPDX-License-Identifier: Apache-2.0
"""Values of videos without actions: the intent-conditioned value function (ICVF), the first phase of V-PTR.

Ghosh, Bhateja, Levine, "Reinforcement Learning from Passive Data via Latent Intentions", ICML 2023 (arXiv 2304.04782);
Bhateja et al., "Robotic Offline RL from Internet Videos via Value-Function Pre-Training", 2023 (arXiv 2309.13041).
V(s, s+, z) is the return for reaching s+ of an agent that wants to reach z: -1 for each step before s+, 0 afterward.
There are no actions, so a step s -> s' counts as serving z if V(., z, z) grows along it. B states, E members.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ptr_models.algorithms.config import AlgorithmConfig
from ptr_models.algorithms.cql import frozen_copy, optimizer_step, polyak_update
from ptr_models.algorithms.sequences import IntentTensors
from ptr_models.networks import Actor, NetworkConfig
from ptr_models.networks.encoder import image_encoder
from ptr_models.networks.multilinear_value import MultilinearValue


# --------------------------------------------------------------------------- the loss
def td_target(mask: Tensor, next_value: Tensor, discount: float) -> Tensor:
    """r + gamma m V(s') with the reward r = -m: -1 until the goal is reached, then 0 and the end of the episode.

    Args:
        mask: (B,) 0 where s is the goal.   next_value: (E, B) or (B,), of the target network.
    Returns:
        the shape of `next_value`.
    """
    return mask * (discount * next_value - 1.0)


def advantage(mask: Tensor, next_value: Tensor, value: Tensor, discount: float) -> Tensor:
    """A(s -> s', z) = r + gamma m min_E V(s', z, z) - mean_E V(s, z, z), as in the authors' code.

    Args:
        mask: (B,) 0 where s is the intent z.   next_value, value: (E, B) V(s', z, z) and V(s, z, z) of the targets.
    Returns:
        (B,).
    """
    return td_target(mask, next_value.min(dim=0).values, discount) - value.mean(dim=0)


def expectile_loss(error: Tensor, advantage: Tensor, expectile: float) -> Tensor:
    """|tau - 1(A < 0)| error^2, mean over states, sum over members: steps that serve the intent count more.

    Args:
        error: (E, B).   advantage: (B,).   expectile: tau in (0, 1).
    """
    weight = torch.where(advantage >= 0, expectile, 1.0 - expectile)
    return (weight * error.square()).mean(dim=-1).sum()


# --------------------------------------------------------------------------- one update
class IntentConditionedValues:
    """Trains an actor's encoder to predict values. `algorithm.next_algorithm` trains the rest of the actor."""

    critic = None
    batches = "intents"

    def __init__(self, config: AlgorithmConfig, networks: NetworkConfig, tasks: int, device: str = "cpu") -> None:
        """Initialize the networks from PyTorch's global random state; K = tasks columns of the one-hot."""
        self.config, self.device = config, torch.device(device)
        self.actor = Actor(networks, tasks, config.chunk).to(self.device)
        self._encoder = image_encoder(self.actor.encoder)
        self.value = MultilinearValue(networks.multilinear_value, networks.latent_width).to(self.device)
        self.target_encoder, self.target_value = frozen_copy(self._encoder), frozen_copy(self.value)
        self.log_temperature = nn.Parameter(torch.zeros((), device=self.device))
        self.optimizers = {"actor": self._adam(self._encoder), "value": self._adam(self.value)}

    def _adam(self, module: nn.Module) -> torch.optim.Optimizer:
        options = self.config.icvf
        return torch.optim.Adam(module.parameters(), lr=options.lr, eps=options.epsilon, fused=True)

    @property
    def modules(self) -> dict[str, nn.Module]:
        """What a checkpoint stores, by name."""
        return {
            "actor": self.actor,
            "value": self.value,
            "target_encoder": self.target_encoder,
            "target_value": self.target_value,
        }

    def update(self, batch: IntentTensors, step: int) -> dict[str, Tensor]:
        """One update of encoder and values, then of the target networks."""
        options = self.config.icvf
        target, gain = self._targets(batch)
        seen = torch.cat([batch.image, batch.outcome, batch.intent])
        value = self.value(*self._encoder(seen).chunk(3))
        error = target - value
        loss = expectile_loss(error, gain, options.expectile)
        optimizer_step(list(self.optimizers.values()), loss)
        polyak_update(self.target_encoder, self._encoder, self.config.tau)
        polyak_update(self.target_value, self.value, self.config.tau)
        value, reached = value.detach(), 1.0 - batch.outcome_mask
        return {
            "value_loss": loss.detach(),
            "td_error": error.detach().square().mean(),
            "value": value.mean(),
            "value_reached": (value * reached).mean() / reached.mean().clamp_min(1.0 / len(reached)),
            "advantage": gain.mean(),
            "serves_intent": (gain >= 0).float().mean(),
        }

    @torch.no_grad()
    def _targets(self, batch: IntentTensors) -> tuple[Tensor, Tensor]:
        """Targets of V(s, s+, z) (E, B), and the advantages (B,) of the steps for their intents."""
        discount, value = self.config.icvf.discount, self.target_value
        seen = torch.cat([batch.image, batch.next_image, batch.outcome, batch.intent])
        now, following, outcome, intent = self.target_encoder(seen).chunk(4)
        target = td_target(batch.outcome_mask, value(following, outcome, intent), discount)
        gain = advantage(batch.intent_mask, value(following, intent, intent), value(now, intent, intent), discount)
        return target, gain
