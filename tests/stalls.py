# SPDX-License-Identifier: Apache-2.0
"""How long the whole computer stood still: a process that wants to run every few milliseconds notes when it could not.

A machine that does nothing for 0.1 s, because its host had other things to do, holds no arm in that time either. That
is not what the tests judge, so those of faults allow for it, and a test with real nodes that failed meanwhile is run
again (`again_after_stalls`).

So is one that has stopped or killed a process itself. That may hit it while it holds a lock of Fast DDS's shared
memory, and whoever sends to the same port then waits: up to a second in 3 of some 60 stops of a simulator, and 16 s
once after a kill.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

EVERY = 0.002  # s
USUAL = 0.005  # s, beyond it
MOST = 0.2  # s that are allowed for: one control period
LONG = 0.05  # s; on the way from an image to the arm 0.03 s are to spare
ATTEMPTS = 3
AFTERMATH = 60 * 10**9  # ns
PROGRAM = f"""
import os
import time
parent = os.getppid()
print(time.time_ns(), 0.0, flush=True)
before = time.monotonic()
while os.getppid() == parent:
    time.sleep({EVERY})
    now = time.monotonic()
    if now - before > {EVERY + USUAL}:
        print(time.time_ns(), now - before - {EVERY}, flush=True)
    before = now
"""


STOPS: list[int] = []
"""ns at which tests of this process have stopped or killed another one."""


class Stalls:
    """The moments at which the machine came to itself again, and how long it had been away.

    Args:
        noted: what the process has printed so far; without it there are none.
    """

    def __init__(self, noted: Path | None = None) -> None:
        self._noted = noted
        self._found: list[tuple[int, float]] = []  # ns, s

    @property
    def begun(self) -> bool:
        """Whether the machine is watched by now."""
        return bool(self._read())

    def keep(self) -> None:
        """Read for the last time: the file is about to go."""
        self._found = self._read()
        self._noted = None

    def longest(self, begin: int, end: int) -> float:
        """The longest stall (s) that ended between two moments (ns)."""
        found = self._found if self._noted is None else self._read()
        return max((seconds for stamp, seconds in found if begin <= stamp <= end), default=0.0)

    def allowance(self, begin: int, end: int) -> int:
        """ns by which something may be late that was due between two moments (ns): the longest stall, within limits."""
        return round(min(self.longest(begin, end), MOST) * 1e9)

    def _read(self) -> list[tuple[int, float]]:
        lines = self._noted.read_text().splitlines(keepends=True)
        whole = [line.split() for line in lines if line.endswith("\n")]
        return [(int(end), float(seconds)) for end, seconds in whole]


@contextmanager
def watched_for_stalls() -> Iterator[Stalls]:
    """Watch the machine meanwhile; the stalls are known at once, and afterwards."""
    with tempfile.NamedTemporaryFile(prefix="stalls-") as file:
        stalls = Stalls(Path(file.name))
        with subprocess.Popen([sys.executable, "-I", "-S", "-c", PROGRAM], stdout=file) as process:
            try:
                while not stalls.begun and process.poll() is None:
                    time.sleep(EVERY)
                yield stalls
            finally:
                process.kill()
                process.wait()
                stalls.keep()


def again_after_stalls(item: pytest.Item, stalls: Stalls) -> pytest.MarkDecorator:
    """Run a test again that failed after a stall of `LONG` or more, or a stop; other failures stand."""

    def stalled() -> bool:
        begun = item.stash[BEGUN]
        return stalls.longest(begun, time.time_ns()) >= LONG or any(stop > begun - AFTERMATH for stop in STOPS)

    return pytest.mark.flaky(reruns=ATTEMPTS - 1, condition=stalled)


BEGUN: pytest.StashKey[int] = pytest.StashKey()  # ns, of the current attempt
