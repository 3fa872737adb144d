# SPDX-License-Identifier: Apache-2.0
"""Messages of rclpy and of the typestore without ROS are the same bytes and the same types."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("ptr_msgs", reason="needs the built ptr_msgs")

from ament_index_python.packages import get_package_share_directory  # noqa: E402
from rclpy.serialization import serialize_message  # noqa: E402

from ptr_models.contract import Contract  # noqa: E402
from ptr_models.episodes.messages import (  # noqa: E402
    ARM_STATE,
    definition,
    has_header,
    header_stamp,
    typestore,
)
from ptr_models.episodes.metadata import EpisodeMetadata  # noqa: E402
from ptr_models.episodes.reader import read_streams  # noqa: E402
from ptr_models.episodes.sampling import arm_sample  # noqa: E402
from ptr_models.episodes.writer import BagWriter  # noqa: E402
from ptr_msgs.msg import ArmState  # noqa: E402


def arm_state() -> ArmState:
    """A message with a value of its own in every field that an observation needs."""
    message = ArmState(mode=ArmState.TELEOP, source="spacemouse", gripper_position=0.75, commanded_gripper_position=0.5)
    message.header.stamp.sec, message.header.stamp.nanosec = 1_700_000_000, 123_456_789
    message.header.frame_id = "base_link"
    position, orientation = message.measured_pose.position, message.measured_pose.orientation
    position.x, position.y, position.z = 0.3, -0.1, 0.15
    orientation.x, orientation.y, orientation.z, orientation.w = 0.1, 0.7, 0.1, 0.7
    message.joint_positions = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    return message


def test_every_message_type_has_the_hash_that_ros_computes() -> None:
    folder = Path(get_package_share_directory("ptr_msgs")) / "msg"
    checked = 0
    for path in sorted(folder.glob("*.json")):
        hashes = {item["type_name"]: item["hash_string"] for item in json.loads(path.read_text())["type_hashes"]}
        name = f"ptr_msgs/msg/{path.stem}"
        assert definition(name)[1] == hashes[name]
        checked += 1
    assert checked >= 8


def test_bytes_of_rclpy_are_decoded_without_ros() -> None:
    message = arm_state()
    raw = serialize_message(message)
    decoded = typestore().deserialize_cdr(raw, ARM_STATE)
    assert arm_sample(decoded) == arm_sample(message)
    assert list(decoded.joint_positions) == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])  # type: ignore[attr-defined]
    assert has_header(ARM_STATE)
    assert header_stamp(raw) == 1_700_000_000_123_456_789


def test_a_bag_of_raw_bytes_is_read_with_the_source_stamp(tmp_path: Path) -> None:
    message = arm_state()
    arrival = 1_700_000_000_200_000_000
    with BagWriter(tmp_path, EpisodeMetadata("e", "t")) as writer:
        writer.write("/arm/state", ARM_STATE, arrival, serialize_message(message))
        folder = writer.close()
    stream = read_streams(folder, Contract()).arm
    assert stream.stamps == [1_700_000_000_123_456_789]
    assert stream.samples == [arm_sample(message)]
