# SPDX-License-Identifier: Apache-2.0
"""Who has sent a message, where the name that it carries is not enough: two people may drive with one kind of device.

Newer versions of ROS name the publisher of each message. Older ones (Jazzy) number the messages of each publisher: two
that alternate are two sequences.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_LONGEST_LOSS = 100
"""messages that one publisher may lose in a row; a longer jump in the numbers is another publisher."""
_ACTIVE = 1.0
"""s since its last message within which a publisher is active; one that has ended does not claim another's numbers."""
_KEPT = 16
"""publishers of one name that are told apart at a time, the newest ones."""


class PublisherIdentities:
    """Tells the publishers of one topic apart."""

    def __init__(self) -> None:
        self._sequences: dict[str, dict[int, tuple[int, float]]] = {}
        self._count = 0

    def identify(self, source: str, info: Mapping[str, Any]) -> object:
        """The identity of the publisher of a message, None where nothing tells it.

        Args:
            source: name that the message carries.
            info: what the middleware says of the message.
        """
        publisher = (info.get("publisher_gid") or {}).get("data")
        if publisher:
            return bytes(publisher)
        number = info.get("publication_sequence_number")
        now = info.get("received_timestamp", 0) * 1e-9
        return None if not number else (source, self._sequence(source, int(number), now))

    def _sequence(self, source: str, number: int, now: float) -> int:
        """Which of a name's sequences continues with this number; a new one where none does."""
        known = self._sequences.setdefault(source, {})
        if len(self._sequences) > _KEPT:
            self._sequences = {source: known}
        near = [one for one, (last, _) in known.items() if 0 < number - last <= _LONGEST_LOSS]
        active = [one for one in near if now - known[one][1] <= _ACTIVE]
        if near:
            one = max(reversed(active or near), key=lambda name: known[name][0])
            known.pop(one)  # the newest comes last
        else:
            self._count += 1
            one = self._count
        known[one] = (number, now)
        while len(known) > _KEPT:
            known.pop(next(iter(known)))
        return one
