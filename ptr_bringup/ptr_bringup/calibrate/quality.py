# SPDX-License-Identifier: Apache-2.0
"""Quality of a camera's images: sharpness, exposure, regular timing and constant brightness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from ptr_bringup.calibrate.errors import CalibrationError
from ptr_bringup.camera.health import CameraHealth
from ptr_models.common.jpeg import decode

MIN_IMAGES = 10
"""Minimum number of images."""
UNDER, OVER = 5, 250
"""Of 255: darker and brighter pixels have no detail."""
MAX_CLIPPED = 0.05
"""Maximum share of such pixels in a good exposure, for example from a window or a lamp."""
BLURRED = 20.0
"""Variance of the Laplacian of a 640x480 image below which it has few sharp edges (Pech-Pacheco et al. 2000)."""
FLICKER = 0.02
"""Maximum relative variation of the brightness; more means flickering light or a drifting exposure."""
MAINS = {"50 Hz": 10.0, "60 Hz": 1000.0 / 120.0}
"""ms between two flashes of a mains lamp; exposures that are a multiple of it see no flicker."""
_SIZE = (640, 480)


@dataclass(frozen=True)
class Quality:
    """Quality of a series of images.

    Attributes:
        count: number of images.
        rate: Hz.
        jitter: ms, 99th percentile of the periods' deviation from their median.
        lost: number of missing images.
        brightness: mean, of 255.
        under, over: shares of underexposed and overexposed pixels.
        sharpness: median variance of the Laplacian at 640x480.
        flicker: standard deviation of the images' mean brightness over its mean.
        advice: a sentence for each problem.
    """

    count: int
    rate: float
    jitter: float
    lost: int
    brightness: float
    under: float
    over: float
    sharpness: float
    flicker: float
    advice: tuple[str, ...]


def judge(images: Sequence[tuple[float, bytes]], wanted_rate: float | None, settings: dict[str, Any]) -> Quality:
    """Judge images of a scene at rest.

    Args:
        images: (time of capture in s, JPEG).
        wanted_rate: Hz; None: the median rate.
        settings: from `Source.settings`.
    Raises:
        CalibrationError: there are too few images.
    """
    if len(images) < MIN_IMAGES:
        raise CalibrationError(f"only {len(images)} images arrived, but {MIN_IMAGES} are needed; is the camera in use?")
    times = np.array([taken for taken, _ in images])
    periods = np.diff(times)
    wanted_rate = wanted_rate or round(1.0 / max(float(np.median(periods)), 1e-3), 1)
    health = CameraHealth(wanted_rate, noisy=False)
    useless = [health.arrived(taken, jpeg) for taken, jpeg in images]
    whole = [jpeg for (_, jpeg), problem in zip(images, useless, strict=True) if problem is None]
    grays = [gray for jpeg in whole if (gray := decode(jpeg, cv2.IMREAD_GRAYSCALE)) is not None]
    if len(grays) < MIN_IMAGES:
        damaged = len(images) - len(grays)
        raise CalibrationError(f"{damaged} of {len(images)} images are damaged; try another cable")
    means = np.array([gray.mean() for gray in grays])
    found = {
        "rate": float(1.0 / np.mean(periods)),
        "jitter": float(1e3 * np.percentile(np.abs(periods - np.median(periods)), 99)),
        "brightness": float(means.mean()),
        "under": float(np.mean([(gray <= UNDER).mean() for gray in grays])),
        "over": float(np.mean([(gray >= OVER).mean() for gray in grays])),
        "sharpness": float(np.median([_sharpness(gray) for gray in grays])),
        "flicker": float(means.std() / max(means.mean(), 1.0)),
    }
    lost = health.report(times[-1]).lost
    return Quality(count=len(grays), lost=lost, **found, advice=_advice(found, wanted_rate, settings))


def _sharpness(gray: np.ndarray) -> float:
    return float(cv2.Laplacian(cv2.resize(gray, _SIZE, interpolation=cv2.INTER_AREA), cv2.CV_64F).var())


def _advice(found: dict[str, float], wanted_rate: float, settings: dict[str, Any]) -> tuple[str, ...]:
    advice = []
    if found["rate"] < 0.95 * wanted_rate:
        advice.append(
            f"{found['rate']:.1f} images a second instead of {wanted_rate:g}: shorten the exposure, or use a separate "
            "USB port."
        )
    if found["over"] > MAX_CLIPPED:
        advice.append(f"{100 * found['over']:.0f} % of the image is white: shorten the exposure.")
    if found["under"] > MAX_CLIPPED:
        advice.append(f"{100 * found['under']:.0f} % of the image is black: use more light or a longer exposure.")
    if found["sharpness"] < BLURRED:
        advice.append(f"The image is blurred (sharpness {found['sharpness']:.0f}): set the focus, clean the lens.")
    if found["flicker"] > FLICKER:
        advice.append(
            f"The brightness varies by {100 * found['flicker']:.1f} %: fix the exposure to a multiple of "
            f"{' or '.join(f'{period:.1f} ms (mains of {name})' for name, period in MAINS.items())}."
        )
    drifting = [name.removeprefix("automatic_") for name in sorted(settings) if name.startswith("automatic_")]
    if drifting:
        advice.append(f"These settings are automatic and will drift: {', '.join(drifting)}.")
    return tuple(advice)
