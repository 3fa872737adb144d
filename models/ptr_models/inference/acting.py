# SPDX-License-Identifier: Apache-2.0
"""What others need of a policy. `ptr_models.inference.policy.Policy` is both kinds; anything like it will do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ptr_models.contract import Contract
from ptr_models.training.q_range import QRange


@dataclass(frozen=True)
class Decision:
    """What a policy does in one control step.

    Attributes:
        action: (7,) in the contract's units (m, rad per step; gripper 0..1).
        scaled: (7,) the same in [-0.99, 0.99].
        q: value of the action, or of the chunk that it is part of, the smallest of the critics'; NaN where there is no
            critic.
        q_spread: largest minus smallest of the critics' values.
        q_mode: value of the mode of the policy, whatever was chosen.
        inference_time: s.
    """

    action: NDArray[np.float32]
    scaled: NDArray[np.float32]
    q: float
    q_spread: float
    q_mode: float
    inference_time: float


class ActingPolicy(Protocol):
    """Acts step by step: trials run it."""

    def reset(self) -> None:
        """Forget what was seen: a new episode begins."""

    def act(
        self,
        image: NDArray[np.uint8] | None,
        state: NDArray[np.float32],
        task: str,
        choice: str = "",
        candidates: int = 0,
    ) -> Decision:
        """Decide for one observation: an image (H, W, 3 * cameras) uint8 RGB, None without cameras, and a state (S,).

        Raises:
            PtrError: the task is unknown, or there is no such choice.
        """


class ServedPolicy(ActingPolicy, Protocol):
    """One that also says what it must see and where its values lie: the policy server runs it."""

    @property
    def contract(self) -> Contract:
        """What it must see."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks that it knows; empty: it takes any words."""

    @property
    def has_values(self) -> bool:
        """Whether it has a Q-function."""

    def q_range(self, task: str) -> QRange | None:
        """Where Q was along the demonstrations of a task; None: not known."""

    def close(self) -> None:
        """Give back threads and connections, if it has any."""


class BatchPolicy(Protocol):
    """Answers for T observations at once: images (T, H, W, 3 * cameras) and states (T, S), scaled actions.

    The analyses use it; one that acts without a critic has no `values`. A, the width of its actions, is 7 `chunk`.
    """

    @property
    def chunk(self) -> int:
        """h, actions that it predicts and values at once."""

    def values(
        self,
        images: NDArray[np.uint8],
        states: NDArray[np.float32],
        scaled_actions: NDArray[np.float32],
        task: str,
    ) -> NDArray[np.float32]:
        """(E, T) Q of actions (T, A) by each critic, or (E, T, N) of actions (T, N, A)."""

    def modes(self, images: NDArray[np.uint8], states: NDArray[np.float32], task: str) -> NDArray[np.float32]:
        """(T, A) modes along one episode."""

    def samples(
        self, images: NDArray[np.uint8], states: NDArray[np.float32], task: str, count: int, seed: int = 0
    ) -> NDArray[np.float32]:
        """(T, count, A) samples."""
