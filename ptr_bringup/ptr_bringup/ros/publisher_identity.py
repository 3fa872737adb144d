# SPDX-License-Identifier: Apache-2.0
"""Tells publishers with the same source name apart: two people may use the same kind of device.

Newer ROS versions give the publisher of each message. Older ones (Jazzy) only number the messages of each publisher,
so two interleaved sequences of numbers mean two publishers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MAX_LOST = 100
"""Messages of one publisher that may be lost in a row; a larger jump in the numbers means another publisher."""
_ACTIVE = 1.0
"""s that a publisher counts as active after its last message; after that, it no longer claims another's numbers."""
_MAX_PUBLISHERS = 16
"""Maximum number of publishers remembered per name; the oldest is dropped."""


def publisher_gid(info: Mapping[str, Any]) -> bytes:
    """The GID of a message's publisher; empty if the middleware does not give it (Jazzy)."""
    return bytes((info.get("publisher_gid") or {}).get("data", b""))


class PublisherIdentities:
    """Tells the publishers of one topic apart."""

    def __init__(self) -> None:
        self._sequences: dict[str, dict[int, tuple[int, float]]] = {}
        self._count = 0

    def identify(self, source: str, info: Mapping[str, Any]) -> object:
        """The identity of a message's publisher, None if it is unknown.

        Args:
            source: name in the message.
            info: what the middleware says about the message.
        """
        if publisher := publisher_gid(info):
            return publisher
        number = info.get("publication_sequence_number")
        now = info.get("received_timestamp", 0) * 1e-9
        return None if not number else (source, self._sequence(source, int(number), now))

    def _sequence(self, source: str, number: int, now: float) -> int:
        """The sequence of this name that the number continues, or a new one."""
        known = self._sequences.setdefault(source, {})
        if len(self._sequences) > _MAX_PUBLISHERS:
            self._sequences = {source: known}
        near = [one for one, (last, _) in known.items() if 0 < number - last <= _MAX_LOST]
        active = [one for one in near if now - known[one][1] <= _ACTIVE]
        if near:
            one = max(reversed(active or near), key=lambda name: known[name][0])
            known.pop(one)  # the newest comes last
        else:
            self._count += 1
            one = self._count
        known[one] = (number, now)
        while len(known) > _MAX_PUBLISHERS:
            known.pop(next(iter(known)))
        return one
