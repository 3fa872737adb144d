# SPDX-License-Identifier: Apache-2.0
"""The pictures of a camera that runs: of the node `camera`, of another driver, or of the simulator."""

from __future__ import annotations

import json
import time
from collections import deque
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import String

from ptr_bringup.arm.messages import seconds
from ptr_bringup.camera.interface import CameraError, Picture

PATIENCE = 5.0
"""s to wait for a picture."""


class RunningCamera:
    """A source of pictures as they arrive on a topic, with their own stamps.

    Args:
        name: the topic is /camera/NAME/image/compressed.
    Raises:
        CameraError: nothing arrives on it.
    """

    period: float | None = None

    def __init__(self, name: str) -> None:
        self.notices: list[str] = []
        self._waiting: deque[Picture] = deque()
        self._settings: dict[str, Any] = {}
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self._node = rclpy.create_node("calibrate_camera", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        topic = f"/camera/{name}"
        images, latched = f"{topic}/image/compressed", QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._node.create_subscription(CompressedImage, images, self._on_image, qos_profile_sensor_data)
        self._node.create_subscription(String, f"{topic}/settings", self._on_settings, latched)
        if self.read() is None:
            self.close()
            raise CameraError(f"Nothing arrives on {images}; is the camera running?")

    def _on_image(self, message: CompressedImage) -> None:
        self._waiting.append(Picture(seconds(message.header.stamp), bytes(message.data)))

    def _on_settings(self, message: String) -> None:
        self._settings = json.loads(message.data)

    def read(self) -> Picture | None:
        """See `Source.read`."""
        deadline = time.monotonic() + PATIENCE
        while not self._waiting and time.monotonic() < deadline:
            self._executor.spin_once(timeout_sec=0.1)
        return self._waiting.popleft() if self._waiting else None

    def settings(self) -> dict[str, Any]:
        """See `Source.settings`."""
        return {name: value for name, value in self._settings.items() if name not in ("camera", "width", "height")}

    def close(self) -> None:
        """Leave ROS."""
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.shutdown(context=self._context)
