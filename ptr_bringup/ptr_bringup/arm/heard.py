# SPDX-License-Identifier: Apache-2.0
"""The time in which the arm was heard: it stands still while no joint states come."""

from __future__ import annotations

_LONGEST = 0.25
"""s. A longer gap between two joint states counts as this much: a driver that was away, or a process that hung, tells
nothing of how the motors were meanwhile."""


class HeardTime:
    """Adds up the gaps between joint states, on a clock that nobody sets.

    A motor that is silent for so many of these seconds was silent while the rest of the arm spoke. When everything is
    silent, nobody in particular is to blame: the gate holds the arm for that, and nothing has to be cleared.

    Attributes:
        seconds: of this time.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._stamp: float | None = None
        self._heard = 0.0

    def look(self, now: float, stamp: float | None) -> float:
        """Take a look at the newest joint state; returns `seconds`.

        Args:
            now: s of the gate's time, which only grows.
            stamp: of the joint state, None when there is none. It tells one from another and no more: it is of a
                clock that may be set.
        """
        if stamp is not None and stamp != self._stamp:
            if self._stamp is not None:
                self.seconds += min(now - self._heard, _LONGEST)
            self._stamp, self._heard = stamp, now
        return self.seconds
