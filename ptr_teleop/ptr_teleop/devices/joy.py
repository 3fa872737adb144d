# SPDX-License-Identifier: Apache-2.0
"""Any source of TwistStamped + Joy: a gamepad, a SpaceMouse driver, the scripted operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ptr_teleop.devices.base import Button, Reading


@dataclass(frozen=True)
class JoyLayout:
    """Where things are in `Joy.buttons` and `Joy.axes`; -1: not there."""

    deadman: int = 0
    close: int = 1
    open: int = 2
    start: int = 3
    save: int = 4
    fail: int = 5
    discard: int = 6
    gripper_axis: int = -1  # axis in [-1, 1]: 1 = open


class JoyDevice:
    """Combines the newest twist with the newest joy.

    Args:
        source: name of the source in every command.
        horizon: s, for how long a twist holds.
        timeout: s, an older twist or joy counts as silence.
        paired: the source stamps twist and joy of one decision alike: give one reading per pair, and only
            when both have arrived. Otherwise each reading has the newest of either.
    """

    def __init__(
        self,
        source: str,
        horizon: float,
        timeout: float = 0.5,
        paired: bool = False,
        layout: JoyLayout | None = None,
    ) -> None:
        self.source, self.horizon, self.event_driven = source, horizon, paired
        self._timeout, self._layout = timeout, layout or JoyLayout()
        self._twist, self._twist_stamp, self._twist_at = np.zeros(6), -1, -np.inf
        self._buttons: tuple[int, ...] = ()
        self._axes: tuple[float, ...] = ()
        self._joy_stamp, self._joy_at = -1, -np.inf
        self._gripper: float | None = None
        self._pressed: set[Button] = set()
        self._read_stamp = -1

    def on_twist(self, twist: Sequence[float], stamp_ns: int, now: float) -> None:
        """Take a twist: (6,) m/s and rad/s in base_link."""
        self._twist, self._twist_stamp, self._twist_at = np.asarray(twist, dtype=float), stamp_ns, now

    def on_joy(self, buttons: Sequence[int], axes: Sequence[float], stamp_ns: int, now: float) -> None:
        """Take the state of the buttons and axes; a button counts when it goes down."""
        before, self._buttons, self._axes = self._buttons, tuple(buttons), tuple(axes)
        self._joy_stamp, self._joy_at = stamp_ns, now
        for button in Button:
            index = getattr(self._layout, button.value)
            if _down(self._buttons, index) and not _down(before, index):
                self._pressed.add(button)
        if 0 <= self._layout.gripper_axis < len(self._axes):
            self._gripper = (self._axes[self._layout.gripper_axis] + 1.0) / 2.0
        elif _down(self._buttons, self._layout.close) != _down(self._buttons, self._layout.open):
            self._gripper = 1.0 if _down(self._buttons, self._layout.open) else 0.0

    def read(self, now: float) -> Reading | None:
        """See `Device.read`."""
        fresh = now - self._joy_at <= self._timeout and now - self._twist_at <= self._timeout
        if self.event_driven:
            fresh = fresh and self._twist_stamp == self._joy_stamp != self._read_stamp
        if not fresh:
            return None
        self._read_stamp = self._twist_stamp
        return Reading(self._twist, self._gripper, _down(self._buttons, self._layout.deadman))

    def presses(self) -> frozenset[Button]:
        """See `Device.presses`."""
        pressed, self._pressed = frozenset(self._pressed), set()
        return pressed

    def close(self) -> None:
        """Nothing to give back: the topics belong to the node."""


def _down(buttons: Sequence[int], index: int) -> bool:
    return 0 <= index < len(buttons) and buttons[index] == 1
