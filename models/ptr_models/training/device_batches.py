# SPDX-License-Identifier: Apache-2.0
"""Batches of arrays as augmented tensors on the training device, copied during the previous update."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ptr_models.algorithms import to_tensors
from ptr_models.algorithms.batch import TaskLookup
from ptr_models.replay.augment import Augmentation, draw
from ptr_models.training import device_augmentation
from ptr_models.training.config import TrainingConfig
from ptr_models.training.prefetch import augmented, frames_of, images_of
from ptr_models.training.tasks import TaskTable


@dataclass(frozen=True)
class Staged:
    """Tensors being copied.

    Attributes:
        tensors: a batch, as expected by an algorithm's update.
        ready: CUDA event after copies and augmentation; None: nothing to wait for.
    """

    tensors: Any
    ready: torch.cuda.Event | None = None


class DeviceBatches:
    """Converts batches to tensors in one thread, for use in another.

    On a GPU, copies use pinned memory. Copies and augmentation run on a separate stream.
    """

    def __init__(
        self,
        device: str,
        tasks: TaskLookup,
        rule: Augmentation,
        seed: int,
        on_device: bool,
        part: tuple[int, int] = (0, 1),
    ) -> None:
        """Args:
        device: as in the configuration; `cuda` is the calling thread's current GPU.
        tasks: turns task ids into vectors.
        rule, seed: of the augmentation.
        on_device: augment tensors on the device, not arrays on the CPU.
        part: index of this process's part of a batch, and number of parts.
        """
        self._device = own_device(device)
        self._tasks = tasks if isinstance(tasks, int) else tasks.to(self._device)
        self._rule, self._seed, self._part = rule, seed, part
        self._on_device = on_device
        self._stream = torch.cuda.Stream(self._device) if self._device.type == "cuda" else None

    @classmethod
    def of(cls, config: TrainingConfig, table: TaskTable, part: tuple[int, int] = (0, 1)) -> DeviceBatches:
        """For a run with this configuration and these tasks."""
        data, device, lookup = config.data, config.device, table.lookup()
        tasks = lookup if isinstance(lookup, int) else torch.from_numpy(lookup)
        return cls(device, tasks, data.augmentation, config.seed, data.augments_on_device(device), part)

    def stage(self, batch: Any, step: int) -> Staged:
        """Start copying and augmenting the batch of the update after `step` updates."""
        if self._stream is None:
            return Staged(self._make(batch, step))
        with torch.cuda.stream(self._stream):
            tensors = self._make(batch, step)
            return Staged(tensors, self._stream.record_event())

    def wait_for(self, staged: Staged) -> Any:
        """The tensors, usable in this thread's current stream. Work queued there waits for them."""
        if staged.ready is not None:
            current = torch.cuda.current_stream(self._device)
            current.wait_event(staged.ready)
            for tensor in _tensors(staged.tensors):
                tensor.record_stream(current)  # keeps its memory while this stream uses it
        return staged.tensors

    def _make(self, batch: Any, step: int) -> Any:
        if not self._on_device:
            batch = augmented(batch, self._rule, self._seed, step, self._part)
            return to_tensors(batch, self._tasks, self._device)
        generator = np.random.default_rng([self._seed, step])  # as in `augmented`
        tensors, images = to_tensors(batch, self._tasks, self._device), {}
        for name in images_of(batch):
            count, channels = getattr(batch, name).shape[0], getattr(batch, name).shape[-1]
            draws = draw(count, channels // 3, generator, self._rule, self._part, frames_of(batch))
            images[name] = device_augmentation.apply(getattr(tensors, name), draws)
        return dataclasses.replace(tensors, **images)  # type: ignore[arg-type]  # every kind has its `images_of`


def own_device(name: str) -> torch.device:
    """The device with its index: plain `cuda` can be another GPU in another thread."""
    device = torch.device(name)
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return device


def _tensors(batch: Any) -> list[Tensor]:
    values = [getattr(batch, item.name) for item in dataclasses.fields(batch)]
    return [value for value in values if isinstance(value, Tensor)]
