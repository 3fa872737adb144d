# SPDX-License-Identifier: Apache-2.0
"""One batch of transitions as tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

TaskLookup = int | Tensor
"""K, the columns of a one-hot; or (N, K), the vector of each task id."""


def task_vectors(ids: Tensor, tasks: TaskLookup) -> Tensor:
    """(B,) ids to (B, K) float32."""
    return functional.one_hot(ids, tasks).float() if isinstance(tasks, int) else tasks[ids]


@dataclass(frozen=True)
class Transitions:
    """B transitions (s, a, r, m, s') of several tasks; a may be a chunk of h actions, A = 7 h.

    Attributes:
        image, next_image: (B, H, W, 3) uint8 RGB.
        state, next_state: (B, S) float32.
        action: (B, A) scaled to [-0.99, 0.99].
        reward, mask: (B,); mask 0 ends the episode. Of a chunk: the discounted sum, and 0 where it ends in one.
        mc_return: (B,) discounted return of the demonstration from here.
        task: (B, K) one-hot, or embeddings of instructions.
        success: (B,) 1 where the episode succeeded, so that its actions are worth imitating; None: all did.
        valid: (B, h) 1 at the steps of a chunk that the episode has, 0 at those behind its end; None: single actions.
    """

    image: Tensor
    next_image: Tensor
    state: Tensor
    next_state: Tensor
    action: Tensor
    reward: Tensor
    mask: Tensor
    mc_return: Tensor
    task: Tensor
    success: Tensor | None = None
    valid: Tensor | None = None

    def discount(self, gamma: float) -> float | Tensor:
        """Of the value of s': gamma, or (B,) gamma^n of chunks with n valid steps."""
        return gamma if self.valid is None else gamma ** self.valid.sum(dim=-1)

    @classmethod
    def from_arrays(cls, batch: Any, tasks: TaskLookup, device: torch.device | str = "cpu") -> Transitions:
        """Convert a `ptr_models.replay` batch (numpy arrays, integer task ids)."""

        def tensor(name: str, dtype: torch.dtype = torch.float32) -> Tensor:
            return to_tensor(getattr(batch, name), dtype, device)

        names = ("state", "next_state", "action", "reward", "mask", "mc_return", "success")
        return cls(
            image=tensor("image", torch.uint8),
            next_image=tensor("next_image", torch.uint8),
            task=task_vectors(tensor("task", torch.int64), tasks),
            valid=None if batch.valid is None else tensor("valid"),
            **{name: tensor(name) for name in names},
        )


def to_tensor(array: NDArray[Any], dtype: torch.dtype, device: torch.device | str) -> Tensor:
    """An array as a tensor on a device; copies to a GPU come from pinned memory, and nothing waits for them."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if torch.device(device).type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device=device, dtype=dtype, non_blocking=True)
