# SPDX-License-Identifier: Apache-2.0
"""Which source has control when several want the arm: the one whose deadman was pressed first."""

from __future__ import annotations

from dataclasses import dataclass

TIMEOUT = 0.5
"""s of silence after which another source loses control; the same as the arm's command timeout."""


@dataclass(frozen=True)
class _Other:
    source: str
    pressed: float  # s, stamp of the first command since its deadman was pressed
    received: float  # s, steady clock


class ControlAuthority:
    """Tracks the commands of other nodes, to refuse this node's device while one of them holds its deadman."""

    def __init__(self) -> None:
        self._own: float | None = None
        self._other: _Other | None = None

    def press(self, stamp: float) -> None:
        """This node sent a command with its deadman held; only the first stamp (s) since a release counts."""
        if self._own is None:
            self._own = stamp

    def release(self) -> None:
        """This node's deadman was released."""
        self._own = None

    def receive(self, source: str, deadman: bool, stamp: float, now: float) -> None:
        """Process another node's command: its source, stamp (s) and arrival `now` (s, steady clock)."""
        other = self._other if self._other is not None and now - self._other.received <= TIMEOUT else None
        if not deadman:
            self._other = None if other is not None and other.source == source else other
            return
        pressed = other.pressed if other is not None and other.source == source else stamp
        if other is None or other.source == source:
            self._other = _Other(source, pressed, now)

    def other(self, now: float) -> str | None:
        """The source that has control instead of this node's device, if any."""
        if self._other is None or now - self._other.received > TIMEOUT:
            return None
        if self._own is not None and self._own <= self._other.pressed:
            return None  # this node's deadman was pressed first: the other node yields
        return self._other.source
