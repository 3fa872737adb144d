# SPDX-License-Identifier: Apache-2.0
"""Where a camera node takes its pictures from."""

from __future__ import annotations

from pathlib import Path

from ptr_bringup.camera.files import FolderSource, VideoSource
from ptr_bringup.camera.interface import CameraError, Source, Wish
from ptr_bringup.camera.realsense import RealSenseSource
from ptr_bringup.camera.settings import Settings
from ptr_bringup.camera.v4l2 import DeviceSource, device_names

REALSENSE = "realsense:"


def is_device(name: str) -> bool:
    """True for what can be unplugged and come back; files and folders come to an end."""
    return name.isdigit() or name.startswith(("/dev/", REALSENSE))


def open_source(name: str, wish: Wish, settings: Settings) -> Source:
    """Open a camera.

    Args:
        name: a V4L2 device (best a path below /dev/v4l/by-path, also /dev/video0 or just 0), `realsense:SERIAL`
            (`realsense:` takes the only one), a folder of images, or a video file.
        settings: given to a device; nothing can be set on files.
    Raises:
        CameraError: there is nothing that gives pictures.
    """
    if name.startswith(REALSENSE):
        return RealSenseSource(name.removeprefix(REALSENSE), wish, settings)
    path = Path(f"/dev/video{name}" if name.isdigit() else name)
    if path.is_dir():
        return FolderSource(path, wish)
    if not path.exists():
        found = ", ".join(device_names()) or "none"
        raise CameraError(f"There is no camera {path}; video devices of this machine: {found}.")
    if is_device(name):
        return DeviceSource(str(path), wish, settings)
    return VideoSource(path, wish)
