# SPDX-License-Identifier: Apache-2.0
"""The structure of a JPEG, read without decoding it: is it complete, and how large is the image?

Markers and segments as in ITU-T T.81, Annex B. Webcam streams often omit the Huffman tables, which are then those of
its Annex K (as the USB video class specifies for MJPEG). They are inserted, so that every reader can open the image.
"""

from __future__ import annotations

import functools
import struct
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_START, _END, _SCAN, _TABLES, _INTERVAL = 0xD8, 0xD9, 0xDA, 0xC4, 0xDD
_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended sequential, progressive
_PROGRESSIVE = 0xC2
_ALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length
_NO_FRAME = {0xC4, 0xC8, 0xCC}  # tables, not the header of a frame, although their numbers lie in the same range


class TornError(ValueError):
    """A JPEG is incomplete; the message says what is missing."""


@dataclass(frozen=True)
class Structure:
    """The header of a JPEG.

    Attributes:
        width, height: pixels.
        restarts: how many restart markers the scan should have; None: none are announced, or it is progressive.
        tables: whether it contains its Huffman tables.
        header_end: start of the segment that starts the scan.
        scan: start of the compressed data.
    """

    width: int
    height: int
    restarts: int | None
    tables: bool
    header_end: int
    scan: int


def encode(image: NDArray[np.uint8], quality: int, rotate: bool = False) -> bytes:
    """JPEG of an image (height, width, 3) in BGR order, turned by 180 degrees if wanted."""
    turned = cv2.rotate(image, cv2.ROTATE_180) if rotate else image
    return cv2.imencode(".jpg", turned, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def decode(data: bytes | memoryview | NDArray[np.uint8], how: int = cv2.IMREAD_COLOR) -> NDArray[np.uint8] | None:
    """The image of a JPEG or another encoding that OpenCV knows; None: it can't be decoded.

    Args:
        how: one of OpenCV's IMREAD_...
    """
    image = cv2.imdecode(np.frombuffer(data, np.uint8), how) if len(data) else None
    return None if image is None else np.asarray(image, np.uint8)


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


def structure(data: bytes) -> Structure:
    """Read the header.

    Raises:
        TornError: it is not a JPEG, or its header is cut off.
    """
    if data[:2] != bytes((0xFF, _START)):
        raise TornError("it does not start like a JPEG")
    frame, tables, interval, place = None, False, 0, 2
    while place + 4 <= len(data):
        if data[place] != 0xFF:
            raise TornError("its header is damaged")
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if marker == 0xFF:  # fill byte
            place += 1
            continue
        body = data[place + 4 : place + 2 + length]
        tables |= marker == _TABLES
        if marker in _FRAMES and len(body) >= 6:
            frame = (marker, body)
        elif marker == _INTERVAL:
            interval = int.from_bytes(body[:2], "big")
        elif marker == _SCAN:
            if frame is None:
                break
            height, width = int.from_bytes(frame[1][1:3], "big"), int.from_bytes(frame[1][3:5], "big")
            return Structure(width, height, _restarts(*frame, interval), tables, place, place + 2 + length)
        place += 2 + length
    raise TornError("its header is cut off")


def _restarts(marker: int, frame: bytes, interval: int) -> int | None:
    if not interval or marker == _PROGRESSIVE:
        return None
    height, width, components = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big"), frame[5]
    factors = [frame[7 + 3 * index] for index in range(components) if 7 + 3 * index < len(frame)]
    across, down = max((f >> 4 for f in factors), default=1), max((f & 15 for f in factors), default=1)
    units = -(-width // (8 * across)) * -(-height // (8 * down))
    return -(-units // interval) - 1


def whole(data: bytes) -> Structure:
    """The structure of a JPEG that is complete.

    Raises:
        TornError: the image ends before its end, two are glued together, or restart markers are out of order.
    """
    found = structure(data)
    end = len(data.rstrip(b"\0"))  # some devices fill their buffer with zeros
    if data[end - 2 : end] != bytes((0xFF, _END)):
        raise TornError("its end is missing")
    scan = np.frombuffer(data, np.uint8)[found.scan : end - 2]
    after = scan[1:][scan[:-1] == 0xFF]
    marks = after[(after != 0) & (after != 0xFF)]
    if found.restarts is not None:
        if not np.array_equal(marks, 0xD0 + np.arange(found.restarts) % 8):
            raise TornError(f"it has {len(marks)} restart markers, or out of order; {found.restarts} are expected")
    elif np.isin(marks, (_START, _END)).any():
        raise TornError("another image starts in its middle")
    return found


def complete(data: bytes) -> bytes:
    """The same JPEG without zeros after its end and with the Huffman tables that it may lack.

    Raises:
        TornError: its header can't be read.
    """
    data = data.rstrip(b"\0")
    found = structure(data)
    if found.tables:
        return data
    return data[: found.header_end] + _standard_tables() + data[found.header_end :]


@functools.cache
def _standard_tables() -> bytes:
    """The tables of Annex K as segments: OpenCV's encoder uses exactly these unless it is told to optimize."""
    example = encode(np.zeros((8, 8, 3), np.uint8), 90)
    tables, place = b"", 2
    while example[place + 1] != _SCAN:
        end = place + 2 + int.from_bytes(example[place + 2 : place + 4], "big")
        if example[place + 1] == _TABLES:
            tables += example[place:end]
        place = end
    return tables
