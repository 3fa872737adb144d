# SPDX-License-Identifier: Apache-2.0
"""What a device's buttons ask of the recorder."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from rclpy.node import Node
from rclpy.task import Future

from ptr_bringup.ros.qos import LATCHED
from ptr_msgs.msg import EpisodeStatus
from ptr_msgs.srv import StartEpisode, StopEpisode
from ptr_teleop.devices.base import Button

SILENCE = 2.0
"""s without a status, of which a recorder sends four a second, after which it is taken for dead. ROS's graph names a
killed node for some ten seconds more, and its services swallow what they are asked."""
OUTCOMES = {Button.SAVE: "success", Button.FAIL: "failure", Button.DISCARD: "unlabelled"}


class RecorderButtons:
    """Calls the recorder's services, and tells what it refuses.

    Args:
        node: whose clients they are; its parameters `task`, `instruction` and `operator_name` go into an episode
            that is started, as they are at that moment.
        tell: says a sentence to the person at the device.
        clock: s of a clock that never jumps.
    """

    def __init__(
        self, node: Node, tell: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._node, self._tell, self._clock = node, tell, clock
        self._start = node.create_client(StartEpisode, "/recorder/start")
        self._stop = node.create_client(StopEpisode, "/recorder/stop")
        self._recording = False
        self._heard: float | None = None
        node.create_subscription(EpisodeStatus, "/episode/status", self._on_status, LATCHED)

    def press(self, button: Button, device: str) -> None:
        """Ask the recorder for what the button says."""
        if button is Button.TOGGLE:
            button = Button.SAVE if self._recording else Button.START
        client = self._start if button is Button.START else self._stop
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
        client.call_async(self._request(button, device)).add_done_callback(self._on_answer)

    def _on_status(self, message: EpisodeStatus) -> None:
        self._heard = self._clock()
        self._recording = message.state == EpisodeStatus.RECORDING

    def _request(self, button: Button, device: str) -> StartEpisode.Request | StopEpisode.Request:
        if button is Button.START:
            return StartEpisode.Request(
                task=self._parameter("task"),
                kind="demonstration",
                operator_name=self._parameter("operator_name"),
                instruction=self._parameter("instruction"),
                extra_json=json.dumps({"device": device}),
            )
        return StopEpisode.Request(
            save=button is not Button.DISCARD, outcome=OUTCOMES[button], score=float("nan")
        )

    def _parameter(self, name: str) -> str:
        return str(self._node.get_parameter(name).value)

    def _on_answer(self, future: Future) -> None:
        answer = future.result()
        if not answer.success:
            self._tell(f"the recorder refused: {answer.message}")
