# SPDX-License-Identifier: Apache-2.0
"""Camera calibrations and the simulated pinhole."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

pytest.importorskip("sensor_msgs.msg")

from ptr_bringup.camera.calibration import camera_info, camera_pose  # noqa: E402
from ptr_bringup.camera.images import pinhole_info  # noqa: E402
from ptr_bringup.camera.mounting import pose_of  # noqa: E402
from ptr_bringup.camera.source import CameraError  # noqa: E402

CALIBRATION = """
image_width: 640
image_height: 480
camera_name: over_shoulder
camera_matrix: {rows: 3, cols: 3, data: [600.0, 0.0, 320.0, 0.0, 601.0, 240.0, 0.0, 0.0, 1.0]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [0.1, -0.2, 0.0, 0.0, 0.0]}
rectification_matrix: {rows: 3, cols: 3, data: [1, 0, 0, 0, 1, 0, 0, 0, 1]}
projection_matrix: {rows: 3, cols: 4, data: [590.0, 0, 320.0, 0, 0, 591.0, 240.0, 0, 0, 0, 1, 0]}
"""


def test_a_calibration_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "camera.yaml"
    path.write_text(CALIBRATION)
    info = camera_info(str(path), "over_shoulder_optical_frame")
    assert (info.width, info.height, info.distortion_model) == (640, 480, "plumb_bob")
    assert info.k[4] == 601.0
    assert list(info.d) == [0.1, -0.2, 0.0, 0.0, 0.0]
    assert info.header.frame_id == "over_shoulder_optical_frame"


def test_without_a_calibration_the_camera_counts_as_uncalibrated() -> None:
    assert not camera_info("", "frame").k.any()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "can't read the calibration"),
        *((text, "malformed") for text in ("image_width: 640", "][", "9" * 5000, "[" * 5000, "3")),
    ],
)
def test_a_calibration_that_is_none_is_refused_by_name(tmp_path: Path, text: str | None, sentence: str) -> None:
    path = tmp_path / "camera.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(CameraError, match=sentence):
        camera_info(str(path), "frame")


def test_a_pinhole_of_90_degrees_has_a_focal_length_of_half_its_height() -> None:
    info = pinhole_info(640, 480, math.pi / 2, "frame")
    assert info.k[0] == info.k[4] == pytest.approx(240.0)
    assert (info.k[2], info.k[5]) == (319.5, 239.5)
    assert info.p[0] == info.k[0]


def test_where_a_camera_is_comes_from_its_calibration_file(tmp_path: Path) -> None:
    path = tmp_path / "camera.yaml"
    path.write_text(CALIBRATION)
    assert camera_pose("") is None and camera_pose(str(path)) is None
    path.write_text(CALIBRATION + "pose: [0.1, 0.2, 0.5, 0.0, 1.0, 0.0, 0.0]\n")
    frame, pose = camera_pose(str(path))
    assert (frame, pose.position.z, pose.orientation.y) == ("base_link", 0.5, 1.0)
    path.write_text(CALIBRATION + "pose_frame: ee_gripper_link\npose: [-0.1, 0, 0.07, 0, 0, 0]\n")
    frame, pose = camera_pose(str(path))
    assert (frame, pose.position.x, pose.orientation.w) == ("ee_gripper_link", -0.1, 1.0)


POSES = ["[0, 0, 0]", "[0, 0, 0, 0, 0, 0, 2]", "[0, 0, 0, 0, 0, 0, .nan]", "[0, 0, 0, .inf, 0, 0]", "here", "3"]


@pytest.mark.parametrize("entries", [*(f"pose: {pose}" for pose in POSES), "{pose: [0, 0, 0, 0, 0, 0], pose_frame: 3}"])
def test_a_pose_that_is_none_is_refused_by_name(tmp_path: Path, entries: str) -> None:
    path = tmp_path / "camera.yaml"
    path.write_text(entries if entries.startswith("{") else f"{CALIBRATION}{entries}\n")
    with pytest.raises(CameraError, match="malformed"):
        camera_pose(str(path))


def test_three_angles_are_turned_about_the_fixed_axes_as_in_urdf() -> None:
    """An optical frame on a camera that looks along x of its frame: rpy -pi/2, 0, -pi/2 (REP 103, REP 105)."""
    turned = pose_of([0.1, 0.2, 0.3, -math.pi / 2, 0.0, -math.pi / 2])
    o = turned.orientation
    assert [o.x, o.y, o.z, o.w] == pytest.approx([-0.5, 0.5, -0.5, 0.5])
    assert turned == pose_of([0.1, 0.2, 0.3, o.x, o.y, o.z, o.w])
