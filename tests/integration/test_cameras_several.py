# SPDX-License-Identifier: Apache-2.0
"""Several cameras of a real robot in one node, from files here."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped, TransformStamped
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage
from tf2_msgs.msg import TFMessage

from ptr_models.common.rotations import matrix_from_quaternion

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


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


CALIBRATION = """
image_width: 64
image_height: 48
camera_matrix: {rows: 3, cols: 3, data: [60.0, 0.0, 31.5, 0.0, 60.0, 23.5, 0.0, 0.0, 1.0]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [0.0, 0.0, 0.0, 0.0, 0.0]}
rectification_matrix: {rows: 3, cols: 3, data: [1, 0, 0, 0, 1, 0, 0, 0, 1]}
projection_matrix: {rows: 3, cols: 4, data: [60.0, 0, 31.5, 0, 0, 60.0, 23.5, 0, 0, 0, 1, 0]}
pose: [0.1, 0.0, 0.5, 0.0, 1.0, 0.0, 0.0]
"""
PLACE = "pose_frame: ee_gripper_link, pose: [-0.095, 0.0, 0.075, -2.075, 0.0, -1.5708]"


@pytest.mark.parametrize("namespace", ["", "left"])
def test_images_are_in_frames_that_tf_puts_to_base_and_gripper(
    ros, configuration: Path, tmp_path: Path, namespace: str
) -> None:
    """The place of one camera is in its calibration, that of the other among its parameters."""
    (tmp_path / "over_shoulder.yaml").write_text(CALIBRATION)
    text = (
        configuration.read_text()
        .replace("over_shoulder:\n", "/**/over_shoulder:\n")
        .replace("wrist:\n", "/**/wrist:\n")
    )
    text = text.replace("over_shoulder, rate", f"over_shoulder, calibration: {tmp_path}/over_shoulder.yaml, rate")
    configuration.write_text(text.replace("wrist, rate", f"wrist, {PLACE}, rate"))
    home = ("-r", f"__ns:=/{namespace}") if namespace else ()
    prefix = f"{namespace}/" if namespace else ""
    static = ros.collect(TFMessage, "/tf_static", LATCHED)
    headers = {
        name: [
            ros.collect(CompressedImage, f"/{prefix}camera/{name}/image/compressed", qos_profile_sensor_data),
            ros.collect(CameraInfo, f"/{prefix}camera/{name}/camera_info", qos_profile_sensor_data),
        ]
        for name in ("over_shoulder", "wrist")
    }
    nodes = [
        ros.start("ptr_bringup.description.node", *home),
        ros.start(
            "ptr_bringup.camera.cameras_node",
            *home,
            "--params-file",
            str(configuration),
            cameras="[over_shoulder, wrist]",
        ),
    ]
    frames = {name: f"{prefix}{name}_optical_frame" for name in headers}

    def known() -> dict[str, TransformStamped]:
        return {one.child_frame_id: one for message in static for one in message.transforms}

    ros.wait(lambda: set(frames.values()) <= set(known()), "the frames of both cameras")
    ros.wait(lambda: all(found for pair in headers.values() for found in pair), "images and calibrations")
    for name, pair in headers.items():
        assert {found[0].header.frame_id for found in pair} == {frames[name]}
    parents = {name: known()[frame].header.frame_id for name, frame in frames.items()}
    assert parents == {"over_shoulder": f"{prefix}base_link", "wrist": f"{prefix}ee_gripper_link"}
    wrist = known()[frames["wrist"]].transform
    assert (wrist.translation.x, wrist.translation.z) == (-0.095, 0.075)
    tilt = matrix_from_quaternion([wrist.rotation.x, wrist.rotation.y, wrist.rotation.z, wrist.rotation.w]) @ [0, 0, 1]
    assert tilt == pytest.approx([0.8756, 0.0, -0.4831], abs=1e-3)  # 29 degrees down
    for node in nodes:
        node.end()


def test_a_place_on_a_link_that_the_arm_lacks_is_warned_of(ros, tmp_path: Path) -> None:
    description = ros.start("ptr_bringup.description.node")
    poses = ros.node.create_publisher(PoseStamped, "/camera/front/pose", LATCHED)
    message = PoseStamped()
    message.header.frame_id, message.pose.orientation.w = "gripper_lnk", 1.0
    poses.publish(message)
    ros.wait(
        lambda: "camera front is in the frame 'gripper_lnk', which is not a link" in description.output, "the warning"
    )
    ros.node.destroy_publisher(poses)
    description.end()


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
