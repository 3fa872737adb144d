# SPDX-License-Identifier: Apache-2.0
"""A V4L2 camera: its own JPEG images, passed on unchanged, with the kernel's time of capture.

Most USB cameras provide 640x480 at 30 Hz only as Motion JPEG. Its images are complete JPEG files, which are passed on
without decoding, at no cost and without loss. Images of cameras without MJPG are compressed here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

# OpenCV reads it at the first wait. With its default, a stopped camera would only be noticed after 10 s.
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "1")

import cv2  # noqa: E402
import numpy as np  # noqa: E402

from ptr_bringup.camera.settings import Settings, apply, read  # noqa: E402
from ptr_bringup.camera.source import CameraError, CaptureConfig, Frame  # noqa: E402
from ptr_models.common.jpeg import TornError, complete, decode, encode  # noqa: E402

MJPG = cv2.VideoWriter.fourcc(*"MJPG")
_LINKS = (Path("/dev/v4l/by-path"), Path("/dev/v4l/by-id"))
_MAX_STAMP_AGE = 2.0
"""s. An older time of capture must be on another clock."""


class VideoCapture(Protocol):
    """The part of cv2.VideoCapture that is used."""

    def isOpened(self) -> bool: ...  # noqa: N802
    def set(self, property: int, value: float) -> bool: ...
    def get(self, property: int) -> float: ...
    def grab(self) -> bool: ...
    def retrieve(self) -> tuple[bool, Any]: ...
    def release(self) -> None: ...


def device_names() -> list[str]:
    """The video devices of this machine, by their persistent paths, or else by number."""
    stable = [str(link) for folder in _LINKS[:1] if folder.is_dir() for link in sorted(folder.iterdir())]
    return stable or [str(path) for path in sorted(Path("/dev").glob("video*"))]


def stable_name(name: str, folders: Iterable[Path] = _LINKS) -> str:
    """The persistent path of a device, or an empty string.

    Paths by port come before those by name, because two cameras of one model may have the same name.
    """
    device = Path(name).resolve()
    for folder in folders:
        for link in sorted(folder.iterdir()) if folder.is_dir() else ():
            if link.resolve() == device:
                return str(link)
    return ""


class DeviceSource:
    """A V4L2 camera.

    Args:
        name: path of the device.
    Raises:
        CameraError: it provides no images.
    """

    period: float | None = None

    def __init__(
        self,
        name: str,
        requested: CaptureConfig,
        settings: Settings,
        capture: Callable[[str, int], VideoCapture] = cv2.VideoCapture,
    ) -> None:
        self._name, self._requested, self._settings = name, requested, settings
        self._capture = capture(name, cv2.CAP_V4L2)
        self.notices = self._open()

    def _open(self) -> list[str]:
        """Request the format, start streaming, then apply the settings: some cameras reset them when they start."""
        device, requested = self._capture, self._requested
        device.set(cv2.CAP_PROP_FOURCC, MJPG)
        device.set(cv2.CAP_PROP_FRAME_WIDTH, requested.width)
        device.set(cv2.CAP_PROP_FRAME_HEIGHT, requested.height)
        device.set(cv2.CAP_PROP_FPS, requested.rate)
        self._compressed = int(device.get(cv2.CAP_PROP_FOURCC)) == MJPG
        if self._compressed:
            device.set(cv2.CAP_PROP_CONVERT_RGB, 0)
        if not (device.isOpened() and device.grab()):
            device.release()
            raise CameraError(f"{self._name} provides no images; check that it is a camera and not in use elsewhere")
        notices = apply(device, self._settings)
        if Path(self._name).parent == Path("/dev"):
            stable = stable_name(self._name)
            advice = f"; use {stable} instead" if stable else ""
            notices.append(f"{self._name} may be another camera after a reboot{advice}.")
        size = (int(device.get(cv2.CAP_PROP_FRAME_WIDTH)), int(device.get(cv2.CAP_PROP_FRAME_HEIGHT)))
        if size != (requested.width, requested.height):
            notices.append(
                f"{self._name} provides {size[0]}x{size[1]} pixels, not {requested.width}x{requested.height}."
            )
        return notices

    def read(self) -> Frame | None:
        """See `Source.read`. An image that can't be repaired is passed on; `health` detects it."""
        if not self._capture.grab():
            return None
        taken = captured_at(self._capture.get(cv2.CAP_PROP_POS_MSEC) * 1e-3, time.monotonic())
        got, data = self._capture.retrieve()
        if not got:
            return Frame(taken, b"")
        if not self._compressed or np.ndim(data) == 3:  # decoded although MJPG was requested
            return Frame(taken, encode(np.asarray(data, np.uint8), self._requested.quality, self._requested.rotate))
        return Frame(taken, self._finished(np.asarray(data, np.uint8).tobytes()))

    def _finished(self, data: bytes) -> bytes:
        try:
            data = complete(data)
        except TornError:
            return data
        if not self._requested.rotate:
            return data
        image = decode(data)
        return data if image is None else encode(image, self._requested.quality, rotate=True)

    def settings(self) -> dict[str, Any]:
        """See `Source.settings`."""
        code = int(self._capture.get(cv2.CAP_PROP_FOURCC))
        return {
            "source": stable_name(self._name) or self._name,
            "fourcc": code.to_bytes(4, "little").decode("ascii", "replace"),
            "fps": self._capture.get(cv2.CAP_PROP_FPS),
            **read(self._capture),
        }

    def close(self) -> None:
        """Release the device."""
        self._capture.release()


def captured_at(stamp: float, now: float) -> float:
    """The time of capture: the driver's stamp if it is on the steady clock, else `now`.

    Args:
        stamp: s, of the V4L2 buffer. Most drivers use the monotonic clock (V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC), but the
            kernel does not guarantee it.
        now: s, steady clock, just after the image arrived.
    """
    return stamp if 0.0 <= now - stamp < _MAX_STAMP_AGE else now
