# SPDX-License-Identifier: Apache-2.0
"""What a device's buttons ask of the recorder, and of the scene."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from rclpy.client import Client
from rclpy.node import Node
from rclpy.task import Future
from std_srvs.srv import Trigger

from ptr_bringup.ros.qos import LATCHED
from ptr_models.episodes.quality import DISCARD
from ptr_msgs.msg import EpisodeStatus
from ptr_msgs.srv import StartEpisode, StopEpisode
from ptr_teleop.devices.base import Button

SILENCE = 2.0
"""s without a status, of which a recorder sends four a second, after which it is taken for dead. ROS's graph names a
killed node for some ten seconds more, and its services swallow what they are asked."""
OUTCOMES = {
    Button.SAVE: "success",
    Button.FAIL: "failure",
    Button.KEEP: "unlabelled",
    Button.DISCARD: "unlabelled",
}


class RecorderButtons:
    """Calls the recorder's services, and tells what it refuses.

    Args:
        node: whose clients they are; its parameters `task`, `instruction` and `operator_name` go into an episode
            that is started, as they are at that moment.
        tell: says a sentence to the person at the device.
        clock: s of a clock that never jumps.
    """

    def __init__(self, node: Node, tell: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._node, self._tell, self._clock = node, tell, clock
        self._start: Client = node.create_client(StartEpisode, "recorder/start")
        self._stop: Client = node.create_client(StopEpisode, "recorder/stop")
        self._discard_last: Client = node.create_client(Trigger, "recorder/discard_last")
        self._recording, self._recommendation = False, ""
        self._heard: float | None = None
        node.create_subscription(EpisodeStatus, "episode/status", self._on_status, LATCHED)

    def press(self, button: Button, device: str) -> None:
        """Ask the recorder for what the button says; `discard` between episodes follows the audit's recommendation."""
        if button is Button.TOGGLE:
            button = Button.SAVE if self._recording else Button.START
        client = self._start if button is Button.START else self._stop
        if button is Button.DISCARD and not self._recording and self._heard is not None:
            if self._recommendation != DISCARD:
                self._tell("nothing is recorded; `ptr record discard --last` discards the last episode all the same")
                return
            client = self._discard_last
        if not client.service_is_ready():
            self._tell(f"'{button.value}' was pressed, but no recorder runs; start it")
            return
        silent = 0.0 if self._heard is None else self._clock() - self._heard
        if silent > SILENCE:
            self._recording = False
            self._tell(
                f"'{button.value}' was pressed, but the recorder has said nothing for {silent:.0f} s; "
                "look whether it still runs, and start it again"
            )
            return
        request = Trigger.Request() if client is self._discard_last else self._request(button, device)
        client.call_async(request).add_done_callback(self._on_answer)

    def _on_status(self, message: EpisodeStatus) -> None:
        self._heard = self._clock()
        self._recording, self._recommendation = message.state == EpisodeStatus.RECORDING, message.recommendation

    def _request(self, button: Button, device: str) -> StartEpisode.Request | StopEpisode.Request:
        if button is Button.START:
            return StartEpisode.Request(
                task=self._parameter("task"),
                kind="demonstration",
                operator_name=self._parameter("operator_name"),
                instruction=self._parameter("instruction"),
                extra_json=json.dumps({"device": device}),
            )
        return StopEpisode.Request(save=button is not Button.DISCARD, outcome=OUTCOMES[button], score=float("nan"))

    def _parameter(self, name: str) -> str:
        return str(self._node.get_parameter(name).value)

    def _on_answer(self, future: Future) -> None:
        answer = future.result()
        if answer is not None and not answer.success:
            self._tell(f"the recorder refused: {answer.message}")


class SceneButton:
    """Asks for the next scene (the arm to its start, in simulation new objects), and tells why there is none.

    Args:
        tell: says a sentence to the person at the device.
    """

    def __init__(self, node: Node, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._next: Client = node.create_client(Trigger, "scene/next")

    def press(self) -> None:
        """The button was pressed."""
        if not self._next.service_is_ready():
            self._tell("the next scene was asked for, but no node `scene` runs; collect.launch.xml starts it")
            return
        self._next.call_async(Trigger.Request()).add_done_callback(self._on_answer)

    def _on_answer(self, future: Future) -> None:
        answer = future.result()
        if answer is not None and not answer.success:
            self._tell(f"there is no new scene: {answer.message}")
