# SPDX-License-Identifier: Apache-2.0
"""Things that happened, the newest few of them, which several pages read at their own pace."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any


class Journal:
    """A numbered list that forgets its oldest entries; written by one thread, read by others.

    Args:
        length: entries that are kept.
    """

    def __init__(self, length: int) -> None:
        self._entries: deque[Any] = deque(maxlen=length)
        self._count = 0
        self._lock = threading.Lock()

    def append(self, entry: Any) -> None:
        """Add an entry, and forget the oldest when there are too many."""
        with self._lock:
            self._entries.append(entry)
            self._count += 1

    def since(self, cursor: int) -> tuple[list[Any], int]:
        """Entries that are still there and were appended after `cursor`, and the cursor for the next time.

        Args:
            cursor: 0 at first, then what the last call returned.
        """
        with self._lock:
            new = min(max(self._count - cursor, 0), len(self._entries))
            return list(self._entries)[len(self._entries) - new :], self._count
