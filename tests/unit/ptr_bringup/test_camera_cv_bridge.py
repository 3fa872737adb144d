# SPDX-License-Identifier: Apache-2.0
"""Raw images through the genuine Python module of cv_bridge, where it is installed.

Its compiled part does four things only; OpenCV's own functions take its place here: it may be missing, or compiled for
another NumPy.
"""

from __future__ import annotations

import sys
from types import ModuleType

import cv2
import numpy as np
import pytest

cv_bridge = pytest.importorskip("cv_bridge", reason="cv_bridge is not installed", exc_type=ImportError)

from test_camera_conversion import message_of  # noqa: E402

from ptr_bringup.camera import conversion  # noqa: E402
from ptr_bringup.camera.conversion import ImageConverter  # noqa: E402
from ptr_bringup.camera.source import CameraError  # noqa: E402

TYPES = {"mono8": cv2.CV_8UC1, "bgr8": cv2.CV_8UC3, "rgb8": cv2.CV_8UC3, "bgra8": cv2.CV_8UC4, "mono16": cv2.CV_16UC1}
CODES = {
    "mono8": cv2.COLOR_GRAY2BGR,
    "rgb8": cv2.COLOR_RGB2BGR,
    "bgra8": cv2.COLOR_BGRA2BGR,
    "yuv422_yuy2": cv2.COLOR_YUV2BGR_YUY2,
}
DEPTHS = {cv2.CV_8UC1: cv2.CV_8U, cv2.CV_8UC3: cv2.CV_8U, cv2.CV_8UC4: cv2.CV_8U, cv2.CV_16UC1: cv2.CV_16U}
CHANNELS = {cv2.CV_8UC1: 1, cv2.CV_8UC3: 3, cv2.CV_8UC4: 4, cv2.CV_16UC1: 1}


def type_of(encoding: str) -> int:
    if encoding not in TYPES:
        raise RuntimeError(f"Unrecognized image encoding [{encoding}]")
    return TYPES[encoding]


def recoded(image: np.ndarray, before: str, after: str) -> np.ndarray:
    assert after == "bgr8"
    if before == after:
        return image
    if before not in CODES:
        raise RuntimeError(f"[{before}] is not a color format. but [{after}] is.")
    return cv2.cvtColor(image, CODES[before])


@pytest.fixture(autouse=True)
def compiled_part(monkeypatch: pytest.MonkeyPatch) -> None:
    part = ModuleType("cv_bridge.boost.cv_bridge_boost")
    part.getCvType, part.cvtColor2 = type_of, recoded
    part.CV_MAT_CNWrap, part.CV_MAT_DEPTHWrap = CHANNELS.__getitem__, DEPTHS.__getitem__
    monkeypatch.setitem(sys.modules, "cv_bridge.boost", ModuleType("cv_bridge.boost"))
    monkeypatch.setitem(sys.modules, part.__name__, part)
    monkeypatch.setattr(conversion, "CvBridge", cv_bridge.CvBridge)


def random_pixels(channels: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (4, 5, channels), dtype=np.uint8)


@pytest.mark.parametrize("padding", [0, 1, 12])
@pytest.mark.parametrize("encoding", ["bgr8", "rgb8", "mono8"])
def test_it_agrees_with_the_suites_own_conversion(encoding: str, padding: int) -> None:
    message = message_of(random_pixels(1 if encoding == "mono8" else 3), encoding, padding)
    np.testing.assert_array_equal(ImageConverter().bgr(message), conversion.convert(message))


def test_it_brings_encodings_that_the_suite_does_not_know() -> None:
    pixels = random_pixels(4)
    np.testing.assert_array_equal(ImageConverter().bgr(message_of(pixels, "bgra8")), pixels[..., :3])


@pytest.mark.parametrize("encoding", ["bayer_what", "mono16", ""])
def test_what_it_refuses_is_the_cameras_own_error(encoding: str) -> None:
    with pytest.raises(CameraError, match=f"can't convert an image with encoding '{encoding}'"):
        ImageConverter().bgr(message_of(random_pixels(2), encoding))


def test_too_few_data_are_the_cameras_own_error() -> None:
    message = message_of(random_pixels(3), "bgr8")
    message.data = message.data[:20]
    with pytest.raises(CameraError, match="has only .* bytes"):
        ImageConverter().bgr(message)


def test_a_converter_makes_one_bridge_however_many_images_come(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []

    class Counted(cv_bridge.CvBridge):
        def __init__(self) -> None:
            made.append(self)
            super().__init__()

    monkeypatch.setattr(conversion, "CvBridge", Counted)
    converter = ImageConverter()
    for _ in range(3):
        converter.bgr(message_of(random_pixels(3), "rgb8"))
    assert len(made) == 1
