# SPDX-License-Identifier: Apache-2.0
"""Which decisions of a demonstration matter: where Q separates the action taken from its alternatives.

Offline RL can outperform imitation if only a few states require an exact action and the others tolerate many
(Kumar et al. 2022, "When should we prefer offline RL over behavioral cloning?", sec. 4: critical states). Imitation
treats all steps alike; a Q-function knows which ones are critical.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptr_models.common.errors import PtrError
from ptr_models.episodes.actions import scale_chunks
from ptr_models.inference.acting import BatchPolicy
from ptr_models.replay import Dataset

Floats = NDArray[np.float64]

ALTERNATIVES = ("data", "policy", "uniform")
BEATEN = 0.8
"""Share of the alternatives that the action of a critical decision has to beat."""


@dataclass(frozen=True)
class Decisions:
    """The T decisions of one demonstration.

    Attributes:
        name, task: of the episode.
        frames: (T, H, W, 3) uint8, the first camera.
        actions: (T, 7) taken, scaled to [-0.99, 0.99].
        q: (T,) of the action taken, smallest critic.
        alternatives: (T, N) Q of the alternatives, smallest critic.
        advantage: (T,) Q of the action taken minus Q of the policy's mode.
        errors: policy's name to (T,), RMS difference of its mode and the action taken over the 7 scaled dimensions.
    """

    name: str
    task: str
    frames: NDArray[np.uint8]
    actions: Floats
    q: Floats
    alternatives: Floats
    advantage: Floats
    errors: dict[str, Floats]

    @property
    def separation(self) -> Floats:
        """(T,) Q of the action taken minus the mean over the alternatives: what a blunder would cost."""
        return self.q - self.alternatives.mean(axis=1)

    @property
    def beaten(self) -> Floats:
        """(T,) share of the alternatives with a lower Q than the action taken."""
        return (self.alternatives < self.q[:, None]).mean(axis=1)


@dataclass(frozen=True)
class Comparison:
    """One policy's error at critical decisions and at the others.

    Attributes:
        critical, other: mean over decisions, scaled units.
        difference: mean over demonstrations of (critical - other), with its 95 % bootstrap interval.
    """

    critical: float
    other: float
    difference: float
    interval: tuple[float, float]


def judge(
    policy: BatchPolicy,
    data: Dataset,
    others: dict[str, BatchPolicy] | None = None,
    *,
    alternatives: str = "data",
    count: int = 32,
    seed: int = 0,
    name: str = "PTR",
) -> list[Decisions]:
    """Evaluate every decision of some demonstrations with a Q-function.

    Args:
        policy: with the Q-function; its own error is recorded under `name`.
        data: demonstrations.
        others: further policies by name, for example BC, whose errors are recorded too.
        alternatives: what the action taken is compared with: `data`, actions that were taken at other moments of
            these demonstrations (in the data, but perhaps wrong here); `policy`, samples of the policy; `uniform`,
            random actions, which conservative training has pushed down everywhere.
        count: alternatives per decision, N.
        seed: of the draws.
    """
    if alternatives not in ALTERNATIVES:
        raise PtrError(f"unknown alternatives {alternatives!r}; known: {', '.join(ALTERNATIVES)}")
    if count < 2:
        raise PtrError(f"{count} alternatives are too few; at least 2 are needed")
    generator = np.random.default_rng(seed)
    pool = np.concatenate([_taken(data, index, policy.chunk) for index in range(len(data))])
    policies = {name: policy, **(others or {})}
    found = []
    for index, task in enumerate(data.tasks):
        frames, states, _ = data.episode(index)
        if alternatives == "policy":
            compared = policy.samples(frames[:-1], states[:-1], task, count, seed + index)
        elif alternatives == "data":
            compared = pool[generator.integers(0, len(pool), (len(frames) - 1, count))]
        else:
            compared = generator.uniform(-0.99, 0.99, (len(frames) - 1, count, pool.shape[-1])).astype(np.float32)
        found.append(_decisions(policy, policies, data, index, compared))
    return found


def _taken(data: Dataset, index: int, chunk: int) -> NDArray[np.float32]:
    """The actions (T, 7) of a demonstration, scaled, or the chunks (T, 7 h) that begin with them."""
    return scale_chunks(data.episode(index)[2], data.contract, chunk)


def _decisions(
    policy: BatchPolicy, policies: Mapping[str, BatchPolicy], data: Dataset, index: int, compared: NDArray[np.float32]
) -> Decisions:
    """Evaluate one demonstration with the Q-function of `policy`, whose name is the first; compared: (T, N, A).

    Errors of the policies are those of their first actions.
    """
    frames, states, _ = data.episode(index)
    task, seen = data.tasks[index], (frames[:-1], states[:-1])
    taken, actions = _taken(data, index, policy.chunk), _taken(data, index, 1)
    modes = {name: acts.modes(*seen, task) for name, acts in policies.items()}
    own = next(iter(modes.values()))
    candidates = np.concatenate([taken[:, None], own[:, None], compared], axis=1)
    q = np.asarray(policy.values(*seen, candidates, task), dtype=np.float64).min(axis=0)
    return Decisions(
        name=Path(data.paths[index]).name,
        task=task,
        frames=np.asarray(frames[:-1, ..., :3]),
        actions=np.asarray(actions, dtype=np.float64),
        q=q[:, 0],
        alternatives=q[:, 2:],
        advantage=q[:, 0] - q[:, 1],
        errors={name: _rms(mode[:, : actions.shape[-1]] - actions) for name, mode in modes.items()},
    )


def critical(decisions: Sequence[Decisions], share: float = 0.2) -> list[NDArray[np.bool_]]:
    """Which decisions are critical: (T,) for each demonstration.

    A decision is critical if its separation is among the largest `share` over all demonstrations, and its action beats
    at least 80 % of the alternatives.

    Args:
        share: in (0, 1).
    """
    if not 0.0 < share < 1.0:
        raise PtrError(f"share is {share}; it must be between 0 and 1")
    threshold = np.quantile(np.concatenate([item.separation for item in decisions]), 1.0 - share)
    return [(item.separation >= threshold) & (item.beaten >= BEATEN) for item in decisions]


def compare(
    decisions: Sequence[Decisions], marks: Sequence[NDArray[np.bool_]], policy: str, seed: int = 0
) -> Comparison | None:
    """A policy's error at critical decisions, compared with the others; None if either kind is missing.

    Args:
        policy: name in `Decisions.errors`.
        seed: of the bootstrap over demonstrations.
    """
    errors, flags = np.concatenate([item.errors[policy] for item in decisions]), np.concatenate(marks)
    if not flags.any() or flags.all():
        return None
    pairs = [(item.errors[policy], mark) for item, mark in zip(decisions, marks, strict=True)]
    gaps = np.array([error[mark].mean() - error[~mark].mean() for error, mark in pairs if 0 < mark.sum() < len(mark)])
    if not len(gaps):
        return None
    draws = np.random.default_rng(seed).integers(0, len(gaps), (2000, len(gaps)))
    low, high = np.quantile(gaps[draws].mean(axis=1), (0.025, 0.975))
    return Comparison(
        float(errors[flags].mean()), float(errors[~flags].mean()), float(gaps.mean()), (float(low), float(high))
    )


def report(decisions: Sequence[Decisions], marks: Sequence[NDArray[np.bool_]]) -> dict[str, Any]:
    """All figures as JSON values: per demonstration the critical steps, Q, separation, advantage; per policy errors."""
    policies = list(decisions[0].errors)
    compared = {name: compare(decisions, marks, name) for name in policies}
    return {
        "demonstrations": [
            {
                "name": item.name,
                "task": item.task,
                "critical": np.flatnonzero(mark).tolist(),
                "q": item.q.round(4).tolist(),
                "separation": item.separation.round(4).tolist(),
                "advantage": item.advantage.round(4).tolist(),
                "errors": {name: error.round(4).tolist() for name, error in item.errors.items()},
            }
            for item, mark in zip(decisions, marks, strict=True)
        ],
        "policies": {name: None if item is None else vars(item) for name, item in compared.items()},
    }


def _rms(difference: NDArray) -> Floats:
    return np.sqrt(np.mean(np.square(difference, dtype=np.float64), axis=-1))
