# SPDX-License-Identifier: Apache-2.0
"""Frames to an MP4 file, by FFmpeg's libraries (av), at a constant frame rate."""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from ptr_models.common.errors import PtrError

if TYPE_CHECKING:
    import av
    from av.video.stream import VideoStream

CODECS = {"h264": "libx264", "av1": "libsvtav1"}
"""Name in info.json of a LeRobotDataset and FFmpeg's encoder."""
_OPTIONS = {"h264": {"preset": "veryfast", "bf": "0"}, "av1": {"preset": "8"}}

Image = NDArray[np.uint8]


class VideoError(PtrError):
    """A video cannot be written."""


@dataclass(frozen=True)
class Encoding:
    """How frames are encoded.

    Attributes:
        crf: constant rate factor, 0 best, 51 worst for h264; to 63 for av1.
        key_every: frames from one key frame to the next; 2 lets a reader begin anywhere, more takes less space.
    """

    codec: str = "h264"
    crf: int = 18
    key_every: int = 2

    def __post_init__(self) -> None:
        most = 51 if self.codec == "h264" else 63
        if self.codec not in CODECS or not 0 <= self.crf <= most:
            raise VideoError(
                f"the video codec {self.codec!r} with crf {self.crf} is not known; "
                f"known: {', '.join(CODECS)}, crf from 0 to {most}"
            )

    def pixel_format(self, height: int, width: int) -> str:
        """4:2:0 needs even sides; h264 also knows 4:4:4."""
        if height % 2 or width % 2:
            if self.codec != "h264":
                raise VideoError(f"{self.codec} needs even sides, not {width} x {height}; choose h264")
            return "yuv444p"
        return "yuv420p"


def can_encode() -> bool:
    """Whether av is installed."""
    return importlib.util.find_spec("av") is not None


def require_av() -> None:
    """Raise VideoError when av is not installed."""
    if not can_encode():
        raise VideoError("videos need av: pip install 'ptr_models[view]' (from a clone: pip install './models[view]')")


def encode(path: Path, frames: Iterable[Image], size: tuple[int, int], fps: int, encoding: Encoding) -> int:
    """Write frames (H, W, 3) uint8 BGR; returns how many there were.

    Args:
        size: height, width.
    Raises:
        VideoError: av is missing, the encoder refuses, or the disk: then its cause is the disk's error.
    """
    require_av()
    import av

    os.environ.setdefault("SVT_LOG", "1")  # errors only
    options = {**_OPTIONS[encoding.codec], "crf": str(encoding.crf), "g": str(encoding.key_every)}
    count = 0
    try:
        with _same_priority(), av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
            stream = cast("VideoStream", container.add_stream(CODECS[encoding.codec], rate=fps, options=options))
            stream.height, stream.width = size
            stream.pix_fmt = pixel_format = encoding.pixel_format(*size)
            stream.codec_context.thread_count = 1
            for image in frames:
                frame = _frame(image, pixel_format)
                frame.pts, frame.time_base = count, Fraction(1, fps)
                container.mux(stream.encode(frame))
                count += 1
            container.mux(stream.encode(None))
    except (av.FFmpegError, ValueError, OSError, MemoryError, TypeError, OverflowError) as error:
        raise VideoError(f"{path} cannot be encoded: {error}") from error
    return count


@contextlib.contextmanager
def _same_priority() -> Iterator[None]:
    """Run as root, SVT-AV1 gives the calling thread real-time priority, which whatever it starts would inherit."""
    if not hasattr(os, "sched_getscheduler"):  # as on macOS
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)


def _frame(image: Image, pixel_format: str) -> av.VideoFrame:
    """OpenCV rounds where FFmpeg's conversion cuts off, which makes gray greenish."""
    import av

    if pixel_format == "yuv420p":
        planes = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), np.uint8)
        return av.VideoFrame.from_ndarray(planes, format="yuv420p")
    return av.VideoFrame.from_ndarray(image, format="bgr24")
