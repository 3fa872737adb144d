# SPDX-License-Identifier: Apache-2.0
"""How much a page may send."""

from __future__ import annotations


class TokenBucket:
    """Lets through `rate` messages a second on average and `burst` at once.

    Args:
        rate: Hz.   burst: messages.   now: s, steady clock.
    """

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate, self._burst = rate, float(burst)
        self._tokens, self._at = self._burst, now

    def admits(self, now: float) -> bool:
        """True when a message at `now` (s) is within the limit; it then counts."""
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = max(self._at, now)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
