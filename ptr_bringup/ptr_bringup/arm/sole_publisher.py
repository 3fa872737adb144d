# SPDX-License-Identifier: Apache-2.0
"""Does a topic have one publisher only? Plain data; `rivals.py` asks ROS.

Two arms of one ROS domain drive one robot, two simulators feed one arm: whatever is decided then is decided on half of
each. The graph names publishers at once, but also those of a killed process until its lease ends; messages come from
living ones alone. So a second publisher counts once two were heard, or once the graph has named it for too long.
"""

from __future__ import annotations

from collections.abc import Mapping

_WINDOW = 1.0
"""s for which a message shows that its publisher lives."""
_LEASE = 15.0
"""s after which a publisher in the graph is no leftover: longer than the lease of config/fastdds_profile.xml, 10 s."""


class SolePublisher:
    """What is known of the publishers of one topic.

    Args:
        topic: its name.
    """

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self._nodes: tuple[str, ...] = ()
        self._publishers: frozenset[bytes] = frozenset()
        self._since: float | None = None
        self._heard: dict[bytes, float] = {}

    @property
    def suspect(self) -> bool:
        """True while the graph names more than one publisher: it is worth to listen who speaks."""
        return self._since is not None

    def named(self, publishers: Mapping[bytes, str], now: float) -> None:
        """Take what the graph says: the node name of each publisher, by its GID (now: s, steady clock)."""
        before, self._publishers = self._publishers, frozenset(publishers)
        self._nodes = tuple(sorted(publishers.values()))
        if len(publishers) < 2:
            self._since = None
            self._heard.clear()
        elif self._since is None or self._publishers - before:  # a restarted node leaves its old publisher behind
            self._since = now

    def heard(self, publisher: bytes, now: float) -> None:
        """Take the identity of the publisher of a message; empty where the middleware gives none."""
        self._heard[publisher] = now

    def conflict(self, now: float) -> str:
        """Empty while there is one publisher, otherwise a clause that names the topic and the nodes."""
        if self._since is None:
            return ""
        alive = sum(at >= now - _WINDOW for at in self._heard.values())
        if alive < 2 and now - self._since < _LEASE:
            return ""
        return f"{self.topic} has {len(self._nodes)} publishers ({', '.join(self._nodes)})"
