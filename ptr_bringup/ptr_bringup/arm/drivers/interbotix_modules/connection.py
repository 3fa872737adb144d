# SPDX-License-Identifier: Apache-2.0
"""Creates an InterbotixManipulatorXS, which waits for xs_sdk indefinitely, without blocking the node."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from rclpy.node import Node


class Connection:
    """Creates the API's arm in a thread; afterwards the node's executor spins it.

    Args:
        make: creates the arm; may block forever.

    Attributes:
        robot: the arm, None until it is created and spun.
        problem: why it could not be created, or an empty string.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make, self._made = make, None
        self.robot: Any = None
        self.problem = ""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._made = self._make()
        except SystemExit:  # raised by the API if the arm has a different number of joints
            self.problem = "Interbotix's API refuses this arm; start xs_sdk with robot_model:=wx250s."
        except Exception as error:  # third-party code in a thread: the error would be lost
            self.problem = f"Interbotix's API failed: {error}."

    def attach(self, node: Node) -> bool:
        """Let the node's executor spin the arm once it is created; True when that happens."""
        if self.robot is not None or self._made is None or self._thread.is_alive() or node.executor is None:
            return False
        node.executor.add_node(self._made.get_node())
        self.robot = self._made
        return True

    def close(self, node: Node) -> None:
        """Destroy the API's node. A thread that still waits for xs_sdk ends with the process."""
        if self.robot is not None:
            if node.executor is not None:
                node.executor.remove_node(self.robot.get_node())
            self.robot.get_node().destroy_node()
            self.robot = None
