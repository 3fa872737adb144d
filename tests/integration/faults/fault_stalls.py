# SPDX-License-Identifier: Apache-2.0
"""How long the whole computer stood still: a process that wants to run every few milliseconds notes when it could not.

A machine that does nothing for 0.1 s, because its host had other things to do, holds no arm in that time either. That
is not what the tests of faults judge, so they allow for it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

EVERY = 0.002  # s
USUAL = 0.005  # s, beyond it
MOST = 0.2  # s that are allowed for: one control period
PROGRAM = f"""
import time
before = time.monotonic()
while True:
    time.sleep({EVERY})
    now = time.monotonic()
    if now - before > {EVERY + USUAL}:
        print(time.time_ns(), now - before - {EVERY}, flush=True)
    before = now
"""


class Stalls:
    """The moments at which the machine came to itself again, and how long it had been away."""

    def __init__(self) -> None:
        self._found: list[tuple[int, float]] = []  # ns, s

    def read(self, text: str) -> None:
        """Take what the process has printed."""
        for line in text.splitlines():
            end, seconds = line.split()
            self._found.append((int(end), float(seconds)))

    def allowance(self, begin: int, end: int) -> int:
        """ns by which something may be late that was due between two moments (ns): the longest stall, within limits."""
        longest = max((seconds for stamp, seconds in self._found if begin <= stamp <= end), default=0.0)
        return round(min(longest, MOST) * 1e9)


@contextmanager
def watched_for_stalls() -> Iterator[Stalls]:
    """Watch the machine meanwhile; the stalls are known afterwards."""
    stalls = Stalls()
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", PROGRAM], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield stalls
        finally:
            process.kill()
            stalls.read(process.stdout.read())
