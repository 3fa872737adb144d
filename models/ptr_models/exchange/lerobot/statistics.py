# SPDX-License-Identifier: Apache-2.0
"""The statistics per feature that LeRobot normalizes with: min, max, mean, std, count and five quantiles.

Images are counted in 256 bins per channel, so that their statistics are exact for the pixels that were read (every
n-th of some frames, as in LeRobot), and those of episodes add up to those of the data set.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

QUANTILES = (0.01, 0.10, 0.50, 0.90, 0.99)
_SIDE = 100
"""Pixels of the longer side that are enough for statistics."""
_FEW, _POWER, _MANY = 100, 0.75, 10_000

Summary = dict[str, Any]


def sampled(frames: int) -> frozenset[int]:
    """Frames of an episode whose pixels are counted: all of a short one, fewer of a long one."""
    count = min(frames, max(_FEW, min(int(frames**_POWER), _MANY)))
    return frozenset(np.linspace(0, frames - 1, count).round().astype(int).tolist())


def histogram(image: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Pixels per channel and value (3, 256), R G B, of an image (H, W, 3) BGR."""
    step = max(1, max(image.shape[:2]) // _SIDE)
    coarse = image[::step, ::step, ::-1]
    return np.stack([np.bincount(coarse[..., channel].ravel(), minlength=256) for channel in range(3)])


def of_histogram(counts: NDArray[np.int64], images: int) -> Summary:
    """Statistics of pixels in [0, 1], each (3, 1, 1) as nested lists."""
    values = np.arange(256) / 255.0
    total = counts.sum(axis=1, keepdims=True)
    mean = (counts * values).sum(axis=1, keepdims=True) / total
    deviation = np.sqrt((counts * (values - mean) ** 2).sum(axis=1, keepdims=True) / total)
    seen = counts > 0
    figures = {
        "min": values[seen.argmax(axis=1)],
        "max": values[255 - seen[:, ::-1].argmax(axis=1)],
        "mean": mean[:, 0],
        "std": deviation[:, 0],
    }
    reached = counts.cumsum(axis=1) / total
    for quantile in QUANTILES:
        figures[f"q{round(100 * quantile):02d}"] = values[(reached >= quantile).argmax(axis=1)]
    return {name: value.reshape(3, 1, 1).tolist() for name, value in figures.items()} | {"count": [images]}


def of_rows(rows: NDArray[Any]) -> Summary:
    """Statistics of a feature (T,) or (T, D), each (D,) as a list."""
    values = np.asarray(rows, dtype=np.float64).reshape(len(rows), -1)
    figures = {"min": values.min(0), "max": values.max(0), "mean": values.mean(0), "std": values.std(0)}
    for quantile, value in zip(QUANTILES, np.quantile(values, QUANTILES, axis=0), strict=True):
        figures[f"q{round(100 * quantile):02d}"] = value
    return {name: value.tolist() for name, value in figures.items()} | {"count": [len(values)]}


def flat(summaries: Mapping[str, Summary]) -> dict[str, Any]:
    """The columns of the table of episodes: stats/FEATURE/FIGURE."""
    return {f"stats/{key}/{name}": value for key, found in summaries.items() for name, value in found.items()}
