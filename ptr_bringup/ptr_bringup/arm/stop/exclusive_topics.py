# SPDX-License-Identifier: Apache-2.0
"""Exclusive control of the arm: no other node may publish this node's outputs or inputs.

A second arm node refuses to start while the first one publishes. Once running, the arm latches its stop if a second
publisher appears on one of the topics, and stays stopped while there are two.

Otherwise two arm nodes in one ROS domain would drive one robot, or two simulators would feed one arm, and decisions
would be based on a mix of both. The graph lists a publisher immediately, but it also lists those of a killed process
until their lease ends; only live ones send messages. So a second publisher counts once messages from both have arrived,
or once the graph has listed it for too long.
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
from ptr_bringup.ros.publisher_identity import publisher_gid
from ptr_bringup.ros.time import STEADY

if TYPE_CHECKING:
    from rclpy.subscription import MessageInfo

_PERIOD = 0.5
"""s between two checks of the graph."""
_DISCOVERY_TIMEOUT = 1.5
"""s within which running nodes are discovered; nodes announce themselves once a second."""
_UNNAMED = "_NODE_NAME_UNKNOWN_"
"""rmw's name for a node whose publisher was discovered before its name."""
_MESSAGE_TIMEOUT = 0.5
"""s within which a message from a live publisher arrives."""


def domain() -> str:
    """The ROS domain of this process, for error messages."""
    return os.environ.get("ROS_DOMAIN_ID") or "0"


def conflict_advice() -> str:
    """What to do about two robots in one domain."""
    return (
        f"two robots run in ROS domain {domain()}; end one of them, or give each its own domain (export "
        "ROS_DOMAIN_ID=NUMBER) or its own namespace (namespace:=NAME)"
    )


def require_sole_publisher(node: Node, topic: Topic) -> None:
    """Wait until running nodes are discovered, and refuse to start if one of them publishes a topic.

    Raises:
        StartupError: a node publishes it and its messages arrive, so it is not left over from a killed process.
    """
    messages: list[Any] = []
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        if not _spin(executor, lambda: node.count_publishers(topic.name), _DISCOVERY_TIMEOUT):
            return
        subscription = node.create_subscription(
            topic.type, topic.name, messages.append, qos_profile_sensor_data, raw=True
        )
        if _spin(executor, lambda: messages, _MESSAGE_TIMEOUT):
            _spin(executor, lambda: _UNNAMED not in publishers(node, topic.name).values(), _MESSAGE_TIMEOUT)
        others = sorted(publishers(node, topic.name).values())
        node.destroy_subscription(subscription)
    finally:
        executor.remove_node(node)
        executor.shutdown()
    if messages:
        name = node.resolve_topic_name(topic.name)
        raise StartupError(f"{name} is already published by {', '.join(others) or 'another node'}: {conflict_advice()}")


def _spin(executor: SingleThreadedExecutor, condition: Callable[[], Any], timeout: float) -> bool:
    """Spin until a condition holds; False if it does not within `timeout` s."""
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


_ALIVE_WINDOW = 1.0
"""s after a message for which its publisher counts as alive."""
_LEASE_TIMEOUT = 15.0
"""s after which a publisher in the graph is real: longer than the lease of config/fastdds_profile.xml, 10 s."""


class SolePublisher:
    """What is known about the publishers of one topic.

    Args:
        topic: its name.
    """

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self._nodes: tuple[str, ...] = ()
        self._publishers: frozenset[bytes] = frozenset()
        self._since: float | None = None
        self._received_at: dict[bytes, float] = {}

    @property
    def suspect(self) -> bool:
        """True while the graph lists more than one publisher: then check whose messages arrive."""
        return self._since is not None

    def update_graph(self, publishers: Mapping[bytes, str], now: float) -> None:
        """Update from the graph: the node name of each publisher by its GID (now: s, steady clock)."""
        before, self._publishers = self._publishers, frozenset(publishers)
        self._nodes = tuple(sorted(publishers.values()))
        if len(publishers) < 2:
            self._since = None
            self._received_at.clear()
        elif self._since is None or self._publishers - before:  # a restarted node leaves its old publisher behind
            self._since = now

    def message_received(self, publisher: bytes, now: float) -> None:
        """Record the publisher of a message; empty if the middleware does not give it."""
        self._received_at[publisher] = now

    def conflict(self, now: float) -> str:
        """Empty while there is one publisher, otherwise a clause with the topic and the nodes."""
        if self._since is None:
            return ""
        alive = sum(at >= now - _ALIVE_WINDOW for at in self._received_at.values())
        if alive < 2 and now - self._since < _LEASE_TIMEOUT:
            return ""
        return f"{self.topic} has {len(self._nodes)} publishers ({', '.join(self._nodes)})"


class ExclusiveTopics:
    """Monitors topics that may have one publisher each.

    Args:
        topics: the topics.
        stop: latches the stop; called with the reason while there is a conflict.
    """

    def __init__(self, node: Node, topics: Sequence[Topic], stop: Callable[[str], None]) -> None:
        self._node, self._stop = node, stop
        self._topics = [Topic(node.resolve_topic_name(topic.name), topic.type) for topic in topics]
        self._watched = {topic.name: SolePublisher(topic.name) for topic in self._topics}
        self._subscriptions: dict[str, Any] = {}
        node.create_timer(_PERIOD, self._check, clock=STEADY)

    def refusal(self) -> str:
        """Why the stop must not be cleared, or an empty string."""
        now = time.monotonic()
        found = [why for one in self._watched.values() if (why := one.conflict(now))]
        return f"{found[0]}: {conflict_advice()}" if found else ""

    def _check(self) -> None:
        for topic in self._topics:
            watched = self._watched[topic.name]
            watched.update_graph(publishers(self._node, topic.name), time.monotonic())
            self._listen(topic, watched)
        if why := self.refusal():
            self._stop(why)

    def _listen(self, topic: Topic, watched: SolePublisher) -> None:
        """Subscribe while there seem to be two publishers, to see whose messages arrive."""
        if watched.suspect and topic.name not in self._subscriptions:

            def on_message(_: bytes, info: MessageInfo) -> None:
                watched.message_received(publisher_gid(info), time.monotonic())

            self._subscriptions[topic.name] = self._node.create_subscription(
                topic.type, topic.name, on_message, qos_profile_sensor_data, raw=True
            )
        elif not watched.suspect and topic.name in self._subscriptions:
            self._node.destroy_subscription(self._subscriptions.pop(topic.name))
