# SPDX-License-Identifier: Apache-2.0
"""Augmentation of tensors gives the images that augmentation of arrays gives."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from ptr_models.replay.augment import Augmentation, augment, draw
from ptr_models.training.device_augmentation import apply, hsv_to_rgb, rgb_to_hsv

STRONG = Augmentation(pad=3, probability=1.0, brightness=0.4, contrast=0.4, saturation=0.9, hue=0.5)


def smooth_images(count: int, size: int = 24, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Smooth images with gray, black and white parts, whose hue is a special case."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (count, size // 4, size // 4, channels), dtype=np.uint8)
    images = coarse.repeat(4, axis=1).repeat(4, axis=2)
    images[:, :4], images[:, 4:8, :4], images[:, 4:8, 4:8] = 90, 0, 255
    return images


def both(images: np.ndarray, rule: Augmentation, seed: int, part: tuple[int, int] = (0, 1)) -> tuple:
    of_arrays = augment(images, np.random.default_rng(seed), rule, part)
    draws = draw(len(images), images.shape[-1] // 3, np.random.default_rng(seed), rule, part)
    return of_arrays, apply(torch.from_numpy(images), draws).numpy()


@pytest.mark.parametrize("rule", [Augmentation(), STRONG], ids=["of PTR", "strong"])
@pytest.mark.parametrize("channels", [3, 6])
def test_the_same_draws_give_the_same_images(rule: Augmentation, channels: int) -> None:
    images = smooth_images(96, channels=channels)
    expected, found = both(images, rule, seed=1)
    difference = np.abs(expected.astype(int) - found.astype(int))
    assert found.dtype == np.uint8 and found.shape == images.shape
    assert difference.max() <= 1  # float32 sums in another order, cut off to whole levels
    assert (difference > 0).mean() < 1e-3


def test_crops_alone_are_equal_to_the_bit() -> None:
    expected, found = both(smooth_images(32), Augmentation(probability=0.0), seed=2)
    assert_array_equal(found, expected)


def test_a_part_of_a_batch_gets_its_rows_of_the_draws() -> None:
    images = smooth_images(12)
    (_, whole), (_, second) = both(images, STRONG, 3), both(images[4:8], STRONG, 3, (1, 3))
    assert_array_equal(second, whole[4:8])


def test_the_input_is_untouched_and_a_fifth_keeps_its_colors() -> None:
    images = smooth_images(400, size=8)
    before = images.copy()
    _, found = both(images, Augmentation(pad=0), seed=4)
    assert_array_equal(images, before)
    kept = (found == images).all(axis=(1, 2, 3)).mean()
    assert kept == pytest.approx(0.2, abs=0.06)


def test_brightness_has_the_mean_and_spread_of_its_range() -> None:
    gray = np.full((2000, 4, 4, 3), 128, np.uint8)
    rule = Augmentation(pad=0, probability=1.0, contrast=0.0, saturation=0.0, hue=0.0)
    _, found = both(gray, rule, seed=5)
    shift = found[:, 0, 0, 0] / 255 - 128 / 255  # uniform on (-0.2, 0.2): standard deviation 0.2 / sqrt(3)
    assert shift.mean() == pytest.approx(0.0, abs=0.01)
    assert shift.std() == pytest.approx(0.1155, abs=0.005)


def test_hsv_is_that_of_the_standard_library() -> None:
    pixels = torch.rand(1, 5, 40, 3, generator=torch.Generator().manual_seed(6))
    pixels[0, 0] = pixels[0, 0, :, :1]  # grays
    hue, saturation, value = rgb_to_hsv(pixels)
    expected = np.array([colorsys.rgb_to_hsv(*pixel) for pixel in pixels.reshape(-1, 3).tolist()])
    np.testing.assert_allclose(hue.flatten() / 360, expected[:, 0], atol=1e-4)
    np.testing.assert_allclose(saturation.flatten(), expected[:, 1], atol=1e-5)
    np.testing.assert_allclose(value.flatten(), expected[:, 2], atol=1e-6)
    torch.testing.assert_close(hsv_to_rgb(hue + 360.0, saturation, value), pixels, atol=1e-4, rtol=0)
