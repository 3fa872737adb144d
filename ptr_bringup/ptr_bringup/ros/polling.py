# SPDX-License-Identifier: Apache-2.0
"""Subscriptions that a node polls, instead of an executor that wakes up for each message.

rclpy's executor rebuilds its wait set for every message. With many messages, or unneeded ones, that costs more than
processing them. So these subscriptions belong to a group that no executor dispatches, and `take` returns what has
arrived in their queues.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.subscription import Subscription


class Undispatched(CallbackGroup):
    """Entities that no executor dispatches."""

    def can_execute(self, entity: Any) -> bool:
        """Never."""
        return False

    def beginning_execution(self, entity: Any) -> bool:
        """Never."""
        return False

    def ending_execution(self, entity: Any) -> None:
        """Nothing to end."""


def take(subscription: Subscription, raw: bool = False) -> Iterator[tuple[Any, Any]]:
    """Messages that have arrived since the last call, each with its `MessageInfo`.

    Args:
        raw: messages as CDR bytes.
    """
    handle, kind = subscription.handle, subscription.msg_type
    with handle:
        while (taken := handle.take_message(kind, raw)) is not None:
            yield taken
