# SPDX-License-Identifier: Apache-2.0
"""Camera images as messages: JPEG CompressedImage and a pinhole CameraInfo."""

from __future__ import annotations

import math

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, CompressedImage


def jpeg_message(image: NDArray[np.uint8], quality: int, stamp: Time, frame: str) -> CompressedImage:
    """JPEG message of an image (height, width, 3) in BGR order, as in OpenCV."""
    message = CompressedImage(format="jpeg")
    message.header.stamp, message.header.frame_id = stamp, frame
    message.data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
    return message


def numbered(jpeg: bytes, number: int) -> bytes:
    """A JPEG with a number in a comment segment (ITU-T T.81, B.2.4.5) after its first marker; same pixels.

    Two images of a real sensor never have the same bytes, so a camera that repeats them counts as frozen. Rendered
    images have no noise; the number makes them different.
    """
    comment = str(number).encode()
    return jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:]


def pinhole_info(width: int, height: int, fovy: float, frame: str) -> CameraInfo:
    """CameraInfo of an ideal pinhole with a vertical field of view in rad; fill in the stamp."""
    focal = 0.5 * height / math.tan(0.5 * fovy)
    x, y = 0.5 * (width - 1), 0.5 * (height - 1)
    info = CameraInfo(width=width, height=height, distortion_model="plumb_bob")
    info.header.frame_id = frame
    info.d = [0.0] * 5
    info.k = [focal, 0.0, x, 0.0, focal, y, 0.0, 0.0, 1.0]
    info.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    info.p = [focal, 0.0, x, 0.0, 0.0, focal, y, 0.0, 0.0, 0.0, 1.0, 0.0]
    return info
