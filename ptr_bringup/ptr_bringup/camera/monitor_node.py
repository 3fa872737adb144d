# SPDX-License-Identifier: Apache-2.0
"""The node `camera_monitor`: health of cameras that the node `camera` does not run.

It subscribes to the images of simulated cameras, or of another driver via `raw_camera`, and publishes the same
diagnostics as the node `camera`.
"""

from __future__ import annotations

import functools
import sys

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage, JointState

from ptr_bringup.camera.health import CameraHealth
from ptr_bringup.camera.reports import diagnostic
from ptr_bringup.ros.names import prefix
from ptr_bringup.ros.node import RunnableNode, run
from ptr_bringup.ros.parameters import declare
from ptr_bringup.ros.time import now, seconds
from ptr_models.common.processor_use import ProcessorUse


class CameraMonitor(RunnableNode, Node):
    """Monitors the health of cameras."""

    def __init__(self) -> None:
        super().__init__("camera_monitor")
        names = declare(self, "cameras", ["over_shoulder"], "camera names, of /camera/NAME/image/compressed")
        self._asked = declare(self, "rate", 30.0, "Hz, expected rate of each camera", (0.1, 240.0))
        noisy = declare(self, "noisy", True, "two images are never identical; false for a simulated camera")
        self._simulated, self._processor_use = not noisy, ProcessorUse()
        self._prefix = prefix(self.get_namespace())
        self._health = {name: CameraHealth(self._asked, noisy) for name in names}
        self._joints: np.ndarray | None = None
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        for name, health in self._health.items():
            topic = f"camera/{name}/image/compressed"
            keep = functools.partial(self._on_image, health)
            self.create_subscription(CompressedImage, topic, keep, qos_profile_sensor_data)
            health.start(now(self))
        self.create_subscription(JointState, "joint_states", self._on_joints, qos_profile_sensor_data)
        self.create_timer(1.0, self._report)

    def _on_image(self, health: CameraHealth, message: CompressedImage) -> None:
        health.arrived(seconds(message.header.stamp), bytes(message.data), self._joints)

    def _on_joints(self, message: JointState) -> None:
        self._joints = np.array(message.position)

    def _report(self) -> None:
        use = self._processor_use.lap()
        reports = {name: health.report(now(self)) for name, health in self._health.items()}
        array = DiagnosticArray(
            status=[
                diagnostic(name, report, self._asked, processor_use=use, simulated=self._simulated, prefix=self._prefix)
                for name, report in reports.items()
            ]
        )
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable `camera_monitor`; returns the exit code."""
    return run(CameraMonitor, "camera_monitor", args)


if __name__ == "__main__":
    sys.exit(main())
