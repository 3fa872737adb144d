# SPDX-License-Identifier: Apache-2.0
"""What makes a readable episode unfit for training."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from ptr_models.episodes.quality import stretches, travel
from ptr_models.episodes.reader import Episode

FROZEN_SECONDS = 1.0
"""A camera whose picture stays the same for this long has stopped, if the arm moved meanwhile."""
MOVED_METRES = 0.02
"""Least way of the end effector that no camera can miss."""


def problem_of(episode: Episode) -> str:
    """Why an episode must not be trained on, in one sentence; empty: nothing is wrong with it.

    Holes in a stream, missing streams, values that are not finite and damaged files are found by the reader.
    """
    for name, frames in episode.images.items():
        span = frozen(frames, episode.states[:, :3], episode.stamps)
        if span is not None:
            begin, end = ((int(episode.stamps[row]) - int(episode.stamps[0])) * 1e-9 for row in span)
            return f"camera {name} shows the same picture from {begin:.1f} s to {end:.1f} s while the arm moves"
    return ""


def frozen(
    frames: NDArray[np.uint8], positions: NDArray[np.float32], stamps: NDArray[np.int64]
) -> tuple[int, int] | None:
    """First and last row of the first stretch in which a picture stays the same while the arm moves, or None.

    A camera that has stopped may still send its last picture with new stamps, so stamps say nothing. The recorder's
    audit finds the same in the bag's bytes, sooner and without decoding (`quality.longest_frozen`).

    Args:
        frames: (N, H, W, 3).
        positions: (N, 3) m of the end effector.
        stamps: (N,) ns.
    """
    contents = [zlib.crc32(np.ascontiguousarray(frame)) for frame in frames]
    for first, last in stretches(contents):
        long = stamps[last] - stamps[first] >= FROZEN_SECONDS * 1e9
        if long and travel(stamps, positions, int(stamps[first]), int(stamps[last])) >= MOVED_METRES:
            return first, last
    return None
