# SPDX-License-Identifier: Apache-2.0
"""Raw images of other drivers."""

from __future__ import annotations

import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sensor_msgs.msg import Image

from ptr_bringup.camera import conversion
from ptr_bringup.camera.conversion import ImageConverter, convert
from ptr_bringup.camera.source import CameraError


def message_of(pixels: np.ndarray, encoding: str, padding: int = 0) -> Image:
    """An image message of (H, W, C) pixels, each row followed by `padding` bytes."""
    height, width = pixels.shape[:2]
    rows = np.pad(pixels.reshape(height, -1), ((0, 0), (0, padding)), constant_values=77)
    data = array.array("B", rows.astype(np.uint8).tobytes())
    return Image(height=height, width=width, encoding=encoding, step=rows.shape[1], data=data)


@given(
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    padding=st.integers(0, 5),
    encoding=st.sampled_from(["bgr8", "rgb8", "mono8"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_pixels_arrive_in_bgr_order_whatever_the_encoding_and_the_padding(
    height: int, width: int, padding: int, encoding: str, seed: int
) -> None:
    channels = 1 if encoding == "mono8" else 3
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
    wanted = {"bgr8": pixels, "rgb8": pixels[..., ::-1], "mono8": np.repeat(pixels, 3, axis=2)[..., :3]}[encoding]
    np.testing.assert_array_equal(convert(message_of(pixels, encoding, padding)), wanted)


def test_an_unknown_encoding_is_named() -> None:
    with pytest.raises(CameraError, match="'yuv422'.*bgr8, rgb8, mono8"):
        convert(message_of(np.zeros((2, 2, 3), np.uint8), "yuv422"))


def test_too_few_data_are_an_error_and_no_crash() -> None:
    message = message_of(np.zeros((4, 4, 3), np.uint8), "bgr8")
    message.data = message.data[:20]
    with pytest.raises(CameraError, match="4x4 bgr8 has only 20 bytes"):
        convert(message)


@pytest.mark.parametrize(("width", "height"), [(0, 0), (640, 0), (60_000, 60_000)])
def test_an_image_of_an_impossible_size_is_refused_with_it(width: int, height: int) -> None:
    with pytest.raises(CameraError, match=f"{width}x{height}"):
        ImageConverter().bgr(Image(width=width, height=height, encoding="bgr8"))


def test_whatever_cv_bridge_raises_becomes_the_cameras_own_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class CvBridgeError(TypeError):
        pass

    class Bridge:
        def imgmsg_to_cv2(self, message: Image, encoding: str) -> np.ndarray:
            raise CvBridgeError("[bayer_what] is not a color format")

    monkeypatch.setattr(conversion, "CvBridge", Bridge)
    with pytest.raises(CameraError, match="bayer_what"):
        ImageConverter().bgr(Image(width=4, height=4, encoding="bayer_what"))


def test_a_bridge_whose_compiled_part_is_missing_leaves_the_usual_encodings_to_the_suite(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Bridge:
        def imgmsg_to_cv2(self, message: Image, encoding: str) -> np.ndarray:
            raise ModuleNotFoundError("No module named 'cv_bridge.boost'")

    monkeypatch.setattr(conversion, "CvBridge", Bridge)
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    np.testing.assert_array_equal(ImageConverter().bgr(message_of(pixels, "bgr8")), pixels)
    with pytest.raises(CameraError, match="bayer_rggb8"):
        ImageConverter().bgr(message_of(pixels[..., :1], "bayer_rggb8"))
