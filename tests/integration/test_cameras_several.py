# SPDX-License-Identifier: Apache-2.0
"""Several cameras of a real robot in one node, from files here."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    """A configuration of two cameras: folders of one dark grey and one light grey image."""
    entries = ""
    for name, grey in (("over_shoulder", 60), ("wrist", 200)):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "0.png"), np.full((48, 64, 3), grey, np.uint8))
        entries += f"{name}:\n  ros__parameters: {{source: {tmp_path / name}, rate: 10.0}}\n"
    file = tmp_path / "cameras.yaml"
    file.write_text(entries)
    return file


def grey_of(message: CompressedImage) -> int:
    return round(cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR).mean())


def test_each_camera_is_a_node_of_its_name_with_its_entry(ros, configuration: Path) -> None:
    topics = {name: f"/camera/{name}/image/compressed" for name in ("over_shoulder", "wrist")}
    images = {name: ros.collect(CompressedImage, topic, qos_profile_sensor_data) for name, topic in topics.items()}
    node = ros.start(
        "ptr_bringup.camera.cameras_node", "--params-file", str(configuration), cameras="[over_shoulder, wrist]"
    )
    ros.wait(lambda: all(images.values()), "an image of each camera")
    assert {name: grey_of(found[0]) for name, found in images.items()} == {"over_shoulder": 60, "wrist": 200}
    ros.wait(lambda: {"over_shoulder", "wrist"} <= set(ros.node.get_node_names()), "a node of each name")
    node.signal()
    assert node.wait() == 0


def test_a_camera_that_can_not_be_opened_ends_all_in_one_sentence(ros, configuration: Path, tmp_path: Path) -> None:
    (tmp_path / "wrist" / "0.png").unlink()
    node = ros.start(
        "ptr_bringup.camera.cameras_node", "--params-file", str(configuration), cameras="[over_shoulder, wrist]"
    )
    assert node.wait() == 1
    assert node.output.count("[FATAL]") == 1 and str(tmp_path / "wrist") in node.output


def test_the_device_is_that_of_the_first_camera(ros, configuration: Path, tmp_path: Path) -> None:
    images = ros.collect(CompressedImage, "/camera/wrist/image/compressed", qos_profile_sensor_data)
    node = ros.start(
        "ptr_bringup.camera.cameras_node",
        "--params-file",
        str(configuration),
        cameras="[wrist]",
        device=tmp_path / "over_shoulder",
    )
    ros.wait(lambda: images, "an image")
    assert grey_of(images[0]) == 60
    node.signal()
    assert node.wait() == 0
