# SPDX-License-Identifier: Apache-2.0
"""Raw images of other camera drivers: by cv_bridge where ROS brings it, else the three usual encodings by hand."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import Image

from ptr_bringup.camera.source import CameraError

try:
    from cv_bridge import CvBridge
except Exception:  # not installed: it is in no Python package index; or built for another NumPy
    CvBridge = None

_LARGEST = 8192
"""Pixels of a side."""
_CHANNELS = {"bgr8": 3, "rgb8": 3, "mono8": 1}


class ImageConverter:
    """Turns image messages into pixels as OpenCV has them. A node has one, and with it one bridge."""

    def __init__(self) -> None:
        self._bridge = None if CvBridge is None else CvBridge()

    def bgr(self, message: Image) -> NDArray[np.uint8]:
        """An image message as (height, width, 3) in BGR order.

        Raises:
            CameraError: the size is none, the encoding is not known, or the data are fewer than the size says.
        """
        if not (0 < message.width <= _LARGEST and 0 < message.height <= _LARGEST):
            raise CameraError(
                f"An image of {message.width}x{message.height} pixels was left out; "
                f"1 to {_LARGEST} a side are possible."
            )
        if self._bridge is None or _padded_by_parts_of_a_pixel(message):
            return convert(message)
        try:
            return np.asarray(self._bridge.imgmsg_to_cv2(message, "bgr8"))
        except Exception as error:  # CvBridgeError, what OpenCV and NumPy raise, and a compiled part that is missing
            if message.encoding in _CHANNELS:
                return convert(message)
            raise CameraError(f"An image of encoding {message.encoding[:40]!r} can't be converted: {error}") from error


def _padded_by_parts_of_a_pixel(message: Image) -> bool:
    """True for rows that cv_bridge would read askew: it takes their length for a whole number of pixels."""
    return message.step % _CHANNELS.get(message.encoding, 1) != 0


def convert(message: Image) -> NDArray[np.uint8]:
    """The same without cv_bridge, for bgr8, rgb8 and mono8; rows may be padded (`step`)."""
    channels = _CHANNELS.get(message.encoding)
    if channels is None:
        raise CameraError(
            f"The image has the encoding {message.encoding[:40]!r}; without cv_bridge only "
            f"{', '.join(_CHANNELS)} are known."
        )
    used = message.width * channels
    if message.step < used or len(message.data) < message.height * message.step:
        raise CameraError(
            f"An image of {message.width}x{message.height} {message.encoding} has {len(message.data)} bytes in rows of "
            f"{message.step}; that is too few."
        )
    data = np.frombuffer(message.data, np.uint8)[: message.height * message.step]
    pixels = data.reshape(message.height, message.step)[:, :used].reshape(message.height, message.width, channels)
    if message.encoding == "rgb8":
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), np.uint8)
    if message.encoding == "mono8":
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR), np.uint8)
    return np.ascontiguousarray(pixels)
