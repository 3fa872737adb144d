# SPDX-License-Identifier: Apache-2.0
"""Batches of windows of consecutive steps, and of clips of three frames.

Rows are stored window after window (clip after clip), so one augmentation works for all kinds of batches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ptr_models.episodes.actions import scale
from ptr_models.episodes.errors import EpisodeError
from ptr_models.replay.batch import ALL_ROWS
from ptr_models.replay.dataset import Dataset
from ptr_models.replay.goals import FUTURE, steps_to_goals, with_goals

CLIP = 3
"""Frames of a clip: an early, a middle and a late one."""

B = TypeVar("B", "Windows", "Clips")


def _joined(first: B, second: B) -> B:
    names = [item.name for item in fields(first)]
    return type(first)(**{name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in names})


@dataclass(frozen=True)
class Windows:
    """B windows of L consecutive steps.

    Attributes:
        image: (B * L, H, W, 3 * cameras) uint8 RGB; with goal images 6 * cameras, each window has one goal.
        state: (B * L, 7) float32.
        action: (B * L, 7) float32 in [-0.99, 0.99].
        valid: (B, L) False for padding, which repeats the last step of an episode shorter than the window.
        task: (B,) int64 ids.
    """

    image: NDArray[np.uint8]
    state: NDArray[np.float32]
    action: NDArray[np.float32]
    valid: NDArray[np.bool_]
    task: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.task)

    @staticmethod
    def concatenate(first: Windows, second: Windows) -> Windows:
        """The windows of both, in this order."""
        return _joined(first, second)


@dataclass(frozen=True)
class Clips:
    """B clips of three frames of one episode, in temporal order.

    Attributes:
        image: (B * 3, H, W, 3 * cameras) uint8 RGB; with goal images 6 * cameras, the goal is the last frame.
        video: (B,) int64, the episode of each clip.
    """

    image: NDArray[np.uint8]
    video: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.video)

    @staticmethod
    def concatenate(first: Clips, second: Clips) -> Clips:
        """The clips of both, in this order; the videos of the second get new numbers."""
        if len(first) and len(second):
            second = Clips(second.image, second.video + first.video.max() + 1)
        return _joined(first, second)


class _Draws:
    """A random generator whose state can be stored."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.default_rng(seed)

    def state_dict(self) -> dict[str, Any]:
        """State of the draws, for JSON: with it a resumed run draws the same batches."""
        return dict(self._generator.bit_generator.state)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state of `state_dict`."""
        self._generator.bit_generator.state = dict(state)


class WindowSampler(_Draws):
    """Draws windows of successful episodes with replacement, uniformly over their first steps.

    An episode of T >= L steps has T - L + 1 windows; a shorter one has a single window, padded at its end. Failed
    episodes have none, since windows are used for imitation.
    """

    def __init__(
        self, dataset: Dataset, task_ids: Mapping[str, int], seed: int, length: int, goal_future: float = FUTURE
    ) -> None:
        """Args: length: L, steps of a window.   goal_future: as in `Sampler`."""
        super().__init__(seed)
        self.dataset, self.length, self._goal_future = dataset, length, goal_future
        self._ends = np.cumsum(np.where(dataset.successes, np.maximum(dataset.lengths - length + 1, 1), 0))
        if not len(self):
            raise EpisodeError(f"none of {len(dataset)} episodes is a success; imitation needs at least one")
        self._task = np.array([task_ids[name] for name in dataset.tasks], dtype=np.int64)

    def __len__(self) -> int:
        """Number of windows."""
        return int(self._ends[-1])

    def sample(self, size: int, rows: slice = ALL_ROWS) -> Windows:
        """Draw `size` windows and read the given rows. Rows that other processes read are also drawn."""
        indices = self._generator.integers(0, len(self), size)
        if not self.dataset.goal_images:
            return self.gather(indices[rows])
        episode, first = self._places(indices)
        remaining = np.maximum(self.dataset.lengths[episode] - first - self.length, 0) + 1  # after the last step
        return self.gather(indices[rows], steps_to_goals(remaining, self._goal_future, self._generator)[rows])

    def gather(self, indices: NDArray[np.int64], ahead: NDArray[np.int64] | None = None) -> Windows:
        """The windows with given indices (B,) in [0, len(self)).

        Args:
            ahead: (B,) steps from the last step of each window to its goal; None: the goals are the last frames.
        """
        data = self.dataset
        episode, first = self._places(indices)
        steps = first[:, None] + np.arange(self.length)
        last = data.lengths[episode][:, None] - 1
        within = data.starts[episode][:, None] + np.minimum(steps, last)
        rows = within.ravel()
        image = data.frames[rows]
        if data.goal_images:
            goal = (data.starts + data.lengths)[episode] if ahead is None else within[:, -1] + ahead
            image = with_goals(image, data.frames[goal.repeat(self.length)])
        return Windows(
            image=image,
            state=data.states[rows],
            action=scale(data.actions[rows], data.contract),
            valid=steps <= last,
            task=self._task[episode],
        )

    def _places(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
        """Episodes and first steps of windows, each (B,)."""
        episode = np.searchsorted(self._ends, indices, side="right")
        return episode, indices - np.where(episode > 0, self._ends[episode - 1], 0)


class ClipSampler(_Draws):
    """Draws three different frames of an episode, uniformly over episodes and times, with replacement."""

    def __init__(self, dataset: Dataset, seed: int) -> None:
        """Raises: EpisodeError: no episode has three frames."""
        super().__init__(seed)
        self.dataset = dataset
        self._episodes = np.flatnonzero(dataset.lengths + 1 >= CLIP)
        if not len(self._episodes):
            raise EpisodeError(f"none of {len(dataset)} episodes has the {CLIP} frames that a clip needs")

    def __len__(self) -> int:
        """Number of episodes with enough frames."""
        return len(self._episodes)

    def sample(self, size: int, rows: slice = ALL_ROWS) -> Clips:
        """Draw `size` clips and read the given rows. Rows that other processes read are also drawn."""
        data = self.dataset
        episode = self._episodes[self._generator.integers(0, len(self), size)]
        times = [np.sort(self._generator.choice(int(data.lengths[e]) + 1, CLIP, replace=False)) for e in episode]
        frames = (data.starts[episode][:, None] + np.array(times).reshape(size, CLIP))[rows].ravel()
        image = data.frames[frames]
        if data.goal_images:
            image = with_goals(image, data.frames[(data.starts + data.lengths)[episode][rows].repeat(CLIP)])
        return Clips(image=image, video=episode[rows])


def sample_actions(dataset: Dataset, max_actions: int, seed: int) -> NDArray[np.float32]:
    """Scaled actions (N, 7) of at most `max_actions` steps, drawn uniformly without replacement."""
    ends = np.cumsum(dataset.lengths)
    total = int(ends[-1])
    chosen = np.sort(np.random.default_rng(seed).choice(total, min(max_actions, total), replace=False))
    episode = np.searchsorted(ends, chosen, side="right")
    within = chosen - np.where(episode > 0, ends[episode - 1], 0)
    return scale(dataset.actions[dataset.starts[episode] + within], dataset.contract)
