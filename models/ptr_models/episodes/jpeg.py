# SPDX-License-Identifier: Apache-2.0
"""Decode an image no larger than it is needed: a JPEG can be decoded at half its size for half the work.

The decoder makes 4x4 pixels of the lowest frequencies of each 8x8 block, which is a low-pass filter and a
reduction in one (Independent JPEG Group's library, "scaled decoding"; OpenCV's IMREAD_REDUCED_COLOR_2).
"""

from __future__ import annotations

import struct

import cv2
import numpy as np
from numpy.typing import NDArray

_ALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length
_NO_FRAME = {0xC4, 0xC8, 0xCC}  # tables, not the header of a frame, although their numbers lie between those


def jpeg_size(data: bytes | memoryview) -> tuple[int, int] | None:
    """Height and width of a JPEG in pixels, from its frame header (ITU-T T.81, B.2.2); None for anything else."""
    if bytes(data[:2]) != b"\xff\xd8":
        return None
    place = 2
    while place + 9 <= len(data):
        if data[place] != 0xFF:
            return None
        marker = data[place + 1]
        if marker == 0xFF:  # a fill byte
            place += 1
        elif 0xC0 <= marker <= 0xCF and marker not in _NO_FRAME:
            height, width = struct.unpack_from(">HH", data, place + 5)
            return height, width
        elif marker in _ALONE:
            place += 2
        else:
            place += 2 + struct.unpack_from(">H", data, place + 2)[0]
    return None


def decode_at_least(data: bytes | NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8] | None:
    """Decode an image, a JPEG that is twice as large as needed at half its size; None where the bytes are no image.

    Args:
        data: JPEG or PNG.
        height, width: pixels that the caller needs; the result has at least as many where the image has.
    Returns:
        (H, W, 3) uint8 BGR.
    """
    encoded = np.frombuffer(data, dtype=np.uint8)
    if not encoded.size:
        return None
    size = jpeg_size(encoded.data)
    halved = size is not None and size[0] >= 2 * height and size[1] >= 2 * width
    return cv2.imdecode(encoded, cv2.IMREAD_REDUCED_COLOR_2 if halved else cv2.IMREAD_COLOR)
