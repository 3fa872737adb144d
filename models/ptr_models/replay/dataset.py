# SPDX-License-Identifier: Apache-2.0
"""Episodes as memory-mapped arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ptr_models.contract import Contract
from ptr_models.episodes.errors import EpisodeError
from ptr_models.replay.goals import with_goals
from ptr_models.replay.verified import VerifiedRows

Rows: TypeAlias = "NDArray[Any] | VerifiedRows | JoinedRows"


class JoinedRows:
    """The rows of two arrays in sequence: of bags, then of videos. Only requested rows are read."""

    def __init__(self, first: Rows, second: Rows) -> None:
        self._first, self._second = first, second
        self.shape: tuple[int, ...] = (len(first) + len(second), *first.shape[1:])
        self.dtype: np.dtype[Any] = first.dtype
        self.ndim = len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Rows by their indices (N,), or by a slice."""
        rows = np.arange(len(self))[key] if isinstance(key, slice) else np.asarray(key)
        border = len(self._first)
        is_second = rows >= border
        if not is_second.any():
            return self._first[rows]
        if is_second.all():
            return self._second[rows - border]
        found = np.empty((len(rows), *self.shape[1:]), self.dtype)
        found[~is_second] = self._first[rows[~is_second]]
        found[is_second] = self._second[rows[is_second] - border]
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype)


@dataclass(frozen=True)
class LeftOut:
    """An episode that is not in a data set, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Dataset:
    """Episodes of one replay cache. Memory holds one entry per episode; frames stay on disk.

    Attributes:
        contract: of all episodes.
        frames: (N, H, W, 3 * cameras) uint8 RGB, memory-mapped, verified at first use; (N, 0, 0, 0) if the contract
            has no cameras.
        states: (N, S) float32, memory-mapped.
        actions: (N, 7) float32, raw units, memory-mapped; the row of an episode's last frame is unused.
        starts: (E,) first row of each episode.
        lengths: (E,) steps; an episode has one more row.
        tasks: (E,) task names.
        successes: (E,) whether the episode counts as a success.
        paths: (E,) folders of the bags.
        left_out: episodes that were refused.
        instructions: (E,) the task in free words, empty if a bag has none; () if they were not read.
        goal_images: whether each image is followed by a goal, another frame of its episode.
    """

    contract: Contract
    frames: NDArray[np.uint8] | VerifiedRows | JoinedRows
    states: NDArray[np.float32] | JoinedRows
    actions: NDArray[np.float32] | JoinedRows
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    tasks: tuple[str, ...]
    successes: NDArray[np.bool_]
    paths: tuple[str, ...]
    left_out: tuple[LeftOut, ...] = ()
    instructions: tuple[str, ...] = ()
    goal_images: bool = False

    @property
    def transitions(self) -> int:
        """Number of (s, a, s') triples."""
        return int(self.lengths.sum())

    @property
    def task_names(self) -> list[str]:
        """Distinct task names, sorted."""
        return sorted(set(self.tasks))

    def __len__(self) -> int:
        """Number of episodes."""
        return len(self.lengths)

    def select(self, keep: Sequence[bool] | NDArray[np.bool_]) -> Dataset:
        """The same arrays, with a selection of the episodes.

        Args:
            keep: (E,) which episodes to keep.
        """
        mask = np.asarray(keep, dtype=bool)
        if not mask.any():
            raise EpisodeError(f"no episode of {len(self)} is left after selecting")
        chosen = np.flatnonzero(mask)
        return dataclasses.replace(
            self,
            starts=self.starts[mask],
            lengths=self.lengths[mask],
            tasks=tuple(self.tasks[i] for i in chosen),
            instructions=tuple(self.instructions[i] for i in chosen) if self.instructions else (),
            successes=self.successes[mask],
            paths=tuple(self.paths[i] for i in chosen),
        )

    def followed_by(self, other: Dataset) -> Dataset:
        """The episodes of both, with this contract. The images of both must have the same shape."""
        told = self.instructions and other.instructions
        return dataclasses.replace(
            self,
            frames=JoinedRows(self.frames, other.frames),
            states=JoinedRows(self.states, other.states),
            actions=JoinedRows(self.actions, other.actions),
            starts=np.concatenate([self.starts, other.starts + len(self.frames)]),
            lengths=np.concatenate([self.lengths, other.lengths]),
            tasks=self.tasks + other.tasks,
            instructions=self.instructions + other.instructions if told else (),
            successes=np.concatenate([self.successes, other.successes]),
            paths=self.paths + other.paths,
            left_out=self.left_out + other.left_out,
        )

    def by_instruction(self) -> Dataset:
        """The same, with instructions as tasks, or the name of the task if a bag has none."""
        tasks = self.tasks
        told = zip(self.instructions, tasks, strict=True) if self.instructions else zip(tasks, tasks, strict=True)
        return dataclasses.replace(self, tasks=tuple(words or task for words, task in told))

    def by_goal_image(self) -> Dataset:
        """The same, with a goal image as the task: images get 6 * cameras channels instead of 3 * cameras."""
        return dataclasses.replace(self, goal_images=True)

    def episode(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
        """Frames (T+1, H, W, 3 * cameras), states (T+1, S) and raw actions (T, 7) of one episode.

        With goal images, each frame is followed by the last one.
        """
        start, length = int(self.starts[index]), int(self.lengths[index])
        rows = slice(start, start + length + 1)
        frames = self.frames[rows]
        frames = with_goals(frames, frames[-1]) if self.goal_images else frames
        return frames, self.states[rows], self.actions[start : start + length]
