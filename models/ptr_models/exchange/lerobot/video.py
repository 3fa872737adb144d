# SPDX-License-Identifier: Apache-2.0
"""Write and read MP4 with FFmpeg's libraries (av): a constant frame rate, and a key frame every other frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from ptr_models.common import video
from ptr_models.common.video import Encoding, Image
from ptr_models.episodes.errors import EpisodeError
from ptr_models.exchange.lerobot.layout import UnwritableError, full

_DAMAGE = (av.FFmpegError, ValueError, OSError, MemoryError, TypeError, OverflowError)


def encode(path: Path, frames: Iterable[Image], size: tuple[int, int], fps: int, encoding: Encoding) -> int:
    """Write frames (H, W, 3) uint8 BGR; returns how many there were.

    Raises:
        EpisodeError: the encoder or the disk fails.
    """
    try:
        return video.encode(path, frames, size, fps, encoding)
    except video.VideoError as error:
        kind = UnwritableError if error.__cause__ is not None and full(error.__cause__) else EpisodeError
        raise kind(str(error)) from error


class Joined:
    """A video that is joined from others with the same encoding, without decoding them; a context manager."""

    def __init__(self, path: Path, fps: int) -> None:
        """Args: path: of the MP4 file; its folder is created."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._container = av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})
        self._stream: Any = None
        self._fps, self.frames, self.bytes = fps, 0, 0

    def append(self, path: Path) -> tuple[float, float]:
        """Add a video; returns its start and end, s."""
        begin = self.frames
        with _opened(path) as (container, stream):
            if self._stream is None:
                self._stream = self._container.add_stream_from_template(stream)
                self._stream.time_base = stream.time_base
            per_frame = Fraction(1, self._fps) / stream.time_base
            offset = round(begin * per_frame)
            for packet in container.demux(stream):
                if packet.dts is None:  # the end
                    continue
                packet.pts, packet.dts = packet.pts + offset, packet.dts + offset
                packet.stream = self._stream
                self._mux(packet)
                self.frames += 1
        self.bytes += path.stat().st_size
        return begin / self._fps, self.frames / self._fps

    def _mux(self, packet: Any) -> None:
        try:
            self._container.mux(packet)
        except _DAMAGE as error:
            raise UnwritableError(f"{self._path} cannot be written: {error}") from error

    def close(self) -> None:
        """Complete the file."""
        self._container.close()


def decode(path: Path, begin: float, times: NDArray[np.float64], fps: float) -> Iterator[Image]:
    """The frames (H, W, 3) uint8 BGR at some times; each must lie within half a frame of its time.

    Args:
        path: an MP4 file.
        begin: s, start of the episode in it.
        times: s after that, ascending.
    Raises:
        EpisodeError: it is not an MP4, has an unsupported codec, is too large, or a frame is missing.
    """
    wanted = iter(begin + times)
    time, half, found = next(wanted, None), 0.5 / fps, 0
    with _opened(path) as (container, stream):
        if time is not None and stream.time_base:
            container.seek(max(0, round((time - half) / stream.time_base)), stream=stream)
        size = stream.codec_context.height, stream.codec_context.width
        last: tuple[float, Image] | None = None
        for frame in container.decode(stream):
            if time is None:
                break
            if frame.pts is None or frame.time is None or frame.time < time - half:
                continue
            if (frame.height, frame.width) != size:
                raise EpisodeError(f"{path} changes its size from {size} to {(frame.height, frame.width)}")
            last = (frame.time, video.bgr(frame))
            while time is not None and abs(last[0] - time) <= half:
                yield last[1]
                found, time = found + 1, next(wanted, None)
            if time is not None and last[0] > time + half:
                break
    if time is not None:
        raise EpisodeError(f"{path} has no frame at {time:.3f} s; {found} of {len(times)} were found")


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """Container and stream of an MP4 file, see `common.video`; its errors are raised as EpisodeError."""
    try:
        with video.opened(path) as found:
            yield found
    except video.VideoError as error:
        raise EpisodeError(str(error)) from error
