# SPDX-License-Identifier: Apache-2.0
"""Draw transitions of one data set with replacement, uniformly or with balanced tasks.

Memory holds one entry per episode and one per length, but none per transition: rows, labels and scaled actions are
computed when the transitions of a batch are drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptr_models.episodes.actions import scale, standing_still
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.labels import Labelling, label, over_chunks
from ptr_models.replay.batch import ALL_ROWS, Batch
from ptr_models.replay.dataset import Dataset
from ptr_models.replay.goals import FUTURE, steps_to_goals, with_goals


class Sampler:
    """Draws transitions of one data set with replacement."""

    def __init__(
        self,
        dataset: Dataset,
        task_ids: Mapping[str, int],
        seed: int = 0,
        labelling: Labelling | None = None,
        *,
        task_balance: float = 0.0,
        goal_future: float = FUTURE,
        chunk: int = 1,
    ) -> None:
        """Index the episodes.

        Args:
            dataset: to draw from.
            task_ids: id of each task name.
            seed: of the draws.
            labelling: reward rule.
            task_balance: b in [0, 1]; a task with n transitions is drawn with p proportional to n^(1 - b), and
                its transitions uniformly. 0 is PTR's rule (uniform over transitions), 0.5 the square root,
                1 gives each task the same share.
            goal_future: share of goal images that are drawn from the future of their state, see `goals`.
            chunk: h, actions of a transition, which goes from s_t to s_{t+h}. Each step of an episode starts one; if
                fewer than h steps remain, it is shorter and ends with the last frame.
        Raises:
            EpisodeError: a task of the data has no id, or an option is out of range.
        """
        unknown = [name for name in dataset.task_names if name not in task_ids]
        if unknown:
            raise EpisodeError(f"task {unknown[0]} has no id; known tasks: {', '.join(sorted(task_ids)) or 'none'}")
        if not 0.0 <= task_balance <= 1.0:
            raise EpisodeError(f"task_balance is {task_balance}; it must be in [0, 1]")
        self.dataset, self._goal_future, self._chunk = dataset, goal_future, chunk
        self._generator = np.random.default_rng(seed)
        self._lengths = dataset.lengths
        self._offsets = np.concatenate([[0], np.cumsum(self._lengths)])
        self._task = np.array([task_ids[name] for name in dataset.tasks], dtype=np.int64)
        self._labels = _label_tables(int(self._lengths.max()), labelling, chunk)
        self._balance = _TaskBalance(self._task, self._lengths, task_balance) if task_balance else None

    def __len__(self) -> int:
        """Number of transitions."""
        return int(self._offsets[-1])

    def sample(self, size: int, rows: slice = ALL_ROWS) -> Batch:
        """Draw `size` transitions and read the given rows. Rows that other processes read are also drawn."""
        if self._balance is None:
            indices = self._generator.integers(0, len(self), size)
        else:
            episodes, steps = self._balance.draw(self._generator, size)
            indices = self._offsets[episodes] + steps
        if not self.dataset.goal_images:
            return self.gather(indices[rows])
        ahead = steps_to_goals(self._places(indices)[2], self._goal_future, self._generator)
        return self.gather(indices[rows], ahead[rows])

    def gather(self, indices: NDArray[np.int64], ahead: NDArray[np.int64] | None = None) -> Batch:
        """The transitions with given indices (B,) in [0, len(self)), counted episode by episode, step by step.

        With goal images, an episode counts as one that ended at the goal and reached it: whatever its task, it shows
        how to get there. Its own outcome still decides whether it is imitated.

        Args:
            ahead: (B,) steps to the goals, at least 1 and within the episode; None: the goals are the last frames.
        """
        episodes, steps, remaining = self._places(indices)
        data = self.dataset
        rows = data.starts[episodes] + steps
        reached = data.successes[episodes]
        if data.goal_images:
            remaining = remaining if ahead is None else ahead
            reached = np.ones_like(reached)
        following = rows + np.minimum(self._chunk, remaining)
        image, next_image = data.frames[rows], data.frames[following]
        if data.goal_images:
            goals = data.frames[rows + remaining]
            image, next_image = with_goals(image, goals), with_goals(next_image, goals)
        action, valid = self._actions(rows, remaining)
        labels = self._labels[reached.astype(np.intp), :, remaining]
        reward, mask, mc_return = np.ascontiguousarray(labels.T)
        return Batch(
            image=image,
            state=data.states[rows],
            action=action,
            next_image=next_image,
            next_state=data.states[following],
            reward=reward,
            mask=mask,
            mc_return=mc_return,
            task=self._task[episodes],
            success=data.successes[episodes],
            valid=valid,
        )

    def _actions(
        self, rows: NDArray[np.int64], remaining: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
        """Scaled actions (B, 7 h) from these rows on, and which of their steps lie within the episode, (B, h).

        After the end the arm stands still and the gripper does not change.
        """
        data = self.dataset
        if self._chunk == 1:
            return scale(data.actions[rows], data.contract), None
        steps = np.arange(self._chunk)
        valid = steps < remaining[:, None]
        raw = data.actions[rows[:, None] + np.minimum(steps, remaining[:, None] - 1)]
        return scale(standing_still(raw, valid), data.contract).reshape(len(rows), -1), valid

    def _places(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.int64]]:
        """Episodes, steps within them, and remaining steps to their last frames, each (B,)."""
        episodes = np.searchsorted(self._offsets, indices, side="right") - 1
        steps = indices - self._offsets[episodes]
        return episodes, steps, self._lengths[episodes] - steps

    def state_dict(self) -> dict[str, Any]:
        """State of the draws, for JSON: with it a resumed run draws the same batches."""
        return dict(self._generator.bit_generator.state)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state of `state_dict`."""
        self._generator.bit_generator.state = dict(state)


class _TaskBalance:
    """Draws (episode, step) so that tasks appear in proportion to a power of their numbers of transitions."""

    def __init__(self, tasks: NDArray[np.int64], lengths: NDArray[np.int64], balance: float) -> None:
        self._order = np.argsort(tasks, kind="stable")
        self._ends = np.cumsum(lengths[self._order])
        self._lengths = lengths
        _, first = np.unique(tasks[self._order], return_index=True)
        stops = self._ends[np.append(first[1:], len(tasks)) - 1]
        self._counts = np.diff(stops, prepend=0)
        self._starts = stops - self._counts
        weights = np.where(self._counts > 0, np.maximum(self._counts, 1) ** (1.0 - balance), 0.0)
        self._shares = np.cumsum(weights / weights.sum())

    def draw(self, generator: np.random.Generator, size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Episodes (size,) and steps within them (size,)."""
        tasks = np.searchsorted(self._shares[:-1], generator.random(size), side="right")
        places = self._starts[tasks] + generator.integers(0, self._counts[tasks])
        found = np.searchsorted(self._ends, places, side="right")
        episodes = self._order[found]
        return episodes, places - (self._ends[found] - self._lengths[episodes])


def _label_tables(longest: int, labelling: Labelling | None, chunk: int = 1) -> NDArray[np.float32]:
    """Reward, mask and return (2, 3, longest + 1) by success and number of remaining steps, which is 1 at the last.

    Labels depend only on the distance to the end, so the longest episode has the labels of all others. Reward and mask
    are those of chunks.
    """
    tables = np.zeros((2, 3, longest + 1), np.float32)
    for success in (False, True):
        labels = over_chunks(label(longest, success, labelling), chunk, (labelling or Labelling()).discount)
        for row, values in enumerate((labels.reward, labels.mask, labels.mc_return)):
            tables[int(success), row, 1:] = values[::-1]
    return tables
