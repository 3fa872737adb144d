# SPDX-License-Identifier: Apache-2.0
"""Whole and torn JPEG images, told apart without decoding."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptr_models.common.jpeg import TornError, complete, encode, structure, whole

NOISE = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
PLAIN = encode(NOISE, 90)
WITH_RESTARTS = cv2.imencode(".jpg", NOISE, [cv2.IMWRITE_JPEG_RST_INTERVAL, 2])[1].tobytes()
PROGRESSIVE = cv2.imencode(".jpg", NOISE, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()


def without_tables(data: bytes) -> bytes:
    """A webcam's Motion JPEG: the Huffman tables (DHT segments) are left out."""
    place, kept = 2, data[:2]
    while data[place + 1] != 0xDA:
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        kept += b"" if data[place + 1] == 0xC4 else data[place:end]
        place = end
    return kept + data[place:]


@pytest.mark.parametrize("data", [PLAIN, WITH_RESTARTS, PROGRESSIVE, PLAIN + bytes(100), without_tables(PLAIN)])
def test_a_whole_image_says_its_size(data: bytes) -> None:
    found = whole(data)
    assert (found.width, found.height) == (96, 64)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, len(PLAIN) - 2))
def test_an_image_that_is_cut_off_anywhere_is_torn(length: int) -> None:
    with pytest.raises(TornError):
        whole(PLAIN[:length])


def test_restart_markers_are_counted_by_the_units_of_the_image() -> None:
    """96x64 in 4:2:0 are 6x4 units of 16x16 pixels; one restart every 2 units makes 11 between 12 intervals."""
    assert structure(WITH_RESTARTS).restarts == 11
    assert structure(PLAIN).restarts is None


def test_an_image_that_lost_a_packet_in_its_middle_is_torn() -> None:
    marks = [k for k in range(len(WITH_RESTARTS) - 1) if WITH_RESTARTS[k : k + 2] in (b"\xff\xd3", b"\xff\xd5")]
    with pytest.raises(TornError, match="9 restart markers, or out of order; 11 are expected"):
        whole(WITH_RESTARTS[: marks[0]] + WITH_RESTARTS[marks[1] :])


def test_two_images_glued_together_are_torn() -> None:
    with pytest.raises(TornError, match="another image starts in its middle"):
        whole(PLAIN[: len(PLAIN) // 2] + PLAIN)


@pytest.mark.parametrize("data", [b"", b"\x89PNG", PLAIN[:20], PLAIN[:2] + b"\x00" + PLAIN[3:]])
def test_what_is_no_jpeg_is_torn(data: bytes) -> None:
    with pytest.raises(TornError):
        structure(data)


def test_the_huffman_tables_that_a_webcam_leaves_out_are_put_in() -> None:
    webcam = without_tables(PLAIN)
    assert b"\xff\xc4" not in webcam[: structure(webcam).scan]
    finished = complete(webcam + bytes(7))
    assert structure(finished).tables
    assert (decoded(finished) == decoded(PLAIN)).all()
    codes = bytes([0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0])  # of each length, luminance DC: T.81, table K.3
    assert b"\xff\xc4\x00\x1f\x00" + codes + bytes(range(12)) in finished


def test_an_image_with_tables_is_left_as_it_is() -> None:
    assert complete(PLAIN) == PLAIN


def decoded(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).astype(int)


def test_an_image_can_be_turned() -> None:
    turned = decoded(encode(NOISE, 100, rotate=True))
    assert np.abs(turned[::-1, ::-1] - decoded(encode(NOISE, 100))).mean() < 5
