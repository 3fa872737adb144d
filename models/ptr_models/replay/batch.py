# SPDX-License-Identifier: Apache-2.0
"""One batch of transitions as arrays."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

ALL_ROWS = slice(None)


@dataclass(frozen=True)
class Batch:
    """B transitions; an action may be a chunk of h of them, and A = 7 h.

    Attributes:
        image, next_image: (B, H, W, 3 * cameras) uint8 RGB; (B, 0, 0, 0) if the contract has no cameras. With goal
            images (B, H, W, 6 * cameras): the image, then its goal, which is the same in both.
        state, next_state: (B, S) float32.
        action: (B, A) float32 in [-0.99, 0.99].
        reward, mask, mc_return: (B,) float32; mask 0 is terminal. For a chunk, reward and mask cover all its steps.
        task: (B,) int64 ids.
        success: (B,) whether the episode succeeded.
        valid: (B, h) False at the steps of a chunk after the end of the episode; None: single actions.
    """

    image: NDArray[np.uint8]
    state: NDArray[np.float32]
    action: NDArray[np.float32]
    next_image: NDArray[np.uint8]
    next_state: NDArray[np.float32]
    reward: NDArray[np.float32]
    mask: NDArray[np.float32]
    mc_return: NDArray[np.float32]
    task: NDArray[np.int64]
    success: NDArray[np.bool_]
    valid: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.reward)

    @staticmethod
    def concatenate(first: Batch, second: Batch) -> Batch:
        """The rows of both, in this order."""
        if not len(first) or not len(second):
            return first if len(first) else second
        merged: dict[str, Any] = {}
        for name in (item.name for item in fields(Batch)):
            rows = getattr(first, name), getattr(second, name)
            merged[name] = None if rows[0] is None else np.concatenate(rows)
        return Batch(**merged)
