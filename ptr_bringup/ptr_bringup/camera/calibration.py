# SPDX-License-Identifier: Apache-2.0
"""Calibration files of cameras, in the format that ROS's camera_calibration writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from geometry_msgs.msg import Pose
from sensor_msgs.msg import CameraInfo

from ptr_bringup.camera.source import CameraError


def camera_info(path: str, frame: str) -> CameraInfo:
    """CameraInfo of a calibration file; without a path that of an uncalibrated camera (K is zero).

    Raises:
        CameraError: the file can't be read or lacks an entry.
    """
    info = CameraInfo()
    info.header.frame_id = frame
    if not path:
        return info
    with _refusing(path) as fields:
        info.width, info.height = int(fields["image_width"]), int(fields["image_height"])
        info.distortion_model = fields["distortion_model"]
        info.d = [float(v) for v in fields["distortion_coefficients"]["data"]]
        info.k = [float(v) for v in fields["camera_matrix"]["data"]]
        info.r = [float(v) for v in fields["rectification_matrix"]["data"]]
        info.p = [float(v) for v in fields["projection_matrix"]["data"]]
    return info


def camera_pose(path: str) -> Pose | None:
    """Pose of the optical frame in base_link, from the entry `pose` of a calibration file; None: it has none.

    The entry is x, y, z in m and a quaternion x, y, z, w. `camera_calibration` writes no such entry: add it.

    Raises:
        CameraError: the file can't be read, or its pose is no pose.
    """
    if not path:
        return None
    with _refusing(path) as fields:
        if "pose" not in fields:
            return None
        x, y, z, *quaternion = (float(value) for value in fields["pose"])
        if len(quaternion) != 4 or not abs(np.linalg.norm(quaternion) - 1.0) < 0.01:  # NaN is not
            raise ValueError(f"pose is {fields['pose']}; give x, y, z and a unit quaternion x, y, z, w")
        pose = Pose()
        pose.position.x, pose.position.y, pose.position.z = x, y, z
        o = pose.orientation
        o.x, o.y, o.z, o.w = quaternion
        return pose


@contextmanager
def _refusing(path: str) -> Iterator[Any]:
    """The fields of a calibration file; what can't be made of them is refused with the file's name."""
    try:
        yield yaml.safe_load(Path(path).read_text())
    except OSError as error:
        raise CameraError(f"The calibration {path} can't be read: {error.strerror}.") from error
    except (yaml.YAMLError, KeyError, TypeError, ValueError, OverflowError, RecursionError, AssertionError) as error:
        raise CameraError(f"The calibration {path} is malformed: {error!r}.") from error
