# SPDX-License-Identifier: Apache-2.0
"""What a device's buttons ask of the recorder, and what the person hears when it does not follow."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("ptr_msgs.msg")

from std_srvs.srv import Trigger  # noqa: E402

from ptr_msgs.msg import EpisodeStatus  # noqa: E402
from ptr_msgs.srv import StartEpisode, StopEpisode  # noqa: E402
from ptr_teleop.buttons import RecorderButtons  # noqa: E402
from ptr_teleop.devices.base import Button  # noqa: E402


class Client:
    """A recorder's service that answers at once, when there is one."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def service_is_ready(self) -> bool:
        return self._node.answer is not None

    def call_async(self, request: Any) -> Any:
        self._node.asked.append(request)
        future = SimpleNamespace(result=lambda: self._node.answer)
        return SimpleNamespace(add_done_callback=lambda callback: callback(future))


class Node:
    """What RecorderButtons needs of a node."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.answer: Any = None
        self.on_status: Callable[[EpisodeStatus], None]

    def create_client(self, kind: type, name: str) -> Client:
        return Client(self)

    def create_subscription(self, kind: type, topic: str, callback: Callable[..., None], qos: Any) -> None:
        self.on_status = callback

    def get_parameter(self, name: str) -> Any:
        return SimpleNamespace(value="put_carrot_on_plate" if name == "task" else "")


def test_a_button_that_the_recorder_refuses_is_told_to_the_person() -> None:
    node, told = Node(), []
    buttons = RecorderButtons(node, told.append)
    buttons.press(Button.START, "joy")
    assert told == ["'start' was pressed, but no recorder is running; start it"]
    node.answer = StartEpisode.Response(success=False, message="only 0.10 GB are free for /data; make room")
    buttons.press(Button.START, "joy")
    assert told[1:] == ["the recorder refused: only 0.10 GB are free for /data; make room"]
    node.answer = StartEpisode.Response(success=True)
    buttons.press(Button.START, "joy")
    assert len(told) == 2


def test_one_button_begins_an_episode_and_saves_the_one_that_is_recorded() -> None:
    node = Node()
    buttons = RecorderButtons(node, lambda sentence: None)
    node.answer = StartEpisode.Response(success=True)
    buttons.press(Button.TOGGLE, "joy")
    node.on_status(EpisodeStatus(state=EpisodeStatus.RECORDING))
    node.answer = StopEpisode.Response(success=True)
    buttons.press(Button.TOGGLE, "joy")
    start, stop = node.asked
    assert (start.task, start.kind, start.extra_json) == ("put_carrot_on_plate", "demonstration", '{"device": "joy"}')
    assert (stop.save, stop.outcome) == (True, "success")


def test_discard_between_episodes_follows_the_recommendation_of_the_audit_and_nothing_else() -> None:
    node, told = Node(), []
    buttons = RecorderButtons(node, told.append)
    node.answer = Trigger.Response(success=True)
    node.on_status(EpisodeStatus(state=EpisodeStatus.IDLE, recommendation="keep"))
    buttons.press(Button.DISCARD, "keyboard")
    assert not node.asked
    assert told == ["no episode is being recorded; to discard the last one anyway, use `ptr record discard --last`"]
    node.on_status(EpisodeStatus(state=EpisodeStatus.IDLE, recommendation="discard"))
    buttons.press(Button.DISCARD, "keyboard")
    node.on_status(EpisodeStatus(state=EpisodeStatus.RECORDING))
    buttons.press(Button.DISCARD, "keyboard")
    last, present = node.asked
    assert isinstance(last, Trigger.Request)
    assert (present.save, present.outcome) == (False, "unlabelled")


def test_a_recorder_that_was_killed_is_not_asked_though_its_services_are_still_named() -> None:
    node, told, now = Node(), [], [100.0]
    buttons = RecorderButtons(node, told.append, clock=lambda: now[0])
    node.answer = StopEpisode.Response(success=True)
    node.on_status(EpisodeStatus(state=EpisodeStatus.RECORDING))
    now[0] += 3.0
    buttons.press(Button.SAVE, "joy")
    assert not node.asked
    assert told == [
        "'save' was pressed, but the recorder has been silent for 3 s; check that it is running, and restart it if not"
    ]
    node.on_status(EpisodeStatus(state=EpisodeStatus.RECORDING))
    buttons.press(Button.SAVE, "joy")
    assert len(node.asked) == 1
