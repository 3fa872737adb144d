# SPDX-License-Identifier: Apache-2.0
"""Random crops and color jitter."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from ptr_models.replay.augment import Augmentation, augment, color, crop, jitter

STILL = Augmentation(brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0)


def grey(values: np.ndarray) -> np.ndarray:
    """(1, H, W, 3) uint8 of (H, W)."""
    return np.repeat(values.astype(np.uint8)[None, ..., None], 3, axis=-1)


def random_images(count: int = 8, size: int = 16, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def test_the_middle_crop_is_the_identity() -> None:
    images = random_images()
    assert (crop(images, np.full((8, 2), 4), 4) == images).all()


@pytest.mark.parametrize(
    ("offset", "expected"),
    [((0, 0), [0, 0, 1, 0, 0, 1, 3, 3, 4]), ((2, 1), [3, 4, 5, 6, 7, 8, 6, 7, 8])],
)
def test_crops_replicate_the_edge(offset: tuple[int, int], expected: list[int]) -> None:
    image = grey(np.arange(9).reshape(3, 3))
    assert list(crop(image, np.array([offset]), 1)[0, ..., 0].ravel()) == expected


def test_offsets_cover_all_places_evenly_and_differ_between_calls() -> None:
    ramp = np.tile(np.arange(32), (32, 1)) + 32 * np.arange(32)[:, None] % 7
    images = np.repeat(grey(ramp), 900, axis=0)
    generator = np.random.default_rng(0)
    plain = Augmentation(probability=0.0)
    columns = augment(images, generator, plain)[:, 16, 16, 0].astype(int)
    again = augment(images, generator, plain)[:, 16, 16, 0].astype(int)
    values = np.unique(columns)
    assert len(values) >= 9
    assert (columns != again).any()


def test_a_crop_moves_at_most_by_the_pad_in_both_directions() -> None:
    column = np.repeat(grey(np.tile(np.arange(20) * 10, (20, 1))), 2000, axis=0)
    shifts = augment(column, np.random.default_rng(1), Augmentation(probability=0.0))[:, 10, 10, 0].astype(int) // 10
    counts = np.bincount(shifts - 6, minlength=9)
    assert counts.sum() == 2000
    assert len(counts) == 9
    assert ((counts - 2000 / 9) ** 2 / (2000 / 9)).sum() < 26.1  # 99.9 % quantile, 8 degrees of freedom


def test_zero_strengths_leave_the_images_as_they_are() -> None:
    images = random_images()
    difference = np.abs(jitter(images, np.random.default_rng(0), STILL).astype(int) - images)
    assert difference.max() <= 1


def test_about_a_fifth_of_the_images_keeps_its_colors() -> None:
    images = random_images(2000, size=2)
    colored = jitter(images, np.random.default_rng(0), Augmentation())
    kept = (colored == images).all(axis=(1, 2, 3)).mean()
    assert kept == pytest.approx(0.2, abs=0.03)


def test_contrast_is_about_the_mean_of_the_channel() -> None:
    pixels = np.repeat(np.array([[0.2, 0.4], [0.6, 0.8]], np.float32)[..., None], 3, axis=-1)
    result = color(pixels, np.array([0.0, 0.1, 0.0, 0.0]), np.array([1]))
    assert_allclose(result[..., 0], [[0.17, 0.39], [0.61, 0.83]], atol=1e-6)


def test_brightness_adds_and_clips() -> None:
    pixels = np.full((2, 2, 3), 0.9, np.float32)
    assert_allclose(color(pixels, np.array([0.2, 0, 0, 0]), np.array([0])), 1.0)


@given(
    st.tuples(*[st.floats(0, 1, width=32)] * 3),
    st.floats(-0.1, 0.1),
    st.floats(-0.03, 0.03),
)
def test_saturation_and_hue_are_those_of_hsv(rgb: tuple[float, float, float], saturation: float, hue: float) -> None:
    h, s, v = colorsys.rgb_to_hsv(*rgb)
    expected = colorsys.hsv_to_rgb((h + hue) % 1.0, min(s * (1 + saturation), 1.0), v)
    pixels = np.broadcast_to(np.array(rgb, np.float32), (4, 4, 3)).copy()
    draw = np.array([0.0, 0.0, saturation, hue])
    together = color(pixels.copy(), draw, np.array([2, 3]))
    apart = color(color(pixels.copy(), draw, np.array([3])), draw, np.array([2]))
    assert_allclose(together[1, 2], expected, atol=2e-3)
    assert_allclose(apart, together, atol=2e-3)


def test_brightness_before_and_after_contrast_differ_so_the_order_matters() -> None:
    pixels = np.linspace(0, 1, 48, dtype=np.float32).reshape(4, 4, 3)
    draw = np.array([0.2, 0.1, 0.1, 0.03])
    one = color(pixels.copy(), draw, np.array([0, 1, 2, 3]))
    two = color(pixels.copy(), draw, np.array([1, 0, 3, 2]))
    assert np.abs(one - two).max() > 1e-3


def test_each_camera_of_a_stack_is_coloured_on_its_own_and_cropped_alike() -> None:
    image = random_images(6)
    stacked = np.concatenate([image, image], axis=-1)
    cropped = augment(stacked, np.random.default_rng(0), Augmentation(probability=0.0))
    assert (cropped[..., :3] == cropped[..., 3:]).all()
    colored = augment(stacked, np.random.default_rng(0))
    assert (colored[..., :3] != colored[..., 3:]).any()
    assert colored.shape == stacked.shape


def test_the_same_seed_gives_the_same_images_and_the_input_is_untouched() -> None:
    images = random_images()
    before = images.copy()
    one, two = (augment(images, np.random.default_rng(5)) for _ in range(2))
    assert (one == two).all()
    assert (images == before).all()
    assert one.dtype == np.uint8


@pytest.mark.parametrize("cameras", [1, 2])
def test_frames_of_a_clip_share_their_draws_and_clips_do_not(cameras: int) -> None:
    one = np.concatenate([random_images(1)] * cameras, axis=-1)
    clips = augment(one.repeat(12, axis=0), np.random.default_rng(0), frames=3).reshape(4, 3, *one.shape[1:])
    assert (clips == clips[:, :1]).all()
    assert len(np.unique(clips[:, 0], axis=0)) == 4
    if cameras == 2:
        assert (clips[..., :3] != clips[..., 3:]).any()
