# SPDX-License-Identifier: Apache-2.0
"""All ways to stop the arm, and the only way to clear the stop."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from rclpy.node import Node
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from ptr_bringup.arm.drivers.base import Topic
from ptr_bringup.arm.gate.arbiter import Mode
from ptr_bringup.arm.gate.gate import Gate
from ptr_bringup.arm.stop.exclusive_topics import ExclusiveTopics
from ptr_bringup.arm.stop.stop_button import StopButton
from ptr_bringup.ros.context import StartupError
from ptr_bringup.ros.parameters import declare
from ptr_bringup.ros.time import STEADY

_PERIOD = 0.02
"""s between two reads of the device."""


class ProtectiveStop:
    """Serves /arm/stop and /arm/clear. /arm/stop_request, a button (`stop_device`) or a second robot also stop the arm.

    Args:
        exclusive: topics of the arm and its driver; a second publisher on one of them stops the arm.
    """

    def __init__(self, node: Node, gate: Gate, exclusive: Sequence[Topic]) -> None:
        self._node, self._gate = node, gate
        self._device = _declare_device(node)
        self._exclusive = ExclusiveTopics(node, exclusive, self._stop)
        node.create_service(Trigger, "arm/stop", self._on_stop)
        node.create_service(Trigger, "arm/clear", self._on_clear)
        node.create_subscription(Bool, "arm/stop_request", self._on_request, 10)
        if self._device is not None:
            node.create_timer(_PERIOD, functools.partial(self._poll_button, self._device), clock=STEADY)

    def _stop(self, why: str) -> None:
        if self._gate.arbiter.mode is not Mode.PROTECTIVE_STOP:
            self._gate.stop(why)

    def _on_stop(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._stop(f"by {self._node.resolve_service_name('arm/stop')}")
        clear = self._node.resolve_service_name("arm/clear")
        response.success, response.message = True, f"The arm is stopped until {clear}."
        return response

    def _on_request(self, message: Bool) -> None:
        if message.data:
            self._stop(f"by {self._node.resolve_topic_name('arm/stop_request')}")

    def _poll_button(self, device: StopButton) -> None:
        why = device.poll()
        if why:
            self._stop(why)

    def _on_clear(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        refusal = self._device.refusal() if self._device is not None else ""
        refusal = refusal or self._exclusive.refusal() or self._gate.clear()
        response.success, response.message = not refusal, refusal or "The arm may move again."
        return response

    def close(self) -> None:
        """Release the device."""
        if self._device is not None:
            self._device.close()


def _declare_device(node: Node) -> StopButton | None:
    text = "input device of a stop button, preferably in /dev/input/by-id; empty: none. Its loss also stops the arm"
    path = declare(node, "stop_device", "", text)
    key = declare(node, "stop_key", 0, "key code of stop_device that stops the arm; 0: any key", (0, 767))
    if not path:
        return None
    try:
        return StopButton(path, key)
    except OSError as error:
        raise StartupError(
            f"can't open the stop button {path} ({error.strerror}); plug it in and add this user to the group input"
        ) from error
