# SPDX-License-Identifier: Apache-2.0
"""Who is in charge when several devices want the arm: whoever pressed its deadman first."""

from __future__ import annotations

from dataclasses import dataclass

TIMEOUT = 0.5
"""s of silence after which another source is no longer in charge; the arm's watchdog waits as long."""


@dataclass(frozen=True)
class _Other:
    source: str
    pressed: float  # s, stamp of the first command of its hold
    heard: float  # s, steady clock


class ControlAuthority:
    """Follows what other nodes command, to refuse this node's device while one of them holds its deadman."""

    def __init__(self) -> None:
        self._own: float | None = None
        self._other: _Other | None = None

    def press(self, stamp: float) -> None:
        """This node's deadman is held, in a command of this stamp (s); the first one counts."""
        if self._own is None:
            self._own = stamp

    def release(self) -> None:
        """This node's deadman was released."""
        self._own = None

    def receive(self, source: str, deadman: bool, stamp: float, now: float) -> None:
        """Another node's command: its source, its stamp (s) and the steady clock's time (s)."""
        other = self._other if self._other is not None and now - self._other.heard <= TIMEOUT else None
        if not deadman:
            self._other = None if other is not None and other.source == source else other
            return
        pressed = other.pressed if other is not None and other.source == source else stamp
        if other is None or other.source == source:
            self._other = _Other(source, pressed, now)

    def other(self, now: float) -> str | None:
        """The source that is in charge instead of this node's device, if there is one."""
        if self._other is None or now - self._other.heard > TIMEOUT:
            return None
        if self._own is not None and self._own <= self._other.pressed:
            return None  # this node's deadman was first: the other node gives way
        return self._other.source
