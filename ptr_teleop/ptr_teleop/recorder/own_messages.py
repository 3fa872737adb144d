# SPDX-License-Identifier: Apache-2.0
"""Keeps the messages of other robots out of an episode, on topics that all robots of a ROS domain share.

/tf, /tf_static and /diagnostics carry every robot's messages. A message belongs to another robot if its publisher's
node is in a sibling namespace: /right for /left. Nodes without a namespace and in nested namespaces belong to this one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ptr_bringup.ros.names import SHARED, prefix, relative

if TYPE_CHECKING:
    from rclpy.node import Node

    from ptr_teleop.recorder.raw_subscriptions import Arrival

TIMEOUT = 3.0
"""s that a message waits for the graph to list its publisher's node, which may come later; after that it is kept."""
MAX_PUBLISHERS = 256
"""Publishers that are remembered; with more, the graph is queried again."""
_UNKNOWN = "_NODE_NAMESPACE_UNKNOWN_"


class OwnMessages:
    """Sorts messages by the namespace of their publishers.

    Args:
        node: its namespace is the robot's; without a namespace every message is kept.
        clock: steady time, s.
    """

    def __init__(self, node: Node, clock: Callable[[], float] = time.monotonic) -> None:
        self._node, self._clock = node, clock
        self._home = node.get_namespace()
        self._namespaces: dict[bytes, str] = {}
        self._waiting: list[tuple[float, Arrival]] = []

    def sort(self, arrivals: Iterable[Arrival]) -> list[Arrival]:
        """The messages of this robot, including earlier ones whose publisher is known by now."""
        if not prefix(self._home):
            return list(arrivals)
        now, kept = self._clock(), []
        candidates, self._waiting = [*self._waiting, *((now, arrival) for arrival in arrivals)], []
        asked: set[str] = set()
        for since, arrival in candidates:
            if arrival.topic not in SHARED or not arrival.publisher:  # Jazzy does not name the publisher
                kept.append(arrival)
                continue
            if arrival.publisher not in self._namespaces and arrival.topic not in asked:
                asked.add(arrival.topic)
                self._ask(arrival.topic)
            namespace = self._namespaces.get(arrival.publisher)
            if namespace is None and now - since < TIMEOUT:
                self._waiting.append((since, arrival))
            elif namespace is None or self._is_own(namespace):
                kept.append(arrival)
        return kept

    def _ask(self, topic: str) -> None:
        if len(self._namespaces) > MAX_PUBLISHERS:
            self._namespaces.clear()
        for info in self._node.get_publishers_info_by_topic(relative(topic)):
            if info.node_namespace and info.node_namespace != _UNKNOWN:
                self._namespaces[bytes(info.endpoint_gid)] = info.node_namespace

    def _is_own(self, namespace: str) -> bool:
        return not prefix(namespace) or prefix(namespace).startswith(prefix(self._home))
