# SPDX-License-Identifier: Apache-2.0
"""Batches of windows, clips and intents as tensors, and the conversion of any kind of batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ptr_models.algorithms.batch import TaskLookup, Transitions, task_vectors, to_tensor
from ptr_models.replay import Batch
from ptr_models.replay.intents import Intents
from ptr_models.replay.windows import CLIP, Clips, Windows


@dataclass(frozen=True)
class WindowTensors:
    """B windows of L consecutive steps, one window after the other.

    Attributes:
        image: (B * L, H, W, 3) uint8 RGB.
        state: (B * L, 7) float32.
        action: (B * L, 7) scaled to [-0.99, 0.99].
        valid: (B * L,) float32; 0 marks padding after the end of an episode.
        task: (B * L, K) one-hot, or embeddings of instructions.
        length: L.
    """

    image: Tensor
    state: Tensor
    action: Tensor
    valid: Tensor
    task: Tensor
    length: int

    @classmethod
    def from_arrays(cls, batch: Windows, tasks: TaskLookup, device: torch.device | str = "cpu") -> WindowTensors:
        """Convert a batch of `ptr_models.replay.windows`."""
        length = batch.valid.shape[1]
        return cls(
            image=to_tensor(batch.image, torch.uint8, device),
            state=to_tensor(batch.state, torch.float32, device),
            action=to_tensor(batch.action, torch.float32, device),
            valid=to_tensor(batch.valid.reshape(-1), torch.float32, device),
            task=task_vectors(to_tensor(np.repeat(batch.task, length), torch.int64, device), tasks),
            length=length,
        )


@dataclass(frozen=True)
class ClipTensors:
    """B clips of three frames each, in temporal order.

    Attributes:
        image: (B * 3, H, W, 3) uint8 RGB, clip after clip.   video: (B,) the episode of each clip.
    """

    image: Tensor
    video: Tensor
    length: int = CLIP

    @classmethod
    def from_arrays(cls, batch: Clips, device: torch.device | str = "cpu") -> ClipTensors:
        """Convert a batch of `ptr_models.replay.windows`."""
        return cls(to_tensor(batch.image, torch.uint8, device), to_tensor(batch.video, torch.int64, device))


@dataclass(frozen=True)
class IntentTensors:
    """B pairs of successive frames with outcomes and intents, see `replay.intents`.

    Attributes:
        image, next_image, outcome, intent: (B, H, W, 3 * cameras) uint8 RGB, s, s', s+ and z.
        outcome_mask, intent_mask: (B,) float32; 0 where s is the outcome, or the intent.
    """

    image: Tensor
    next_image: Tensor
    outcome: Tensor
    intent: Tensor
    outcome_mask: Tensor
    intent_mask: Tensor

    @classmethod
    def from_arrays(cls, batch: Intents, device: torch.device | str = "cpu") -> IntentTensors:
        """Convert a batch of `ptr_models.replay.intents`."""
        images = ("image", "next_image", "outcome", "intent")
        return cls(
            **{name: to_tensor(getattr(batch, name), torch.uint8, device) for name in images},
            outcome_mask=to_tensor(batch.outcome_mask, torch.float32, device),
            intent_mask=to_tensor(batch.intent_mask, torch.float32, device),
        )


def to_tensors(
    batch: Batch | Windows | Clips | Intents, tasks: TaskLookup, device: torch.device | str = "cpu"
) -> Transitions | WindowTensors | ClipTensors | IntentTensors:
    """A batch of any kind as tensors."""
    if isinstance(batch, Windows):
        return WindowTensors.from_arrays(batch, tasks, device)
    if isinstance(batch, Clips):
        return ClipTensors.from_arrays(batch, device)
    if isinstance(batch, Intents):
        return IntentTensors.from_arrays(batch, device)
    return Transitions.from_arrays(batch, tasks, device)
