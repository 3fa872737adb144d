# SPDX-License-Identifier: Apache-2.0
"""From the room of a WebXR session to base_link.

WebXR's local-floor frame has x right, y up and z backward; base_link has x forward, y left and z up (REP 103).
Which way is forward depends on where the person stands: the yaw of "forward is here" says it.
"""

from __future__ import annotations

import math

import numpy as np

from ptr_models.common.rotations import matrix_from_quaternion

BASE_FROM_WEBXR = np.array([[0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
LEVEL = 0.5
"""Least horizontal part of a direction that still says where forward is: 30 degrees from the vertical."""


class Frame:
    """Turns directions, positions and rotations of a WebXR session into those of base_link.

    Args:
        yaw: rad, heading in the room (counterclockwise, 0 = WebXR's -z) that is the arm's forward.
    """

    def __init__(self, yaw: float = 0.0) -> None:
        self.yaw = yaw

    @property
    def rotation(self) -> np.ndarray:
        """(3, 3), from vectors of the room to vectors of base_link."""
        cosine, sine = math.cos(self.yaw), math.sin(self.yaw)
        back = np.array([[cosine, sine, 0.0], [-sine, cosine, 0.0], [0.0, 0.0, 1.0]])
        return back @ BASE_FROM_WEBXR

    def calibrate(self, ray: np.ndarray) -> bool:
        """Make the horizontal heading of a ray (3,), in the room, the arm's forward; False: it is too steep."""
        x, y, _ = BASE_FROM_WEBXR @ ray
        if math.hypot(x, y) < LEVEL:
            return False
        self.yaw = math.atan2(y, x)
        return True

    def position(self, position: np.ndarray) -> np.ndarray:
        """A position (3,) m of the room, along the axes of base_link, from the room's origin."""
        return self.rotation @ position

    def orientation(self, quaternion: np.ndarray) -> np.ndarray:
        """A rotation matrix (3, 3) such that turns of the hand in the room are turns about base_link's axes."""
        return self.rotation @ matrix_from_quaternion(quaternion)
