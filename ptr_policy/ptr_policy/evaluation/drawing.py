# SPDX-License-Identifier: Apache-2.0
"""Inline graphics of the report: camera images as data URIs, and curves of Q as SVG paths."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2

from ptr_policy.evaluation.trials import Result

IMAGE_WIDTH, IMAGE_QUALITY = 320, 72
CURVE_WIDTH, CURVE_HEIGHT, MARGIN = 240.0, 46.0, 3.0
"""Units of the SVG's view box."""


def inline_image(path: Path) -> str:
    """An image as a data URI, scaled down; empty: missing or unreadable."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.is_file() else None
    if image is None:
        return ""
    height = max(1, round(image.shape[0] * IMAGE_WIDTH / image.shape[1]))
    small = cv2.resize(image, (IMAGE_WIDTH, height), interpolation=cv2.INTER_AREA)
    written, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, IMAGE_QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode() if written else ""


@dataclass(frozen=True)
class Curve:
    """Q along a trial.

    Attributes:
        paths: `d` attributes of the SVG's paths; steps without an action split the curve.
        human: x and width of the periods in which a person drove.
        first, last: Q of the first and the last action.
    """

    paths: tuple[str, ...]
    human: tuple[tuple[float, float], ...]
    first: float
    last: float


def curves(results: Sequence[Result]) -> list[Curve | None]:
    """The curve of each trial, all on the same axes; None: no Q."""
    values = [q for result in results for q in result.q if q is not None]
    if not values:
        return [None] * len(results)
    longest = max(len(result.q) for result in results)
    return [_curve(result, longest, min(values), max(values)) for result in results]


def _curve(result: Result, longest: int, low: float, high: float) -> Curve | None:
    seen = [q for q in result.q if q is not None]
    if not seen:
        return None
    step = (CURVE_WIDTH - 2 * MARGIN) / max(1, longest - 1)
    scale = (CURVE_HEIGHT - 2 * MARGIN) / ((high - low) or 1.0)
    paths: list[list[str]] = [[]]
    for index, q in enumerate(result.q):
        if q is None:
            paths.append([])
        else:
            letter = "L" if paths[-1] else "M"
            paths[-1].append(f"{letter}{MARGIN + index * step:.1f} {CURVE_HEIGHT - MARGIN - (q - low) * scale:.1f}")
    human = tuple((MARGIN + (index - 0.5) * step, step) for index in result.human_steps)
    return Curve(tuple(" ".join(path) for path in paths if path), human, seen[0], seen[-1])
