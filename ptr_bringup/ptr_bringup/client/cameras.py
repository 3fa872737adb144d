# SPDX-License-Identifier: Apache-2.0
"""The newest images of the running cameras."""

from __future__ import annotations

import functools
import re
import time

import numpy as np
from numpy.typing import NDArray
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage

from ptr_bringup.ros.session import Caller, SessionError
from ptr_models.common.jpeg import decode


class Cameras:
    """Subscribes to a camera when its image is first requested."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._newest: dict[str, tuple[float, CompressedImage]] = {}
        self._subscriptions: dict[str, object] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the cameras that currently publish."""
        pattern = re.compile(re.escape(self._caller.named("camera")) + r"/(?P<name>[^/]+)/image/compressed")
        found = (pattern.fullmatch(topic) for topic, _ in self._caller.node.get_topic_names_and_types())
        published = (match["name"] for match in found if match)
        return tuple(sorted(name for name in published if self._caller.node.count_publishers(_topic(name))))

    def arrived(self, name: str, within: float) -> bool:
        """Whether an image of a camera arrived within the last `within` s; subscribes to it."""
        self._listen(name)
        return name in self._newest and time.monotonic() - self._newest[name][0] < within

    def image(self, name: str = "", timeout: float = 5.0) -> NDArray[np.uint8]:
        """The next image of a camera: (height, width, 3), RGB.

        Args:
            name: of the camera; empty if there is only one.
            timeout: s to wait for it.
        Raises:
            SessionError: no camera of that name publishes, several do and none was named, or the image is corrupt.
        """
        name = name or self._only(timeout)
        self._listen(name)
        asked = time.monotonic()
        wanted = f"an image of camera {name!r}; publishing now: {', '.join(self.names) or 'none'}"
        self._caller.wait(lambda: name in self._newest and self._newest[name][0] >= asked, wanted, timeout)
        image = decode(self._newest[name][1].data)
        if image is None:
            raise SessionError(f"the image of camera {name!r} is not a valid JPEG")
        return np.ascontiguousarray(image[..., ::-1])

    def _only(self, timeout: float) -> str:
        self._caller.wait(lambda: self.names, "a camera; is its node running?", timeout)
        names = self.names
        if len(names) > 1:
            raise SessionError(f"{len(names)} cameras publish; name one of {', '.join(names)}")
        return names[0]

    def _listen(self, name: str) -> None:
        if name not in self._subscriptions:
            keep = functools.partial(self._keep, name)
            self._subscriptions[name] = self._caller.node.create_subscription(
                CompressedImage, _topic(name), keep, qos_profile_sensor_data
            )

    def _keep(self, name: str, message: CompressedImage) -> None:
        self._newest[name] = time.monotonic(), message


def _topic(name: str) -> str:
    return f"camera/{name}/image/compressed"
