# SPDX-License-Identifier: Apache-2.0
"""Short and long presses of one button."""

from __future__ import annotations

import enum


class Press(enum.Enum):
    """How a button was pressed."""

    SHORT = "short"
    LONG = "long"


class PressTimer:
    """Distinguishes short presses from long ones.

    Args:
        long: s after which a press is long; it is reported then, not at the release.
    """

    def __init__(self, long: float = 1.0) -> None:
        self._long = long
        self._since: float | None = None
        self._reported = False

    def advance(self, down: bool, now: float) -> Press | None:
        """The press that is complete, given whether the button is down at `now` (s); None: none."""
        if not down:
            press = Press.SHORT if self._since is not None and not self._reported else None
            self.reset()
            return press
        if self._since is None:
            self._since = now
        elif not self._reported and now - self._since >= self._long:
            self._reported = True
            return Press.LONG
        return None

    def reset(self) -> None:
        """Forget the current press."""
        self._since, self._reported = None, False
