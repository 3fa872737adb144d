# SPDX-License-Identifier: Apache-2.0
"""Wakes a node's executor when a file is readable: a terminal, a HID device."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable


class FileWatcher:
    """Calls `wake` from its own thread when the file is readable, and again only after `handled`.

    Args:
        file: descriptor that stays open until `close` has returned.
        wake: must be thread-safe, like a guard condition's trigger.
    """

    def __init__(self, file: int, wake: Callable[[], None]) -> None:
        self.file = file
        self._wake = wake
        self._handled = threading.Event()
        self._closing = False
        self._end_read, self._end_write = os.pipe()
        self._thread = threading.Thread(target=self._watch, name=f"watch file {file}", daemon=True)
        self._thread.start()

    def handled(self) -> None:
        """All available data has been read."""
        self._handled.set()

    def close(self) -> None:
        """End the thread."""
        self._closing = True
        os.write(self._end_write, b"x")
        self._handled.set()
        self._thread.join()
        os.close(self._end_read)
        os.close(self._end_write)

    def _watch(self) -> None:
        poll = select.poll()
        poll.register(self.file, select.POLLIN)
        poll.register(self._end_read, select.POLLIN)
        while not self._closing:
            poll.poll()
            if self._closing:
                return
            self._handled.clear()
            self._wake()
            self._handled.wait()
