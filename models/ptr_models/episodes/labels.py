# SPDX-License-Identifier: Apache-2.0
"""Rewards, terminal masks and Monte Carlo returns of whole episodes, as in PTR."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptr_models.common.errors import PtrError

TERMINALS = ("rewarded", "last")


@dataclass(frozen=True)
class Labelling:
    """How an episode is labelled. The defaults are those of PTR's launch command.

    Attributes:
        reward_steps: the last n steps of a success are rewarded.
        scale, shift: reward = scale * [is rewarded] + shift.
        terminal: `rewarded`: every rewarded step is terminal (mask 0), so its target is exactly its reward;
            `last`: only the last step is.
        discount: gamma of the Monte Carlo return.
    """

    reward_steps: int = 3
    scale: float = 11.0
    shift: float = -1.0
    terminal: str = "rewarded"
    discount: float = 0.96

    def __post_init__(self) -> None:
        if self.terminal not in TERMINALS:
            raise PtrError(f"terminal is {self.terminal!r}; known: {', '.join(TERMINALS)}")
        if self.reward_steps < 1 or not 0.0 < self.discount < 1.0:
            raise PtrError(
                f"reward_steps is {self.reward_steps} and discount {self.discount}; "
                "they must be at least 1 and between 0 and 1"
            )

    @property
    def lowest_return(self) -> float:
        """Return of an infinite sequence of unrewarded steps."""
        return self.shift / (1.0 - self.discount)


@dataclass(frozen=True)
class Labels:
    """Labels of the T steps of an episode, each (T,) float32; mask 0 means terminal."""

    reward: NDArray[np.float32]
    mask: NDArray[np.float32]
    mc_return: NDArray[np.float32]


def label(length: int, success: bool, labelling: Labelling | None = None) -> Labels:
    """Label an episode of `length` steps.

    A success ends with its last `reward_steps` steps. A failure is never rewarded and never terminal: all rewards are
    `shift`, all masks 1, and the return is that of an infinite sequence, -25.

    R_t = r_t + discount * mask_t * R_{t+1}.
    """
    rule = labelling or Labelling()
    rewarded = np.zeros(length, dtype=bool)
    terminal = np.zeros(length, dtype=bool)
    if success:
        rewarded[max(0, length - rule.reward_steps) :] = True
        terminal[...] = rewarded if rule.terminal == "rewarded" else np.arange(length) == length - 1
    reward = rule.scale * rewarded + rule.shift
    mask = 1.0 - terminal
    returns = np.empty(length)
    following = rule.lowest_return
    for t in reversed(range(length)):
        following = reward[t] + rule.discount * mask[t] * following
        returns[t] = following
    return Labels(reward.astype(np.float32), mask.astype(np.float32), returns.astype(np.float32))


def over_chunks(labels: Labels, chunk: int, discount: float) -> Labels:
    """Labels of the chunks of up to `chunk` actions that start at each step of an episode.

    The reward is the sum of gamma^k r_{t+k} up to a terminal step or the last one. The mask is 0 if a step of the chunk
    is terminal. The return does not change.
    """
    reward, mask = np.zeros(len(labels.reward)), np.ones(len(labels.reward))
    for k in range(min(chunk, len(reward))):
        steps = slice(None, len(reward) - k)
        reward[steps] += discount**k * mask[steps] * labels.reward[k:]
        mask[steps] *= labels.mask[k:]
    return Labels(reward.astype(np.float32), mask.astype(np.float32), labels.mc_return)
