# SPDX-License-Identifier: Apache-2.0
"""A bag as rows of a data set of another project: one per control step, with the observation that its action is for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ptr_models.contract import Contract
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.reader import actions_from_targets, sample
from ptr_models.episodes.sampling import Choice, states_of
from ptr_models.episodes.streams import control_grid, read_streams


@dataclass(frozen=True)
class Steps:
    """The T steps of a bag.

    Attributes:
        shown: the samples of each step's observation.
        states: (T, S) float32.   actions: (T, 7) float32.
        start_ns: of the first observation.
    """

    shown: list[Choice]
    states: NDArray[np.float32]
    actions: NDArray[np.float32]
    start_ns: int


def aligned_steps(path: Path, metadata: EpisodeMetadata, contract: Contract) -> Steps:
    """Pair actions with observations according to the bag's action_shift; the result has no shift.

    Args:
        contract: defines the cameras to sample, and their latencies.
    Raises:
        EpisodeError: there is no step, a stream has a gap, or a number is not finite.
    """
    streams = read_streams(path, contract)
    stamps = control_grid(streams, contract)
    choices, commands = sample(streams, contract, stamps)
    actions = actions_from_targets(np.array([(*command.pose, command.gripper) for command in commands]))
    shift = metadata.action_shift
    steps = len(actions) - shift
    if steps < 1:
        raise EpisodeError(f"it has {len(actions)} steps; none is left with its action_shift of {shift}")
    shown = choices[shift:][:steps]
    states, actions = states_of(contract, shown), actions[:steps]
    for name, values in (("arm state", states), ("executed command", actions)):
        if not np.isfinite(values).all():
            raise EpisodeError(f"its {name} has a value that is not finite")
    return Steps(shown, states, actions, int(stamps[shift]))


def plain_task(metadata: EpisodeMetadata) -> str:
    """The instruction, or else the task's name in plain words."""
    return metadata.words or metadata.task.replace("_", " ")
