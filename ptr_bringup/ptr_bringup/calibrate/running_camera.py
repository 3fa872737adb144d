# SPDX-License-Identifier: Apache-2.0
"""The images of a camera that runs: of the node `camera`, of another driver, or of the simulator."""

from __future__ import annotations

import contextlib
import json
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import String

from ptr_bringup.camera.source import CameraError, Frame
from ptr_bringup.ros.context import prepare_environment
from ptr_bringup.ros.qos import LATCHED
from ptr_bringup.ros.time import seconds

TIMEOUT = 5.0
"""s to wait for an image."""
DISCOVERY = 2.0
"""s to wait for news of a node that publishes it."""
_UNKNOWN = "_NODE_NAME_UNKNOWN_"
_ASKED = ("camera", "width", "height", "rate", "simulated")
_WITHOUT_SETTINGS = (
    "No settings come with these images, as with the simulator's: nothing can be fixed here; what is said of "
    "exposure, light and cables is meant for a real camera, which `ptr calibrate camera` sets up."
)


class RunningCamera:
    """A source of images as they arrive on a topic, with their own stamps.

    Args:
        name: the topic is /camera/NAME/image/compressed.
        namespace: of its robot; empty: none.
    Raises:
        CameraError: nothing arrives on it.
    """

    period: float | None = None

    def __init__(self, name: str, namespace: str = "") -> None:
        self._waiting: deque[Frame] = deque()
        self._settings: dict[str, Any] = {}
        prepare_environment()
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self._node = rclpy.create_node("calibrate_camera", context=self._context, namespace=namespace or None)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        images = self._node.resolve_topic_name(_images(name))
        self._node.create_subscription(CompressedImage, images, self._on_image, qos_profile_sensor_data)
        self._node.create_subscription(String, _settings(name), self._on_settings, LATCHED)
        if self.read() is None:
            self.close()
            raise CameraError(f"Nothing arrives on {images}; is the camera running?")

    @property
    def notices(self) -> list[str]:
        """See `Source`; complete once images have been read for some time."""
        return [] if self.settings() else [_WITHOUT_SETTINGS]

    def _on_image(self, message: CompressedImage) -> None:
        self._waiting.append(Frame(seconds(message.header.stamp), bytes(message.data)))

    def _on_settings(self, message: String) -> None:
        with contextlib.suppress(ValueError, RecursionError):  # somebody else's message: the camera's own comes again
            self._settings = json.loads(message.data)

    def read(self) -> Frame | None:
        """See `Source.read`."""
        deadline = time.monotonic() + TIMEOUT
        while not self._waiting and time.monotonic() < deadline:
            self._executor.spin_once(timeout_sec=0.1)
        return self._waiting.popleft() if self._waiting else None

    def settings(self) -> dict[str, Any]:
        """See `Source.settings`."""
        return _of_device(self._settings)

    def close(self) -> None:
        """Leave ROS."""
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.shutdown(context=self._context)


def advice_on_running(name: str, namespace: str = "") -> str:
    """What to do instead of opening a camera whose images another node publishes; empty when none does."""
    prepare_environment()
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("calibrate_camera", context=context, namespace=namespace or None)
    try:
        publisher = _publisher(node, _images(name))
        settable = bool(publisher and _of_device(_told(node, context, name)))
    finally:
        node.destroy_node()
        rclpy.shutdown(context=context)
    look = f"`ptr calibrate camera {name} --running`"
    if not publisher:
        return ""
    if settable:
        return f"The node {publisher} has the camera {name}: end it first, or only look at its images with {look}."
    return (
        f"The images of {name} come from the node {publisher}, which has no exposure, gain, white balance or "
        f"focus to fix; this command sets up a real camera, and {look} looks at the images of that one."
    )


def _of_device(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a device is set to, without what was asked for, which a simulator tells, too."""
    return {key: value for key, value in settings.items() if key not in _ASKED}


def _told(node: Node, context: rclpy.Context, name: str) -> dict[str, Any]:
    """What a camera's node says of its settings; empty where it says nothing."""
    heard: list[str] = []
    node.create_subscription(String, _settings(name), lambda message: heard.append(message.data), LATCHED)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    deadline = time.monotonic() + DISCOVERY
    while not heard and time.monotonic() < deadline:
        executor.spin_once(timeout_sec=0.1)
    executor.shutdown()
    try:
        found = json.loads(heard[-1]) if heard else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _publisher(node: Node, topic: str) -> str:
    """Name of a node that publishes a topic; empty when none is heard of. Endpoints are heard of before their node."""
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
