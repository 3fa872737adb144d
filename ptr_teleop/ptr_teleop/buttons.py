# SPDX-License-Identifier: Apache-2.0
"""A device's buttons: what each asks of the recorder or the scene."""

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
"""s without a status after which a recorder counts as dead; it sends four a second. ROS's graph lists a killed node for
about ten more seconds, and calls to its services get no response."""
OUTCOMES = {
    Button.SAVE: "success",
    Button.FAIL: "failure",
    Button.KEEP: "unlabelled",
    Button.DISCARD: "unlabelled",
}


class RecorderButtons:
    """Calls the recorder's services and reports what it refuses.

    Args:
        node: owns the clients. A new episode gets its parameters `task`, `instruction` and `operator_name`.
        notify: shows a sentence to the person at the device.
        clock: steady time, s.
    """

    def __init__(self, node: Node, notify: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._node, self._notify, self._clock = node, notify, clock
        self._start: Client = node.create_client(StartEpisode, "recorder/start")
        self._stop: Client = node.create_client(StopEpisode, "recorder/stop")
        self._discard_last: Client = node.create_client(Trigger, "recorder/discard_last")
        self._recording, self._recommendation = False, ""
        self._status_at: float | None = None
        node.create_subscription(EpisodeStatus, "episode/status", self._on_status, LATCHED)

    def press(self, button: Button, device: str) -> None:
        """Send the button's request to the recorder. `discard` between episodes follows the audit's recommendation."""
        if button is Button.TOGGLE:
            button = Button.SAVE if self._recording else Button.START
        client = self._start if button is Button.START else self._stop
        if button is Button.DISCARD and not self._recording and self._status_at is not None:
            if self._recommendation != DISCARD:
                self._notify(
                    "no episode is being recorded; to discard the last one anyway, use `ptr record discard --last`"
                )
                return
            client = self._discard_last
        if not client.service_is_ready():
            self._notify(f"'{button.value}' was pressed, but no recorder is running; start it")
            return
        silent = 0.0 if self._status_at is None else self._clock() - self._status_at
        if silent > SILENCE:
            self._recording = False
            self._notify(
                f"'{button.value}' was pressed, but the recorder has been silent for {silent:.0f} s; "
                "check that it is running, and restart it if not"
            )
            return
        request = Trigger.Request() if client is self._discard_last else self._request(button, device)
        client.call_async(request).add_done_callback(self._on_answer)

    def _on_status(self, message: EpisodeStatus) -> None:
        self._status_at = self._clock()
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
            self._notify(f"the recorder refused: {answer.message}")


class SceneButton:
    """Asks for the next scene (the arm at its start and, in simulation, new objects) and reports why there is none.

    Args:
        notify: shows a sentence to the person at the device.
    """

    def __init__(self, node: Node, notify: Callable[[str], None]) -> None:
        self._notify = notify
        self._next: Client = node.create_client(Trigger, "scene/next")

    def press(self) -> None:
        """Ask for the next scene."""
        if not self._next.service_is_ready():
            self._notify("the next scene was requested, but no node `scene` is running; collect.launch.xml starts it")
            return
        self._next.call_async(Trigger.Request()).add_done_callback(self._on_answer)

    def _on_answer(self, future: Future) -> None:
        answer = future.result()
        if answer is not None and not answer.success:
            self._notify(f"there is no new scene: {answer.message}")
