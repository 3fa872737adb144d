# SPDX-License-Identifier: Apache-2.0
"""Write frames to an MP4 file at a constant frame rate, and read them back, with FFmpeg's libraries (av).

A file from outside is opened strictly as an MP4 container, so that a playlist in its place can't open an address. Its
codec and size are checked before a frame is decoded.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from ptr_models.common.errors import PtrError
from ptr_models.input_limits import MAX_IMAGE_PIXELS

if TYPE_CHECKING:
    import av
    from av.video.stream import VideoStream

CODECS = {"h264": "libx264", "av1": "libsvtav1"}
"""Name in info.json of a LeRobotDataset and FFmpeg's encoder."""
DECODED = ("h264", "hevc", "av1", "vp9", "mpeg4")
"""Codecs that are decoded, by FFmpeg's names."""
_BT601, _FULL_RANGE = (2, 5, 6), 2
"""FFmpeg's numbers: colors that are unspecified (treated as BT.601) or BT.601; values from 0 to 255."""
_OPTIONS = {"h264": {"preset": "veryfast", "bf": "0"}, "av1": {"preset": "8"}}

Image = NDArray[np.uint8]


class VideoError(PtrError):
    """A video cannot be written or read."""


@dataclass(frozen=True)
class Encoding:
    """How frames are encoded.

    Attributes:
        crf: constant rate factor, 0 best, 51 worst for h264; up to 63 for av1.
        key_every: frames from one key frame to the next; 2 lets a reader begin anywhere, larger takes less space.
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
        VideoError: av is missing, or the encoder or the disk fails; then its cause is the disk's error.
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
    """When run as root, SVT-AV1 gives the calling thread real-time priority, which its children would inherit."""
    if not hasattr(os, "sched_getscheduler"):  # as on macOS
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)


def _frame(image: Image, pixel_format: str) -> av.VideoFrame:
    """OpenCV rounds, while FFmpeg's conversion truncates, which makes gray greenish."""
    import av

    if pixel_format == "yuv420p":
        planes = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), np.uint8)
        return av.VideoFrame.from_ndarray(planes, format="yuv420p")
    return av.VideoFrame.from_ndarray(image, format="bgr24")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """Container and stream of an MP4 file, after its codec and size were checked.

    Raises:
        VideoError: av is missing, or the file is not an intact MP4 video, has another codec, or is too large; also
            while its frames are decoded.
    """
    require_av()
    import av

    damage = (av.FFmpegError, ValueError, OSError, MemoryError, TypeError, OverflowError)
    try:
        with path.open("rb") as file, av.open(file, "r", format="mp4", options={"enable_drefs": "0"}) as container:
            if not container.streams.video:
                raise VideoError(f"{path} holds no video")
            stream = container.streams.video[0]
            context = stream.codec_context
            codec = "unknown" if context is None else context.codec.canonical_name
            if codec not in DECODED:
                raise VideoError(f"{path} has the codec {codec}; known: {', '.join(DECODED)}")
            require_size(path, context.height, context.width)
            context.thread_count = 1
            yield container, stream
    except damage as error:
        raise VideoError(f"{path} is not an intact MP4 video: {error}") from error


def require_size(path: Path, height: int, width: int) -> None:
    """Raise VideoError if the frames of a video have no pixels, or too many."""
    if not 0 < width * height <= MAX_IMAGE_PIXELS:
        raise VideoError(f"{path} claims frames of {width} x {height} pixels; at most {MAX_IMAGE_PIXELS} are decoded")


def bgr(frame: av.VideoFrame) -> Image:
    """BGR of a frame: OpenCV converts only the usual kind, ITU-R BT.601 in 16 to 235, and FFmpeg the others."""
    usual = frame.format.name == "yuv420p" and frame.colorspace in _BT601 and frame.color_range != _FULL_RANGE
    if usual and not frame.height % 2 and not frame.width % 2:
        return np.asarray(cv2.cvtColor(frame.to_ndarray(), cv2.COLOR_YUV2BGR_I420), np.uint8)
    return np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
