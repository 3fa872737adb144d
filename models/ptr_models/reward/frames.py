# SPDX-License-Identifier: Apache-2.0
"""Which frames of which episodes show a finished task: the classifier's examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptr_models.common.arguments import unknown_text
from ptr_models.common.errors import PtrError
from ptr_models.replay import Dataset
from ptr_models.training.tasks import TaskError, TaskTable


@dataclass(frozen=True)
class Frames:
    """N examples, as rows of a data set's frames.

    Attributes:
        rows: (N,) into `Dataset.frames`.
        done: (N,) whether the task is finished in it.
        task: (N,) ids.
        episode: (N,) index of the episode that it comes from.
    """

    rows: NDArray[np.int64]
    done: NDArray[np.bool_]
    task: NDArray[np.int64]
    episode: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def where(self, keep: NDArray[np.bool_]) -> Frames:
        """The examples for which `keep` (N,) holds."""
        return Frames(self.rows[keep], self.done[keep], self.task[keep], self.episode[keep])


def label_frames(
    data: Dataset, table: TaskTable, last: int, margin: int = 0, opposites: Sequence[tuple[str, str]] = ()
) -> Frames:
    """Every frame of every episode for its own task and, with opposites, also for the opposite one.

    The last frames of a success are positive and all others negative, except for a few in between: the exact frame in
    which a task becomes done is not known, and wrong labels there raise the threshold until it finds nothing. If two
    tasks undo each other, one is done where the other begins: the first frame of an episode is then a positive of
    the opposite task, and its last frames are negatives of it. Only these show the classifier what a finished task
    looks like with the arm away.

    Args:
        data: episodes; those without success are negative throughout.
        table: ids of the tasks.
        last: frames at the end of a success that count as finished, at least 1.
        margin: frames before those that are left out (PTR: 0).
        opposites: pairs of tasks that undo each other.

    Raises:
        TaskError: one of these is unknown.
    """
    if last < 1 or margin < 0:
        raise PtrError(f"last is {last} and margin {margin} frames; they must be at least 1 and 0")
    require_known(table, opposites)
    other = {table.canonical(a): b for pair in opposites for a, b in (pair, pair[::-1])}
    parts = [_label_episode(data, index, table, (last, margin), other) for index in range(len(data))]
    return Frames(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def require_known(table: TaskTable, opposites: Sequence[tuple[str, str]]) -> None:
    """Check that all these tasks have a slot.

    Raises:
        TaskError: one has none; the message names the nearest.
    """
    known = [table.canonical(name) for name in table.names]
    for name in (name for pair in opposites for name in pair):
        if table.canonical(name) not in known:
            raise TaskError(unknown_text("task", name, table.names))


def _label_episode(
    data: Dataset, index: int, table: TaskTable, ending: tuple[int, int], other: Mapping[str, str]
) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    start, count = int(data.starts[index]), int(data.lengths[index]) + 1
    own, (last, margin) = np.arange(start, start + count), ending
    end = own[-last:] if data.successes[index] else own[:0]
    if data.successes[index]:
        own = np.concatenate([own[: max(count - last - margin, 0)], end])
    done = np.isin(own, end)
    name = table.canonical(data.tasks[index])
    task = np.full(len(own), table.id(name))
    if name in other:
        own = np.concatenate([own, [start], end])
        done = np.concatenate([done, [True], np.zeros(len(end), dtype=bool)])
        task = np.concatenate([task, np.full(1 + len(end), table.id(other[name]))])
    return own, done, task, np.full(len(own), index)


def hold_out(data: Dataset, fraction: float, seed: int) -> NDArray[np.bool_]:
    """Which episodes (E,) are kept from training: a share of each task's successes and of its failures.

    If there are two or more episodes of a kind, at least one is held out; a single one is not.
    """
    held = np.zeros(len(data), dtype=bool)
    generator = np.random.default_rng(seed)
    kinds = np.array([f"{task} {success}" for task, success in zip(data.tasks, data.successes, strict=True)])
    for kind in sorted(set(kinds)):
        members = np.flatnonzero(kinds == kind)
        count = max(1, round(fraction * len(members))) if len(members) > 1 else 0
        held[generator.permutation(members)[:count]] = True
    return held
