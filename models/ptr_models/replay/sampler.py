# SPDX-License-Identifier: Apache-2.0
"""Training batches: uniform over transitions with replacement, mixed from prior and target data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptr_models.episodes.actions import scale
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.labels import Labelling, label
from ptr_models.replay.cache import Dataset


@dataclass(frozen=True)
class Batch:
    """B transitions.

    Attributes:
        image, next_image: (B, H, W, 3 * cameras) uint8 RGB.
        state, next_state: (B, 7) float32.
        action: (B, 7) float32 in [-0.99, 0.99].
        reward, mask, mc_return: (B,) float32; mask 0 is terminal.
        task: (B,) int64 ids.
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

    def __len__(self) -> int:
        return len(self.reward)

    @staticmethod
    def concatenate(first: Batch, second: Batch) -> Batch:
        """The rows of both, in this order."""
        if not len(first) or not len(second):
            return first if len(first) else second
        return Batch(
            **{
                item.name: np.concatenate([getattr(first, item.name), getattr(second, item.name)])
                for item in fields(Batch)
            }
        )


class Sampler:
    """Transitions of one data set, uniformly with replacement."""

    def __init__(
        self,
        dataset: Dataset,
        task_ids: Mapping[str, int],
        seed: int = 0,
        labelling: Labelling | None = None,
    ) -> None:
        """Label all episodes.

        Args:
            dataset: to draw from.
            task_ids: id of each task name.
            seed: of the draws.
            labelling: reward rule.
        Raises:
            EpisodeError: a task of the data has no id.
        """
        unknown = [name for name in dataset.task_names if name not in task_ids]
        if unknown:
            raise EpisodeError(
                f"task {unknown[0]} has no id; known tasks: {', '.join(sorted(task_ids)) or 'none'}"
            )
        self.dataset = dataset
        self._generator = np.random.default_rng(seed)
        lengths = dataset.lengths
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
        self._rows = np.repeat(dataset.starts, lengths) + within
        labels = [label(int(n), bool(s), labelling) for n, s in zip(lengths, dataset.successes, strict=True)]
        self._reward = np.concatenate([item.reward for item in labels])
        self._mask = np.concatenate([item.mask for item in labels])
        self._mc_return = np.concatenate([item.mc_return for item in labels])
        self._task = np.repeat(np.array([task_ids[name] for name in dataset.tasks], dtype=np.int64), lengths)
        self._actions = scale(dataset.actions[self._rows], dataset.contract)

    def __len__(self) -> int:
        """Number of transitions."""
        return len(self._rows)

    def sample(self, size: int) -> Batch:
        """Draw `size` transitions."""
        return self.gather(self._generator.integers(0, len(self), size))

    def gather(self, indices: NDArray[np.int64]) -> Batch:
        """The transitions of given indices (B,) in [0, len(self))."""
        rows = self._rows[indices]
        data = self.dataset
        return Batch(
            image=data.frames[rows],
            state=data.states[rows],
            action=self._actions[indices],
            next_image=data.frames[rows + 1],
            next_state=data.states[rows + 1],
            reward=self._reward[indices],
            mask=self._mask[indices],
            mc_return=self._mc_return[indices],
            task=self._task[indices],
        )

    def state_dict(self) -> dict[str, Any]:
        """State of the draws, for JSON: with it a resumed run draws the same batches."""
        return self._generator.bit_generator.state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state of `state_dict`."""
        self._generator.bit_generator.state = dict(state)


class MixingSampler:
    """Batches of prior and target data in a fixed proportion, as in PTR's second phase."""

    def __init__(self, prior: Sampler | None, target: Sampler | None, fraction: float) -> None:
        """Args: fraction: of prior rows in [0, 1]; rounded down, the rest of a batch is target data."""
        if not 0.0 <= fraction <= 1.0:
            raise EpisodeError(f"the mixing fraction is {fraction}; it must be in [0, 1]")
        if (fraction > 0.0 and prior is None) or (fraction < 1.0 and target is None):
            raise EpisodeError(
                f"a mixing fraction of {fraction} needs {'prior' if prior is None else 'target'} data"
            )
        self.prior = prior
        self.target = target
        self.fraction = fraction

    def split(self, size: int) -> tuple[int, int]:
        """Rows of prior and of target data in a batch of `size`."""
        rows = math.floor(size * self.fraction + 1e-9)
        return rows, size - rows

    def sample(self, size: int) -> Batch:
        """Draw a batch: first the prior rows, then the target rows."""
        rows, rest = self.split(size)
        parts = [
            sampler.sample(count)
            for sampler, count in ((self.prior, rows), (self.target, rest))
            if sampler is not None and count
        ]
        return parts[0] if len(parts) == 1 else Batch.concatenate(*parts)

    def state_dict(self) -> dict[str, Any]:
        """States of both samplers, for JSON."""
        pairs = (("prior", self.prior), ("target", self.target))
        return {name: sampler.state_dict() for name, sampler in pairs if sampler is not None}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state of `state_dict`."""
        for name, sampler in (("prior", self.prior), ("target", self.target)):
            if sampler is not None and name in state:
                sampler.load_state_dict(state[name])
