# SPDX-License-Identifier: Apache-2.0
"""How long the whole computer stood still: a thread that wants to run every few milliseconds notes when it could not.

A machine that does nothing for 0.1 s, because its host had other things to do, holds no arm in that time either. That
is not what the tests of faults judge, so they allow for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

EVERY = 0.002  # s
USUAL = 0.01  # s; a thread of a busy process may wait so long for its interpreter
MOST = 0.2  # s that are allowed for: one control period


class Stalls:
    """The moments at which the machine came to itself again, and how long it had been away."""

    def __init__(self) -> None:
        self._found: list[tuple[int, float]] = []  # ns, s

    def note(self, end: int, seconds: float) -> None:
        """Keep one; `end` in ns."""
        if seconds > USUAL:
            self._found.append((end, seconds))

    def allowance(self, begin: int, end: int) -> int:
        """ns by which something may be late that was due between two moments (ns): the longest stall, within limits."""
        longest = max((seconds for stamp, seconds in self._found if begin <= stamp <= end), default=0.0)
        return round(min(longest, MOST) * 1e9)


@contextmanager
def watched_for_stalls() -> Iterator[Stalls]:
    """Watch the machine meanwhile."""
    stalls, over = Stalls(), threading.Event()

    def watch() -> None:
        while not over.is_set():
            before = time.monotonic()
            time.sleep(EVERY)
            stalls.note(time.time_ns(), time.monotonic() - before - EVERY)

    thread = threading.Thread(target=watch, name="stalls", daemon=True)
    thread.start()
    try:
        yield stalls
    finally:
        over.set()
        thread.join()
