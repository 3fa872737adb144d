# SPDX-License-Identifier: Apache-2.0
"""Subscriptions that a node looks at when it suits it, instead of an executor that wakes for each message.

An executor of rclpy builds its wait set again for every message; where many come, or more than are needed, that costs
more than what is done with them. So these subscriptions belong to a group that no executor dispatches, and `take`
takes what has arrived in their queues.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.subscription import Subscription


class Undispatched(CallbackGroup):
    """Entities that no executor looks at."""

    def can_execute(self, entity: Any) -> bool:
        """Never."""
        return False

    def beginning_execution(self, entity: Any) -> bool:
        """Never."""
        return False

    def ending_execution(self, entity: Any) -> None:
        """Nothing was begun."""


def take(subscription: Subscription, raw: bool = False) -> Iterator[tuple[Any, Any]]:
    """What has arrived since the last call: messages, with what the middleware knows of each (`MessageInfo`).

    Args:
        raw: messages as CDR bytes.
    """
    handle, kind = subscription.handle, subscription.msg_type
    with handle:
        while (taken := handle.take_message(kind, raw)) is not None:
            yield taken
