# SPDX-License-Identifier: Apache-2.0
"""Exclusive control of the arm: no other node publishes what this one does, or what it is driven by.

A second arm node refuses to start while the first one speaks. Once running, the arm latches its stop when a second
publisher appears on one of the topics, and stays stopped as long as there are two.

Two arms of one ROS domain drive one robot, two simulators feed one arm: whatever is decided then is decided on half of
each. The graph names publishers at once, but also those of a killed process until its lease ends; messages come from
living ones alone. So a second publisher counts once two were heard, or once the graph has named it for too long.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data

from ptr_bringup.arm.drivers.base import Topic
from ptr_bringup.ros.context import StartupError
from ptr_bringup.ros.time import STEADY

if TYPE_CHECKING:
    from rclpy.subscription import MessageInfo

_PERIOD = 0.5
"""s between two looks at the graph."""
_DISCOVERY = 1.5
"""s within which a node that runs already is known; nodes announce themselves once a second."""
_UNNAMED = "_NODE_NAME_UNKNOWN_"
"""What rmw calls a node whose publisher was discovered before its name."""
_SPEAKS = 0.5
"""s within which one that lives is heard."""


def domain() -> str:
    """The ROS domain of this process, as an error names it."""
    return os.environ.get("ROS_DOMAIN_ID") or "0"


def advice() -> str:
    """What to do when two robots meet."""
    return (
        f"two robots run in ROS domain {domain()}; end one of them, or give each its own domain (export "
        "ROS_DOMAIN_ID=NUMBER) or its own namespace (namespace:=NAME)"
    )


def refuse_second(node: Node, topic: Topic) -> None:
    """Wait until nodes that run already are known, and refuse to start when one of them publishes a topic.

    Raises:
        StartupError: it does, and its messages arrive: it isn't what is left of a killed one.
    """
    heard: list[Any] = []
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        if not _spin(executor, lambda: node.count_publishers(topic.name), _DISCOVERY):
            return
        ear = node.create_subscription(topic.type, topic.name, heard.append, qos_profile_sensor_data, raw=True)
        if _spin(executor, lambda: heard, _SPEAKS):
            _spin(executor, lambda: _UNNAMED not in publishers(node, topic.name).values(), _SPEAKS)
        others = sorted(publishers(node, topic.name).values())
        node.destroy_subscription(ear)
    finally:
        executor.remove_node(node)
        executor.shutdown()
    if heard:
        name = node.resolve_topic_name(topic.name)
        raise StartupError(f"{name} is published by {', '.join(others) or 'another node'} already: {advice()}")


def _spin(executor: SingleThreadedExecutor, condition: Callable[[], Any], timeout: float) -> bool:
    """Spin until something holds; False when it does not within `timeout` s."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            return False
        executor.spin_once(timeout_sec=0.05)
    return True


def publishers(node: Node, topic: str) -> dict[bytes, str]:
    """Node name of each publisher of a topic, by its GID."""
    found = node.get_publishers_info_by_topic(topic)
    return {bytes(info.endpoint_gid): info.node_name or _UNNAMED for info in found}


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


class ExclusiveTopics:
    """Watches topics that may have one publisher each.

    Args:
        topics: that are watched.
        stop: latches the stop; called with the reason while there is one.
    """

    def __init__(self, node: Node, topics: Sequence[Topic], stop: Callable[[str], None]) -> None:
        self._node, self._stop = node, stop
        self._topics = [Topic(node.resolve_topic_name(topic.name), topic.type) for topic in topics]
        self._watched = {topic.name: SolePublisher(topic.name) for topic in self._topics}
        self._ears: dict[str, Any] = {}
        node.create_timer(_PERIOD, self._check, clock=STEADY)

    def refusal(self) -> str:
        """Why the stop must not be cleared, or empty."""
        now = time.monotonic()
        found = [why for one in self._watched.values() if (why := one.conflict(now))]
        return f"{found[0]}: {advice()}" if found else ""

    def _check(self) -> None:
        for topic in self._topics:
            watched = self._watched[topic.name]
            watched.named(publishers(self._node, topic.name), time.monotonic())
            self._listen(topic, watched)
        if why := self.refusal():
            self._stop(why)

    def _listen(self, topic: Topic, watched: SolePublisher) -> None:
        """Listen who speaks for as long as there seem to be two."""
        if watched.suspect and topic.name not in self._ears:

            def hear(_: bytes, info: MessageInfo) -> None:
                watched.heard(bytes((info.get("publisher_gid") or {}).get("data", b"")), time.monotonic())

            self._ears[topic.name] = self._node.create_subscription(
                topic.type, topic.name, hear, qos_profile_sensor_data, raw=True
            )
        elif not watched.suspect and topic.name in self._ears:
            self._node.destroy_subscription(self._ears.pop(topic.name))
