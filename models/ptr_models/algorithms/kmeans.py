# SPDX-License-Identifier: Apache-2.0
"""k-means with the k-means++ seeding of Arthur & Vassilvitskii 2007, for clusters of actions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ROUNDS = 100


def kmeans(points: NDArray[np.float32], count: int, seed: int) -> NDArray[np.float32]:
    """Centres (count, A) of points (N, A).

    Where there are fewer different points than centres, some centres coincide.
    """
    generator = np.random.default_rng(seed)
    data = np.asarray(points, dtype=np.float64)
    centres = _scattered(data, count, generator)
    for _ in range(ROUNDS):
        nearest = _squared_distances(data, centres).argmin(axis=1)
        moved = centres.copy()  # a centre to which no point is nearest stays where it is
        for k in np.unique(nearest):
            moved[k] = data[nearest == k].mean(axis=0)
        if np.allclose(moved, centres, rtol=0.0, atol=1e-9):
            break
        centres = moved
    return centres.astype(np.float32)


def _scattered(data: NDArray[np.float64], count: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """First centres: each point is drawn with a probability that grows with its distance to those drawn before."""
    centres = data[generator.integers(len(data), size=1)]
    distance = _squared_distances(data, centres)[:, 0]
    while len(centres) < count:
        total = distance.sum()
        chances = distance / total if total > 0 else None
        centres = np.vstack([centres, data[generator.choice(len(data), p=chances)]])
        distance = np.minimum(distance, _squared_distances(data, centres[-1:])[:, 0])
    return centres


def _squared_distances(data: NDArray[np.float64], centres: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, k)."""
    return np.square(data[:, None] - centres).sum(axis=-1)
