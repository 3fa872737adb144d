# SPDX-License-Identifier: Apache-2.0
"""Cameras in /tf: the chain of transforms from base_link ends where the simulator draws from, also while the arm moves.

The other side of each comparison is MuJoCo's own: where its cameras are, and what its images show.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tf2_msgs.msg")

from geometry_msgs.msg import PoseStamped, TransformStamped  # noqa: E402

from ptr_bringup.arm.messages import pose_message  # noqa: E402
from ptr_bringup.arm.model.kinematics import JOINT_LOWER, JOINT_NAMES, JOINT_UPPER, Pose  # noqa: E402
from ptr_bringup.camera.images import pinhole_info  # noqa: E402
from ptr_bringup.camera.source import optical_frame  # noqa: E402
from ptr_bringup.description.node import camera_transform, place, transform_of  # noqa: E402
from ptr_bringup.description.urdf import read_urdf  # noqa: E402
from ptr_bringup.sim.cameras import CAMERAS  # noqa: E402
from ptr_bringup.sim.world import World  # noqa: E402
from ptr_models.common.rotations import matrix_from_quaternion, rotation_vector_from_matrix  # noqa: E402

ROBOT = read_urdf(Path(__file__).resolve().parents[3] / "ptr_bringup" / "urdf" / "wx250s.urdf")
OPTICAL = np.diag([1.0, -1.0, -1.0])
"""A camera of MuJoCo looks along -z with y up (its XML reference), an optical frame along z with y down (REP 103)."""
MM, DEGREES = 1e-3, np.radians(1.0)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World("toykitchen1", "put_carrot_on_plate") as it:
        yield it


def transforms(world: World, prefix: str = "") -> dict[str, TransformStamped]:
    """What the node publishes of a world on /tf and /tf_static, by frame."""
    positions = ROBOT.positions(dict(zip(JOINT_NAMES, world.joint_positions, strict=True)))
    found = {joint.name: transform_of(joint, prefix) for joint in ROBOT.joints}
    for joint in ROBOT.joints:
        place(found[joint.name], joint, positions.get(joint.name, 0.0))
    for camera in CAMERAS:
        frame, pose = world.camera_pose(camera)
        message = PoseStamped(pose=pose_message(pose))
        message.header.frame_id = prefix + frame
        found[camera] = camera_transform(camera, message, prefix)
    return {transform.child_frame_id: transform for transform in found.values()}


def pose_in_base(known: dict[str, TransformStamped], frame: str, base: str = "base_link") -> Pose:
    """A frame in base_link, as a display works it out."""
    pose = Pose(np.zeros(3), np.eye(3))
    while frame != base:
        moved, turned = known[frame].transform.translation, known[frame].transform.rotation
        rotation = matrix_from_quaternion([turned.x, turned.y, turned.z, turned.w])
        position = np.array([moved.x, moved.y, moved.z]) + rotation @ pose.position
        pose, frame = Pose(position, rotation @ pose.rotation), known[frame].header.frame_id
    return pose


def angle(rotation: np.ndarray) -> float:
    return float(np.linalg.norm(rotation_vector_from_matrix(rotation)))


@pytest.mark.parametrize("camera", CAMERAS)
@pytest.mark.parametrize("prefix", ["", "left/"])
def test_the_chain_ends_where_the_simulator_has_its_camera(world: World, camera: str, prefix: str) -> None:
    rng, places = np.random.default_rng(0), []
    for seed in range(5):
        world.reset(seed)
        for _ in range(4):
            middle, half = (JOINT_LOWER + JOINT_UPPER) / 2, (JOINT_UPPER - JOINT_LOWER) / 2
            world.place_arm(middle + 0.9 * half * rng.uniform(-1.0, 1.0, 6), 0.03)
            found = pose_in_base(transforms(world, prefix), prefix + optical_frame(camera), f"{prefix}base_link")
            own = world.data.camera(camera)
            assert np.linalg.norm(found.position - own.xpos) < 1.0 * MM
            assert angle(found.rotation.T @ own.xmat.reshape(3, 3) @ OPTICAL) < 0.5 * DEGREES
            places.append(found.position)
    moved = np.ptp(places, axis=0).max()
    assert moved > 0.3 if camera == "wrist" else moved < 0.02


@pytest.mark.parametrize("camera", CAMERAS)
def test_an_image_in_its_place_shows_what_is_there(world: World, camera: str) -> None:
    """The carrot is drawn at the pixel that chain and camera_info say, so that an image fits what lies behind it."""
    width, height = 640, 480
    info = pinhole_info(width, height, np.radians(world.camera_fovy(camera)), optical_frame(camera))
    for seed in (0, 3):
        world.reset(seed)
        pose = pose_in_base(transforms(world), info.header.frame_id)
        x, y, z = np.array(info.k).reshape(3, 3) @ pose.rotation.T @ (world.scene().object_position - pose.position)
        red, green, blue = world.render(width, height, camera=camera)[round(y / z), round(x / z)].astype(int)
        assert red > 120 and green < 0.6 * red and blue < 80, (seed, red, green, blue)
