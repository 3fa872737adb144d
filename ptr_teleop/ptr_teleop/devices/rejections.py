# SPDX-License-Identifier: Apache-2.0
"""Counts refused input, with a notice at most once a second."""

from __future__ import annotations

from collections.abc import MutableSequence

PERIOD = 1.0  # s


class Rejections:
    """Adds a notice for a refusal, unless one was added less than `PERIOD` ago."""

    def __init__(self, notices: MutableSequence[str]) -> None:
        self._notices = notices
        self._noticed = -PERIOD
        self.count = 0

    def add(self, sentence: str, now: float) -> None:
        """Count one refusal at `now` (s, steady clock)."""
        self.count += 1
        if now - self._noticed >= PERIOD:
            self._noticed = now
            self._notices.append(sentence)
