# SPDX-License-Identifier: Apache-2.0
"""Q along demonstrations, and the rule that chooses a checkpoint from it without a single trial.

A good Q-function rises along a demonstration, since fewer and fewer steps are left before the reward. PTR takes
the earliest fine-tuning checkpoint that shows this; here the trend is a number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ptr_models.episodes.actions import scale_chunks
from ptr_models.episodes.labels import Labelling, label
from ptr_models.inference.acting import BatchPolicy
from ptr_models.inference.policy import Policy
from ptr_models.replay import Dataset

Floats = NDArray[np.float64]

ACCEPT_MEAN = 0.9
"""Mean rank correlation of Q with time that a checkpoint needs."""
ACCEPT_SINGLE, ACCEPT_SHARE = 0.8, 0.8
"""And the share of demonstrations that need this correlation."""


@dataclass(frozen=True)
class ValueCurve:
    """Values along one demonstration of T steps.

    Attributes:
        name: of the episode.   task: name.
        q: (E, T) of the demonstrated actions, per critic.
        q_mode: (T,) of the policy's modes, smallest critic.
        mc_return: (T,) what a perfect Q-function of the demonstrator would say.
    """

    name: str
    task: str
    q: Floats
    q_mode: Floats
    mc_return: Floats

    @property
    def pessimistic(self) -> Floats:
        """(T,) smallest critic of the demonstrated actions."""
        return self.q.min(axis=0)


@dataclass(frozen=True)
class Trend:
    """How one curve rises.

    Attributes:
        spearman, kendall: rank correlations of Q with time.
        rising: fraction of steps on which Q grows.
        slope: of the straight line through it, per step.
        gain: last minus first value.
        violation: largest fall below an earlier value, in units of the range.
    """

    spearman: float
    kendall: float
    rising: float
    slope: float
    gain: float
    violation: float


@dataclass(frozen=True)
class TrendScore:
    """The trend over several demonstrations: mean rank correlation, and the share of good ones."""

    score: float
    share: float
    trends: tuple[Trend, ...]

    @property
    def accepted(self) -> bool:
        """Whether a checkpoint with this score may be chosen."""
        return self.score >= ACCEPT_MEAN and self.share >= ACCEPT_SHARE


def value_curves(policy: BatchPolicy, data: Dataset, labelling: Labelling | None = None) -> list[ValueCurve]:
    """Values along each episode, with the images as they are (no augmentation)."""
    curves = []
    for index, task in enumerate(data.tasks):
        frames, states, actions = data.episode(index)
        scaled, reached = (
            scale_chunks(actions, data.contract, policy.chunk),
            bool(data.successes[index]) or data.goal_images,
        )
        modes = policy.modes(frames[:-1], states[:-1], task)
        curves.append(
            ValueCurve(
                name=Path(data.paths[index]).name,
                task=task,
                q=np.asarray(policy.values(frames[:-1], states[:-1], scaled, task), dtype=np.float64),
                q_mode=np.asarray(policy.values(frames[:-1], states[:-1], modes, task), dtype=np.float64).min(axis=0),
                mc_return=label(len(actions), reached, labelling).mc_return.astype(np.float64),
            )
        )
    return curves


def report(curves: Sequence[ValueCurve], checkpoint: str) -> dict[str, Any]:
    """The values as JSON: per demonstration Q of each step, smallest critic, and of the policy's mode."""
    return {
        "checkpoint": checkpoint,
        "demonstrations": [
            {
                "name": curve.name,
                "task": curve.task,
                "q": curve.pessimistic.round(4).tolist(),
                "q_mode": curve.q_mode.round(4).tolist(),
            }
            for curve in curves
        ],
    }


def trend(q: Floats) -> Trend:
    """How a curve (T,) rises; a constant or a single value has correlation 0."""
    q = np.asarray(q, dtype=np.float64)
    time = np.arange(len(q), dtype=np.float64)
    span = float(np.ptp(q))
    if len(q) < 2 or span == 0.0:
        return Trend(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    return Trend(
        spearman=rank_correlation(time, q),
        kendall=float(stats.kendalltau(time, q).statistic),
        rising=float(np.mean(np.diff(q) > 0)),
        slope=float(np.polyfit(time, q, 1)[0]),
        gain=float(q[-1] - q[0]),
        violation=float(np.max(np.maximum.accumulate(q) - q) / span),
    )


def rank_correlation(first: Floats, second: Floats) -> float:
    """Spearman's correlation of two series (T,) that are not constant."""
    return float(stats.spearmanr(first, second).statistic)


def trend_score(curves: Sequence[ValueCurve]) -> TrendScore:
    """The mean trend of several demonstrations."""
    trends = tuple(trend(curve.pessimistic) for curve in curves)
    correlations = np.array([item.spearman for item in trends])
    return TrendScore(float(correlations.mean()), float(np.mean(correlations >= ACCEPT_SINGLE)), trends)


@dataclass(frozen=True)
class Candidate:
    """A checkpoint and the trend of its values; `since` counts updates since fine-tuning began."""

    path: Path
    step: int
    since: int
    trend: TrendScore


def choose(candidates: Sequence[Candidate], earliest: int = 0) -> Candidate:
    """PTR's rule: the earliest checkpoint whose values rise; if none does, the one that comes nearest.

    Values may rise before the policy has learned the task, because a pre-trained critic's values often do so at
    once on new demonstrations: hence `earliest`.

    Args:
        candidates: at least one.
        earliest: updates since fine-tuning began before which none is chosen, unless all are earlier: then the last.
    """
    ordered = sorted(candidates, key=lambda item: item.step)
    considered = [item for item in ordered if item.since >= earliest] or ordered[-1:]
    for candidate in considered:
        if candidate.trend.accepted:
            return candidate
    return max(considered, key=lambda item: item.trend.score)  # among equal ones the first, which is the earliest


def score_checkpoints(
    paths: Sequence[Path], data: Dataset, begin: int | None = None, device: str = "cpu"
) -> list[Candidate]:
    """Load checkpoints one after the other and score their values along demonstrations.

    Args:
        begin: update at which fine-tuning began; None: the configuration's `schedule.target_from`.
        device: that computes the values.
    """
    found = []
    for path in paths:
        policy = Policy.load(path, device)
        checkpoint = policy.checkpoint
        start = checkpoint.config.schedule.target_from if begin is None else begin
        score = trend_score(value_curves(policy, data, checkpoint.config.labelling))
        found.append(Candidate(Path(path), checkpoint.step, checkpoint.step - start, score))
    return found
