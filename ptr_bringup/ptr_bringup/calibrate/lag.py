# SPDX-License-Identifier: Apache-2.0
"""The lag of one signal behind another that it is a function of.

A camera's image of a moving arm is a function of the arm's earlier position: images(t) = f(u(t - latency)), with u the
arm's position along a straight path. For each candidate latency, a polynomial in u is fitted to all components of the
images; the estimate is the candidate with the smallest residual. This needs no motion detection in the images and no
knowledge of the camera, and resolves less than a frame period because u is known between images. For white image
noise it is the maximum-likelihood estimate. For a command and the resulting position, with a straight line as f, it is
the usual cross-correlation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptr_bringup.calibrate.errors import CalibrationError

STEP = 0.002
"""s between two candidates; a parabola through the best three refines the estimate."""
BLOCK = 1.0
"""s, block length of the bootstrap, because neighboring samples are not independent."""
DRAWS = 400


@dataclass(frozen=True)
class Lag:
    """The lag of a signal.

    Attributes:
        value: s.
        low, high: s, 95 % confidence interval.
        explained: share of the signal's variance that the reference explains at that lag.
        candidates: (K,) s, and `curve`, (K,), the share explained by each.
    """

    value: float
    low: float
    high: float
    explained: float
    candidates: NDArray[np.float64]
    curve: NDArray[np.float64]


def find_lag(
    times: NDArray[np.float64],
    signal: NDArray[np.float64],
    reference_times: NDArray[np.float64],
    reference: NDArray[np.float64],
    search: tuple[float, float] = (-0.05, 0.4),
    degree: int = 5,
    seed: int = 0,
) -> Lag:
    """Estimate the lag of a signal behind a reference.

    Args:
        times: (N,) s, ascending.
        signal: (N, D), e.g. components of images.
        reference_times: (M,) s, ascending, on the same clock.
        reference: (M,).
        search: s, minimum and maximum candidate lag.
        degree: of the polynomial from reference to signal.
    Raises:
        CalibrationError: too little was recorded, or the best lag is at an end of the search range.
    """
    inside = (times - search[1] >= reference_times[0]) & (times - search[0] <= reference_times[-1])
    times, signal = times[inside], signal[inside]
    if len(times) < 10 * (degree + 1):
        raise CalibrationError(
            f"only {len(times)} samples were recorded while the arm moved, but {10 * (degree + 1)} are needed; is the "
            "stream running?"
        )
    candidates = np.arange(search[0], search[1] + 0.5 * STEP, STEP)
    left = _residuals(candidates, times, signal, reference_times, reference, degree)
    spread = float(((signal - signal.mean(axis=0)) ** 2).sum())
    if spread == 0.0:
        raise CalibrationError("the signal did not change while the arm moved; is the stream frozen?")
    value, best = _lowest(candidates, left.sum(axis=1))
    if best in (0, len(candidates) - 1):
        raise CalibrationError(
            f"the lag is outside the search range of {search[0]:g} to {search[1]:g} s, or the signal does not follow "
            "the arm at all"
        )
    low, high = _interval(candidates, left, times, seed)
    curve = 1.0 - left.sum(axis=1) / spread
    return Lag(value, low, high, float(curve[best]), candidates, curve)


def _residuals(
    candidates: NDArray[np.float64],
    times: NDArray[np.float64],
    signal: NDArray[np.float64],
    reference_times: NDArray[np.float64],
    reference: NDArray[np.float64],
    degree: int,
) -> NDArray[np.float64]:
    """(K, N) squared residual of each sample for a fit at each candidate."""
    middle, half = 0.5 * (reference.max() + reference.min()), 0.5 * np.ptp(reference)
    if half == 0.0:
        raise CalibrationError("the arm did not move; is its torque on?")
    scaled = (reference - middle) / half
    left = np.empty((len(candidates), len(times)))
    for row, lag in enumerate(candidates):
        base = np.polynomial.chebyshev.chebvander(np.interp(times - lag, reference_times, scaled), degree)
        orthonormal, _ = np.linalg.qr(base)
        left[row] = ((signal - orthonormal @ (orthonormal.T @ signal)) ** 2).sum(axis=1)
    return left


def _lowest(candidates: NDArray[np.float64], cost: NDArray[np.float64]) -> tuple[float, int]:
    """Minimum of a curve, from a parabola through its lowest point and its neighbors, and the index of that point."""
    best = int(np.argmin(cost))
    if best in (0, len(cost) - 1):
        return float(candidates[best]), best
    before, at, after = cost[best - 1 : best + 2]
    bend = before - 2 * at + after
    shift = 0.5 * (before - after) / bend if bend > 0 else 0.0
    return float(candidates[best] + shift * STEP), best


def _interval(
    candidates: NDArray[np.float64], left: NDArray[np.float64], times: NDArray[np.float64], seed: int
) -> tuple[float, float]:
    """95 % confidence interval by a block bootstrap of the recording."""
    block = ((times - times[0]) / BLOCK).astype(int)
    sums = np.stack([left[:, block == index].sum(axis=1) for index in np.unique(block)])
    drawn = np.random.default_rng(seed).integers(0, len(sums), (DRAWS, len(sums)))
    found = [_lowest(candidates, sums[rows].sum(axis=0))[0] for rows in drawn]
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)
