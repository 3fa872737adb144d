# SPDX-License-Identifier: Apache-2.0
"""Random crops and color jitter on the device that trains: `replay.augment` for a batch of tensors at once.

One CPU thread is too slow to feed a GPU. Random numbers are drawn on the CPU, from the same generator in the same order
(`replay.augment.draw`). A run sees the same images wherever they are augmented, up to rounding of single pixels.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ptr_models.replay.augment import Draws

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
_EPSILON = float(np.finfo(np.float32).eps)
_CHANNELS_OF_SECTOR = ((0, 3, 1), (2, 0, 1), (1, 0, 3), (1, 2, 0), (3, 1, 0), (0, 1, 2))
"""For each 60 degrees of hue, which of v, v(1-s), v(1-sf) and v(1-s(1-f)) are red, green and blue."""


def apply(images: Tensor, draws: Draws) -> Tensor:
    """Crop images and jitter their colors according to the draws.

    Args:
        images: (B, H, W, 3 * cameras) uint8 RGB, on any device.
        draws: of this batch, on the CPU.
    Returns:
        A new tensor of the same shape, type and device.
    """
    batch, height, width, channels = images.shape
    cropped = crop(images, torch.from_numpy(draws.offsets).to(images.device, non_blocking=True), draws.pad)
    split = cropped.view(batch, height, width, channels // 3, 3).transpose(2, 3).transpose(1, 2)
    colored = _color(split.reshape(-1, height, width, 3), draws)
    return colored.view(batch, -1, height, width, 3).permute(0, 2, 3, 1, 4).reshape(images.shape)


def crop(images: Tensor, offsets: Tensor, pad: int) -> Tensor:
    """Shift each image (B, H, W, C) by its offset (B, 2) of y and x within its edge-replicated border."""
    batch, height, width = images.shape[:3]
    device = images.device
    rows = (torch.arange(height, device=device) + offsets[:, :1] - pad).clamp_(0, height - 1)
    columns = (torch.arange(width, device=device) + offsets[:, 1:] - pad).clamp_(0, width - 1)
    index = torch.arange(batch, device=device)[:, None, None]
    return images[index, rows[:, :, None], columns[:, None, :]]


def _color(images: Tensor, draws: Draws) -> Tensor:
    """Jitter the colors of the chosen images of (N, H, W, 3). Each step handles the images that need it next."""
    (chosen,) = np.nonzero(draws.chosen)
    if not len(chosen):
        return images
    rows = _index(chosen, images)
    pixels = images[rows].float() * (1 / 255)
    for operation, places, first, second in _steps(draws.strengths[chosen], draws.orders[chosen]):
        index = _index(places, images)
        part = pixels[index]
        a, b = (torch.from_numpy(values).float().to(images.device).view(-1, 1, 1) for values in (first, second))
        pixels[index] = _OPERATIONS[operation](part, a, b)
    colored = images.clone()
    colored[rows] = (pixels * 255 + 1e-3).to(torch.uint8)
    return colored


def _steps(
    strengths: NDArray[np.float64], orders: NDArray[np.int64]
) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]]:
    """For each place of the orders: an operation, its images, and up to two numbers per image.

    A saturation and a hue side by side are one change of HSV, at the second place, as in `replay.augment.color`.
    """
    is_hsv = orders >= SATURATION
    nothing = np.zeros(len(orders))
    for place in range(orders.shape[1]):
        now = orders[:, place]
        for operation in (BRIGHTNESS, CONTRAST):
            (found,) = np.nonzero(now == operation)
            if len(found):
                yield operation, found, strengths[found, operation], nothing[found]
        waits = is_hsv[:, place + 1] if place < 3 else np.zeros(len(orders), bool)
        (found,) = np.nonzero(is_hsv[:, place] & ~waits)
        if len(found):
            pair = is_hsv[found, place - 1] if place else np.zeros(len(found), bool)
            saturation = np.where(pair | (now[found] == SATURATION), strengths[found, SATURATION], 0.0)
            turns = np.where(pair | (now[found] == HUE), strengths[found, HUE], 0.0)
            yield SATURATION, found, 1.0 + saturation, turns


def _brighten(pixels: Tensor, amount: Tensor, _: Tensor) -> Tensor:
    return (pixels + amount.unsqueeze(-1)).clamp_(0.0, 1.0)


def _change_contrast(pixels: Tensor, amount: Tensor, _: Tensor) -> Tensor:
    amount = amount.unsqueeze(-1)
    mean = pixels.mean(dim=(1, 2), keepdim=True)
    return (pixels * (1.0 + amount) - mean * amount).clamp_(0.0, 1.0)


def _change_hsv(pixels: Tensor, saturation: Tensor, turns: Tensor) -> Tensor:
    """Multiply the saturation and rotate the hue; factors (N, 1, 1)."""
    hue, old, value = rgb_to_hsv(pixels)
    return hsv_to_rgb(hue + 360.0 * (turns % 1.0), (old * saturation).clamp_max_(1.0), value)


_OPERATIONS = {BRIGHTNESS: _brighten, CONTRAST: _change_contrast, SATURATION: _change_hsv}


def rgb_to_hsv(pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Hue in degrees, saturation and value (N, H, W) of RGB (N, H, W, 3) in [0, 1], by OpenCV's formula."""
    red, green, blue = pixels.unbind(dim=-1)
    value, least = pixels.amax(dim=-1), pixels.amin(dim=-1)
    spread = value - least
    saturation = spread / (value.abs() + _EPSILON)
    scale = 60.0 / (spread + _EPSILON)
    of_others = torch.where(value == green, (blue - red) * scale + 120.0, (red - green) * scale + 240.0)
    hue = torch.where(value == red, (green - blue) * scale, of_others)
    return torch.where(hue < 0, hue + 360.0, hue), saturation, value


def hsv_to_rgb(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """RGB (N, H, W, 3) of hue (degrees from 0 to 720), saturation and value, by OpenCV's formula."""
    sixths = hue * (6.0 / 360.0)
    sector = sixths.floor()
    fraction = sixths - sector
    levels = torch.stack(
        [
            value,
            value * (1.0 - saturation),
            value * (1.0 - saturation * fraction),
            value * (1.0 - saturation * (1.0 - fraction)),
        ],
        dim=-1,
    )
    table = torch.tensor(_CHANNELS_OF_SECTOR, device=hue.device)
    return levels.gather(-1, table[sector.long() % 6])


def _index(places: NDArray[np.int64], like: Tensor) -> Tensor:
    return torch.from_numpy(places).to(like.device, non_blocking=True)
