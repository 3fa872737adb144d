# SPDX-License-Identifier: Apache-2.0
"""Where the axes of the hand lie in a camera's image."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sensor_msgs.msg")

from geometry_msgs.msg import Point, Pose, Quaternion  # noqa: E402
from sensor_msgs.msg import CameraInfo  # noqa: E402

from ptr_teleop.console.hand_axes import LENGTH, CameraModel  # noqa: E402

# 1 m above the origin, looks straight down, with the image's right along -y and its bottom along -x.
ABOVE = Pose(position=Point(z=1.0), orientation=Quaternion(x=0.5**0.5, y=-(0.5**0.5), z=0.0, w=0.0))


def info(focal: float = 500.0) -> CameraInfo:
    camera = CameraInfo(width=640, height=480)
    camera.k = [focal, 0.0, 320.0, 0.0, focal, 240.0, 0.0, 0.0, 1.0]
    return camera


def test_a_camera_above_sees_forward_at_the_top_and_left_at_the_left() -> None:
    axes = CameraModel(ABOVE, info()).axes(np.zeros(3))
    assert axes["hand"] == pytest.approx([0.5, 0.5])
    forward, left, up = axes["ahead"]
    assert forward == pytest.approx([0.5, 0.5 - 500.0 * LENGTH / 480.0], abs=1e-4)
    assert left == pytest.approx([0.5 - 500.0 * LENGTH / 640.0, 0.5], abs=1e-4)
    assert up == pytest.approx([0.5, 0.5], abs=1e-4)  # towards the camera
    assert axes["behind"][0] == pytest.approx([0.5, 0.5 + 500.0 * LENGTH / 480.0], abs=1e-4)


@pytest.mark.parametrize(
    ("place", "hand"),
    [
        (CameraModel(None, info()), [0.0, 0.0, 0.0]),
        (CameraModel(ABOVE, None), [0.0, 0.0, 0.0]),
        (CameraModel(ABOVE, info(0.0)), [0.0, 0.0, 0.0]),
        (CameraModel(ABOVE, info()), [0.0, 0.0, 1.5]),
        (CameraModel(ABOVE, info()), [np.nan, 0.0, 0.0]),
        (CameraModel(Pose(orientation=Quaternion(w=0.0)), info()), [0.0, 0.0, 0.0]),
    ],
    ids=["no pose", "no calibration", "not calibrated", "behind the camera", "not finite", "no rotation"],
)
def test_what_cannot_be_projected_is_not_drawn(place: CameraModel, hand: list[float]) -> None:
    assert place.axes(np.array(hand)) is None
