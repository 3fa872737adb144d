# SPDX-License-Identifier: Apache-2.0
"""The node `camera_monitor`: the health of cameras that are not run by the node `camera`.

It listens to the pictures of a simulated camera, or of another driver behind `raw_camera`, and reports as the node
`camera` does of its own.
"""

from __future__ import annotations

import sys

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage, JointState

from ptr_bringup.camera.health import Health
from ptr_bringup.camera.reports import diagnostic
from ptr_bringup.ros.node import RunnableNode, run
from ptr_bringup.ros.parameters import declare
from ptr_bringup.ros.time import now, seconds


class CameraMonitor(RunnableNode, Node):
    """Watches one camera."""

    def __init__(self) -> None:
        super().__init__("camera_monitor")
        self._name = declare(self, "name", "over_shoulder", "of the camera: /camera/NAME/image/compressed")
        rate = declare(self, "rate", 30.0, "Hz that it should give", (0.1, 240.0))
        noisy = declare(self, "noisy", True, "two equal pictures can't be; false for a simulated camera")
        self._health = Health(rate, noisy)
        self._joints: np.ndarray | None = None
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        topic = f"/camera/{self._name}/image/compressed"
        self.create_subscription(CompressedImage, topic, self._on_image, qos_profile_sensor_data)
        self.create_subscription(JointState, "/joint_states", self._on_joints, qos_profile_sensor_data)
        self.create_timer(1.0, self._report)
        self._health.start(now(self))

    def _on_image(self, message: CompressedImage) -> None:
        self._health.arrived(seconds(message.header.stamp), bytes(message.data), self._joints)

    def _on_joints(self, message: JointState) -> None:
        self._joints = np.array(message.position)

    def _report(self) -> None:
        report = self._health.look(now(self))
        array = DiagnosticArray(status=[diagnostic(self._name, report, {})])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable `camera_monitor`; returns the exit code."""
    return run(CameraMonitor, "camera_monitor", args)


if __name__ == "__main__":
    sys.exit(main())
