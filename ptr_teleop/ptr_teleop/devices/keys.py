# SPDX-License-Identifier: Apache-2.0
"""Key bindings of the terminal and of the console's page."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ptr_teleop.devices.base import Button

MOTIONS = {  # key: (axis of the twist, sign); x forward, y left, z up
    "w": (0, 1), "s": (0, -1), "a": (1, 1), "d": (1, -1), "q": (2, 1), "e": (2, -1),
    "j": (3, 1), "l": (3, -1), "i": (4, 1), "k": (4, -1), "u": (5, 1), "o": (5, -1),
}  # fmt: skip
GRIPPER = " "
BUTTONS = {
    "r": Button.START, "\r": Button.SAVE, "\n": Button.SAVE, "f": Button.FAIL, "x": Button.DISCARD, "n": Button.NEXT,
}  # fmt: skip
SLOWER, FASTER = "-", "+="
SPEEDS = (0.1, 0.25, 0.5, 0.75, 1.0)
"""Speed steps in a terminal, as shares of full speed."""
SLOW = 0.25
"""Share of the speed in slow mode (Shift)."""
HELP = """\
w/s forward/back  a/d left/right  q/e up/down  j/l roll  i/k pitch  u/o yaw  space gripper
with Shift: a quarter of the speed  -/+ slower/faster
r record  enter save  f save as failure  x discard; between episodes: as the audit recommends
n arm to its start, and in simulation the next scene"""


def direction(keys: Iterable[str]) -> np.ndarray:
    """The twist (6,), 1 per axis, of the motion keys among `keys`; opposite keys cancel."""
    twist = np.zeros(6)
    for key in keys:
        if key in MOTIONS:
            axis, sign = MOTIONS[key]
            twist[axis] += sign
    return twist
