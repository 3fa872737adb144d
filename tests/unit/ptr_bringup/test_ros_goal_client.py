# SPDX-License-Identifier: Apache-2.0
"""A goal that is answered while it is still being sent."""

from __future__ import annotations

import threading

import pytest

pytest.importorskip("rclpy")

from rclpy.action import ActionClient  # noqa: E402
from rclpy.task import Future  # noqa: E402

from ptr_bringup.ros.session import GoalClient  # noqa: E402


def client(kind: type) -> ActionClient:
    """One without a node: it knows one goal that was sent, and its future."""
    made = object.__new__(kind)
    made._futures = []
    made._pending_goal_requests = {}
    made._goal_sequence_number_to_goal_id = {}
    made.destroy = lambda: None
    return made


def note(sender: ActionClient, future: Future) -> None:
    """What `send_goal_async` does once the goal is sent."""
    sender._pending_goal_requests[1] = future
    future.add_done_callback(sender._remove_pending_goal_request)
    sender.add_future(future)


def test_an_answer_that_comes_before_its_future_is_noted_is_not_lost() -> None:
    future = Future()
    future.set_result("accepted")
    with pytest.raises(ValueError, match="not in list"):
        note(client(ActionClient), future)
    sender = client(GoalClient)
    note(sender, future)
    assert future.result() == "accepted"
    assert not sender._futures and not sender._pending_goal_requests


def test_a_future_that_is_answered_later_is_noted_and_forgotten() -> None:
    sender, future = client(GoalClient), Future()
    note(sender, future)
    assert sender._futures == [future]
    sender._remove_pending_goal_request(future)
    assert not sender._futures and not sender._pending_goal_requests


def test_no_response_is_taken_before_the_goal_s_future_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """rclpy stores the future that it returns some time after the goal was sent."""
    sender, order = client(GoalClient), []
    sender._sending = threading.Lock()
    sending = threading.Event()

    def send(self: ActionClient, goal: object) -> None:
        sending.set()
        order.append("sent")
        assert not taken.wait(0.2)
        order.append("stored")

    def take(self: ActionClient) -> None:
        order.append("taken")
        taken.set()

    taken = threading.Event()
    monkeypatch.setattr(ActionClient, "send_goal_async", send)
    monkeypatch.setattr(ActionClient, "take_data", take)
    thread = threading.Thread(target=lambda: sending.wait(5.0) and sender.take_data())
    thread.start()
    sender.send_goal_async("goal")
    thread.join(timeout=5.0)
    assert order == ["sent", "stored", "taken"]
