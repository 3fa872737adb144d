# SPDX-License-Identifier: Apache-2.0
"""The newest message of a topic."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("rclpy")

from ptr_bringup.ros.newest import Newest  # noqa: E402
from ptr_bringup.ros.session import SessionError  # noqa: E402


class Topic:
    """A node with one topic that is filled by hand."""

    def resolve_topic_name(self, topic: str) -> str:
        return f"/{topic}"

    def create_subscription(self, _: type, __: str, callback: Callable[[Any], None], ___: Any) -> None:
        self.publish = callback


def test_the_newest_message_replaces_the_older_one() -> None:
    topic, passed_on = Topic(), []
    newest = Newest(topic, str, "word", 10, passed_on.append)
    topic.publish("first")
    topic.publish("second")
    assert newest.there
    assert newest.message == "second"
    assert 0.0 <= newest.age < 60.0
    assert passed_on == ["first", "second"]


def test_a_topic_that_is_silent_is_named() -> None:
    newest = Newest(Topic(), str, "word", 10)
    assert not newest.there
    assert newest.age == math.inf
    with pytest.raises(SessionError, match="/word"):
        _ = newest.message
