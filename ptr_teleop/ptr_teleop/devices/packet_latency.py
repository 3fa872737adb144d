# SPDX-License-Identifier: Apache-2.0
"""Age of the newest packet from a sender with another clock.

The sender stamps each packet with its own clock. The smallest difference between arrival and stamp is the offset of
the two clocks plus the link's best delay. Anything beyond that is time spent waiting on the way. So a queue that fills
up somewhere is detected even though packets still arrive.
"""

from __future__ import annotations

import enum

MAX_AGE = 0.15
"""s, default; an older packet does not move the arm."""
DRIFT = 2e-4
"""s per s, maximum drift between two clocks; quartz clocks stay below 1e-4."""
JUMP = 0.5
"""s; a packet that seems to arrive this long before it was sent means that the sender's clock was set."""
TIMEOUT = 1.0
"""s of silence after which another sender may take over."""


class Arrival(enum.Enum):
    """How a packet is treated."""

    ACCEPTED = "accepted"
    FIRST = "the first of its session"
    OUTDATED = "not newer than the previous one"
    FOREIGN = "from a second sender"
    JUMPED = "the sender's clock jumped"


class PacketLatency:
    """Tracks session, sequence and age of packets."""

    def __init__(self) -> None:
        self._session: str | None = None
        self._sequence = -1
        self._sent = 0.0
        self._offset = 0.0
        self._arrived = 0.0

    @property
    def started(self) -> bool:
        """True after the first packet."""
        return self._session is not None

    def receive(self, session: str, sequence: int, sent: float, now: float) -> Arrival:
        """Process a packet.

        Args:
            session: random name that the sender chose when it started.
            sequence: increasing number within the session.
            sent: s, the sender's clock.   now: s, our steady clock.
        """
        if session != self._session:
            if self._session is not None and now - self._arrived < TIMEOUT:
                return Arrival.FOREIGN
            self._session = session
            self._restart(sequence, sent, now)
            return Arrival.FIRST
        if sequence <= self._sequence:
            return Arrival.OUTDATED
        offset = now - sent
        if sent < self._sent or offset < self._offset - JUMP:
            self._restart(sequence, sent, now)
            return Arrival.JUMPED
        self._offset = min(offset, self._offset + DRIFT * (now - self._arrived))
        self._sequence, self._sent, self._arrived = sequence, sent, now
        return Arrival.ACCEPTED

    def age(self, now: float) -> float:
        """s since the newest packet was sent, estimated; infinite before the first."""
        if self._session is None:
            return float("inf")
        return max(now - self._sent - self._offset, 0.0)

    def _restart(self, sequence: int, sent: float, now: float) -> None:
        self._sequence, self._sent, self._arrived = sequence, sent, now
        self._offset = now - sent
