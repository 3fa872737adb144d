# SPDX-License-Identifier: Apache-2.0
"""A terminal's keyboard, also over SSH.

A terminal reports key presses but not releases; while a key is held, it repeats. A motion key counts as held until
`HOLD` seconds after its last repeat. The first repeat comes later than that (the keyboard's delay, often 0.25-0.5 s),
so a tap is a short nudge. With Shift a motion key is slow.
"""

from __future__ import annotations

import os
import select
import sys
import termios
import tty
from typing import Any

import numpy as np

from ptr_teleop.devices.base import BaseDevice, DeviceError, Reading
from ptr_teleop.devices.keys import BUTTONS, FASTER, GRIPPER, MOTIONS, SLOW, SLOWER, SPEEDS, direction

HOLD = 0.15  # s


class KeyboardDevice(BaseDevice):
    """Turns key presses into a twist of fixed speed; the deadman is held while a motion key is held.

    Args:
        speed: m/s of a translation key.   turn: rad/s of a rotation key.
        valid_for: s for which a reading's twist is valid.
        stream: the terminal; it is in cbreak mode until `close`.
    """

    source = "keyboard"

    def __init__(self, speed: float, turn: float, valid_for: float, stream: Any = None) -> None:
        super().__init__()
        self.valid_for = valid_for
        self._scale = np.array([speed] * 3 + [turn] * 3)
        self._speed = len(SPEEDS) - 1
        self._held: dict[str, tuple[float, float]] = {}  # key: until when (s), and its share of the speed
        self._toggle = False
        self._gone = False
        self._file = (stream or sys.stdin).fileno()
        if not os.isatty(self._file):
            raise DeviceError("the device keyboard needs a terminal, but standard input is not one; use a terminal")
        self._modes = termios.tcgetattr(self._file)
        tty.setcbreak(self._file)

    def read(self, now: float) -> Reading:
        """See `Device.read`."""
        self._read_keys(now)
        held = {key: share for key, (until, share) in self._held.items() if now < until}
        toggle, self._toggle = self._toggle, False
        twist = sum((share * direction(key) for key, share in held.items()), np.zeros(6))
        return Reading(SPEEDS[self._speed] * twist * self._scale, deadman=bool(held), toggle=toggle)

    def values(self) -> dict[str, str]:
        """See `Device.values`."""
        return {"speed": f"{SPEEDS[self._speed]:.0%}"}

    def _read_keys(self, now: float) -> None:
        while not self._gone and select.select([self._file], [], [], 0)[0]:
            try:
                keys = os.read(self._file, 64).decode(errors="ignore")
            except OSError:  # the terminal was closed
                keys = ""
            if not keys:
                self._gone = True
                self._notices.append("the keyboard's terminal was closed: the arm holds; restart teleop in a new one")
            for key in keys:
                self._press(key, now)

    def _press(self, key: str, now: float) -> None:
        motion = key.lower()
        if motion in MOTIONS or key == GRIPPER:
            self._held[motion] = now + HOLD, SLOW if key != motion else 1.0
            self._toggle = self._toggle or key == GRIPPER
        elif key in SLOWER or key in FASTER:
            step = 1 if key in FASTER else -1
            self._speed = min(max(self._speed + step, 0), len(SPEEDS) - 1)
        elif key in BUTTONS:
            self._pressed.add(BUTTONS[key])

    def fileno(self) -> int | None:
        """See `Device.fileno`."""
        return None if self._gone else self._file

    def close(self) -> None:
        """Restore the terminal."""
        if not self._gone:
            termios.tcsetattr(self._file, termios.TCSADRAIN, self._modes)
