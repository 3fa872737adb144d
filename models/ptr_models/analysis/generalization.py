# SPDX-License-Identifier: Apache-2.0
"""How well a policy fits the episodes that it has learned from, compared with others that it has not seen.

Training losses only describe the training data. A Q-function that knows the returns of its own episodes much better
than those of new ones has memorized scenes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from ptr_models.analysis.values import value_curves
from ptr_models.common.errors import PtrError
from ptr_models.contract import Contract
from ptr_models.episodes.actions import unscale
from ptr_models.episodes.labels import Labelling
from ptr_models.inference.acting import BatchPolicy
from ptr_models.replay import Dataset
from ptr_models.training.tasks import TaskError, TaskTable

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Fit:
    """Over all steps of some episodes.

    Attributes:
        episodes, steps: how many.
        translation: RMS distance in meters between the translations of the policy's mode and of the data, per step.
        rotation: the same for the rotation vectors, in radians.
        gripper: share of steps at which both are on the same side of half open.
        correlation: Pearson's of Q of the data actions (smallest critic) and their returns; None without a critic, or
            if one of them is constant.
        value_error: RMS difference of the two; None without a critic.
    """

    episodes: int
    steps: int
    translation: float
    rotation: float
    gripper: float
    correlation: float | None
    value_error: float | None

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def fit(policy: BatchPolicy, data: Dataset, labelling: Labelling | None) -> Fit:
    """Compare a policy with every step of some episodes, without augmentation.

    Args:
        labelling: of the returns; None: there is no critic to compare with them.
    """
    errors, same = [], []
    for index, task in enumerate(data.tasks):
        frames, states, taken = data.episode(index)
        dimensions = taken.shape[-1]  # of a chunk, the step that is executed next
        modes = unscale(policy.modes(frames[:-1], states[:-1], task)[:, :dimensions], data.contract)
        errors.append(np.asarray(modes, dtype=np.float64) - taken)
        gripper = data.contract.action.index("gripper")
        same.append((modes[:, gripper] > 0.5) == (taken[:, gripper] > 0.5))
    error = np.concatenate(errors)
    correlation, value_error = (None, None) if labelling is None else _of_values(policy, data, labelling)
    return Fit(
        episodes=len(data),
        steps=len(error),
        translation=_length(error, data.contract, ("dx", "dy", "dz")),
        rotation=_length(error, data.contract, ("droll", "dpitch", "dyaw")),
        gripper=float(np.concatenate(same).mean()),
        correlation=correlation,
        value_error=value_error,
    )


def split(seen: Dataset, others: Dataset, tasks: TaskTable) -> tuple[Dataset, Dataset]:
    """The episodes of `seen` and of `others` to compare: they have the same tasks, and none of `others` is in `seen`.

    Episodes of `others` whose task the checkpoint does not know are left out. An episode is recognized by its name,
    wherever it is stored.

    Raises:
        PtrError: one of the two would be empty.
    """
    known = {Path(path).name for path in seen.paths}
    keep = np.array([Path(path).name not in known for path in others.paths])
    if not keep.any():
        raise PtrError(f"all {len(others)} episodes of --unseen are training data; name others")
    unknown = ""
    for index, task in enumerate(others.tasks):
        try:
            tasks.vector(task)
        except TaskError as error:
            keep[index], unknown = False, str(error)
    if not keep.any():
        raise PtrError(f"no episode of --unseen has a task that the checkpoint knows: {unknown}")
    unseen = others.select(keep)
    wanted = {tasks.canonical(task) for task in unseen.tasks}
    same = [tasks.canonical(task) in wanted for task in seen.tasks]
    if not any(same):
        raise PtrError(f"no training episode shows {', '.join(sorted(wanted))}, the tasks of --unseen; name others")
    return seen.select(same), unseen


def fit_table(fits: Mapping[str, Fit]) -> Table:
    """One column per set of episodes."""
    table = Table("", *fits, box=None)
    for about, text in _LINES.items():
        cells = [text(item) for item in fits.values()]
        if any(cells):
            table.add_row(about, *cells)
    return table


def _of_values(policy: BatchPolicy, data: Dataset, labelling: Labelling) -> tuple[float | None, float]:
    curves = value_curves(policy, data, labelling)
    q = np.concatenate([curve.pessimistic for curve in curves])
    returns = np.concatenate([curve.mc_return for curve in curves])
    error = float(np.sqrt(np.mean((q - returns) ** 2)))
    if np.ptp(q) == 0.0 or np.ptp(returns) == 0.0:
        return None, error
    return float(np.corrcoef(q, returns)[0, 1]), error


def _length(error: Floats, contract: Contract, names: tuple[str, ...]) -> float:
    """RMS length of the vectors of some dimensions."""
    return float(np.sqrt((error[:, [contract.action.index(name) for name in names]] ** 2).sum(axis=1).mean()))


def _optional(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


_LINES: Mapping[str, Callable[[Fit], str]] = {
    "episodes": lambda it: str(it.episodes),
    "steps": lambda it: str(it.steps),
    "error of the mode: translation": lambda it: f"{1000 * it.translation:.3g} mm",
    "error of the mode: rotation": lambda it: f"{it.rotation:.3g} rad",
    "gripper as in the data": lambda it: f"{100 * it.gripper:.1f} %",
    "Q and return: correlation": lambda it: _optional(it.correlation),
    "Q and return: RMS difference": lambda it: _optional(it.value_error),
}
