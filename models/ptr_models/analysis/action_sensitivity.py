# SPDX-License-Identifier: Apache-2.0
"""How much Q drops when part of the data action becomes uniform, and how widely the actor's actions spread.

The conservative term draws uniform actions in all dimensions at once. If one part gives them away (a rotation that
never occurs in the data), Q learns little about the others, and the entropy that the actor can't spend there goes into
the motion. A healthy Q-function drops about as much for uniform motion as for uniform rotation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptr_models.common.errors import PtrError
from ptr_models.contract import Contract
from ptr_models.episodes.actions import MARGIN, scale_chunks
from ptr_models.inference.acting import BatchPolicy
from ptr_models.replay import Dataset

Floats = NDArray[np.float64]

PARTS: Mapping[str, tuple[str, ...]] = {
    "translation": ("dx", "dy", "dz"),
    "rotation": ("droll", "dpitch", "dyaw"),
    "gripper": ("gripper",),
}


@dataclass(frozen=True)
class ActionSensitivity:
    """Means over the states of some data.

    Attributes:
        states: number of states.
        q_data: Q of the data actions, smallest critic.
        lost: drop of Q if one part of the dimensions (see PARTS) is uniform, by name of the part.
        std: (A,) standard deviation of the actor's samples, in the contract's units (m, rad, gripper opening).
        data_std: (A,) of the data actions, over all states.
        names: of the dimensions.
    """

    states: int
    q_data: float
    lost: dict[str, float]
    std: Floats
    data_std: Floats
    names: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        named = {"actor_std": self.std, "data_std": self.data_std}
        return {
            "states": self.states,
            "q_data": self.q_data,
            "q_lost": self.lost,
            **{key: dict(zip(self.names, map(float, values), strict=True)) for key, values in named.items()},
        }

    def __str__(self) -> str:
        lines = [f"Q of the data actions: {self.q_data:.2f} on average over {self.states} states"]
        lines += [f"  uniform {part}: {value:.2f} of Q lost" for part, value in self.lost.items()]
        lines.append("standard deviation per step of the actor's samples (of the data):")
        for name, actor, data in zip(self.names, self.std, self.data_std, strict=True):
            factor, unit = _unit(name)
            lines.append(f"  {name}: {factor * actor:.3g} ({factor * data:.3g}) {unit}")
        return "\n".join(lines)


def action_sensitivity(policy: BatchPolicy, data: Dataset, *, count: int = 16, seed: int = 0) -> ActionSensitivity:
    """Evaluate every state of some episodes.

    Args:
        policy: with a Q-function.
        data: episodes.
        count: uniform actions per part and state, and samples of the actor per state.
        seed: of both.
    Raises:
        PtrError: the policy has no Q-function, or there are fewer than 2 actions.
    """
    if count < 2:
        raise PtrError(f"{count} actions per state say nothing about their spread; at least 2 are needed")
    rng = np.random.default_rng(seed)
    contract = data.contract
    parts = _indices(contract, policy.chunk)
    lost: dict[str, list[NDArray[np.float64]]] = {part: [] for part in parts}
    q_data, variance, taken = [], [], []
    for index, task in enumerate(data.tasks):
        frames, states, raw = data.episode(index)
        seen, actions = (frames[:-1], states[:-1]), scale_chunks(raw, contract, policy.chunk)
        candidates = np.concatenate([actions[:, None], *replaced(actions, parts, count, rng)], axis=1)
        q = np.asarray(policy.values(*seen, candidates, task), dtype=np.float64).min(axis=0)
        q_data.append(q[:, 0])
        for position, part in enumerate(parts):
            several = q[:, 1 + position * count : 1 + (position + 1) * count]
            lost[part].append(q[:, 0] - several.mean(axis=1))
        drawn = np.asarray(policy.samples(*seen, task, count, seed), dtype=np.float64)
        variance.append(drawn.var(axis=1, ddof=1).reshape(-1, len(contract.action)))
        taken.append(np.asarray(raw, dtype=np.float64))
    half = (np.array(contract.action_high) - np.array(contract.action_low)) / 2
    return ActionSensitivity(
        states=sum(map(len, q_data)),
        q_data=float(np.concatenate(q_data).mean()),
        lost={part: float(np.concatenate(values).mean()) for part, values in lost.items()},
        std=half * np.sqrt(np.concatenate(variance).mean(axis=0)),
        data_std=np.concatenate(taken).std(axis=0),
        names=contract.action,
    )


def replaced(
    actions: NDArray[np.float32], parts: Mapping[str, list[int]], count: int, rng: np.random.Generator
) -> list[NDArray[np.float32]]:
    """For each part, the actions (T, A) with uniform values in its dimensions, `count` times: (T, count, A)."""
    found = []
    for dimensions in parts.values():
        several = np.repeat(actions[:, None], count, axis=1)
        several[..., dimensions] = rng.uniform(-MARGIN, MARGIN, (len(actions), count, len(dimensions)))
        found.append(several)
    return found


def _indices(contract: Contract, chunk: int) -> dict[str, list[int]]:
    """Dimensions of each part that the contract has, in all steps of a chunk."""
    every = contract.action * chunk
    places = {part: [index for index, name in enumerate(every) if name in names] for part, names in PARTS.items()}
    return {part: indices for part, indices in places.items() if indices}


def _unit(name: str) -> tuple[float, str]:
    """Factor and unit in which a dimension is printed."""
    if name in PARTS["translation"]:
        return 1000.0, "mm"
    return (1.0, "rad") if name in PARTS["rotation"] else (1.0, "of the opening")
