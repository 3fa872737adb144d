# SPDX-License-Identifier: Apache-2.0
"""Counting what is refused, and saying so once a second at most."""

from __future__ import annotations

from collections.abc import MutableSequence

PERIOD = 1.0  # s


class Rejections:
    """Puts a refusal's sentence among the notices, unless one was put there less than `PERIOD` ago."""

    def __init__(self, notices: MutableSequence[str]) -> None:
        self._notices = notices
        self._told = -PERIOD
        self.count = 0

    def add(self, sentence: str, now: float) -> None:
        """Count one refusal at `now` (s, steady clock)."""
        self.count += 1
        if now - self._told >= PERIOD:
            self._told = now
            self._notices.append(sentence)
