# SPDX-License-Identifier: Apache-2.0
"""The simulated world: the arm is the published one, scenes follow from seeds, grasps hold by friction."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from ptr_bringup.arm.model.inverse_kinematics import inverse
from ptr_bringup.arm.model.kinematics import (
    FINGER_CLOSED,
    FINGER_OPEN,
    JOINT_LOWER,
    JOINT_NAMES,
    JOINT_UPPER,
    Pose,
    forward,
)
from ptr_bringup.sim.motors import AMBIENT, HEATING, Motors
from ptr_bringup.sim.renderer import mujoco
from ptr_bringup.sim.world import START_JOINTS, START_POSITION, Variation, World
from ptr_models.common.rotations import DEFAULT_ROTATION


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """One kitchen for all tests of this module; each test resets it."""
    with World("toykitchen1", "put_carrot_on_plate") as it:
        yield it


def drive(world: World, position: np.ndarray, finger: float, seconds: float) -> None:
    """Move the tool to a position (m) in a straight line of joint space, gripper down."""
    goal = inverse(Pose(position, DEFAULT_ROTATION), world.joint_positions)
    assert goal is not None
    start, steps = world.joint_positions, round(seconds / 0.02)
    for i in range(1, steps + 1):
        world.step(start + (goal - start) * i / steps, finger, 0.02)


def grasp(world: World) -> None:
    """Close the fingers around the object and lift it to 15 cm."""
    above = world.scene().object_position.copy()
    above[2] = 0.12
    drive(world, above, FINGER_OPEN, 1.0)
    drive(world, above * [1, 1, 0] + [0, 0, 0.021], FINGER_OPEN, 0.8)
    drive(world, above * [1, 1, 0] + [0, 0, 0.021], FINGER_CLOSED, 0.5)
    drive(world, above * [1, 1, 0] + [0, 0, 0.15], FINGER_CLOSED, 0.8)


def test_the_tool_is_where_the_product_of_exponentials_says(world: World) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        joints = rng.uniform(JOINT_LOWER, JOINT_UPPER)
        world.place_arm(joints, FINGER_OPEN)
        site, pose = world.data.site("ee_gripper_link"), forward(joints)
        assert site.xpos == pytest.approx(pose.position, abs=1e-9)
        assert site.xmat == pytest.approx(pose.rotation.ravel(), abs=1e-9)


def test_the_camera_s_pose_projects_an_object_to_where_the_image_shows_it(world: World) -> None:
    world.reset(4)
    (_, pose), focal = world.camera_pose(), 0.5 * 480 / np.tan(0.5 * np.radians(world.kitchen.fovy))
    x, y, z = (world.scene().object_position - pose.position) @ pose.rotation
    row, column = round(239.5 + focal * y / z), round(319.5 + focal * x / z)
    red, green, blue = world.render(640, 480)[row, column].astype(int)
    assert red > 150 and 50 < green < 0.55 * red and blue < 60  # the carrot


def test_joint_limits_and_finger_stroke_are_the_published_ones(world: World) -> None:
    for i, name in enumerate(JOINT_NAMES):
        assert world.model.joint(name).range == pytest.approx([JOINT_LOWER[i], JOINT_UPPER[i]], abs=1e-5)
    for name in ("left_finger", "right_finger"):
        assert world.model.joint(name).range == pytest.approx([0.015, 0.037])


def test_the_opening_between_the_pads_is_30_to_74_mm(world: World) -> None:
    fingers = [world.model.body(f"{side}_finger_link").id for side in ("left", "right")]
    pads = [g for g in range(world.model.ngeom) if world.model.geom_bodyid[g] in fingers]
    assert len(pads) == 2
    for finger, opening in ((FINGER_CLOSED, 0.030), (FINGER_OPEN, 0.074)):
        world.place_arm(START_JOINTS, finger)
        apart = np.linalg.norm(world.data.geom_xpos[pads[0]] - world.data.geom_xpos[pads[1]])
        assert apart - 2 * world.model.geom_size[pads[0], 1] == pytest.approx(opening, abs=1e-6)


def test_a_seed_gives_the_same_scene_and_image_again(world: World) -> None:
    world.reset(5)
    first, image = world.scene(), world.render(160, 120)
    world.reset(6)
    other = world.scene()
    assert np.linalg.norm(other.object_position - first.object_position) > 1e-3
    world.reset(5)
    assert np.array_equal(world.scene().object_position, first.object_position)
    assert np.array_equal(world.render(160, 120), image)


def test_a_scene_does_not_depend_on_what_was_before(world: World) -> None:
    world.reset(11)
    drive(world, START_POSITION + [0.03, 0.05, -0.05], FINGER_CLOSED, 0.4)
    world.set_torque(2, False)
    world.reset(12)
    with World("toykitchen1", "put_carrot_on_plate") as fresh:
        fresh.reset(12)
        assert np.array_equal(world.data.qpos, fresh.data.qpos)
        assert np.array_equal(world.render(64, 48), fresh.render(64, 48))


def test_a_world_that_is_closed_leaves_the_images_of_others_alone(world: World) -> None:
    world.reset(7)
    before = world.render(160, 120)
    with World("toykitchen3", "put_knife_in_pot") as other:
        other.render(160, 120)
        kept = world.render(160, 120)
        world.close()
        image = other.render(160, 120)
        with World("toykitchen3", "put_knife_in_pot") as again:
            assert np.array_equal(image, again.render(160, 120))
    assert np.array_equal(kept, before)
    assert np.array_equal(world.render(160, 120), before)


def test_an_image_larger_than_the_buffer_is_refused(world: World) -> None:
    with pytest.raises(ValueError, match="2000 x 100; the maximum is 1280 x 960"):
        world.render(2000, 100)


def test_the_arm_starts_near_its_start_pose_open_and_the_object_lies_free_of_the_receptacle(world: World) -> None:
    for seed in range(15):
        world.reset(seed)
        scene = world.scene()
        assert np.all(np.abs(scene.tool_position - START_POSITION) < [0.014, 0.014, 0.014])
        assert world.gripper > 0.98
        apart = np.hypot(*(scene.object_position - scene.receptacle_position)[:2])
        assert apart > world.task.vessel.outer_radius + world.task.food.half[0]
        assert scene.object_speed < 0.05
        assert not world.successful()


def test_a_wide_start_is_wide(world: World) -> None:
    starts = []
    for seed in range(12):
        world.reset(seed, Variation(start=(0.045, 0.045, 0.035)))
        starts.append(world.scene().tool_position)
    assert np.all(np.ptp(starts, axis=0) > 0.04)


def test_the_arm_follows_its_targets_within_limits(world: World) -> None:
    world.reset(1)
    goal = np.array([0.27, 0.08, 0.12])
    drive(world, goal, FINGER_OPEN, 0.8)
    world.step(world.data.ctrl[:6].copy(), FINGER_OPEN, 0.3)
    assert world.tool_pose.position == pytest.approx(goal, abs=0.003)
    assert np.abs(world.joint_velocities).max() < 0.05


def test_a_grasp_holds_by_friction_alone(world: World) -> None:
    world.reset(3)
    grasp(world)
    lifted = world.scene().object_position
    assert lifted[2] > 0.12
    assert 0.05 < world.gripper < 0.6
    assert world.model.nmocap == 0
    assert list(world.model.eq_type) == [mujoco.mjtEq.mjEQ_JOINT]  # the fingers' coupling, no weld
    world.step(world.data.ctrl[:6].copy(), FINGER_CLOSED, 2.0)
    assert world.scene().object_position == pytest.approx(lifted, abs=0.008)
    friction = world.model.geom_friction.copy()
    world.model.geom_friction[:] = 1e-4
    try:
        world.step(world.data.ctrl[:6].copy(), FINGER_CLOSED, 1.0)
        assert world.scene().object_position[2] < 0.05
    finally:
        world.model.geom_friction[:] = friction


def test_an_opened_gripper_drops_what_it_held(world: World) -> None:
    world.reset(3)
    grasp(world)
    world.step(world.data.ctrl[:6].copy(), FINGER_OPEN, 0.8)
    assert world.scene().object_position[2] < 0.05


def test_a_closed_empty_gripper_reads_zero_and_a_full_one_does_not(world: World) -> None:
    world.reset(3)
    world.step(world.data.ctrl[:6].copy(), FINGER_CLOSED, 0.6)
    assert world.gripper < 0.03
    world.reset(3)
    grasp(world)
    assert world.gripper > 0.06


def test_a_joint_without_torque_gives_way_and_holds_again_after_a_reset(world: World) -> None:
    world.reset(2)
    before = world.tool_pose.position[2]
    world.set_torque(1, False)
    world.step(world.data.ctrl[:6].copy(), FINGER_OPEN, 1.0)
    assert world.tool_pose.position[2] < before - 0.03
    assert world.joint_efforts[1] == 0.0
    world.reset(2)
    world.step(world.data.ctrl[:6].copy(), FINGER_OPEN, 1.0)
    assert world.tool_pose.position[2] == pytest.approx(before, abs=0.003)


def test_efforts_carry_the_weight_of_the_arm(world: World) -> None:
    world.reset(2)
    world.step(world.data.ctrl[:6].copy(), FINGER_OPEN, 0.5)
    efforts = world.joint_efforts
    assert efforts.shape == (7,)
    assert 1.0 < abs(efforts[1]) < 20.0  # the shoulder carries the arm
    assert abs(efforts[0]) < 0.3  # the waist carries nothing


def test_motors_warm_under_load_and_settle() -> None:
    motors = Motors(np.full(7, 10.0))
    motors.advance(np.array([10.0, 5.0, 0, 0, 0, 0, 0]), 1e4)
    assert motors.temperatures[:3] == pytest.approx([AMBIENT + HEATING, AMBIENT + HEATING / 4, AMBIENT])


def test_the_image_shows_object_and_receptacle(world: World) -> None:
    world.reset(4)
    image = world.render(320, 240).astype(int)
    assert image.shape == (240, 320, 3)
    red, green, blue = image[..., 0], image[..., 1], image[..., 2]
    carrot = (red > 150) & (green > 50) & (green < 0.55 * red) & (blue < 60)
    plate = (red > 200) & (green > 200) & (blue > 190)
    assert 150 < carrot.sum() < 3000
    assert plate.sum() > 1500


@pytest.mark.parametrize("side", [-1, 1])
def test_everything_that_matters_is_in_the_image(side: int) -> None:
    name = {1: "toykitchen1", -1: "toykitchen4"}[side]
    with World(name, "put_carrot_on_plate") as world:
        world.reset(0)
        kitchen, camera = world.kitchen, world.model.camera("over_shoulder").id
        rotation = world.data.cam_xmat[camera].reshape(3, 3)
        half = np.tan(np.deg2rad(kitchen.fovy) / 2)
        for x, y, z in ((*kitchen.spawn_center, 0.02), (*kitchen.receptacle_spot, 0.02), (0.30, 0.0, 0.15)):
            seen = rotation.T @ (np.array([x, y, z]) - world.data.cam_xpos[camera])
            assert abs(seen[0] / -seen[2]) < half * 4 / 3
            assert abs(seen[1] / -seen[2]) < half
