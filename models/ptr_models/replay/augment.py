# SPDX-License-Identifier: Apache-2.0
"""Random crops and color jitter of image batches as in PTR, fast enough for a CPU."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Augmentation:
    """Strengths of the augmentation. The defaults are PTR's.

    Attributes:
        pad: pixels of edge-replicated border; crop offsets are uniform on 0..2*pad.
        probability: of color jitter, per image.
        brightness: adds U(-b, b), on a scale of 0..1.
        contrast, saturation: multiply by U(1-c, 1+c).
        hue: adds U(-h, h) turns.
    """

    pad: int = 4
    probability: float = 0.8
    brightness: float = 0.2
    contrast: float = 0.1
    saturation: float = 0.1
    hue: float = 0.03


@dataclass(frozen=True)
class Draws:
    """All random numbers for the augmentation of B images of C cameras.

    Attributes:
        pad: pixels of the border.
        offsets: (B, 2) int64 of y and x in 0..2*pad.
        chosen: (B * C,) whether an image's colors are jittered, camera after camera for each row.
        strengths: (B * C, 4) of brightness, contrast, saturation and hue.
        orders: (B * C, 4) int64 permutations of these four.
    """

    pad: int
    offsets: NDArray[np.int64]
    chosen: NDArray[np.bool_]
    strengths: NDArray[np.float64]
    orders: NDArray[np.int64]


def draw(
    batch: int,
    cameras: int,
    generator: np.random.Generator,
    settings: Augmentation | None = None,
    part: tuple[int, int] = (0, 1),
    frames: int = 1,
) -> Draws:
    """The draws for a batch; arguments as in `augment`."""
    rule, clips = settings or Augmentation(), batch // frames
    offsets = _own(generator.integers(0, 2 * rule.pad + 1, size=(clips * part[1], 2)), part)
    colors = _draw_colors(clips * cameras, generator, rule, part)
    if frames > 1:
        shared = (np.arange(batch)[:, None] // frames * cameras + np.arange(cameras)).ravel()
        offsets, colors = offsets.repeat(frames, axis=0), tuple(item[shared] for item in colors)
    return Draws(rule.pad, offsets, *colors)


def augment(
    images: NDArray[np.uint8],
    generator: np.random.Generator,
    settings: Augmentation | None = None,
    part: tuple[int, int] = (0, 1),
    frames: int = 1,
) -> NDArray[np.uint8]:
    """Randomly crop each image of a batch and jitter its colors. Each camera of a stack gets its own color jitter.

    Args:
        images: (B, H, W, 3 * cameras) uint8 RGB.
        generator: source of all draws.
        settings: strengths.
        part: index of this part of a batch, and number of equal parts; the draws are those of the whole batch.
        frames: number of consecutive images (of a clip) that share their draws; each camera still has its own.
    Returns:
        A new array of the same shape; images without pixels are returned unchanged.
    """
    if not images.size:
        return images
    batch, height, width, channels = images.shape
    draws = draw(batch, channels // 3, generator, settings, part, frames)
    cropped = crop(images, draws.offsets, draws.pad)
    if channels == 3:
        return _colored(cropped, draws.chosen, draws.strengths, draws.orders)
    split = cropped.reshape(batch, height, width, channels // 3, 3).transpose(0, 3, 1, 2, 4)
    flat = np.ascontiguousarray(split).reshape(-1, height, width, 3)
    colored = _colored(flat, draws.chosen, draws.strengths, draws.orders)
    stacked = colored.reshape(batch, channels // 3, height, width, 3).transpose(0, 2, 3, 1, 4)
    return np.ascontiguousarray(stacked).reshape(images.shape)


def crop(images: NDArray[np.uint8], offsets: NDArray[np.int64], pad: int) -> NDArray[np.uint8]:
    """Shift each image within its edge-replicated border.

    Args:
        images: (B, H, W, C) uint8.
        offsets: (B, 2) of y and x in 0..2*pad; (pad, pad) is the identity.
        pad: pixels.
    """
    height, width = images.shape[1:3]
    shifted = np.empty_like(images)
    for index, (y, x) in enumerate(offsets):
        padded = cv2.copyMakeBorder(images[index], pad, pad, pad, pad, cv2.BORDER_REPLICATE)
        shifted[index] = padded[y : y + height, x : x + width].reshape(images.shape[1:])
    return shifted


def jitter(
    images: NDArray[np.uint8], generator: np.random.Generator, rule: Augmentation, part: tuple[int, int] = (0, 1)
) -> NDArray[np.uint8]:
    """Jitter the colors of each image with the rule's probability: four operations in random order, each clipped to
    [0, 1].

    Args:
        images: (B, H, W, 3) uint8 RGB.
        generator: source of all draws.
        rule: strengths.
        part: as in `augment`.
    """
    return _colored(images, *_draw_colors(len(images), generator, rule, part))


def _draw_colors(
    count: int, generator: np.random.Generator, rule: Augmentation, part: tuple[int, int]
) -> tuple[NDArray, NDArray, NDArray]:
    """Whether to jitter each of `count` images, with what strengths, and in which order: see `Draws`."""
    whole = count * part[1]
    chosen = generator.random(whole) < rule.probability
    limits = np.array([rule.brightness, rule.contrast, rule.saturation, rule.hue])
    strengths = generator.uniform(-limits, limits, size=(whole, 4))
    orders = generator.permuted(np.tile(np.arange(4), (whole, 1)), axis=1)
    return _own(chosen, part), _own(strengths, part), _own(orders, part)


def _colored(
    images: NDArray[np.uint8], chosen: NDArray[np.bool_], strengths: NDArray[np.float64], orders: NDArray[np.int64]
) -> NDArray[np.uint8]:
    colored = images.copy()
    for index in np.flatnonzero(chosen):
        pixels = color(images[index].astype(np.float32) * np.float32(1 / 255), strengths[index], orders[index])
        pixels *= np.float32(255)
        pixels += np.float32(1e-3)
        colored[index] = pixels
    return colored


def _own(draws: NDArray, part: tuple[int, int]) -> NDArray:
    """The draws of one part of a batch."""
    index, parts = part
    rows = len(draws) // parts
    return draws[index * rows : (index + 1) * rows]


def color(pixels: Floats, draw: NDArray[np.float64], order: NDArray[np.int64]) -> Floats:
    """Apply brightness (0), contrast (1), saturation (2) and hue (3) in the given order to one image.

    Args:
        pixels: (H, W, 3) float32 RGB in [0, 1]; overwritten.
        draw: (4,): added brightness, contrast factor - 1, saturation factor - 1, added turns of hue.
        order: (4,) a permutation of 0..3.
    """
    brightness, contrast, saturation, hue = (float(value) for value in draw)
    pending_saturation, pending_hue = 1.0, 0.0
    last = len(order) - 1
    for place, operation in enumerate(order):
        if operation == 0:
            np.add(pixels, np.float32(brightness), out=pixels)
        elif operation == 1:
            mean = np.array(cv2.mean(pixels)[:3], dtype=np.float32) * np.float32(-contrast)
            rows = pixels.reshape(len(pixels), -1)
            np.multiply(rows, np.float32(1.0 + contrast), out=rows)
            np.add(rows, _row(mean, pixels.shape[1]), out=rows)
        else:
            if operation == 2:
                pending_saturation = 1.0 + saturation
            else:
                pending_hue = hue
            if place == last or order[place + 1] < 2:
                pixels = _shift_hue(pixels, pending_saturation, pending_hue)
                pending_saturation, pending_hue = 1.0, 0.0
            continue
        _clip(pixels)
    return pixels


def _clip(pixels: Floats) -> None:
    """Clip to [0, 1] in place, at three times the speed of NumPy's minimum and maximum."""
    rows = pixels.reshape(len(pixels), -1)
    cv2.threshold(rows, 0.0, 0.0, cv2.THRESH_TOZERO, dst=rows)
    cv2.threshold(rows, 1.0, 1.0, cv2.THRESH_TRUNC, dst=rows)


def _shift_hue(pixels: Floats, saturation: float, turns: float) -> Floats:
    """Multiply the saturation and rotate the hue. Both stay within RGB's [0, 1], and they commute."""
    hsv = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
    rows, width = hsv.reshape(len(hsv), -1), hsv.shape[1]
    np.multiply(rows, _row([1.0, saturation, 1.0], width), out=rows)
    np.add(rows, _row([360.0 * (turns % 1.0), 0.0, 0.0], width), out=rows)
    np.minimum(rows, _row([720.0, 1.0, 1.0], width), out=rows)
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.float32)  # wraps hues above 360, but not those below 0


def _row(values: ArrayLike, width: int) -> Floats:
    """One flat image row (3 * width,) whose pixels all have these channels (3,)."""
    row = np.empty((width, 3), np.float32)
    row[:] = values
    return row.reshape(-1)
