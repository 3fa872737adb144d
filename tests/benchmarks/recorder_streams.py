# SPDX-License-Identifier: Apache-2.0
"""Publishers of every stream of an episode at its real rate, each message numbered in its header's frame_id.

    python tests/benchmarks/recorder_streams.py

Publishes until it reads a line (or the end) on its standard input, then prints how many messages each topic got,
as JSON.
"""

from __future__ import annotations

import array
import heapq
import json
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, JointState

from ptr_bringup.ros.context import ros_context
from ptr_msgs.msg import ArmCommand, ArmState, EpisodeEvent, ExecutedCommand, ObjectStates, PolicyStep, SafetyEvent

CAMERAS = ("over_shoulder", "wrist")
PICTURES = 30  # different ones, shown in turn
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def jpegs(seed: int) -> list[array.array]:
    """Encoded 640x480 pictures of 40 to 60 kB: a smooth scene with the noise of a webcam."""
    generator = np.random.default_rng(seed)
    scene = cv2.resize(generator.integers(0, 256, (12, 16, 3), np.uint8), (640, 480), interpolation=cv2.INTER_CUBIC)
    found = []
    for _ in range(PICTURES):
        noise = generator.normal(0.0, 6.0, scene.shape)
        picture = np.clip(scene + noise, 0, 255).astype(np.uint8)
        found.append(array.array("B", cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()))
    return found


class Streams(Node):
    """All publishers, and a table of when the next message of each is due."""

    def __init__(self) -> None:
        super().__init__("recorder_streams")
        self.counts: dict[str, int] = {}
        self._due: list[tuple[float, str, float, Callable[[int], Any], Any]] = []
        sensor = qos_profile_sensor_data
        for index, camera in enumerate(CAMERAS):
            pictures = jpegs(index)
            self._add(f"/camera/{camera}/image/compressed", CompressedImage, 30.0, sensor, self._image(pictures))
            self._add(f"/camera/{camera}/camera_info", CameraInfo, 30.0, sensor)
        joints = JointState(name=[f"joint_{k}" for k in range(9)], position=[0.0] * 9, velocity=[0.0] * 9)
        self._add("/joint_states", JointState, 100.0, sensor, lambda k: joints)
        self._add("/arm/state", ArmState, 50.0, 10)
        self._add("/arm/executed", ExecutedCommand, 50.0, 10)
        self._add("/teleop/command", ArmCommand, 20.0, 10, lambda k: ArmCommand(source="bench", deadman=True))
        self._add("/policy/command", ArmCommand, 5.0, 10)
        self._add("/policy/step", PolicyStep, 5.0, 10)
        self._add("/simulator/objects", ObjectStates, 10.0, 10)
        self._add("/arm/safety", SafetyEvent, 2.0, LATCHED)
        self._add("/episode/event", EpisodeEvent, 1.0, 50)

    def _add(self, topic: str, kind: Any, rate: float, qos: Any, make: Callable[[int], Any] | None = None) -> None:
        publisher = self.create_publisher(kind, topic, qos)
        self.counts[topic] = 0
        start = time.monotonic() + 0.001 * len(self._due)
        self._due.append((start, topic, 1.0 / rate, make or (lambda _: kind()), publisher))

    @staticmethod
    def _image(pictures: list[array.array]) -> Callable[[int], CompressedImage]:
        return lambda number: CompressedImage(format="jpeg", data=pictures[number % PICTURES])

    def run(self, ended: threading.Event) -> None:
        """Publish until told to end."""
        heapq.heapify(self._due)
        while not ended.is_set():
            due, topic, period, make, publisher = self._due[0]
            wait = due - time.monotonic()
            if wait > 0.0:
                time.sleep(wait)
            message = make(self.counts[topic])
            message.header.stamp = self.get_clock().now().to_msg()
            message.header.frame_id = str(self.counts[topic])
            publisher.publish(message)
            self.counts[topic] += 1
            heapq.heapreplace(self._due, (due + period, topic, period, make, publisher))


def main() -> None:
    """Publish until standard input says so."""
    ended = threading.Event()
    with ros_context():
        node = Streams()
        thread = threading.Thread(target=node.run, args=(ended,), daemon=True)
        thread.start()
        print("ready", flush=True)
        sys.stdin.readline()
        ended.set()
        thread.join()
        print(json.dumps(node.counts), flush=True)
        time.sleep(1.0)  # what was sent last is on its way


if __name__ == "__main__":
    main()
