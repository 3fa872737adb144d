# SPDX-License-Identifier: Apache-2.0
"""Goal images by hindsight relabelling: the goal of a state is a later frame of its own episode.

Kaelbling, "Learning to Achieve Goals", IJCAI 1993; Andrychowicz et al., "Hindsight Experience Replay", NeurIPS 2017
(arXiv 1707.01495). Uniform over the future as in BridgeData V2 (Walke et al., CoRL 2023, arXiv 2308.12952).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FUTURE = 0.5
"""Share of states whose goal is drawn from the future. The others have the last frame, as a policy at run time."""


def steps_to_goals(remaining: NDArray[np.int64], future: float, generator: np.random.Generator) -> NDArray[np.int64]:
    """Control steps from each state to its goal.

    Args:
        remaining: (B,) steps from each state to the last frame of its episode, at least 1.
        future: probability that the goal is drawn uniformly from the frames after the state; otherwise the last frame.
    Returns:
        (B,) from 1 to `remaining`.
    """
    drawn = generator.integers(1, remaining + 1)
    return np.where(generator.random(len(remaining)) < future, drawn, remaining)


def with_goals(images: NDArray[np.uint8], goals: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Images (B, H, W, C) stacked with their goals (B, H, W, C), or one goal for all (H, W, C): (B, H, W, 2 C)."""
    return np.concatenate([images, np.broadcast_to(goals, images.shape)], axis=-1)
