# SPDX-License-Identifier: Apache-2.0
"""Which force of the gripper must not outlive the one who commanded it."""

from __future__ import annotations


class Vigil:
    """Remembers the force that was told last, and says whether it has to be taken off.

    A gripper that moves stops. One that holds something keeps it: after the fingers have settled the force is the
    holding one, which the motor bears for long; letting go would drop the thing.

    Args:
        hold: PWM that keeps an object once the finger has settled on it.
    """

    def __init__(self, hold: float) -> None:
        self._hold, self._force, self._rest = hold, 0.0, b""

    def hear(self, words: bytes) -> None:
        """Take what was written: a force (PWM, positive opens) a line; the last line may be still unfinished."""
        *lines, self._rest = (self._rest + words).split(b"\n")
        if lines:
            self._force = float(lines[-1])

    def break_off(self) -> bool:
        """Nobody is in command any more: True, once, if the force has to be taken off."""
        moving = not -self._hold <= self._force <= 0.0
        if moving:
            self._force = 0.0
        return moving
