# SPDX-License-Identifier: Apache-2.0
"""The terminal's view of the robot: one status line, and sentences above it."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TextIO

from ptr_models.common.plain_text import plain

WIDTH = 100  # columns, if the terminal does not report any
CLEAR = "\r\x1b[K"
MAX_FINDING = 60  # characters of a finding in the line


@dataclass(frozen=True)
class View:
    """The robot at one time.

    Attributes:
        recorder: ready, recording, saving or fault; empty: no recorder.
        seconds: length of the current episode so far.
        task: task of the episode.   saved, goal: episodes of this session; goal 0: none.
        arm: what the arm does and who drives it; empty: no arm.
        gripper: commanded opening, 0 = closed, 1 = open.
        speed: speed of the keys, such as 50%.
        recommendation, finding: result of the last episode's audit; empty: none.
    """

    recorder: str = ""
    seconds: float = 0.0
    task: str = ""
    saved: int = 0
    goal: int = 0
    arm: str = ""
    gripper: float = 1.0
    speed: str = ""
    recommendation: str = ""
    finding: str = ""


def line_of(view: View) -> str:
    """The view in one line, most important first."""
    goal = f"/{view.goal}" if view.goal else ""
    parts = [_recording(view)]
    if view.recorder:
        parts.append(f"saved {view.saved}{goal}")
    parts.append(view.arm or "no arm")
    if view.arm:
        parts.append(f"gripper {_opening(view.gripper)}")
    if view.speed:
        parts.append(f"speed {view.speed}")
    if view.recommendation and view.recorder != "recording":
        why = f": {view.finding[:MAX_FINDING]}" if view.finding else ""
        parts.append(f"audit: {view.recommendation}{why}")
    return plain(" | ".join(parts))


def _recording(view: View) -> str:
    if not view.recorder:
        return "no recorder"
    if view.recorder == "recording":
        minutes, seconds = divmod(int(view.seconds), 60)
        return f"RECORDING {minutes}:{seconds:02d} {view.task}"
    return view.recorder


def _opening(opening: float) -> str:
    if opening >= 0.95:
        return "open"
    return "closed" if opening <= 0.05 else f"{opening:.0%} open"


class StatusLine:
    """The last line of a terminal. If the output is not a terminal, only sentences are printed.

    Args:
        stream: where to write.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._live = self._stream.isatty()
        self._text = ""

    def show(self, text: str) -> None:
        """Replace the status line."""
        if self._live and text != self._text:
            self._text = text
            self._write(CLEAR + text[: self._columns() - 1])

    def print(self, sentence: str) -> None:
        """Print a sentence above the status line."""
        text, self._text = self._text, ""
        self._write((CLEAR if self._live else "") + plain(sentence, newlines=True) + "\n")
        self.show(text)

    def end(self) -> None:
        """Keep the line as it is, and move to the next one."""
        if self._text:
            self._text = ""
            self._write("\n")

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or WIDTH
        except (OSError, ValueError):
            return WIDTH

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
