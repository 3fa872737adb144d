# SPDX-License-Identifier: Apache-2.0
"""The rule from probabilities per frame to success of an episode: N frames in a row at or above a threshold.

A single frame that looks like success (e.g. because the gripper hides the object) does not count. The original PTR uses
each frame's probability as reward; V-PTR makes rewards sparse in this way.
"""

from __future__ import annotations

from collections.abc import Iterable

from ptr_models.common.errors import PtrError


class Streak:
    """Counts successful frames in a row, frame by frame in a running trial."""

    def __init__(self, threshold: float, needed: int) -> None:
        """Args: threshold: probability that counts.  needed: frames in a row, at least 1."""
        if needed < 1 or not 0.0 <= threshold <= 1.0:
            raise PtrError(
                f"success after {needed} frames in a row above {threshold}: "
                "give at least 1 frame and a probability between 0 and 1"
            )
        self._threshold, self._needed, self._run = threshold, needed, 0

    def add(self, probability: float) -> bool:
        """Whether the newest `needed` frames, this one included, all reach the threshold."""
        self._run = self._run + 1 if probability >= self._threshold else 0
        return self._run >= self._needed


def first_success(probabilities: Iterable[float], threshold: float, needed: int) -> int | None:
    """Index of the frame that completes the first streak, or None; equivalent to `Streak` in a running trial."""
    streak = Streak(threshold, needed)
    return next((index for index, value in enumerate(probabilities) if streak.add(float(value))), None)
