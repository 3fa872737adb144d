# SPDX-License-Identifier: Apache-2.0
"""Interfaces of a policy. `ptr_models.inference.policy.Policy` implements all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ptr_models.contract import Contract
from ptr_models.training.q_range import QRange


@dataclass(frozen=True)
class Decision:
    """A policy's decision in one control step.

    Attributes:
        action: (7,) in the contract's units (m, rad per step; gripper 0..1).
        scaled: (7,) the same in [-0.99, 0.99].
        q: value of the action, or of its chunk, by the smallest critic; NaN without a critic.
        q_spread: largest minus smallest of the critics' values.
        q_mode: value of the policy's mode, whatever was chosen.
        inference_time: s.
    """

    action: NDArray[np.float32]
    scaled: NDArray[np.float32]
    q: float
    q_spread: float
    q_mode: float
    inference_time: float


class ActingPolicy(Protocol):
    """Acts step by step; used in trials."""

    def reset(self) -> None:
        """Forget the history; call it when a new episode starts."""

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
            PtrError: the task or the choice is unknown.
        """


class ServedPolicy(ActingPolicy, Protocol):
    """A policy that also describes its observations and values; used by the policy server."""

    @property
    def contract(self) -> Contract:
        """The observations and actions that it requires."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the known tasks; empty: any text is accepted."""

    @property
    def has_values(self) -> bool:
        """Whether it has a Q-function."""

    def q_range(self, task: str) -> QRange | None:
        """The range of Q along the demonstrations of a task; None: not known."""

    def close(self) -> None:
        """Release threads and connections."""


class BatchPolicy(Protocol):
    """Handles T observations at once: images (T, H, W, 3 * cameras), states (T, S) and scaled actions.

    Used by the analyses. A policy without a critic has no `values`. A, the width of its actions, is 7 `chunk`.
    """

    @property
    def chunk(self) -> int:
        """h, number of actions per chunk."""

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
