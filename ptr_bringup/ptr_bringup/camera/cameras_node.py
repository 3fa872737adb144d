# SPDX-License-Identifier: Apache-2.0
"""The node `cameras`: all cameras of a robot in one process, each as a `camera` node with its own name."""

from __future__ import annotations

import sys

from rclpy.node import Node

from ptr_bringup.camera.node import Camera
from ptr_bringup.ros.context import StartupError
from ptr_bringup.ros.node import RunnableNode, run
from ptr_bringup.ros.parameters import declare
from ptr_bringup.ros.time import STEADY

_POLL = 0.2
"""s between two checks for a camera that has ended."""


class Cameras(RunnableNode, Node):
    """Creates a node for each camera, and ends when one of them does."""

    def __init__(self) -> None:
        super().__init__("cameras")
        names = declare(self, "cameras", ["over_shoulder"], "names of the cameras, each with its own entry")
        device = declare(self, "device", "", "source of the first camera; empty: that of its entry")
        if len(set(names)) != len(names) or not all(names):
            raise StartupError(f"cameras is {', '.join(names)!r}; name each camera once")
        self._cameras: list[Camera] = []
        try:
            for name in names:
                self._cameras.append(Camera(name, "" if self._cameras else device))
        except BaseException:
            self.close()
            raise
        self.create_timer(_POLL, self._check_ended, clock=STEADY)

    def start(self) -> None:
        """Add the cameras to the executor that spins this node."""
        for camera in self._cameras:
            assert self.executor is not None  # `run` spins it
            self.executor.add_node(camera)

    def _check_ended(self) -> None:
        ended = [camera.exit_code for camera in self._cameras if camera.exit_code is not None]
        self.exit_code = max(ended, default=None)

    def close(self) -> None:
        """Close every camera."""
        for camera in self._cameras:
            camera.close()
            camera.destroy_node()
        self._cameras.clear()


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable `cameras`; returns the exit code."""
    return run(Cameras, "cameras", args)


if __name__ == "__main__":
    sys.exit(main())
