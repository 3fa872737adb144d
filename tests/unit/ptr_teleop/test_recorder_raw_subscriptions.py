# SPDX-License-Identifier: Apache-2.0
"""What the recorder takes from the middleware's word on each message, of versions that name publishers and others."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("rclpy")

from rclpy.qos import DurabilityPolicy, ReliabilityPolicy  # noqa: E402

from ptr_teleop.recorder.raw_subscriptions import RawSubscriptions  # noqa: E402
from ptr_teleop.recorder.streams import Stream  # noqa: E402

TOPIC = "/arm/state"


class Queue:
    """The handle of a subscription, with messages that wait."""

    def __init__(self, infos: list[dict[str, Any]]) -> None:
        self._infos = infos

    def __enter__(self) -> None:
        """Held while messages are taken."""

    def __exit__(self, *_: object) -> None:
        """Given back."""

    def take_message(self, *_: object) -> tuple[bytes, dict[str, Any]] | None:
        return (b"data", self._infos.pop(0)) if self._infos else None


def sequences(publishers: int, *infos: dict[str, Any], shared: bool = False) -> list[tuple[int, bytes]]:
    """Number and publisher of each message that arrives on a topic with so many publishers."""
    times = {"received_timestamp": 2, "source_timestamp": 1}
    queue = Queue([times | info for info in infos])
    qos = SimpleNamespace(reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.VOLATILE)
    node = SimpleNamespace(
        get_namespace=lambda: "/",
        get_publishers_info_by_topic=lambda _: [SimpleNamespace(qos_profile=qos)] * publishers,
        create_subscription=lambda *_, **__: SimpleNamespace(handle=queue, msg_type=object, qos_profile=qos),
    )
    taps = RawSubscriptions(node, [Stream(TOPIC, "std_msgs/msg/String", shared=shared)])
    return [(arrival.sequence, arrival.publisher) for arrival in taps.drain()]


def test_a_named_publisher_numbers_its_messages_among_others() -> None:
    info = {"publisher_gid": {"data": b"one"}, "publication_sequence_number": 7}
    assert sequences(2, info) == [(7, b"one")]


def test_without_names_the_numbers_of_a_lone_publisher_count() -> None:
    assert sequences(1, {"publication_sequence_number": 7}, {"publication_sequence_number": 9}) == [(7, b""), (9, b"")]


def test_without_names_two_publishers_are_told_apart_by_their_numbers() -> None:
    infos = [{"publication_sequence_number": number} for number in (7, 900, 8, 902)]
    (one, first), (two, other), (three, again), (four, last) = sequences(2, *infos)
    assert (one, two, three, four) == (7, 900, 8, 902)
    assert first == again != other == last
    assert first and other


def test_without_names_the_mixed_numbers_of_a_shared_topic_tell_of_no_loss() -> None:
    infos = [{"publication_sequence_number": number} for number in (7, 900)]
    assert sequences(2, *infos, shared=True) == [(0, b"")] * 2
