# SPDX-License-Identifier: Apache-2.0
"""The range of Q along demonstrations, per task and step, for the policy server's alarm.

A single range for a whole task would detect nothing: a policy that has lost its object gets stuck at a value that
demonstrations pass through on their way. So there are bounds per step, with room for slower and faster motion.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptr_models.common.errors import PtrError
from ptr_models.inference.policy import Policy
from ptr_models.replay import Dataset
from ptr_models.training.checkpoint import has_critic, read_checkpoint, write_q_ranges
from ptr_models.training.data import open_folders
from ptr_models.training.q_range import QRange

DEMONSTRATIONS = 10
"""Maximum number of demonstrations per task."""
QUANTILE = 0.01
"""Share of the values on either side that is left out."""
BEHIND, AHEAD = 1.0, 0.6
"""s by which a policy may be slower or faster than a demonstration."""
SLACK = 0.03
"""Room on either side, as a share of the distance from the lowest to the highest value of the task."""
DECIMALS = 3


def q_range(curves: Sequence[ArrayLike], control_rate: float) -> QRange:
    """Bounds per step of some curves (T_i,) of values along demonstrations of one task.

    A curve that has ended keeps its last value.

    Args:
        curves: at least one, none empty.
        control_rate: steps per second (Hz).
    """
    values = [np.asarray(curve, dtype=np.float64) for curve in curves]
    slack = SLACK * float(max(map(np.max, values)) - min(map(np.min, values)))
    behind, ahead = round(BEHIND * control_rate), round(AHEAD * control_rate)
    low, high = [], []
    for step in range(max(map(len, values)) + behind):
        near = np.concatenate([_around(curve, step - behind, step + ahead) for curve in values])
        lowest, highest = np.quantile(near, [QUANTILE, 1.0 - QUANTILE])
        low.append(round(float(lowest) - slack, DECIMALS))
        high.append(round(float(highest) + slack, DECIMALS))
    return QRange(tuple(low), tuple(high), len(values))


def _around(curve: NDArray[np.float64], first: int, last: int) -> NDArray[np.float64]:
    return curve[np.clip(np.arange(first, last + 1), 0, len(curve) - 1)]


def q_ranges(policy: Policy, data: Dataset, demonstrations: int = DEMONSTRATIONS) -> dict[str, QRange]:
    """The range of each task in the data that the policy knows, by the name of its slot; failures are left out.

    Args:
        demonstrations: maximum number per task, the same ones each time.
    """
    tasks, found = policy.checkpoint.tasks, {}
    names = np.array([tasks.canonical(name) for name in data.tasks])
    for name in sorted(set(names) & set(tasks.names)):
        rows = np.flatnonzero((names == name) & np.asarray(data.successes))
        few = np.random.default_rng(0).permutation(rows)[:demonstrations]
        if len(few):
            found[str(name)] = q_range([_modes_values(policy, data, row) for row in few], data.contract.control_rate)
    return found


def _modes_values(policy: Policy, data: Dataset, index: int) -> NDArray[np.float32]:
    """(T,) values of the actor's mode along an episode."""
    frames, states, _ = data.episode(index)
    seen = frames[:-1], states[:-1]
    modes = policy.modes(*seen, data.tasks[index])
    return policy.values(*seen, modes, data.tasks[index]).min(axis=0)


def add_q_ranges(
    path: Path, data: Dataset, *, demonstrations: int = DEMONSTRATIONS, device: str = "cpu"
) -> dict[str, QRange]:
    """Compute the ranges of a checkpoint's tasks and store them in it, in addition to those of other tasks.

    Args:
        path: the checkpoint's folder.
        data: demonstrations; tasks that the checkpoint does not know are left out.
    Returns:
        the ranges that were computed; none when the data have no successful episode of its tasks.
    Raises:
        PtrError: it has no Q-function.
    """
    checkpoint = read_checkpoint(path)
    if not has_critic(checkpoint):
        raise PtrError(f"{checkpoint.path} has no Q-function ({checkpoint.config.algorithm.name}), hence no range of Q")
    found = q_ranges(Policy.load(checkpoint.path, device), data, demonstrations)
    if found:
        write_q_ranges(checkpoint.path, {**checkpoint.q_ranges, **found})
    return found


def add_from_folders(
    path: Path, folders: Sequence[Path], *, demonstrations: int, cache: Path | None, exclude: Sequence[str] = ()
) -> dict[str, QRange]:
    """`add_q_ranges` with the demonstrations in some folders; it is an error if none is usable."""
    checkpoint = read_checkpoint(path)
    by_goal_image = checkpoint.config.data.by_goal_image
    data = open_folders(folders, checkpoint.contract, cache=cache, exclude=exclude, goal_images=by_goal_image)
    found = add_q_ranges(path, data, demonstrations=demonstrations)
    if not found:
        raise PtrError(f"the data hold no successful episode of a task that {path} knows; give others with --data")
    return found
