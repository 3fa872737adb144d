# SPDX-License-Identifier: Apache-2.0
"""A terminal's keyboard, also over SSH.

A terminal tells of key presses only, not of releases: while a key is held, the terminal repeats it. A motion
key counts as held until `HOLD` seconds after its last repeat; the first repeat comes later than that (the
keyboard's delay, often 0.25-0.5 s), so that a tap is a short nudge.
"""

from __future__ import annotations

import os
import select
import sys
import termios
import tty
from typing import Any

import numpy as np

from ptr_teleop.devices.base import Button, Reading

HOLD = 0.15  # s
MOTIONS = {  # key: (axis of the twist, sign); x forward, y left, z up
    "w": (0, 1), "s": (0, -1), "a": (1, 1), "d": (1, -1), "q": (2, 1), "e": (2, -1),
    "j": (3, 1), "l": (3, -1), "i": (4, 1), "k": (4, -1), "u": (5, 1), "o": (5, -1),
}  # fmt: skip
BUTTONS = {"r": Button.START, "\r": Button.SAVE, "\n": Button.SAVE, "f": Button.FAIL, "x": Button.DISCARD}
HELP = (
    "w/s forward/back  a/d left/right  q/e up/down  j/l roll  i/k pitch  u/o yaw  space gripper  "
    "r record  enter save  f save as failure  x discard"
)


class KeyboardDevice:
    """Turns key presses into a twist of fixed speed; the deadman is held while a motion key is.

    Args:
        speed: m/s of a translation key.   turn: rad/s of a rotation key.
        horizon: s, for how long a reading's twist holds.
        stream: the terminal; it is put into raw-ish (cbreak) mode until `close`.
    """

    source = "keyboard"
    event_driven = False

    def __init__(self, speed: float, turn: float, horizon: float, stream: Any = None) -> None:
        self.horizon = horizon
        self._scale = np.array([speed] * 3 + [turn] * 3)
        self._held_until: dict[str, float] = {}
        self._gripper: float | None = None
        self._open = True
        self._pressed: set[Button] = set()
        self._file = (stream or sys.stdin).fileno()
        if not os.isatty(self._file):
            raise OSError("the keyboard device needs a terminal, but standard input is none; start it in one")
        self._modes = termios.tcgetattr(self._file)
        tty.setcbreak(self._file)

    def press(self, key: str, now: float) -> None:
        """Take one key."""
        if key in MOTIONS:
            self._held_until[key] = now + HOLD
        elif key == " ":
            self._open = not self._open
            self._gripper = 1.0 if self._open else 0.0
            self._held_until[key] = now + HOLD
        elif key in BUTTONS:
            self._pressed.add(BUTTONS[key])

    def read(self, now: float) -> Reading | None:
        """See `Device.read`."""
        while select.select([self._file], [], [], 0)[0]:
            keys = os.read(self._file, 64).decode(errors="ignore")
            if not keys:
                break
            for key in keys:
                self.press(key, now)
        held = {key for key, until in self._held_until.items() if now < until}
        twist = np.zeros(6)
        for key in held & MOTIONS.keys():
            axis, sign = MOTIONS[key]
            twist[axis] += sign
        return Reading(twist * self._scale, self._gripper, bool(held))

    def presses(self) -> frozenset[Button]:
        """See `Device.presses`."""
        pressed, self._pressed = frozenset(self._pressed), set()
        return pressed

    def close(self) -> None:
        """Restore the terminal."""
        termios.tcsetattr(self._file, termios.TCSADRAIN, self._modes)
