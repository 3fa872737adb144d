# SPDX-License-Identifier: Apache-2.0
"""A 3Dconnexion SpaceMouse: pyspacemouse knows the models and parses their reports, hidraw delivers them.

Reports come every 8 to 16 ms while the cap is deflected, and stop soon after it is back in the center. So silence while
it is deflected means that data was lost.
"""

from __future__ import annotations

import numpy as np

from ptr_teleop.devices.base import BaseDevice, DeviceError, Reading
from ptr_teleop.devices.motion_deadman import MotionDeadman
from ptr_teleop.devices.response import Response
from ptr_teleop.devices.spacemouse_hid import OpenSpaceMouse, locate

SILENCE = 0.25
"""s without a report after which a deflected cap is no longer trusted."""
RETRY = 1.0
"""s between two attempts to find a device that was unplugged."""


class SpaceMouseDevice(BaseDevice):
    """Reads reports and turns deflections into a twist.

    Args:
        valid_for: s for which a reading's twist is valid.
        speed: m/s at full deflection.   turn: rad/s at full deflection.
        response: response curve of the axes.
        path: device file; empty: the first SpaceMouse that is plugged in.
        model: pyspacemouse's name of the model; empty: detected by the device's identifiers.
    """

    source = "spacemouse"

    def __init__(
        self, valid_for: float, speed: float, turn: float, response: Response, path: str = "", model: str = ""
    ) -> None:
        super().__init__()
        self.valid_for = valid_for
        self._scale = np.array([speed] * 3 + [turn] * 3)
        self._response, self._path, self._model = response, path, model
        self._motion = MotionDeadman()
        self._opened = self._open()
        self._retry_at, self._reported, self._silent = 0.0, -np.inf, False

    def _open(self) -> OpenSpaceMouse:
        return OpenSpaceMouse(*locate(self._path, self._model))

    def read(self, now: float) -> Reading:
        """See `Device.read`."""
        gripper = self._read_reports(now)
        if self._opened.closed:
            self._reopen(now)
            return Reading(lost=True)
        speeds = self._response.shape(self._opened.axes)
        if self._fell_silent(speeds, now):
            return Reading(lost=True)
        buttons = self._opened.buttons
        self._pressed |= buttons.pressed
        buttons.pressed.clear()
        held = self._motion.advance(bool(speeds.any()) or buttons.gripping, now)
        return Reading(speeds * self._scale, gripper, held)

    def values(self) -> dict[str, str]:
        """See `Device.values`."""
        return {"model": self._opened.model, "reports": str(self._opened.reports)}

    def fileno(self) -> int | None:
        """See `Device.fileno`."""
        return None if self._opened.closed else self._opened.fileno()

    def close(self) -> None:
        """Close the device file."""
        self._opened.close()

    def _read_reports(self, now: float) -> float | None:
        """Parse all pending reports; returns the opening requested by the buttons."""
        gripper = None
        try:
            while not self._opened.closed and self._opened.read_report():
                self._reported = now
                requested = self._opened.advance_buttons(now)
                gripper = gripper if requested is None else requested
        except OSError as error:
            self._opened.close()
            self._retry_at = now + RETRY
            self._notices.append(f"the SpaceMouse was unplugged ({error}): the arm holds; plug it in again")
        held = self._opened.advance_buttons(now)
        return gripper if held is None else held

    def _fell_silent(self, speeds: np.ndarray, now: float) -> bool:
        silent = bool(speeds.any()) and now - self._reported > SILENCE
        if silent and not self._silent:
            self._notices.append("the SpaceMouse fell silent while it was deflected: the arm holds; release it once")
        self._silent = silent
        return silent

    def _reopen(self, now: float) -> None:
        if now < self._retry_at:
            return
        self._retry_at = now + RETRY
        try:
            self._opened = self._open()
        except DeviceError:
            return  # still unplugged, or its permissions are being set
        self._notices.append("the SpaceMouse is back")
