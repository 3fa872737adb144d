# SPDX-License-Identifier: Apache-2.0
"""A folder of images or a video file as a camera."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ptr_bringup.camera.source import CameraError, CaptureConfig, Frame
from ptr_models.common.jpeg import encode

_JPEG = (".jpg", ".jpeg")
_IMAGES = (*_JPEG, ".png")


class FolderSource:
    """The images of a folder in the order of their names; JPEG files are passed on unchanged."""

    def __init__(self, folder: Path, requested: CaptureConfig) -> None:
        self._paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in _IMAGES)
        if not self._paths:
            raise CameraError(f"the folder {folder} contains no images ({', '.join(_IMAGES)})")
        self._folder, self._requested, self._next = folder, requested, 0
        self.period: float | None = 1.0 / requested.rate
        self.notices: list[str] = []

    def read(self) -> Frame | None:
        """See `Source.read`."""
        if self._next == len(self._paths):
            if not self._requested.loop:
                return None
            self._next = 0
        path = self._paths[self._next]
        self._next += 1
        if path.suffix.lower() in _JPEG and not self._requested.rotate:
            return Frame(time.monotonic(), path.read_bytes())
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is None:
            raise CameraError(f"{path} can't be read as an image")
        return Frame(
            time.monotonic(), encode(np.asarray(image, np.uint8), self._requested.quality, self._requested.rotate)
        )

    def settings(self) -> dict[str, Any]:
        """See `Source.settings`."""
        return {"source": str(self._folder), "fps": self._requested.rate}

    def close(self) -> None:
        """Nothing to release."""


class VideoSource:
    """The images of a video file."""

    def __init__(self, path: Path, requested: CaptureConfig) -> None:
        self._capture = cv2.VideoCapture(str(path))
        self._path, self._requested = path, requested
        self.period: float | None = 1.0 / requested.rate
        self.notices: list[str] = []
        if not (self._capture.isOpened() and self._capture.grab()):
            self._capture.release()
            raise CameraError(f"{path} can't be read as a video")
        self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0)

    def read(self) -> Frame | None:
        """See `Source.read`."""
        got, image = self._capture.read()
        if not got and self._requested.loop and self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0):
            got, image = self._capture.read()
        if not got:
            return None
        return Frame(
            time.monotonic(), encode(np.asarray(image, np.uint8), self._requested.quality, self._requested.rotate)
        )

    def settings(self) -> dict[str, Any]:
        """See `Source.settings`."""
        return {"source": str(self._path), "fps": self._requested.rate}

    def close(self) -> None:
        """Close the file."""
        self._capture.release()
