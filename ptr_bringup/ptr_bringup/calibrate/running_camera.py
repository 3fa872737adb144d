# SPDX-License-Identifier: Apache-2.0
"""The images of a running camera: from the node `camera`, another driver, or the simulator."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage

from ptr_bringup.camera.source import CameraError, Frame
from ptr_bringup.ros.context import prepare_environment
from ptr_bringup.ros.qos import LATCHED
from ptr_bringup.ros.time import seconds
from ptr_msgs.msg import CameraSettings

TIMEOUT = 5.0
"""s to wait for an image."""
DISCOVERY = 2.0
"""s to wait for the discovery of a publisher."""
_UNKNOWN = "_NODE_NAME_UNKNOWN_"
_WITHOUT_SETTINGS = (
    "These images have no settings, like the simulator's, so nothing can be fixed here. Advice on exposure, light and "
    "cables only applies to a real camera, which `ptr calibrate camera` sets up."
)


class RunningCamera:
    """A source of the images on a topic, with their own stamps.

    Args:
        name: the topic is /camera/NAME/image/compressed.
        namespace: of its robot; empty: none.
    Raises:
        CameraError: nothing arrives on the topic.
    """

    period: float | None = None

    def __init__(self, name: str, namespace: str = "") -> None:
        self._queue: deque[Frame] = deque()
        self._settings = CameraSettings()
        prepare_environment()
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self._node = rclpy.create_node("calibrate_camera", context=self._context, namespace=namespace or None)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        images = self._node.resolve_topic_name(_images(name))
        self._node.create_subscription(CompressedImage, images, self._on_image, qos_profile_sensor_data)
        self._node.create_subscription(CameraSettings, _settings(name), self._on_settings, LATCHED)
        if self.read() is None:
            self.close()
            raise CameraError(f"nothing arrives on {images}; is the camera running?")

    @property
    def notices(self) -> list[str]:
        """See `Source`; complete once images have been read for some time."""
        return [] if self.settings() else [_WITHOUT_SETTINGS]

    def _on_image(self, message: CompressedImage) -> None:
        self._queue.append(Frame(seconds(message.header.stamp), bytes(message.data)))

    def _on_settings(self, message: CameraSettings) -> None:
        self._settings = message

    def read(self) -> Frame | None:
        """See `Source.read`."""
        deadline = time.monotonic() + TIMEOUT
        while not self._queue and time.monotonic() < deadline:
            self._executor.spin_once(timeout_sec=0.1)
        return self._queue.popleft() if self._queue else None

    def settings(self) -> dict[str, Any]:
        """See `Source.settings`."""
        return {item.name: parameter_value_to_python(item.value) for item in self._settings.settings}

    def close(self) -> None:
        """Shut down the ROS context."""
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.shutdown(context=self._context)


def advice_on_running(name: str, namespace: str = "") -> str:
    """What to do instead of opening a camera whose images another node publishes; empty if none does."""
    prepare_environment()
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("calibrate_camera", context=context, namespace=namespace or None)
    try:
        publisher = _publisher(node, _images(name))
        settable = bool(publisher and _has_settings(node, context, name))
    finally:
        node.destroy_node()
        rclpy.shutdown(context=context)
    check = f"`ptr calibrate camera {name} --running`"
    if not publisher:
        return ""
    if settable:
        return f"the node {publisher} uses the camera {name}: stop it first, or only check its images with {check}"
    return (
        f"the images of {name} come from the node {publisher}, which has no exposure, gain, white balance or "
        f"focus to fix; this command sets up a real camera; to check the images of that node, use {check}"
    )


def _has_settings(node: Node, context: rclpy.Context, name: str) -> bool:
    """Whether a camera's node publishes settings of its source; a simulator has none."""
    received: list[CameraSettings] = []
    node.create_subscription(CameraSettings, _settings(name), received.append, LATCHED)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    deadline = time.monotonic() + DISCOVERY
    while not received and time.monotonic() < deadline:
        executor.spin_once(timeout_sec=0.1)
    executor.shutdown()
    return bool(received and received[-1].settings)


def _publisher(node: Node, topic: str) -> str:
    """Name of a node that publishes a topic; empty if none is found. Endpoints are discovered before their node."""
    deadline = time.monotonic() + DISCOVERY
    while time.monotonic() < deadline:
        for info in node.get_publishers_info_by_topic(topic):
            if info.node_name != _UNKNOWN:
                return info.node_name
        time.sleep(0.1)
    return ""


def _images(name: str) -> str:
    return f"camera/{name}/image/compressed"


def _settings(name: str) -> str:
    return f"camera/{name}/settings"
