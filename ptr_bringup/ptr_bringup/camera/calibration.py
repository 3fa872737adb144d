# SPDX-License-Identifier: Apache-2.0
"""Camera calibration files, in the format of ROS's camera_calibration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from sensor_msgs.msg import CameraInfo

from ptr_bringup.camera.mounting import BASE, Mounting, pose_of
from ptr_bringup.camera.source import CameraError


def camera_info(path: str, frame: str) -> CameraInfo:
    """CameraInfo of a calibration file, or without a path, of an uncalibrated camera (K is zero).

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


def camera_pose(path: str) -> Mounting | None:
    """Frame and pose of the camera, from the entries `pose_frame` and `pose` of a calibration file; None without them.

    They have the format of the parameters with these names; the default of `pose_frame` is base_link.
    `camera_calibration` does not write these entries: add them.

    Raises:
        CameraError: the file can't be read, or its pose is invalid.
    """
    if not path:
        return None
    with _refusing(path) as fields:
        if "pose" not in fields:
            return None
        frame = fields.get("pose_frame", BASE)
        if not (isinstance(frame, str) and frame):
            raise ValueError(f"pose_frame is {frame!r}; it must be the name of a frame")
        return frame, pose_of(fields["pose"])


@contextmanager
def _refusing(path: str) -> Iterator[Any]:
    """The fields of a calibration file; errors in the block become a CameraError with the file's name."""
    try:
        yield yaml.safe_load(Path(path).read_text())
    except OSError as error:
        raise CameraError(f"can't read the calibration {path}: {error.strerror}") from error
    except (yaml.YAMLError, KeyError, TypeError, ValueError, OverflowError, RecursionError, AssertionError) as error:
        raise CameraError(f"the calibration {path} is malformed: {error!r}") from error
