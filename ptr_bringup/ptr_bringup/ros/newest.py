# SPDX-License-Identifier: Apache-2.0
"""The newest message of a topic, for a session that polls it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from rclpy.node import Node
from rclpy.qos import QoSProfile

from ptr_bringup.ros.session import SessionError

Message = TypeVar("Message")


class Newest(Generic[Message]):
    """Subscribes to a topic and keeps its newest message.

    Args:
        then: called with each message, in the spinning thread.
    """

    def __init__(
        self,
        node: Node,
        kind: type[Message],
        topic: str,
        qos: QoSProfile | int,
        then: Callable[[Message], None] | None = None,
    ) -> None:
        self._topic, self._then = node.resolve_topic_name(topic), then
        self._newest: Message | None = None
        self._arrived = -math.inf
        node.create_subscription(kind, topic, self._on_message, qos)

    def _on_message(self, message: Message) -> None:
        self._arrived, self._newest = time.monotonic(), message
        if self._then is not None:
            self._then(message)

    @property
    def there(self) -> bool:
        """Whether a message has arrived."""
        return self._newest is not None

    @property
    def age(self) -> float:
        """s since the newest message arrived; infinite before the first."""
        return time.monotonic() - self._arrived

    @property
    def message(self) -> Message:
        """The newest message.

        Raises:
            SessionError: none has arrived.
        """
        if self._newest is None:
            raise SessionError(f"nothing has arrived on {self._topic} yet; is its node running?")
        return self._newest
