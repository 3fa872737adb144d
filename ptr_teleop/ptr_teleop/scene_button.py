# SPDX-License-Identifier: Apache-2.0
"""What a device's button asks of the scene: the arm to its start, and in simulation the next scene."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.client import Client
from rclpy.node import Node
from rclpy.task import Future
from std_srvs.srv import Trigger


class SceneButton:
    """Asks for the next scene, and tells why there is none.

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
