# SPDX-License-Identifier: Apache-2.0
"""Monitor a stream of messages: its rate, and the age of the newest message."""

from __future__ import annotations

from collections import deque

WINDOW = 2.0
"""s, interval of the rate."""
_MAX_ARRIVALS = 10_000
"""Maximum number of stored arrivals per stream, even if it is flooded."""


class StreamRate:
    """Arrivals of one stream.

    Attributes:
        newest: s, arrival of the newest message; None before the first.
    """

    def __init__(self) -> None:
        self.newest: float | None = None
        self._first = 0.0
        self._recent: deque[float] = deque(maxlen=_MAX_ARRIVALS)

    def arrived(self, now: float) -> None:
        """A message has arrived at `now` (s)."""
        if self.newest is None:
            self._first = now
        self.newest = now
        self._recent.append(now)
        self._forget(now)

    def age(self, now: float) -> float | None:
        """s since the newest message; None before the first."""
        return None if self.newest is None else max(0.0, now - self.newest)

    def rate(self, now: float) -> float:
        """Hz over the last WINDOW, or since the first message if that is shorter. It falls while no messages arrive."""
        self._forget(now)
        since = now - self._first
        if since >= WINDOW:
            return len(self._recent) / WINDOW
        return max(0, len(self._recent) - 1) / since if since > 0.0 else 0.0

    def _forget(self, now: float) -> None:
        while self._recent and self._recent[0] < now - WINDOW:
            self._recent.popleft()
