# SPDX-License-Identifier: Apache-2.0
"""Frozen, dark and torn images: one definition of each for cameras, policy server, recorder and training.

| | an image is … when |
|---|---|
| frozen | it is the same, bit for bit, although the arm moved by more than FROZEN_TRAVEL since it was first seen |
| frozen (episode) | the same for at least FROZEN_TIME: a frame that comes twice does not spoil an episode |
| frozen (sensor) | three or more are the same for more than SENSOR_FROZEN_TIME; only for sources with noise |
| dark | its brightest percent of values is below DARK |
| torn | its JPEG is incomplete (`jpeg.whole`), or its lower end has a single color (`broken_off`) |
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

FROZEN_TRAVEL = 0.005
"""m that the end effector may move without any change of the image."""
FROZEN_TURN = 0.05
"""rad that a joint may turn without any change of the image; used if the pose of the end effector is unknown."""
FROZEN_TIME = 0.5
"""s of the same frame that make an episode unusable."""
SENSOR_FROZEN_TIME = 0.1
"""s of identical images. A sensor has noise: even a scene at rest gives no two equal images."""
DARK = 24
"""Of 255. A capped sensor stays below 10; a dim room has reflections above 60."""
_FILL = 1.0 / 8.0
"""Share of the lines that a decoder fills with one color, at the end of an image whose data broke off."""


def brightness(image: NDArray[np.uint8]) -> float:
    """The value (0 to 255) that the brightest percent of an image exceeds; below DARK the image shows nothing."""
    return float(np.percentile(image, 99))


def broken_off(gray: NDArray[np.uint8]) -> bool:
    """Whether the lower end of an image (H, W) is a single gray that is neither black nor white.

    A decoder that runs out of data repeats the last value to the end. Sensors produce no such areas except where they
    are over- or underexposed.
    """
    last = gray[-1, -1]
    same = (gray == last).all(axis=1)
    lines = len(gray) if same.all() else int(np.argmin(same[::-1]))
    return bool(8 < last < 247 and lines >= _FILL * len(gray) and lines < len(gray))


def frozen_stretches(
    stamps: Sequence[int] | NDArray[np.int64],
    contents: Sequence[int],
    arm_stamps: NDArray[np.int64],
    arm_positions: NDArray[np.floating],
) -> Iterator[tuple[int, int, float]]:
    """First and last index and duration (s) of each stretch of equal images in which the arm moved.

    A camera that has stopped may still send its last image with new stamps, so stamps say nothing.

    Args:
        stamps: ns of the images, ascending.   contents: checksum of each.
        arm_stamps: (N,) ns.   arm_positions: (N, 3) m of the end effector.
    """
    for first, last in stretches(contents):
        if travel(arm_stamps, arm_positions, int(stamps[first]), int(stamps[last])) > FROZEN_TRAVEL:
            yield first, last, int(stamps[last] - stamps[first]) * 1e-9


def stretches(contents: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last index of each longest run of equal contents, in order."""
    begin = 0
    for index in range(1, len(contents) + 1):
        if index == len(contents) or contents[index] != contents[begin]:
            yield begin, index - 1
            begin = index


def travel(stamps: NDArray[np.int64], positions: NDArray[np.floating], begin: int, end: int) -> float:
    """How far (m) finite positions (N, 3) at stamps (N,) get from the first one within [begin, end] (ns)."""
    inside = positions[(stamps >= begin) & (stamps <= end) & np.isfinite(positions).all(axis=1)]
    return float(np.linalg.norm(inside - inside[0], axis=1).max()) if len(inside) else 0.0
