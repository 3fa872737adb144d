# SPDX-License-Identifier: Apache-2.0
"""Audits finished episodes in the background, one after the other."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from pathlib import Path

from ptr_teleop.recorder.episode import Audit


class Auditor:
    """Runs audits in its own thread: auditing a long episode takes longer than a service caller waits.

    Args:
        audit: audits a finished episode.
        finished: called in that thread when `results` has a new entry.
    """

    def __init__(self, audit: Callable[[Path], Audit], finished: Callable[[], None]) -> None:
        self._audit, self._finished = audit, finished
        self._waiting: queue.SimpleQueue[Path] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[Path, Audit]] = queue.SimpleQueue()
        threading.Thread(target=self._work, daemon=True, name="auditor").start()

    def submit(self, path: Path) -> None:
        """Queue the episode in this folder."""
        self._waiting.put(path)

    def results(self) -> list[tuple[Path, Audit]]:
        """Audits finished since the last call."""
        found = []
        while not self._done.empty():
            found.append(self._done.get_nowait())
        return found

    def _work(self) -> None:
        while True:
            path = self._waiting.get()
            self._done.put((path, self._judge(path)))
            self._finished()

    def _judge(self, path: Path) -> Audit:
        try:
            return self._audit(path)
        except Exception as error:  # whatever a damaged disk does to a bag, the recorder must keep running
            return Audit(f"it could not be audited: {error}", "discard", (str(error),))
