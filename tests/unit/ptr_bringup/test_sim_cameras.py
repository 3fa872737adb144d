# SPDX-License-Identifier: Apache-2.0
"""The simulator's second camera: on the wrist, beside the one over the shoulder."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from ptr_bringup.ros.context import StartupError
from ptr_bringup.sim.cameras import CAMERAS, TOOL_FRAME
from ptr_bringup.sim.fault_effects import ImageLine
from ptr_bringup.sim.faults import Faults
from ptr_bringup.sim.node import _known
from ptr_bringup.sim.world import World


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """One kitchen for all tests of this module; each test resets it."""
    with World("toykitchen1", "put_carrot_on_plate") as it:
        yield it


def carrot(world: World) -> tuple[int, int]:
    """Row and column of the carrot's middle in the wrist's image of 640x480, by the camera's pose on the tool."""
    frame, pose = world.camera_pose("wrist")
    assert frame == TOOL_FRAME
    tool, focal = world.tool_pose, 0.5 * 480 / np.tan(0.5 * np.radians(world.camera_fovy("wrist")))
    on_tool = tool.rotation.T @ (world.scene().object_position - tool.position)
    x, y, z = (on_tool - pose.position) @ pose.rotation
    return round(239.5 + focal * y / z), round(319.5 + focal * x / z)


def test_the_wrist_camera_goes_with_the_gripper_and_its_pose_says_how(world: World) -> None:
    world.reset(3)
    places = []
    for waist in (0.0, 0.15):
        world.place_arm(world.joint_positions + [waist, 0, 0, 0, 0, 0], world.finger)
        row, column = carrot(world)
        red, green, blue = world.render(640, 480, camera="wrist")[row, column].astype(int)
        assert red > 150 and 50 < green < 0.55 * red and blue < 60
        places.append((row, column))
    assert np.hypot(*np.subtract(*places)) > 30


def test_drawing_the_wrist_leaves_the_other_image_as_it_is(world: World) -> None:
    world.reset(3)
    before = world.render(160, 120)
    wrist = world.render(160, 120, camera="wrist")
    assert np.array_equal(world.render(160, 120), before)
    assert not np.array_equal(wrist, before) and wrist.mean() > 30


def test_an_earlier_appearance_is_seen_from_where_the_wrist_was_then(world: World) -> None:
    world.reset(5)
    then, before = world.appearance(), world.render(160, 120, camera="wrist")
    world.place_arm(world.joint_positions + [0.2, 0, 0, 0, 0, 0], world.finger)
    after = world.render(160, 120, camera="wrist")
    assert np.array_equal(world.render(160, 120, then, "wrist"), before)
    assert np.array_equal(world.render(160, 120, camera="wrist"), after) and not np.array_equal(after, before)


def test_a_seed_decides_how_the_wrist_camera_is_mounted(world: World) -> None:
    poses = []
    for seed in (3, 4, 3):
        world.reset(seed)
        poses.append(world.camera_pose("wrist")[1].position)
    assert np.array_equal(poses[0], poses[2])
    assert 0 < np.abs(poses[0] - poses[1]).max() < 0.005  # m


def test_a_fault_concerns_the_camera_that_it_names() -> None:
    faults = Faults()
    lines = {name: ImageLine(faults, name) for name in CAMERAS}
    faults.inject("image_gone", "wrist", float("nan"), 0.0, 0.0)
    assert {name: line.due(1.0) for name, line in lines.items()} == {"over_shoulder": True, "wrist": False}
    faults.inject("image_dark", "", float("nan"), 0.0, 0.0)
    white = np.full((4, 4, 3), 255, np.uint8)
    assert {name: line.expose(white).max() < 255 for name, line in lines.items()} == {
        "over_shoulder": True,
        "wrist": False,
    }


def test_the_simulator_refuses_a_camera_that_it_does_not_have() -> None:
    assert _known(["wrist", "over_shoulder", "wrist"]) == ["wrist", "over_shoulder"]
    with pytest.raises(StartupError, match="unknown simulated camera 'front'; known: over_shoulder, wrist"):
        _known(["over_shoulder", "front"])
