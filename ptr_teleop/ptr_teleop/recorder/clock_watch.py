# SPDX-License-Identifier: Apache-2.0
"""Detects jumps of the system clock, caused by a time server or a person."""

from __future__ import annotations

JUMP = 0.1
"""s. Larger stamp errors mix up control steps; a clock that is being slewed moves by 0.5 ms per second."""


class ClockWatch:
    """Compares the system clock with a steady one."""

    def __init__(self) -> None:
        self._before: tuple[int, int] | None = None

    def jump(self, now: int, steady: int) -> float:
        """s by which the clock has jumped since the last call; 0.0: it has not.

        Args:
            now: system time, ns.   steady: steady time, ns.
        """
        before, self._before = self._before, (now, steady)
        if before is None:
            return 0.0
        jump = ((now - before[0]) - (steady - before[1])) * 1e-9
        return jump if abs(jump) > JUMP else 0.0
