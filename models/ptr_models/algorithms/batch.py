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
    """B transitions (s, a, r, m, s') of several tasks.

    Attributes:
        image, next_image: (B, H, W, 3) uint8 RGB.
        state, next_state: (B, S) float32.
        action: (B, 7) scaled to [-0.99, 0.99].
        reward, mask: (B,); mask 0 ends the episode.
        mc_return: (B,) discounted return of the demonstration from here.
        task: (B, K) one-hot, or embeddings of instructions.
        success: (B,) 1 where the episode succeeded, so that its actions are worth imitating; None: all did.
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
            **{name: tensor(name) for name in names},
        )


def to_tensor(array: NDArray[Any], dtype: torch.dtype, device: torch.device | str) -> Tensor:
    """An array as a tensor on a device; copies to a GPU come from pinned memory, and nothing waits for them."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if torch.device(device).type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device=device, dtype=dtype, non_blocking=True)
