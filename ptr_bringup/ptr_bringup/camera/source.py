# SPDX-License-Identifier: Apache-2.0
"""What a camera gives, whatever it is: JPEG images with the time at which they were taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


class CameraError(RuntimeError):
    """There is no such camera, or it gives no images; the message says which and what to do."""


def optical_frame(camera: str) -> str:
    """The frame of a camera's images: x to the right, y down, z forward."""
    return f"{camera}_optical_frame"


@dataclass(frozen=True)
class Frame:
    """One image.

    Attributes:
        taken: s of the steady clock (`time.monotonic`) at which the sensor was read.
        jpeg: the image as JPEG; not necessarily a whole one, see `health`.
    """

    taken: float
    jpeg: bytes


@dataclass(frozen=True)
class CaptureConfig:
    """How images should be: of a device the nearest that it offers; files are taken as they are.

    Attributes:
        width, height: pixels.
        rate: Hz.
        quality: of JPEG, 1 to 100, where the source gives none of its own.
        rotate: turn by 180 degrees.
        loop: begin a folder or video again at its end.
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
        """Sentences about the way in which the source was opened that a person should read."""

    def read(self) -> Frame | None:
        """The next image, as soon as there is one; None when there are none any more.

        Raises:
            CameraError: a file can't be decoded.
        """

    def settings(self) -> dict[str, Any]:
        """What the camera is set to now, by name: exposure (ms), gain, white_balance (K), focus, fps, fourcc, …"""

    def close(self) -> None:
        """Give the device or file back."""
