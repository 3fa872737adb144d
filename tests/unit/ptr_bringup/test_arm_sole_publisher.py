# SPDX-License-Identifier: Apache-2.0
"""When a second publisher on one of the arm's topics counts."""

from __future__ import annotations

from ptr_bringup.arm.stop.exclusive_topics import SolePublisher

TWO = {b"alive": "arm", b"other": "arm"}


def test_two_publishers_that_speak_are_a_conflict_that_names_them() -> None:
    watch = SolePublisher("/joint_states")
    watch.update_graph({b"a": "simulator", b"b": "simulator"}, 10.0)
    assert not watch.conflict(10.0)
    watch.message_received(b"a", 10.1)
    assert not watch.conflict(10.1)
    watch.message_received(b"b", 10.2)
    assert watch.conflict(10.2) == "/joint_states has 2 publishers (simulator, simulator)"


def test_what_a_killed_process_leaves_in_the_graph_is_none() -> None:
    """It sends no more messages, and its lease ends after 10 s."""
    watch = SolePublisher("/arm/state")
    for second in range(11):
        watch.update_graph(TWO, float(second))
        watch.message_received(b"alive", float(second))
        assert not watch.conflict(float(second))
    watch.update_graph({b"alive": "arm"}, 11.0)
    assert not watch.suspect


def test_a_second_one_that_stays_counts_even_when_it_is_silent_or_the_middleware_tells_no_identity() -> None:
    watch = SolePublisher("/arm/state")
    for second in range(21):
        watch.update_graph(TWO, float(second))
        watch.message_received(b"", float(second))
    assert watch.conflict(20.0)


def test_one_after_the_other_is_no_conflict() -> None:
    watch = SolePublisher("/arm/state")
    watch.update_graph(TWO, 0.0)
    watch.message_received(b"old", 0.0)
    watch.message_received(b"new", 2.0)
    assert not watch.conflict(2.0)


def test_a_node_that_is_killed_and_started_again_and_again_is_no_conflict() -> None:
    """Each start leaves another publisher in the graph until its lease is over."""
    watch = SolePublisher("/joint_states")
    for life in range(5):
        for second in range(8 * life, 8 * life + 8):
            watch.update_graph({b"%d" % life: "simulator", b"%d" % (life - 1): "simulator"}, float(second))
            if second % 8 >= 2:  # it takes a moment to start
                watch.message_received(b"%d" % life, float(second))
            assert not watch.conflict(float(second))
