# SPDX-License-Identifier: Apache-2.0
"""Any source of TwistStamped, optionally with a Joy for buttons: spacenav, the scripted operator, your own node."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ptr_teleop.devices.base import BaseDevice, Reading
from ptr_teleop.devices.joy_buttons import ButtonPanel, Buttons
from ptr_teleop.devices.motion_deadman import MotionDeadman
from ptr_teleop.devices.rejections import Rejections


class TwistDevice(BaseDevice):
    """Combines the newest twist with the newest joy.

    Args:
        source: name of the source in every command.
        valid_for: s for which a twist is valid.
        timeout: s, an older twist or joy counts as silence.
        paired: the source gives the twist and joy of one decision the same stamp, so `read` returns one reading per
            pair, once both have arrived. Otherwise each reading has the newest of either.
        layout: indices of the buttons.
    """

    def __init__(
        self,
        source: str,
        valid_for: float,
        timeout: float = 0.5,
        paired: bool = False,
        layout: Buttons | None = None,
    ) -> None:
        super().__init__()
        self.source, self.valid_for = source, valid_for
        self._timeout, self._paired, self._layout = timeout, paired, layout or Buttons()
        self._panel, self._motion = ButtonPanel(self._layout), MotionDeadman()
        self._twist, self._twist_stamp, self._twist_at, self._trusted = np.zeros(6), -1, -np.inf, True
        self._joy_stamp, self._joy_at = -1, -np.inf
        self._read_stamp = -1
        self._rejections = Rejections(self._notices)

    def on_twist(self, twist: Sequence[float], stamp_ns: int, now: float) -> None:
        """Process a twist: (6,) m/s and rad/s in base_link."""
        speeds = np.asarray(twist, dtype=float)
        if not np.isfinite(speeds).all():
            self._rejections.add(f"a twist from {self.source} was refused: it contains {speeds.tolist()}", now)
            self._trusted = False
            return
        self._twist, self._twist_stamp, self._twist_at, self._trusted = speeds, stamp_ns, now, True

    def on_joy(self, buttons: Sequence[int], axes: Sequence[float], stamp_ns: int, now: float) -> None:
        """Process the state of the buttons; a button takes effect when it goes down."""
        self._pressed |= self._panel.advance(buttons)
        self._joy_stamp, self._joy_at = stamp_ns, now

    def read(self, now: float) -> Reading | None:
        """See `Device.read`."""
        if self._paired:
            if not self._twist_stamp == self._joy_stamp != self._read_stamp:
                return None
            self._read_stamp = self._twist_stamp
        elif self._layout.deadman >= 0 and self._joy_stamp < 0:
            return None  # not yet known whether the deadman is held
        gripper, button = self._panel.gripper, self._layout.deadman
        received_at = self._twist_at if button < 0 else min(self._twist_at, self._joy_at)
        fresh = self._trusted and now - received_at <= self._timeout
        if button >= 0:
            held = self._panel.down(button)
        else:
            held = self._motion.advance(fresh and (bool(self._twist.any()) or gripper is not None), now)
        return Reading(self._twist, gripper, held) if fresh else Reading(lost=held)
