# SPDX-License-Identifier: Apache-2.0
"""Check whether a readable episode is fit for training."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from ptr_models.common.image_checks import FROZEN_TIME, frozen_stretches
from ptr_models.episodes.reader import Episode


def problem_of(episode: Episode) -> str:
    """Why an episode must not be used for training, in one sentence; empty if it may.

    The reader already finds gaps, missing streams, non-finite values and damaged files.
    """
    for name, frames in episode.images.items():
        span = frozen(frames, episode.states[:, :3], episode.stamps)
        if span is not None:
            begin, end = ((int(episode.stamps[row]) - int(episode.stamps[0])) * 1e-9 for row in span)
            return f"camera {name} shows the same image from {begin:.1f} s to {end:.1f} s while the arm moves"
    return ""


def frozen(
    frames: NDArray[np.uint8], positions: NDArray[np.float32], stamps: NDArray[np.int64]
) -> tuple[int, int] | None:
    """First and last row of the first stretch with an unchanged image while the arm moves, or None.

    The recorder's audit detects the same from the bag's bytes, earlier and without decoding.

    Args:
        frames: (N, H, W, 3).
        positions: (N, 3) m of the end effector.
        stamps: (N,) ns.
    """
    contents = [zlib.crc32(np.ascontiguousarray(frame).data) for frame in frames]
    for first, last, duration in frozen_stretches(stamps, contents, stamps, positions):
        if duration >= FROZEN_TIME:
            return first, last
    return None
