# SPDX-License-Identifier: Apache-2.0
"""Notices when the system's clock jumps, which a time server or a person does."""

from __future__ import annotations

JUMP = 0.1
"""s. Stamps that are wrong by more mix up a control step; a clock that is being slewed moves by 0.5 ms in a second."""


class ClockWatch:
    """Compares the system's clock with one that never jumps."""

    def __init__(self) -> None:
        self._before: tuple[int, int] | None = None

    def jump(self, now: int, steady: int) -> float:
        """By how many s the clock jumped since the last call; 0.0: it did not.

        Args:
            now: ns of the system's clock.   steady: ns of a clock that never jumps.
        """
        before, self._before = self._before, (now, steady)
        if before is None:
            return 0.0
        jump = ((now - before[0]) - (steady - before[1])) * 1e-9
        return jump if abs(jump) > JUMP else 0.0
