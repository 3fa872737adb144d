# SPDX-License-Identifier: Apache-2.0
"""Bags as the recorder writes them, for benchmarks: 30 Hz cameras, 100 Hz joints, 50 Hz arm, chunks of a second."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ptr_models.contract import Camera, Contract
from ptr_models.episodes.messages import ARM_STATE_TOPIC, EXECUTED_TOPIC, JOINT_STATE_TOPIC, image_topic, typestore
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.writer import BagWriter

SECOND = 10**9
START = 1_700_000_000 * SECOND


def pictures(count: int, size: tuple[int, int], quality: int = 90) -> list[np.ndarray]:
    """JPEG bytes of (height, width) pictures with smooth shapes and sensor noise: about 55 kB at 480 x 640."""
    generator = np.random.default_rng(0)
    encoded = []
    for _ in range(count):
        coarse = generator.integers(0, 256, (size[0] // 40, size[1] // 40, 3), dtype=np.uint8)
        smooth = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC).astype(np.float32)
        noisy = smooth + generator.normal(0, 3.0, (*size, 1)).astype(np.float32)
        picture = np.clip(noisy, 0, 255).astype(np.uint8)
        encoded.append(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].ravel())
    return encoded


def write_bags(
    root: Path, episodes: int, seconds: float, size: tuple[int, int], rate: float, contract_size: int, cameras: int = 1
) -> Contract:
    """Write episodes of a moving arm; returns their contract.

    Args:
        size: height and width of the cameras' pictures.
        rate: Hz of each camera.
        contract_size: pixels of a side of what training sees.
    """
    names = [f"camera_{index}" for index in range(cameras)]
    contract = Contract(cameras=tuple(Camera(name, contract_size, contract_size) for name in names))
    images = pictures(32, size)
    for episode in range(episodes):
        start = START + episode * 1000 * SECOND
        metadata = EpisodeMetadata(
            f"recorded_{episode:05d}", "put_carrot_in_pot", contract=contract, outcome="success", start_ns=start
        )
        with BagWriter(root, metadata) as writer:
            for stamp, topic, message in sorted(_messages(names, images, start, seconds, rate), key=lambda row: row[0]):
                writer.write_message(topic, message, stamp + 2_000_000)
                if stamp // SECOND > (stamp - SECOND // 100) // SECOND and writer._writer.storage.chunk.msgs:
                    writer._writer.storage.close_chunk()  # as often as a live recording flushes
    return contract


def _messages(
    names: list[str], images: list[np.ndarray], start: int, seconds: float, rate: float
) -> Iterator[tuple[int, str, Any]]:
    types = typestore().types

    def header(stamp: int, frame: str) -> Any:
        time = types["builtin_interfaces/msg/Time"](*divmod(stamp, SECOND))
        return types["std_msgs/msg/Header"](stamp=time, frame_id=frame)

    def pose(moment: float) -> Any:
        point = types["geometry_msgs/msg/Point"](0.25 + 0.02 * moment, 0.05 * np.sin(moment), 0.15)
        return types["geometry_msgs/msg/Pose"](point, types["geometry_msgs/msg/Quaternion"](0.0, 0.0, 0.0, 1.0))

    for index in range(round(seconds * rate)):
        stamp = start + round(index * SECOND / rate)
        for place, name in enumerate(names):
            data = images[(index + 7 * place) % len(images)]
            message = types["sensor_msgs/msg/CompressedImage"](header(stamp, name), "jpeg", data)
            yield stamp, image_topic(name), message
    for index in range(round(seconds * 100)):
        stamp = start + index * SECOND // 100
        joints = [f"joint_{number}" for number in range(8)]
        values = np.zeros(8)
        yield (
            stamp,
            JOINT_STATE_TOPIC,
            types["sensor_msgs/msg/JointState"](header(stamp, ""), joints, values, values, values),
        )
    for index in range(round(seconds * 50)):
        stamp = start + index * SECOND // 50
        at, six = pose(index / 50), np.zeros(6)
        yield (
            stamp,
            ARM_STATE_TOPIC,
            types["ptr_msgs/msg/ArmState"](
                header(stamp, "base_link"), 1, "spacemouse", at, at, six, six, six, 1.0, 1.0
            ),
        )
        yield (
            stamp,
            EXECUTED_TOPIC,
            types["ptr_msgs/msg/ExecutedCommand"](
                header(stamp, "base_link"), "spacemouse", header(stamp, "").stamp, at, 1.0, six, 0
            ),
        )
