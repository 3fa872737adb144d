# SPDX-License-Identifier: Apache-2.0
"""Making an InterbotixManipulatorXS, which waits for xs_sdk without an end, beside a node that must not wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from rclpy.node import Node


class Connection:
    """Makes the arm of the API in a thread, and lets the node's executor spin it from then on.

    Args:
        make: makes it; may wait for ever.

    Attributes:
        robot: None until it is made and spun.
        trouble: why it could not be made, or empty.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make, self._made = make, None
        self.robot: Any = None
        self.trouble = ""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._made = self._make()
        except SystemExit:  # what the API does with an arm that has another number of joints
            self.trouble = "Interbotix's API refuses this arm; start xs_sdk with robot_model:=wx250s."
        except Exception as error:  # of other people's code, in a thread: nobody else would see it
            self.trouble = f"Interbotix's API failed: {error}."

    def take_over(self, node: Node) -> bool:
        """Let a node's executor spin the arm, once it is made; True at that moment."""
        if self.robot is not None or self._made is None or self._thread.is_alive() or node.executor is None:
            return False
        node.executor.add_node(self._made.get_node())
        self.robot = self._made
        return True

    def close(self, node: Node) -> None:
        """Give back the API's node. A thread that still waits for xs_sdk ends with the process."""
        if self.robot is not None:
            if node.executor is not None:
                node.executor.remove_node(self.robot.get_node())
            self.robot.get_node().destroy_node()
            self.robot = None
