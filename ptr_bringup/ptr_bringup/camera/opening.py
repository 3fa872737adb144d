# SPDX-License-Identifier: Apache-2.0
"""Opens the source of a camera's images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ptr_bringup.camera.files import FolderSource, VideoSource
from ptr_bringup.camera.settings import Settings
from ptr_bringup.camera.source import CameraError, CaptureConfig, Source
from ptr_bringup.camera.v4l2 import DeviceSource, device_names
from ptr_models.common.registry import Registry

SOURCES: Registry[Callable[[str, CaptureConfig, Settings], Source]] = Registry(
    "camera driver", "ptr.cameras", {"realsense": "ptr_bringup.camera.realsense:RealSenseSource"}
)
"""Drivers of cameras named `DRIVER:ADDRESS`: called with the address, the requested format and the settings."""


def is_device(name: str) -> bool:
    """True for devices, which can be unplugged and come back; files and folders end."""
    return name.isdigit() or name.startswith("/dev/") or _driver(name) in SOURCES


def _driver(name: str) -> str:
    """The part before the colon; empty without one."""
    return name.partition(":")[0] if ":" in name else ""


def open_source(name: str, requested: CaptureConfig, settings: Settings) -> Source:
    """Open a camera.

    Args:
        name: a V4L2 device (preferably a path in /dev/v4l/by-path, also /dev/video0 or just 0), `realsense:SERIAL`
            (`realsense:` if there is only one), `DRIVER:ADDRESS` of another package's driver, a folder of images, or a
            video file.
        settings: for devices; ignored for files.
    Raises:
        CameraError: the source does not exist or provides no images.
    """
    if (driver := _driver(name)) in SOURCES:
        return SOURCES[driver](name.removeprefix(f"{driver}:"), requested, settings)
    path = Path(f"/dev/video{name}" if name.isdigit() else name)
    if path.is_dir():
        return FolderSource(path, requested)
    if not path.exists():
        found = ", ".join(device_names()) or "none"
        raise CameraError(f"there is no camera {path}; video devices of this machine: {found}")
    if is_device(name):
        return DeviceSource(str(path), requested, settings)
    return VideoSource(path, requested)
