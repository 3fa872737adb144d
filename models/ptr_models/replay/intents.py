# SPDX-License-Identifier: Apache-2.0
"""Successive frames with an outcome s+ and an intent z (other frames), for learning values without actions.

Ghosh et al. 2023 (arXiv 2304.04782). Outcome and intent are future frames of the same video, frames of any video, or
the state itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptr_models.replay.batch import ALL_ROWS
from ptr_models.replay.dataset import Dataset


@dataclass(frozen=True)
class Intents:
    """B pairs of successive frames with their outcomes and intents.

    Attributes:
        image, next_image: (B, H, W, 3 * cameras) uint8 RGB, s and s'.
        outcome, intent: (B, H, W, 3 * cameras) uint8 RGB, s+ and z.
        outcome_mask, intent_mask: (B,) float32; 0 where s is the outcome, or the intent, and so has reached it.
    """

    image: NDArray[np.uint8]
    next_image: NDArray[np.uint8]
    outcome: NDArray[np.uint8]
    intent: NDArray[np.uint8]
    outcome_mask: NDArray[np.float32]
    intent_mask: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.outcome_mask)

    @staticmethod
    def concatenate(first: Intents, second: Intents) -> Intents:
        """The rows of both, in this order."""
        names = [item.name for item in fields(Intents)]
        return Intents(**{name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in names})


class IntentSampler:
    """Steps of one data set, uniformly and with replacement; no action, state or label is read."""

    def __init__(self, dataset: Dataset, seed: int, future: float, current: float, same: float) -> None:
        """Args:
        future: share of outcomes and intents that are drawn uniformly from the frames after the state.
        current: share that is the state itself. The rest is drawn uniformly from all frames.
        same: share of outcomes that are the intent itself.
        """
        self.dataset, self._future, self._current, self._same = dataset, future, current, same
        self._generator = np.random.default_rng(seed)
        self._steps, self._frames = np.cumsum(dataset.lengths), np.cumsum(dataset.lengths + 1)

    def __len__(self) -> int:
        """Number of steps."""
        return int(self._steps[-1])

    def sample(self, size: int, rows: slice = ALL_ROWS) -> Intents:
        """Draw `size` steps and read the given rows. Rows that other processes read are also drawn."""
        episode, step = _places(self._generator.integers(0, len(self), size), self._steps)
        now = self.dataset.starts[episode] + step
        remaining = self.dataset.lengths[episode] - step
        intent = self._goals(now, remaining)
        is_same = self._generator.random(size) < self._same
        outcome = np.where(is_same, intent, self._goals(now, remaining))
        return self._gather(now[rows], outcome[rows], intent[rows])

    def _goals(self, now: NDArray[np.int64], remaining: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows of goal frames for states in rows `now`, with the remaining steps of their episodes; all (B,)."""
        kind = self._generator.random(len(now))
        later = now + self._generator.integers(1, remaining + 1)
        episode, frame = _places(self._generator.integers(0, self._frames[-1], len(now)), self._frames)
        anywhere = self.dataset.starts[episode] + frame
        return np.where(kind < self._current, now, np.where(kind < self._current + self._future, later, anywhere))

    def _gather(self, now: NDArray[np.int64], outcome: NDArray[np.int64], intent: NDArray[np.int64]) -> Intents:
        frames = self.dataset.frames
        return Intents(
            image=frames[now],
            next_image=frames[now + 1],
            outcome=frames[outcome],
            intent=frames[intent],
            outcome_mask=(outcome != now).astype(np.float32),
            intent_mask=(intent != now).astype(np.float32),
        )

    def state_dict(self) -> dict[str, Any]:
        """State of the draws, for JSON: with it a resumed run draws the same batches."""
        return dict(self._generator.bit_generator.state)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state of `state_dict`."""
        self._generator.bit_generator.state = dict(state)


def _places(indices: NDArray[np.int64], ends: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Episodes and positions within them, each (B,), of indices into episodes that end at `ends` (E,)."""
    episode = np.searchsorted(ends, indices, side="right")
    return episode, indices - np.where(episode > 0, ends[episode - 1], 0)
