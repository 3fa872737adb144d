# SPDX-License-Identifier: Apache-2.0
"""The history of an actor with a window: the features of the episode's last frames."""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor

from ptr_models.networks import BehaviorTransformer
from ptr_models.networks.behavior_transformer import ModesWithOffsets


class History:
    """The last frames of an episode, each encoded once, and the decisions based on them."""

    def __init__(self, actor: BehaviorTransformer) -> None:
        self._actor = actor
        self._frames: deque[Tensor] = deque(maxlen=actor.window)
        self._task: Tensor | None = None

    def clear(self) -> None:
        """Forget all frames, for a new episode."""
        self._frames.clear()

    def next(self, image: Tensor, state: Tensor, task: Tensor) -> ModesWithOffsets:
        """The decision at the newest frame; batch size 1. A changed task starts a new episode."""
        if self._task is None or not torch.equal(task, self._task):
            self.clear()
            self._task = task
        self._frames.append(self._actor.observe(image, state, task))
        decided = self._actor.decide(torch.stack(list(self._frames), dim=1))
        return ModesWithOffsets(decided.logits[-1:], decided.offsets[-1:], decided.centers)

    def along(self, images: Tensor, states: Tensor, tasks: Tensor) -> ModesWithOffsets:
        """The decisions at T frames of one episode from its start, the same as by repeated calls of `next`."""
        frames = self._actor.observe(images, states, tasks)
        window = self._actor.window
        first = self._actor.decide(frames[:window].unsqueeze(0))
        if len(frames) <= window:
            return first
        later = self._actor.decide(frames.unfold(0, window, 1)[1:].transpose(1, 2))
        last = slice(window - 1, None, window)  # the newest frame of each window
        return ModesWithOffsets(
            torch.cat([first.logits, later.logits[last]]),
            torch.cat([first.offsets, later.offsets[last]]),
            first.centers,
        )
