# SPDX-License-Identifier: Apache-2.0
"""The frames of a video of a bag: images, a line of text, and under them curves with a cursor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ptr_models.common.jpeg import decode
from ptr_models.common.plain_text import plain
from ptr_models.common.plotting import COLORS, FAINT, INK, tidy
from ptr_models.episodes.sampling import RecordedStream
from ptr_models.viewing.recording import Recording

Image = NDArray[np.uint8]

CAPTION, PANEL, DPI = 26, 104, 100
"""Heights of the line of text and of a panel of curves (pixels), and dots per inch of the curves."""
EVENT_SHOWN = 2.0
"""s for which the text of an event is shown."""
_PAPER, _TEXT, _CURSOR, _MISSING = (255, 255, 255), (58, 48, 36), (61, 96, 209), 96
"""Of the frames: background, text and cursor in BGR, and the gray of an image that is not there yet."""


@dataclass(frozen=True)
class Curves:
    """Static curves with a moving cursor.

    Attributes:
        image: (H, W, 3) BGR.
        left, right: pixels of the first and the last moment.
        top, bottom: pixels between which the cursor extends.
    """

    image: Image
    left: float
    right: float
    top: int
    bottom: int

    def at(self, share: float) -> Image:
        """The curves with the cursor at a share of the time."""
        image, x = self.image.copy(), round(self.left + share * (self.right - self.left))
        cv2.line(image, (x, self.top), (x, self.bottom), _CURSOR, 1, cv2.LINE_AA)
        return image


class Drawing:
    """Draws the frames of a recording.

    Args:
        width: of the video, in pixels; the cameras share it.
        fps: frames per second.
        curves: a line of text and curves under the images; without them only images, if there are any.
        speed: seconds of the recording in a second of the video.
    """

    def __init__(self, recording: Recording, width: int, fps: int, curves: bool = True, speed: float = 1.0) -> None:
        self._recording, self._width = recording, width - width % 2
        self._times = np.arange(0.0, recording.duration, speed / fps)
        self._cameras = list(recording.images.values())
        self._heights = [self._height_of(camera) for camera in self._cameras]
        self._curves = draw_curves(recording, self._width) if curves or not self._cameras else None

    def __len__(self) -> int:
        """Number of frames."""
        return len(self._times)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of every frame, both even."""
        below = 0 if self._curves is None else CAPTION + self._curves.image.shape[0]
        return max(self._heights, default=0) + below, self._width

    def __iter__(self) -> Iterator[Image]:
        """Each frame (H, W, 3) uint8 BGR."""
        shown: list[tuple[int, Image] | None] = [None] * len(self._cameras)
        for time in self._times:
            stamp = self._recording.begin + round(time * 1e9)
            shown = [self._newest(index, stamp, before) for index, before in enumerate(shown)]
            parts = [self._row(shown)] if self._cameras else []
            if self._curves is not None:
                parts.append(self._caption(float(time), stamp))
                parts.append(self._curves.at(float(time) / self._recording.duration))
            yield np.concatenate(parts)

    @property
    def _camera_width(self) -> int:
        return self._width // len(self._cameras) // 2 * 2

    def _height_of(self, camera: RecordedStream[Image]) -> int:
        first = decode(camera[0][1]) if len(camera) else None
        shape = (3, 4) if first is None else first.shape
        return max(2, round(self._camera_width * shape[0] / shape[1] / 2) * 2)

    def _newest(self, index: int, stamp: int, before: tuple[int, Image] | None) -> tuple[int, Image] | None:
        """Stamp and image of a camera at a time, decoded once."""
        found = self._cameras[index].as_of(stamp)
        if found is None or (before is not None and before[0] == found[0]):
            return before
        image = decode(found[1])
        if image is None:
            return before
        size = self._camera_width, self._heights[index]
        return found[0], np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)

    def _row(self, shown: list[tuple[int, Image] | None]) -> Image:
        row = np.full((max(self._heights), self._width, 3), _MISSING, np.uint8)
        for index, found in enumerate(shown):
            if found is not None:
                left = index * self._camera_width
                row[: self._heights[index], left : left + self._camera_width] = found[1]
        return row

    def _caption(self, time: float, stamp: int) -> Image:
        recent = [text for when, text in self._recording.events if 0 <= stamp - when <= EVENT_SHOWN * 1e9]
        it = self._recording.metadata
        words = recent[-1] if recent else f"{it.task.replace('_', ' ')}: {it.outcome}"
        strip = np.full((CAPTION, self._width, 3), _PAPER, np.uint8)
        _write(strip, f"{time:5.1f} s", 6)
        _write(strip, words, 78, _CURSOR if recent else _TEXT)
        return strip


def _write(strip: Image, text: str, left: int, color: tuple[int, int, int] = _TEXT) -> None:
    """OpenCV's fonts only have ASCII."""
    known = plain(text).encode("ascii", "replace").decode()
    cv2.putText(strip, known, (left, CAPTION - 9), cv2.FONT_HERSHEY_SIMPLEX, 0.42, color, 1, cv2.LINE_AA)


def draw_curves(recording: Recording, width: int) -> Curves:
    """Q (if available), motion, rotation and gripper over time; events are vertical lines."""
    panels = 3 + bool(recording.values)
    figure = Figure(figsize=(width / DPI, panels * PANEL / DPI), dpi=DPI, layout="constrained")
    axes = list(figure.subplots(panels, 1, sharex=True, squeeze=False).flat)
    if recording.values:
        _lines(axes[0], recording.seconds(recording.value_stamps), recording.values)
    times, actions = recording.seconds(recording.action_stamps), recording.actions
    _lines(axes[-3], times, dict(zip(("x", "y", "z"), 1e3 * actions[:, :3].T, strict=True)), "mm per step")
    turns = np.rad2deg(actions[:, 3:6]).T
    _lines(axes[-2], times, dict(zip(("roll", "pitch", "yaw"), turns, strict=True)), "degrees per step")
    most = max(1.0, float(np.abs(turns).max(initial=0.0)))  # so that rounding errors don't look like rotation
    axes[-2].set_ylim(-1.1 * most, 1.1 * most)
    _lines(axes[-1], recording.seconds(recording.gripper_stamps), {"measured": recording.gripper})
    axes[-1].step(times, actions[:, 6], where="post", color=COLORS[1], lw=1.2, label="commanded")
    axes[-1].set_ylim(-0.1, 1.1)
    axes[-1].set_ylabel("gripper", fontsize=7, color=INK)
    for axis in axes:
        for stamp, _ in recording.events:
            axis.axvline(recording.seconds(stamp), color=COLORS[4], lw=0.8, ls="--")
        axis.set_xlim(0.0, recording.duration)
        axis.legend(frameon=False, fontsize=6.5, ncols=3, loc="upper right", borderpad=0.1)
        tidy(axis)
    axes[-1].set_xlabel("s", fontsize=7, color=INK)
    return _rendered(figure, axes)


def _lines(axis: Axes, times: NDArray[np.float64], curves: Mapping[str, NDArray[Any]], unit: str = "Q") -> None:
    for color, (name, values) in zip(COLORS, curves.items(), strict=False):
        axis.plot(times, values, color=color, lw=1.3, label=name)
    axis.axhline(0.0, color=FAINT, lw=0.6)
    axis.set_ylabel(unit, fontsize=7, color=INK)


def _rendered(figure: Figure, axes: Sequence[Axes]) -> Curves:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = cv2.cvtColor(np.asarray(canvas.buffer_rgba()), cv2.COLOR_RGBA2BGR)
    first, last = axes[0].get_window_extent(), axes[-1].get_window_extent()
    height = image.shape[0]
    even = image[: height - height % 2, : image.shape[1] - image.shape[1] % 2]
    return Curves(np.ascontiguousarray(even), first.x0, first.x1, round(height - first.y1), round(height - last.y0))
