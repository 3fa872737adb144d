# SPDX-License-Identifier: Apache-2.0
"""Which frames of which episodes show a finished task: the classifier's examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptr_models.errors import PtrError
from ptr_models.replay import Dataset
from ptr_models.training.tasks import TaskTable


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
    data: Dataset, table: TaskTable, last: int, opposites: Sequence[tuple[str, str]] = ()
) -> Frames:
    """Every frame of every episode under its own task, and with opposites under the other one.

    The last frames of a success are positive, all other ones negative. Of two tasks that undo each other, one is
    done where the other begins: the first frame of an episode is then a positive of the opposite task, and its last
    frames are negatives of it. Only these tell the classifier what a finished task looks like with the arm away.

    Args:
        data: episodes; those without success are negative throughout.
        table: ids of the tasks.
        last: frames at the end of a success that count as finished, at least 1.
        opposites: pairs of tasks that undo each other.
    """
    if last < 1:
        raise PtrError(f"{last} frames at the end of a demonstration count as success; give at least 1")
    other = {table.canonical(a): b for pair in opposites for a, b in (pair, pair[::-1])}
    parts = [_label_episode(data, index, table, last, other) for index in range(len(data))]
    return Frames(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _label_episode(
    data: Dataset, index: int, table: TaskTable, last: int, other: Mapping[str, str]
) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    start, count = int(data.starts[index]), int(data.lengths[index]) + 1
    own = np.arange(start, start + count)
    done = np.zeros(count, dtype=bool)
    if data.successes[index]:
        done[-last:] = True
    name = table.canonical(data.tasks[index])
    task = np.full(count, table.id(name))
    if name in other:
        end = own[-last:] if data.successes[index] else own[:0]
        own = np.concatenate([own, own[:1], end])
        done = np.concatenate([done, [True], np.zeros(len(end), dtype=bool)])
        task = np.concatenate([task, np.full(1 + len(end), table.id(other[name]))])
    return own, done, task, np.full(len(own), index)


def hold_out(data: Dataset, fraction: float, seed: int) -> NDArray[np.bool_]:
    """Which episodes (E,) are kept from training: a share of each task's successes and of its failures.

    Of two episodes or more of a kind at least one is held out, of a single one none.
    """
    held = np.zeros(len(data), dtype=bool)
    generator = np.random.default_rng(seed)
    kinds = np.array([f"{task} {success}" for task, success in zip(data.tasks, data.successes, strict=True)])
    for kind in sorted(set(kinds)):
        members = np.flatnonzero(kinds == kind)
        count = max(1, round(fraction * len(members))) if len(members) > 1 else 0
        held[generator.permutation(members)[:count]] = True
    return held
