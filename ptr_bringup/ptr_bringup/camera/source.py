# SPDX-License-Identifier: Apache-2.0
"""The interface of a camera: JPEG images with their time of capture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


class CameraError(RuntimeError):
    """A camera does not exist or provides no images; the message says which and what to do."""


def optical_frame(camera: str) -> str:
    """The frame of a camera's images: x to the right, y down, z forward."""
    return f"{camera}_optical_frame"


@dataclass(frozen=True)
class Frame:
    """One image.

    Attributes:
        taken: s of the steady clock (`time.monotonic`) at which the sensor was read.
        jpeg: the image as JPEG; it may be damaged, see `health`.
    """

    taken: float
    jpeg: bytes


@dataclass(frozen=True)
class CaptureConfig:
    """Requested format. A device uses the closest one that it offers; files are used as they are.

    Attributes:
        width, height: pixels.
        rate: Hz.
        quality: JPEG quality, 1 to 100, if the source does not provide JPEG.
        rotate: rotate by 180 degrees.
        loop: restart a folder or video at its end.
    """

    width: int = 640
    height: int = 480
    rate: float = 30.0
    quality: int = 90
    rotate: bool = False
    loop: bool = True


class Source(Protocol):
    """A stream of images."""

    @property
    def period(self) -> float | None:
        """s to wait between two images; None: `read` waits for the camera."""

    @property
    def notices(self) -> list[str]:
        """Warnings from opening the source, as sentences."""

    def read(self) -> Frame | None:
        """The next image, as soon as there is one; None if there are no more.

        Raises:
            CameraError: a file can't be decoded.
        """

    def settings(self) -> dict[str, Any]:
        """Current settings by name: exposure (ms), gain, white_balance (K), focus, fps, fourcc, …"""

    def close(self) -> None:
        """Close the device or file."""
