# SPDX-License-Identifier: Apache-2.0
"""Doors of the toy kitchens: that they stay where they are left, and when they count as open or shut."""

from __future__ import annotations

import itertools
import math

import mujoco
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptr_bringup.arm.gate.limits import Limits
from ptr_bringup.arm.model.kinematics import FINGER_OPEN
from ptr_bringup.sim.door_grasp import FOLLOW, grip_pose, push_pose, tool_rotation, turned_by
from ptr_bringup.sim.door_tasks import DOOR_TASKS, HANDLE, DoorScene, DoorTask, describe, door_success, scene_of_poses
from ptr_bringup.sim.doors import DOORS, KINDS, NEW_DOOR, Door, door_in
from ptr_bringup.sim.kitchens import KITCHENS, held_out_kitchens, pretraining_kitchens
from ptr_bringup.sim.tasks import PRETRAINING_TASKS, TARGET_TASKS, task_named
from ptr_bringup.sim.world import Variation, World
from ptr_models.common.rotations import matrix_from_rotation_vector, rotation_vector_from_matrix
from ptr_models.training.tasks import TaskTable

ALL = (*DOORS, NEW_DOOR)
EVERY_DOOR = pytest.mark.parametrize("door", ALL, ids=lambda door: door.name)
ANYWHERE = Variation(start=(0.045, 0.045, 0.035))


def kitchen_of(door: Door) -> str:
    """A kitchen with this door."""
    return next(name for name in KITCHENS if door_in(name, door.kind) is door)


def scene(angle: float, speed: float = 0.0, touched: bool = False) -> DoorScene:
    """A door at an angle."""
    return DoorScene(np.zeros(3), np.zeros(3), angle, speed, touched, 1.0, np.zeros(3))


def hold(world: World, seconds: float) -> None:
    """Let time pass while the arm stays where it is."""
    world.step(world.joint_positions, FINGER_OPEN, seconds)


def test_pretraining_has_twelve_doors_four_of_each_kind_and_the_new_one_is_like_none_of_them() -> None:
    assert len(DOORS) == 12 and len({door.name for door in ALL}) == 13
    assert [sum(door.kind == kind for door in DOORS) for kind in KINDS] == [4, 4, 4]
    assert {door.hinge for door in DOORS if door.kind == "oven"} == {"bottom"}
    assert {door.hinge for door in DOORS if door.kind == "cabinet"} == {"left", "right"}
    assert NEW_DOOR.handle.kind not in {door.handle.kind for door in DOORS}
    assert NEW_DOOR.size not in {door.size for door in DOORS}
    assert min(np.abs(np.subtract(NEW_DOOR.color, door.color)).max() for door in DOORS) > 0.2


def test_every_kitchen_has_one_door_of_each_kind_and_only_the_held_out_ones_have_the_new_one() -> None:
    seen = {door_in(kitchen, kind).name for kitchen in pretraining_kitchens() for kind in KINDS}
    assert seen == {door.name for door in DOORS}
    assert all(door_in(kitchen, "microwave") is NEW_DOOR for kitchen in held_out_kitchens())
    assert all(door_in(kitchen, kind).kind == kind for kitchen in KITCHENS for kind in KINDS)
    with pytest.raises(ValueError, match=r"'fridge'.*cabinet, oven, microwave"):
        door_in("toykitchen1", "fridge")
    with pytest.raises(ValueError, match=r"'castle'.*toykitchen1"):
        door_in("castle", "oven")


def test_tasks_are_named_as_in_ptr_and_share_two_slots() -> None:
    names = [task.name for task in DOOR_TASKS]
    assert names == [
        "open_cabinet", "open_oven", "open_microwave", "close_cabinet", "close_oven", "close_microwave",
    ]  # fmt: skip
    assert all(task_named(task.name) == task for task in DOOR_TASKS)
    assert TaskTable.from_names(names, 0).names == ("close_door", "open_door")
    assert not set(names) & {task.name for task in (*PRETRAINING_TASKS, *TARGET_TASKS)}


@EVERY_DOOR
def test_a_door_stays_where_it_is_left(door: Door) -> None:
    with World(kitchen_of(door), DoorTask("close", door.kind)) as world:
        for angle in (0.3, 0.7, door.max_angle - 0.1):
            world.door.set_angle(angle)
            hold(world, 1.0)
            assert world.door.angle == pytest.approx(angle, abs=0.01)


@EVERY_DOOR
def test_it_counts_as_open_and_shut_by_its_angle(door: Door) -> None:
    with World(kitchen_of(door), DoorTask("open", door.kind)) as world:
        assert not world.successful()
        world.door.set_angle(door.open_angle + 0.02)
        hold(world, 0.1)
        assert world.successful()
    with World(kitchen_of(door), DoorTask("close", door.kind)) as world:
        assert not world.successful()
        world.door.set_angle(0.05)
        hold(world, 0.1)
        assert world.successful()


@given(st.floats(0.0, 1.7), st.floats(-1.0, 1.0), st.booleans(), st.sampled_from(ALL))
def test_open_and_shut_exclude_each_other_and_need_rest_and_free_fingers(
    angle: float, speed: float, touched: bool, door: Door
) -> None:
    seen = scene(angle, speed, touched)
    opened, closed = (door_success(DoorTask(skill, door.kind), door, seen) for skill in ("open", "close"))
    assert not (opened and closed)
    assert opened == (angle >= door.open_angle and abs(speed) <= 0.1 and not touched)
    assert closed == (angle <= 0.08 and abs(speed) <= 0.1 and not touched)
    assert door.name in describe(door, seen)


@given(st.sampled_from(ALL), st.floats(0.0, 1.7))
def test_the_angle_is_read_from_the_orientation(door: Door, angle: float) -> None:
    w, sine = math.cos(angle / 2), math.sin(angle / 2)
    quaternion = np.array([w, *(door.axis * sine)])
    assert door.angle(quaternion) == pytest.approx(angle, abs=1e-9)
    assert door.angle(-quaternion) == pytest.approx(angle, abs=1e-9)
    seen = scene_of_poses(door, np.ones(3), np.zeros(3), quaternion, 0.5, np.zeros(3))
    assert seen.angle == pytest.approx(angle, abs=1e-9) and not seen.touched


@EVERY_DOOR
def test_the_poses_are_the_handle_then_the_door_and_turn_with_the_hinge(door: Door) -> None:
    with World(kitchen_of(door), DoorTask("open", door.kind)) as world:
        assert list(world.object_poses()) == [HANDLE, door.kind]
        for angle in (0.0, 0.6, 1.2):
            world.door.set_angle(angle)
            mujoco.mj_forward(world.model, world.data)
            (handle, turned), (hinge, quaternion) = world.object_poses().values()
            assert door.angle(quaternion) == pytest.approx(angle, abs=1e-6)
            assert np.array_equal(turned, quaternion)
            assert hinge == pytest.approx(world.model.body_pos[world.model.body("door_box").id], abs=1e-9)
            assert handle == pytest.approx(hinge + door.rotation(angle) @ door.handle_position, abs=1e-6)
            if angle:
                assert handle[0] < hinge[0] - 0.05  # it opens towards the arm
            seen = world.scene()
            assert seen.handle_position == pytest.approx(handle) and seen.angle == pytest.approx(angle, abs=1e-6)


@EVERY_DOOR
def test_scenes_vary_are_repeated_by_their_seed_and_begin_undone_and_untouched(door: Door) -> None:
    for skill in ("open", "close"):
        with World(kitchen_of(door), DoorTask(skill, door.kind)) as world:
            places = []
            for seed in range(12):
                world.reset(seed, ANYWHERE)
                assert not world.door.touched and not world.successful()
                places.append((*world.scene().door_position, world.door.angle))
            world.reset(5, ANYWHERE)
            assert (*world.scene().door_position, world.door.angle) == places[5]
            spread = np.ptp(places, axis=0)
            assert 0.005 < spread[0] <= 0.020 and 0.010 < spread[1] <= 0.030 and 0.015 < spread[3] <= 0.25
            assert len(set(places)) == 12


@given(st.sampled_from(ALL), st.floats(0.0, 1.0))
def test_grips_keep_their_place_on_the_handle_and_inside_the_workspace(door: Door, share: float) -> None:
    angle = share * (door.open_angle + 0.2)
    pose = grip_pose(door, door.hinge_position, angle)
    handle = door.hinge_position + door.rotation(angle) @ door.handle_position
    reach = 0.035 if door.handle.hooked else 1e-9
    assert np.linalg.norm(pose.position - handle) <= reach
    limits = Limits()
    assert np.all(pose.position >= limits.workspace_min) and np.all(pose.position <= limits.workspace_max)
    turn = rotation_vector_from_matrix(pose.rotation @ tool_rotation(door, 0.0).T)
    assert turn == pytest.approx(door.axis * angle * FOLLOW[door.hinge], abs=1e-9)


@given(st.sampled_from([door for door in ALL if door.hinge != "bottom"]), st.floats(0.0, 1.5), st.floats(-0.4, 0.4))
def test_the_way_along_the_arc_is_measured_about_the_hinge(door: Door, angle: float, further: float) -> None:
    hinge = door.hinge_position
    one, other = (push_pose(door, hinge, a).position for a in (angle, angle + further))
    assert turned_by(door, hinge, one, other) == pytest.approx(further, abs=1e-9)
    assert np.allclose(door.rotation(angle), matrix_from_rotation_vector(door.axis * angle))


def test_a_worlds_clutter_makes_way_for_the_door() -> None:
    for kitchen, task in itertools.product(("toykitchen1", "toykitchen_target1"), DOOR_TASKS[:3]):
        with World(kitchen, task) as world:
            assert all(block.position[0] < 0.40 for block in world.kitchen.clutter)
            assert world.kitchen.name == kitchen
            assert world.render(64, 48).shape == (48, 64, 3)
