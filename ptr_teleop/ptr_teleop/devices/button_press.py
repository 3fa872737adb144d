# SPDX-License-Identifier: Apache-2.0
"""Short and long presses of one button."""

from __future__ import annotations

import enum


class Press(enum.Enum):
    """How a button was pressed."""

    SHORT = "short"
    LONG = "long"


class PressTimer:
    """Tells a press that was let go soon from one that is held.

    Args:
        long: s that make a press long; it is told when they are over, not at the release.
    """

    def __init__(self, long: float = 1.0) -> None:
        self._long = long
        self._since: float | None = None
        self._told = False

    def advance(self, down: bool, now: float) -> Press | None:
        """What to tell, given whether the button is down at `now` (s)."""
        if not down:
            press = Press.SHORT if self._since is not None and not self._told else None
            self.forget()
            return press
        if self._since is None:
            self._since = now
        elif not self._told and now - self._since >= self._long:
            self._told = True
            return Press.LONG
        return None

    def forget(self) -> None:
        """As if the button had never been down."""
        self._since, self._told = None, False
