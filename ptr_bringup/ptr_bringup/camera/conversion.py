# SPDX-License-Identifier: Apache-2.0
"""Raw images of other camera drivers: converted by cv_bridge if available, else by our own code for three encodings."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import Image

from ptr_bringup.camera.source import CameraError

try:
    from cv_bridge import CvBridge
except Exception:  # not installed, as it is not on PyPI, or built for another NumPy
    CvBridge = None

_MAX_SIZE = 8192
"""Pixels, maximum width and height."""
_CHANNELS = {"bgr8": 3, "rgb8": 3, "mono8": 1}


class ImageConverter:
    """Converts image messages to OpenCV images."""

    def __init__(self) -> None:
        self._bridge = None if CvBridge is None else CvBridge()

    def bgr(self, message: Image) -> NDArray[np.uint8]:
        """An image message as (height, width, 3) in BGR order.

        Raises:
            CameraError: the size is invalid, the encoding is unknown, or there is too little data for the size.
        """
        if not (0 < message.width <= _MAX_SIZE and 0 < message.height <= _MAX_SIZE):
            raise CameraError(
                f"dropped an image of {message.width}x{message.height} pixels; each side must be 1 to {_MAX_SIZE}"
            )
        if self._bridge is None or _padded_by_parts_of_a_pixel(message):
            return convert(message)
        try:
            return np.asarray(self._bridge.imgmsg_to_cv2(message, "bgr8"))
        except Exception as error:  # CvBridgeError, errors of OpenCV and NumPy, or a missing compiled module
            if message.encoding in _CHANNELS:
                return convert(message)
            raise CameraError(f"can't convert an image with encoding {message.encoding[:40]!r}: {error}") from error


def _padded_by_parts_of_a_pixel(message: Image) -> bool:
    """True for rows that cv_bridge would misread: it assumes that their length is a whole number of pixels."""
    return message.step % _CHANNELS.get(message.encoding, 1) != 0


def convert(message: Image) -> NDArray[np.uint8]:
    """Conversion without cv_bridge, for bgr8, rgb8 and mono8; rows may be padded (`step`)."""
    channels = _CHANNELS.get(message.encoding)
    if channels is None:
        raise CameraError(
            f"the image has the encoding {message.encoding[:40]!r}; without cv_bridge only "
            f"{', '.join(_CHANNELS)} are supported"
        )
    used = message.width * channels
    if message.step < used or len(message.data) < message.height * message.step:
        raise CameraError(
            f"an image of {message.width}x{message.height} {message.encoding} has only {len(message.data)} bytes in "
            f"rows of {message.step}"
        )
    data = np.frombuffer(message.data, np.uint8)[: message.height * message.step]
    pixels = data.reshape(message.height, message.step)[:, :used].reshape(message.height, message.width, channels)
    if message.encoding == "rgb8":
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), np.uint8)
    if message.encoding == "mono8":
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR), np.uint8)
    return np.ascontiguousarray(pixels)
