# SPDX-License-Identifier: Apache-2.0
"""From a device's reading to a command: releasing the deadman holds pose and gripper."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ptr_teleop.devices.base import Reading


@dataclass(frozen=True)
class Wish:
    """What the human wants of the arm now.

    Attributes:
        twist: (6,) m/s and rad/s in base_link; zero while the deadman is released.
        gripper: commanded opening, 0 = closed, 1 = open.
        deadman: False: hold pose and gripper.
    """

    twist: np.ndarray
    gripper: float
    deadman: bool


class Clutch:
    """Keeps the gripper command over releases of the deadman, and caps the speed.

    Args:
        caps: m/s and rad/s that no axis of the twist exceeds; None: the device knows its own.
    """

    def __init__(self, caps: tuple[float, float] | None) -> None:
        self._caps = caps
        self._gripper: float | None = None
        self._held = False

    def advance(self, reading: Reading, arm_gripper: float) -> Wish | None:
        """The command for a reading; None when there is nothing to say (released, and said so before).

        Args:
            reading: what the device gives now.
            arm_gripper: the opening that the arm is commanded to; a press of the deadman starts from it.
        """
        was_held, self._held = self._held, reading.deadman
        if not reading.deadman:
            gripper = arm_gripper if self._gripper is None else self._gripper
            return Wish(np.zeros(6), gripper, False) if was_held else None
        if reading.gripper is not None:
            self._gripper = float(np.clip(reading.gripper, 0.0, 1.0))
        elif self._gripper is None or not was_held:
            self._gripper = arm_gripper
        return Wish(self._capped(reading.twist), self._gripper, True)

    def _capped(self, twist: np.ndarray) -> np.ndarray:
        """Scale translation and rotation down to their caps, keeping their directions."""
        if self._caps is None:
            return twist
        parts = []
        for part, cap in zip((twist[:3], twist[3:]), self._caps, strict=True):
            fastest = float(np.abs(part).max())
            parts.append(part if fastest <= cap else part * (cap / fastest))
        return np.concatenate(parts)
