# SPDX-License-Identifier: Apache-2.0
"""Tasks, objects and kitchens, and the success conditions of tasks."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ptr_bringup.arm.model.inverse_kinematics import inverse
from ptr_bringup.arm.model.kinematics import FINGER_CLOSED, FINGER_OPEN, Pose
from ptr_bringup.sim.kitchens import KITCHENS, SPAWN_HALF, held_out_kitchens, kitchen_named, pretraining_kitchens
from ptr_bringup.sim.objects import FOOD, RECEPTACLES
from ptr_bringup.sim.tasks import PRETRAINING_TASKS, TARGET_TASKS, TASKS, Scene, Task, success, task_named
from ptr_bringup.sim.textures import KINDS, texture_png
from ptr_models.common.rotations import DEFAULT_ROTATION

POT = np.array([0.30, -0.12, 0.0])
FAR = np.array([0.30, -0.12, 0.15])


def scene(position: list[float], speed: float = 0.0, gripper: float = 1.0, tool: np.ndarray = FAR) -> Scene:
    """The object there, the receptacle at POT."""
    return Scene(np.array(position), speed, POT, gripper, tool)


def test_the_four_targets_of_the_talk_are_there_and_not_in_pretraining() -> None:
    assert [task.name for task in TARGET_TASKS] == [
        "put_sweet_potato_on_plate",
        "take_croissant_out_of_metal_bowl",
        "put_knife_in_pot",
        "put_cucumber_in_pot",
    ]
    assert not {task.name for task in TARGET_TASKS} & {task.name for task in PRETRAINING_TASKS}


def test_pretraining_is_broad_and_overlaps_with_the_targets() -> None:
    assert len({task.name for task in PRETRAINING_TASKS}) == len(PRETRAINING_TASKS) >= 24
    assert {task.skill for task in PRETRAINING_TASKS} == {"put", "take"}
    assert len(FOOD) >= 10
    assert len(RECEPTACLES) == 4
    for target in TARGET_TASKS:
        assert any(task.item == target.item for task in PRETRAINING_TASKS)
        assert any(task.receptacle == target.receptacle for task in PRETRAINING_TASKS)


def test_kitchens_for_pretraining_and_held_out_ones() -> None:
    assert len(pretraining_kitchens()) >= 10
    assert len(held_out_kitchens()) == 2
    assert not set(pretraining_kitchens()) & set(held_out_kitchens())
    looks = {(k.counter, k.wall) for k in KITCHENS.values()}
    assert len(looks) == len(KITCHENS)


@pytest.mark.parametrize("item", FOOD)
def test_food_fits_between_the_fingers_even_a_centimetre_and_a_half_off(item: str) -> None:
    width = 2 * FOOD[item].half[1]
    assert width > 2 * FINGER_CLOSED
    assert (2 * FINGER_OPEN - width) / 2 >= 0.015


@pytest.mark.parametrize("kitchen", KITCHENS)
def test_the_arm_reaches_everything_with_the_gripper_down(kitchen: str) -> None:
    place = kitchen_named(kitchen)
    corners = [
        (place.spawn_center[0] + sx * SPAWN_HALF[0], place.spawn_center[1] + sy * SPAWN_HALF[1])
        for sx in (-1, 1)
        for sy in (-1, 1)
    ]
    for x, y in (*corners, place.receptacle_spot, place.drop_spot):
        for height in (0.02, 0.15):
            pose = Pose(np.array([x, y, height]), DEFAULT_ROTATION)
            assert inverse(pose, np.array([0.0, 0.022, 0.183, 0.0, 1.366, 0.0])) is not None


def test_put_succeeds_inside_the_walls_at_rest_and_released() -> None:
    task = task_named("put_cucumber_in_pot")
    assert success(task, scene([0.32, -0.10, 0.025]))
    assert not success(task, scene([0.30, -0.04, 0.018]))  # beside it
    assert not success(task, scene([0.32, -0.10, 0.025], speed=0.2))  # still rolling
    assert not success(task, scene([0.30, -0.12, 0.12]))  # above it


def test_nothing_is_put_while_the_gripper_holds_it() -> None:
    task = task_named("put_cucumber_in_pot")
    tool = np.array([0.30, -0.12, 0.03])
    assert not success(task, scene([0.30, -0.12, 0.025], gripper=0.2, tool=tool))
    assert success(task, scene([0.30, -0.12, 0.025], gripper=0.9, tool=tool))


def test_take_succeeds_on_the_counter_outside_the_receptacle() -> None:
    task = task_named("take_croissant_out_of_metal_bowl")
    assert success(task, scene([0.29, 0.06, 0.017]))
    assert not success(task, scene([0.30, -0.12, 0.022]))  # where it began
    assert not success(task, scene([0.30, -0.045, 0.045]))  # on the rim
    assert not success(task, scene([0.29, 0.06, -0.4]))  # fell off the counter
    assert not success(task, scene([0.29, 0.06, 0.017], gripper=0.2, tool=np.array([0.29, 0.06, 0.02])))


def test_names_say_in_or_on_out_of_or_off() -> None:
    assert Task("put", "lime", "pan").name == "put_lime_on_pan"
    assert Task("take", "lime", "pan").name == "take_lime_off_pan"
    assert all(task_named(name) == task for name, task in TASKS.items())


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'put_piano_in_pot'.*put_knife_in_pot"):
        task_named("put_piano_in_pot")
    with pytest.raises(ValueError, match=r"'castle'.*toykitchen1"):
        kitchen_named("castle")


@pytest.mark.parametrize("kind", KINDS)
def test_a_texture_depends_on_its_name_alone(kind: str) -> None:
    colors = ((0.7, 0.5, 0.3), (0.4, 0.3, 0.2))
    assert texture_png(kind, *colors, "a") == texture_png(kind, *colors, "a")
    assert texture_png(kind, *colors, "a") != texture_png(kind, *colors, "b")


def test_kitchens_are_plain_frozen_data() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        kitchen_named("toykitchen1").lamp = 0.1  # type: ignore[misc]
