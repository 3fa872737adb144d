# SPDX-License-Identifier: Apache-2.0
"""Decode an image no larger than needed: a JPEG can be decoded at half its size for half the work.

The decoder computes 4x4 pixels from the lowest frequencies of each 8x8 block: a low-pass filter and a reduction in one
(Independent JPEG Group's library, "scaled decoding"; OpenCV's IMREAD_REDUCED_COLOR_2).
"""

from __future__ import annotations

import struct

import cv2
import numpy as np
from numpy.typing import NDArray

from ptr_models.common.jpeg import decode, jpeg_size
from ptr_models.episodes.errors import EpisodeError
from ptr_models.input_limits import MAX_IMAGE_PIXELS


def png_size(data: bytes | memoryview) -> tuple[int, int] | None:
    """Height and width of a PNG in pixels, from its header (W3C PNG, 11.2.1); None for anything else."""
    if bytes(data[:8]) != b"\x89PNG\r\n\x1a\n" or bytes(data[12:16]) != b"IHDR" or len(data) < 24:
        return None
    width, height = struct.unpack_from(">II", data, 16)
    return height, width


def image_size(data: bytes | memoryview) -> tuple[int, int] | None:
    """Height and width that a JPEG or PNG declares; None for anything else."""
    return jpeg_size(data) or png_size(data)


def sane_size(data: bytes | memoryview) -> tuple[int, int] | None:
    """As `image_size`.

    Raises:
        EpisodeError: it has more pixels than allowed.
    """
    size = image_size(data)
    if size is not None and size[0] * size[1] > MAX_IMAGE_PIXELS:
        raise EpisodeError(
            f"an image claims {size[1]} x {size[0]} = {size[0] * size[1]} pixels; "
            f"at most {MAX_IMAGE_PIXELS} are decoded"
        )
    return size


def decode_at_least(data: bytes | NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8] | None:
    """Decode an image; a JPEG at least twice as large as needed at half its size. None if the bytes are not an image.

    Args:
        data: JPEG or PNG.
        height, width: pixels that the caller needs; the result has at least as many if the image has.
    Returns:
        (H, W, 3) uint8 BGR.
    Raises:
        EpisodeError: the image claims to be larger than allowed.
    """
    encoded = np.frombuffer(data, dtype=np.uint8)
    if not encoded.size:
        return None
    size = sane_size(encoded.data)
    if size is None:
        return None
    halved = encoded[0] == 0xFF and size[0] >= 2 * height and size[1] >= 2 * width
    return decode(encoded, cv2.IMREAD_REDUCED_COLOR_2 if halved else cv2.IMREAD_COLOR)
