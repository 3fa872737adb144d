# SPDX-License-Identifier: Apache-2.0
"""Calibration files of cameras, in the format that ROS's camera_calibration writes."""

from __future__ import annotations

from pathlib import Path

import yaml
from sensor_msgs.msg import CameraInfo

from ptr_bringup.camera.interface import CameraError


def camera_info(path: str, frame: str) -> CameraInfo:
    """CameraInfo of a calibration file; without a path that of an uncalibrated camera (K is zero).

    Raises:
        CameraError: the file can't be read or lacks an entry.
    """
    info = CameraInfo()
    info.header.frame_id = frame
    if not path:
        return info
    try:
        fields = yaml.safe_load(Path(path).read_text())
        info.width, info.height = int(fields["image_width"]), int(fields["image_height"])
        info.distortion_model = fields["distortion_model"]
        info.d = [float(v) for v in fields["distortion_coefficients"]["data"]]
        info.k = [float(v) for v in fields["camera_matrix"]["data"]]
        info.r = [float(v) for v in fields["rectification_matrix"]["data"]]
        info.p = [float(v) for v in fields["projection_matrix"]["data"]]
    except OSError as error:
        raise CameraError(f"The calibration {path} can't be read: {error.strerror}.") from error
    except (yaml.YAMLError, KeyError, TypeError, ValueError, OverflowError, RecursionError, AssertionError) as error:
        raise CameraError(f"The calibration {path} is malformed: {error!r}.") from error
    return info
