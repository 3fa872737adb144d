# SPDX-License-Identifier: Apache-2.0
"""The deadman of a device without a button for it: it is held while the device is deflected."""

from __future__ import annotations

LINGER = 0.3
"""s for which it stays held after the last deflection, so that passing through the center is not a release."""


class MotionDeadman:
    """Held while something is deflected or pressed, and for `linger` s after that."""

    def __init__(self, linger: float = LINGER) -> None:
        self._linger = linger
        self._active_at = -float("inf")

    def advance(self, active: bool, now: float) -> bool:
        """True while held, given whether the device is deflected at `now` (s)."""
        if active:
            self._active_at = now
        return now - self._active_at < self._linger
