# SPDX-License-Identifier: Apache-2.0
"""The probability from which a frame counts as success, chosen on held-out episodes, and how good the rule is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

BETA = 0.5
"""Weight of recall against precision: a false reward teaches a wrong task, a missed one costs a trial."""
DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True)
class Calibration:
    """A threshold and what it does to the held-out frames of one task.

    Attributes:
        threshold: in [0, 1].
        precision: share of the frames above it that are positive.   recall: share of the positives above it.
        positives, negatives: held-out frames; without both of them the figures are NaN.
    """

    threshold: float
    precision: float
    recall: float
    positives: int
    negatives: int


def calibrate(probabilities: ArrayLike, done: ArrayLike, beta: float = BETA) -> Calibration:
    """The threshold with the best F-beta; among equally good ones the middle of the widest gap.

    Args:
        probabilities: (N,) of held-out frames.   done: (N,) bool, the truth.
    """
    values, truth = np.asarray(probabilities, dtype=float), np.asarray(done, dtype=bool)
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not positives or not negatives:
        return Calibration(DEFAULT_THRESHOLD, np.nan, np.nan, positives, negatives)
    edges = np.unique(np.concatenate([[0.0], values, [1.0]]))
    middles = (edges[:-1] + edges[1:]) / 2
    scores = np.array([f_score(*precision_recall(values, truth, middle), beta) for middle in middles])
    best = np.isclose(scores, scores.max())
    widths = np.where(best, np.diff(edges), -1.0)
    threshold = float(middles[widths.argmax()])
    return Calibration(threshold, *precision_recall(values, truth, threshold), positives, negatives)


def precision_recall(probabilities: np.ndarray, done: np.ndarray, threshold: float) -> tuple[float, float]:
    """Precision (1 where nothing is above the threshold) and recall of `probabilities >= threshold`."""
    chosen = probabilities >= threshold
    hits = float((chosen & done).sum())
    return (hits / chosen.sum() if chosen.any() else 1.0), hits / done.sum()


def f_score(precision: float, recall: float, beta: float) -> float:
    """F-beta of van Rijsbergen: (1 + b^2) P R / (b^2 P + R)."""
    below = beta**2 * precision + recall
    return (1 + beta**2) * precision * recall / below if below > 0 else 0.0
