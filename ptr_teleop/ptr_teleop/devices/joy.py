# SPDX-License-Identifier: Apache-2.0
"""Anything that publishes sensor_msgs/Joy: a gamepad through joy_node or game_controller_node, or spacenav.

Joy's axes are +1 to the left and upwards (joy_node, game_controller_node); spacenav's are already x, y, z, roll,
pitch, yaw of REP 103.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ptr_teleop.devices.base import BaseDevice, DeviceError, Reading
from ptr_teleop.devices.joy_buttons import ButtonPanel, Buttons
from ptr_teleop.devices.motion_deadman import MotionDeadman
from ptr_teleop.devices.rejections import Rejections
from ptr_teleop.devices.response import Response


@dataclass(frozen=True)
class JoyLayout:
    """Indices of axes and buttons in a Joy.

    Attributes:
        axes: index in Joy.axes of x, y, z, roll, pitch, yaw; -1: none.
        turning: the same while the button `turn` is held.
        turn: button that switches the sticks from translation to rotation; -1: none.
        buttons: see `Buttons`.
    """

    axes: tuple[int, int, int, int, int, int]
    buttons: Buttons
    turning: tuple[int, int, int, int, int, int] = (-1,) * 6
    turn: int = -1


LAYOUTS = {
    # game_controller_node: A B X Y, 4 back, 6 start, 9 and 10 shoulders, 11 up; axes LX LY RX RY LT RT
    "game_controller": JoyLayout(
        axes=(1, 0, 3, -1, -1, 2),
        buttons=Buttons(deadman=9, close=2, open=1, start=-1, save=-1, fail=3, discard=4, toggle=6, next=11),
        turning=(-1, -1, 3, 0, 1, 2),
        turn=10,
    ),
    # joy_node with an Xbox controller (xpad): A B X Y, 4 and 5 shoulders, 6 back, 7 start, 8 guide;
    # axes LX LY LT RX RY RT
    "xbox": JoyLayout(
        axes=(1, 0, 4, -1, -1, 3),
        buttons=Buttons(deadman=4, close=2, open=1, start=-1, save=-1, fail=3, discard=6, toggle=7, next=8),
        turning=(-1, -1, 4, 0, 1, 3),
        turn=5,
    ),
    # spacenav: two buttons, no deadman; a chord of both can't be told apart from one after the other
    "spacenav": JoyLayout(
        axes=(0, 1, 2, 3, 4, 5),
        buttons=Buttons(deadman=-1, close=0, open=1, start=-1, save=-1, fail=-1, discard=-1),
    ),
}


class JoyDevice(BaseDevice):
    """Turns deflections into a twist.

    Args:
        valid_for: s for which a twist is valid.
        speed: m/s at full deflection.   turn: rad/s at full deflection.
        layout: indices of axes and buttons.
        response: response curve of the axes.
        timeout: s, an older message counts as silence; joy_node repeats at 20 Hz (`autorepeat_rate`).
    """

    source = "joy"

    def __init__(
        self,
        valid_for: float,
        speed: float,
        turn: float,
        layout: JoyLayout,
        response: Response | None = None,
        timeout: float = 0.5,
    ) -> None:
        super().__init__()
        self.valid_for = valid_for
        self._scale = np.array([speed] * 3 + [turn] * 3)
        self._layout, self._response, self._timeout = layout, response or Response(), timeout
        self._panel, self._motion = ButtonPanel(layout.buttons), MotionDeadman()
        self._axes: np.ndarray = np.zeros(0)
        self._received_at, self._trusted = -np.inf, True
        self._rejections = Rejections(self._notices)

    def on_joy(self, buttons: Sequence[int], axes: Sequence[float], stamp_ns: int, now: float) -> None:
        """Process the state of axes and buttons; the stamp is ignored, because it may come from another clock."""
        deflections = np.asarray(axes, dtype=float)
        if not np.isfinite(deflections).all():
            self._rejections.add(f"a Joy was refused: its axes are {deflections.tolist()}", now)
            self._trusted = False
            return
        self._axes, self._received_at, self._trusted = deflections, now, True
        self._pressed |= self._panel.advance(buttons)

    def read(self, now: float) -> Reading | None:
        """See `Device.read`."""
        if self._layout.buttons.deadman >= 0 and self._received_at < 0.0:
            return None  # not yet known whether the deadman is held
        speeds = self._response.shape(self._deflections())
        gripper, button = self._panel.gripper, self._layout.buttons.deadman
        fresh = self._trusted and now - self._received_at <= self._timeout
        if button >= 0:
            held = self._panel.down(button)
        else:
            held = self._motion.advance(fresh and (bool(speeds.any()) or gripper is not None), now)
        return Reading(speeds * self._scale, gripper, held) if fresh else Reading(lost=held)

    def _deflections(self) -> np.ndarray:
        """(6,): x, y, z, roll, pitch, yaw, in [-1, 1]; axes missing from the message count as released."""
        indices = self._layout.turning if self._panel.down(self._layout.turn) else self._layout.axes
        count = len(self._axes)
        return np.array([self._axes[index] if 0 <= index < count else 0.0 for index in indices])


def layout_named(name: str) -> JoyLayout:
    """One of `LAYOUTS`.

    Raises:
        DeviceError: unknown name.
    """
    if name not in LAYOUTS:
        raise DeviceError(f"joy.layout is {name!r}; known: {', '.join(LAYOUTS)}")
    return LAYOUTS[name]
