# SPDX-License-Identifier: Apache-2.0
"""Where a camera node takes its pictures from: a V4L2 device, a folder of images or a video file."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
_PICTURES = (".jpg", ".jpeg", ".png")


class CameraError(RuntimeError):
    """There is no such camera, or it gives no pictures; the message says which and what to do."""


class Source(Protocol):
    """A stream of pictures; `grab` waits for the next one, so that its time is known before it is decoded."""

    def grab(self) -> bool:
        """Take the next picture; False when there is none any more."""

    def retrieve(self) -> Image:
        """The picture that was grabbed: BGR (height, width, 3)."""

    def close(self) -> None:
        """Give the device or file back."""


def open_source(name: str, width: int, height: int, rate: float, loop: bool) -> Source:
    """Open a device (`/dev/video0`, or its number), a folder of images, or a video file.

    Args:
        width, height, rate: asked of a device, in pixels and Hz; folders and files are taken as they are.
        loop: begin a folder or file anew at its end.
    Raises:
        CameraError: there is nothing that gives pictures.
    """
    if name.isdigit():
        name = f"/dev/video{name}"
    path = Path(name)
    if path.is_dir():
        return FolderSource(path, loop)
    if not path.exists():
        found = ", ".join(str(p) for p in sorted(Path("/dev").glob("video*"))) or "none"
        raise CameraError(f"There is no camera {name}; video devices of this machine: {found}.")
    if name.startswith("/dev/"):
        return DeviceSource(name, width, height, rate)
    return FileSource(path, loop)


class DeviceSource:
    """A V4L2 camera in MJPG, which most USB cameras need for 640x480 at 30 Hz."""

    def __init__(self, name: str, width: int, height: int, rate: float) -> None:
        self._capture = cv2.VideoCapture(name, cv2.CAP_V4L2)
        self._capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter_fourcc(*"MJPG"))
        self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
        self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
        self._capture.set(cv2.CAP_PROP_FPS, rate)
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        if not (self._capture.isOpened() and self._capture.grab()):
            self._capture.release()
            raise CameraError(f"{name} gives no pictures; is it a camera, and does another program use it?")

    def grab(self) -> bool:
        """Wait for the next picture; False when the camera has gone."""
        return self._capture.grab()

    def retrieve(self) -> Image:
        """Decode it."""
        return self._capture.retrieve()[1]

    def close(self) -> None:
        """Release the device."""
        self._capture.release()


class FolderSource:
    """The images of a folder in the order of their names."""

    def __init__(self, folder: Path, loop: bool) -> None:
        self._paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in _PICTURES)
        if not self._paths:
            raise CameraError(f"The folder {folder} holds no images ({', '.join(_PICTURES)}).")
        self._loop = loop
        self._next = 0

    def grab(self) -> bool:
        """Go to the next image; False after the last."""
        if self._next == len(self._paths):
            if not self._loop:
                return False
            self._next = 0
        self._next += 1
        return True

    def retrieve(self) -> Image:
        """Read it."""
        path = self._paths[self._next - 1]
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is None:
            raise CameraError(f"{path} can't be read as an image.")
        return image

    def close(self) -> None:
        """Nothing to give back."""


class FileSource:
    """The pictures of a video file."""

    def __init__(self, path: Path, loop: bool) -> None:
        self._capture = cv2.VideoCapture(str(path))
        self._loop = loop
        if not (self._capture.isOpened() and self._capture.grab()):
            self._capture.release()
            raise CameraError(f"{path} can't be read as a video.")
        self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0)

    def grab(self) -> bool:
        """Go to the next picture; False after the last."""
        if self._capture.grab():
            return True
        return self._loop and self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0) and self._capture.grab()

    def retrieve(self) -> Image:
        """Decode it."""
        return self._capture.retrieve()[1]

    def close(self) -> None:
        """Close the file."""
        self._capture.release()
