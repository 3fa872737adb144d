# SPDX-License-Identifier: Apache-2.0
"""Procedural counter and wall textures: wood, granite, tiles, marble, plain. Images are generated, not shipped."""

from __future__ import annotations

import zlib

import cv2
import numpy as np

Color = tuple[float, float, float]
SIZE = 256
KINDS = ("plain", "wood", "granite", "tiles", "marble")


def _smooth_noise(rng: np.random.Generator, scale_x: float, scale_y: float) -> np.ndarray:
    """Noise (SIZE, SIZE) of mean 0 and deviation 1, blurred by the given pixels, tileable."""
    noise = rng.standard_normal((SIZE, SIZE)).astype(np.float32)
    wide = np.tile(noise, (3, 3))
    blurred = cv2.GaussianBlur(wide, (0, 0), sigmaX=scale_x, sigmaY=scale_y)[SIZE : 2 * SIZE, SIZE : 2 * SIZE]
    return (blurred - blurred.mean()) / (blurred.std() + 1e-9)


def texture_png(kind: str, base: Color, accent: Color, name: str) -> bytes:
    """A PNG of a texture; `name` seeds its pattern, so that a kitchen always looks the same.

    Args:
        kind: one of `KINDS`.
        base, accent: RGB in 0..1.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind of texture {kind!r}; known: {', '.join(KINDS)}")
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    mix = np.zeros((SIZE, SIZE), dtype=np.float32)
    if kind == "wood":
        grain = _smooth_noise(rng, 40, 2.0) * 0.5 + _smooth_noise(rng, 12, 1.0) * 0.25
        boards = (np.arange(SIZE)[:, None] % 64 < 2) * 0.7
        mix = np.clip(0.35 + 0.3 * grain + boards, 0.0, 1.0)
    elif kind == "granite":
        mix = np.clip(0.25 + 0.3 * _smooth_noise(rng, 1.2, 1.2) + 0.12 * _smooth_noise(rng, 6, 6), 0.0, 1.0)
    elif kind == "tiles":
        rows, columns = np.mgrid[0:SIZE, 0:SIZE]
        grout = (rows % 64 < 3) | (columns % 64 < 3)
        mix = np.clip(grout * 1.0 + 0.05 * _smooth_noise(rng, 8, 8), 0.0, 1.0)
    elif kind == "marble":
        vein = np.abs(_smooth_noise(rng, 14, 14) + 0.3 * _smooth_noise(rng, 4, 4))
        mix = np.clip(0.7 * np.exp(-8.0 * vein) + 0.06 * _smooth_noise(rng, 20, 20), 0.0, 1.0)
    else:
        mix = np.clip(0.1 + 0.05 * _smooth_noise(rng, 3, 3), 0.0, 1.0)
    rgb = np.asarray(base) * (1.0 - mix[..., None]) + np.asarray(accent) * mix[..., None]
    image = (np.clip(rgb, 0.0, 1.0) * 255).astype(np.uint8)
    return cv2.imencode(".png", np.ascontiguousarray(image[..., ::-1]))[1].tobytes()
