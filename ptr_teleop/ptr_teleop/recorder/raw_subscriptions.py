# SPDX-License-Identifier: Apache-2.0
"""Subscriptions that are drained many times a second instead of waking an executor for each message.

At 400 messages a second, waking it would cost more than everything the recorder does with them. The middleware knows
when each message arrived.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

from ptr_bringup.ros.names import relative
from ptr_bringup.ros.polling import Undispatched, take
from ptr_bringup.ros.publisher_identity import PublisherIdentities, publisher_gid
from ptr_teleop.recorder.own_messages import OwnMessages
from ptr_teleop.recorder.streams import Stream

QUEUE = 200
"""Messages per stream: 2 s of the fastest, in case the processor or the disk is busy. The middleware keeps memory for
as many as ever waited at once (tests/benchmarks/queue_memory.py)."""


class Arrival(NamedTuple):
    """A message as it arrived: topic, CDR bytes, and what the middleware knows about it.

    Attributes:
        stamp: ns, when it arrived.   published: ns, when it was sent.
        sequence: the publisher's sequence number; 0: not known.   publisher: its GID or another identity.
    """

    topic: str
    data: bytes
    stamp: int
    published: int
    sequence: int
    publisher: bytes


class RawSubscriptions:
    """One subscription per stream, in the node's namespace; bags have the topics without the namespace.

    Args:
        node: owns the subscriptions.
        streams: what to subscribe to.
        clock: simulated time, ns; None: the node uses the system clock, like the middleware.
    """

    def __init__(self, node: Node, streams: Iterable[Stream], clock: Callable[[], int] | None = None) -> None:
        self._node, self._clock, self._group = node, clock, Undispatched()
        self._streams = {stream.topic: stream for stream in streams}
        self._own = OwnMessages(node)
        self._alone: dict[str, bool] = {}  # topics with one publisher
        self._identities = {topic: PublisherIdentities() for topic in self._streams}
        self._subscriptions = {topic: self._open(topic, self._request(topic)) for topic in self._streams}

    def drain(self) -> list[Arrival]:
        """Messages since the last call, in order of arrival."""
        found: list[Arrival] = []
        for topic, subscription in self._subscriptions.items():
            found += [self._arrival(topic, *taken) for taken in take(subscription, raw=True)]
        found = self._own.sort(found)
        found.sort(key=lambda arrival: arrival.stamp)
        return found

    def _arrival(self, topic: str, data: bytes, info: dict[str, Any]) -> Arrival:
        publisher = publisher_gid(info)
        sequence = info.get("publication_sequence_number") or 0
        if not publisher and not self._alone[topic]:  # Jazzy does not name the publisher, but numbers its messages
            if self._streams[topic].shared:
                sequence = 0
            else:
                publisher = repr(self._identities[topic].identify(topic, info)).encode()
        return Arrival(
            topic=topic,
            data=data,
            stamp=info["received_timestamp"] if self._clock is None else self._clock(),
            published=info["source_timestamp"] if self._clock is None else 0,
            sequence=sequence,
            publisher=publisher,
        )

    def adapt(self, recording: bool) -> None:
        """Match the QoS of the subscriptions to what the publishers offer; call it regularly.

        During an episode, only subscriptions that are incompatible with a publisher are replaced.
        """
        for topic, subscription in self._subscriptions.items():
            wanted, present = self._request(topic), _key(subscription.qos_profile)
            if wanted == present or (recording and _compatible(present, wanted)):
                continue
            self._node.destroy_subscription(subscription)
            self._subscriptions[topic] = self._open(topic, wanted)

    def offered(self, topic: str) -> list[Qos]:
        """QoS that the publishers of a topic offer, for the bag."""
        return [_recorded(info.qos_profile) for info in self._node.get_publishers_info_by_topic(relative(topic))]

    def _request(self, topic: str) -> tuple[ReliabilityPolicy, DurabilityPolicy]:
        """The strongest QoS that every publisher of a topic offers; before there is one, the stream's default."""
        offers = [info.qos_profile for info in self._node.get_publishers_info_by_topic(relative(topic))]
        self._alone[topic] = len(offers) == 1
        stream = self._streams[topic]
        # A latched message must not be missed because its publisher was discovered after the episode started.
        reliable, kept = stream.reliable, stream.lasting
        if offers:
            reliable = all(offer.reliability is ReliabilityPolicy.RELIABLE for offer in offers)
            kept = all(offer.durability is DurabilityPolicy.TRANSIENT_LOCAL for offer in offers)
        return (
            ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
            DurabilityPolicy.TRANSIENT_LOCAL if kept and reliable else DurabilityPolicy.VOLATILE,
        )

    def _open(self, topic: str, request: tuple[ReliabilityPolicy, DurabilityPolicy]) -> Any:
        qos = QoSProfile(depth=QUEUE, reliability=request[0], durability=request[1])
        kind = message_class(self._streams[topic].type)
        return self._node.create_subscription(
            kind, relative(topic), lambda data: None, qos, callback_group=self._group, raw=True
        )


def message_class(type_name: str) -> type:
    """The class of a message type such as ptr_msgs/msg/ArmState."""
    package, _, name = type_name.split("/")
    return getattr(importlib.import_module(f"{package}.msg"), name)


def _key(profile: QoSProfile) -> tuple[ReliabilityPolicy, DurabilityPolicy]:
    return profile.reliability, profile.durability


def _compatible(
    subscribed: tuple[ReliabilityPolicy, DurabilityPolicy], offered: tuple[ReliabilityPolicy, DurabilityPolicy]
) -> bool:
    """Whether a subscription asks for no more than the publishers offer."""
    reliable = offered[0] is ReliabilityPolicy.RELIABLE or subscribed[0] is not ReliabilityPolicy.RELIABLE
    kept = offered[1] is DurabilityPolicy.TRANSIENT_LOCAL or subscribed[1] is not DurabilityPolicy.TRANSIENT_LOCAL
    return reliable and kept


def _recorded(profile: QoSProfile) -> Qos:
    """A profile in the bag's form; the numbers of the policies are the same in both."""

    def time(duration: Any) -> QosTime:
        return QosTime(*divmod(duration.nanoseconds, 10**9))

    return Qos(
        history=QosHistory(int(profile.history)),
        depth=profile.depth,
        reliability=QosReliability(int(profile.reliability)),
        durability=QosDurability(int(profile.durability)),
        deadline=time(profile.deadline),
        lifespan=time(profile.lifespan),
        liveliness=QosLiveliness(int(profile.liveliness)),
        liveliness_lease_duration=time(profile.liveliness_lease_duration),
        avoid_ros_namespace_conventions=profile.avoid_ros_namespace_conventions,
    )
