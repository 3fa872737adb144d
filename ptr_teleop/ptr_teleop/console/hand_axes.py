# SPDX-License-Identifier: Apache-2.0
"""Projects the axes of base_link, along which the keys move the hand, into a camera's image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from geometry_msgs.msg import Pose
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo

from ptr_models.common.rotations import matrix_from_quaternion

LENGTH = 0.07  # m from the hand to an arrow's tip
NEAR = 0.02  # m in front of the camera; closer points are not projected

Array = NDArray[np.float64]


@dataclass
class CameraModel:
    """Pose and calibration of a camera, as far as known.

    Attributes:
        pose: of its optical frame (x right, y down, z forward) in base_link; None: not known.
        info: its calibration; None: not known.
    """

    pose: Pose | None = None
    info: CameraInfo | None = None

    def axes(self, hand: Array) -> dict[str, Any] | None:
        """The hand and both ends of each axis, as shares of the image's width and height.

        Lens distortion is ignored.

        Args:
            hand: (3,) m in base_link.
        Returns:
            None: the camera's pose or calibration is not known, or the hand or an end is not in front of it.
        """
        if self.pose is None or self.info is None or not self.info.k[0] > 0.0 or not np.isfinite(hand).all():
            return None
        ends = LENGTH * np.eye(3)
        points = _project(self.pose, self.info, hand + np.concatenate([np.zeros((1, 3)), ends, -ends]))
        if points is None:
            return None
        return {"hand": points[0], "ahead": points[1:4], "behind": points[4:7]}


def _project(pose: Pose, info: CameraInfo, points: Array) -> list[list[float]] | None:
    at, o = pose.position, pose.orientation
    rotation = matrix_from_quaternion([o.x, o.y, o.z, o.w])
    seen = (points - [at.x, at.y, at.z]) @ rotation
    if not seen[:, 2].min() > NEAR:  # also for NaN
        return None
    k = np.array(info.k, dtype=np.float64).reshape(3, 3)
    pixels = (seen @ k.T)[:, :2] / seen[:, 2:]
    return (pixels / [info.width, info.height]).round(4).tolist()
