# SPDX-License-Identifier: Apache-2.0
"""In a namespace an episode has no messages of other robots, on the topics that all robots share."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy")

from ptr_teleop.recorder.own_messages import TIMEOUT, OwnMessages  # noqa: E402
from ptr_teleop.recorder.raw_subscriptions import Arrival  # noqa: E402


def arrival(publisher: bytes, topic: str = "/tf") -> Arrival:
    return Arrival(topic, b"data", 0, 0, 0, publisher)


class Graph:
    """A node in a namespace, the publishers that it knows of, and a clock."""

    def __init__(self, namespace: str) -> None:
        self.now, self.known = 0.0, dict[bytes, str]()
        self._namespace = namespace
        self.own = OwnMessages(self, lambda: self.now)

    def get_namespace(self) -> str:
        return self._namespace

    def get_publishers_info_by_topic(self, topic: str) -> list[SimpleNamespace]:
        assert topic.startswith("/")
        return [SimpleNamespace(endpoint_gid=list(g), node_namespace=n) for g, n in self.known.items()]

    def kept(self, *arrivals: Arrival) -> list[bytes]:
        return [one.publisher for one in self.own.sort(arrivals)]


def test_messages_of_a_namespace_beside_are_left_out_and_those_of_none_or_within_are_kept() -> None:
    graph = Graph("/left")
    graph.known = {b"own": "/left", b"within": "/left/camera", b"lab": "/", b"other": "/right", b"near": "/left2"}
    assert graph.kept(*map(arrival, graph.known)) == [b"own", b"within", b"lab"]


def test_without_a_namespace_everything_is_kept() -> None:
    graph = Graph("/")
    graph.known = {b"other": "/right"}
    assert graph.kept(arrival(b"other"), arrival(b"unknown")) == [b"other", b"unknown"]


def test_topics_of_the_robot_itself_are_not_asked_about() -> None:
    assert Graph("/left").kept(arrival(b"anybody", "/arm/state")) == [b"anybody"]


def test_a_message_waits_until_the_graph_knows_its_publisher() -> None:
    graph = Graph("/left")
    graph.known = {b"own": "_NODE_NAMESPACE_UNKNOWN_"}
    assert graph.kept(arrival(b"own"), arrival(b"other")) == []
    graph.known = {b"own": "/left", b"other": "/right"}
    assert graph.kept() == [b"own"]


def test_a_message_whose_publisher_stays_unknown_is_kept_in_the_end() -> None:
    graph = Graph("/left")
    assert graph.kept(arrival(b"gone")) == []
    graph.now = TIMEOUT + 0.1
    assert graph.kept() == [b"gone"]
    assert graph.kept() == []


def test_where_messages_do_not_name_their_publisher_they_are_kept() -> None:
    assert Graph("/left").kept(arrival(b"")) == [b""]
