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
"""K, the width of a one-hot vector; or (N, K), one vector per task id."""


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
        reward, mask: (B,); mask 0 ends the episode. For a chunk: the discounted sum of its rewards, and 0 if the
            episode ends in it.
        mc_return: (B,) discounted return of the demonstration from here.
        task: (B, K) one-hot, or embeddings of instructions.
        success: (B,) 1 where the episode succeeded and its actions should be imitated; None: all succeeded.
        valid: (B, h) 1 for the steps of a chunk within the episode, 0 after its end; None: single actions.
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
        """The discount of the value of s': gamma, or (B,) gamma^n for chunks with n valid steps."""
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
    """An array as a tensor on a device. Copies to a GPU use pinned memory and are not waited for."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if torch.device(device).type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device=device, dtype=dtype, non_blocking=True)
