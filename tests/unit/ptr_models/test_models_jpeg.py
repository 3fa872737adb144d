# SPDX-License-Identifier: Apache-2.0
"""Decoding at half size: when it is done, and that the image stays the image."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptr_models.common.jpeg import jpeg_size
from ptr_models.contract import Camera
from ptr_models.episodes.jpeg import decode_at_least
from ptr_models.episodes.sampling import decode_image


def drawn(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth colors with a few edges, (H, W, 3)."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return cv2.rectangle(image, (width // 4, height // 4), (width // 2, height // 2), (20, 200, 90), -1)


def encode(image: np.ndarray, ending: str = ".jpg", *options: int) -> bytes:
    return cv2.imencode(ending, image, options)[1].tobytes()


@given(st.integers(1, 400), st.integers(1, 400), st.booleans(), st.integers(1, 100))
def test_the_size_of_a_jpeg_is_in_its_header(height: int, width: int, progressive: bool, quality: int) -> None:
    options = (cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive), cv2.IMWRITE_JPEG_QUALITY, quality)
    assert jpeg_size(encode(np.zeros((height, width, 3), np.uint8), ".jpg", *options)) == (height, width)


@given(st.binary(max_size=300))
def test_other_bytes_have_no_size(data: bytes) -> None:
    assert jpeg_size(b"\x89PNG" + data) is None
    jpeg_size(b"\xff\xd8" + data)  # whatever they are, no error


@pytest.mark.parametrize(
    ("size", "wanted", "decoded"),
    [
        ((480, 640), (128, 128), (240, 320)),
        ((480, 640), (240, 320), (240, 320)),
        ((480, 640), (241, 320), (480, 640)),
        ((240, 320), (64, 64), (120, 160)),
        ((120, 160), (128, 128), (120, 160)),
    ],
)
def test_a_jpeg_is_halved_only_where_enough_pixels_remain(size: tuple, wanted: tuple, decoded: tuple) -> None:
    assert decode_at_least(encode(drawn(*size)), *wanted).shape[:2] == decoded


def test_a_png_is_decoded_whole() -> None:
    image = drawn(480, 640)
    np.testing.assert_array_equal(decode_at_least(encode(image, ".png"), 64, 64), image)


def test_halving_first_gives_nearly_the_same_small_image() -> None:
    camera = Camera(name="front", height=128, width=128)
    image = drawn(480, 640)
    exact = cv2.resize(image, (128, 128), interpolation=cv2.INTER_AREA)[..., ::-1].astype(int)
    difference = np.abs(decode_image(encode(image, ".jpg", cv2.IMWRITE_JPEG_QUALITY, 95), camera).astype(int) - exact)
    assert difference.mean() < 1.5
    assert np.quantile(difference, 0.99) < 16


@pytest.mark.parametrize("data", [b"", b"no image", encode(drawn(64, 64))[:40]])
def test_bytes_that_are_no_image_give_none(data: bytes) -> None:
    assert decode_at_least(data, 8, 8) is None
