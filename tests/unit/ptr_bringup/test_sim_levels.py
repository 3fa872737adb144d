# SPDX-License-Identifier: Apache-2.0
"""Levels of difficulty: what a scene of each holds, and that mistakes cost something where they should."""

from __future__ import annotations

import numpy as np
import pytest

from ptr_bringup.arm.model.inverse_kinematics import inverse
from ptr_bringup.arm.model.kinematics import FINGER_OPEN, Pose
from ptr_bringup.sim.levels import LEVELS, level_named
from ptr_bringup.sim.world import START_JOINTS, World, distractors_of
from ptr_models.common.rotations import DEFAULT_ROTATION

KITCHEN, TASK = "toykitchen4", "put_cucumber_on_plate"
EASY_SCENES = {0: [0.24343, 0.06941, 0.01788], 1: [0.26882, 0.07988, 0.01788], 2: [0.26273, 0.07596, 0.01788]}


def lay(level: str, seeds: int, task: str = TASK) -> list[dict[str, np.ndarray]]:
    """Positions of everything in some scenes, by name."""
    scenes = []
    with World(KITCHEN, task, level) as world:
        for seed in range(seeds):
            world.reset(seed)
            scenes.append({name: position for name, (position, _) in world.object_poses().items()})
    return scenes


@pytest.mark.parametrize("name", LEVELS)
def test_a_scene_holds_as_many_distractors_as_its_level_says_apart_from_each_other(name: str) -> None:
    level = level_named(name)
    for poses in lay(name, 12):
        things = list(poses.values())
        assert level.distractors[0] <= len(things) - 2 <= level.distractors[1]
        loose = [things[0], *things[2:]]
        apart = [np.hypot(*(a - b)[:2]) for i, a in enumerate(loose) for b in loose[:i]]
        assert all(distance > level.clearance - 0.01 for distance in apart)


def test_easy_is_what_it_was_before_there_were_levels() -> None:
    """Place and turn of the carrot in three scenes, as version 0.1 laid them."""
    with World("toykitchen1", "put_carrot_on_plate", "easy") as world:
        for seed, place in EASY_SCENES.items():
            world.reset(seed)
            assert world.scene().object_position == pytest.approx(place, abs=1e-4)
            assert len(world.object_poses()) == 2


def test_items_are_turned_and_receptacles_move_more_at_harder_levels() -> None:
    spread = {}
    for name in LEVELS:
        with World(KITCHEN, TASK, name) as world:
            yaws, places = [], []
            for seed in range(40):
                world.reset(seed)
                yaws.append((world.scene().object_yaw + np.pi / 2) % np.pi - np.pi / 2)
                places.append(world.scene().receptacle_position[:2])
        spread[name] = (np.std(yaws), np.std(places, axis=0).min())
    assert spread["easy"][0] < 0.25 < spread["standard"][0] < spread["hard"][0]
    assert spread["easy"][1] < spread["standard"][1] < spread["hard"][1]


def test_a_scene_does_not_depend_on_the_distractors_of_the_one_before() -> None:
    with World(KITCHEN, TASK, "hard") as world, World(KITCHEN, TASK, "hard") as fresh:
        world.reset(1)
        world.set_torque(1, False)  # a limp arm changes contacts and gravity
        world.set_torque(1, True)
        world.reset(5)
        fresh.reset(5)
        assert np.array_equal(world.data.qpos, fresh.data.qpos)
        assert np.array_equal(world.render(64, 48), fresh.render(64, 48))


def test_absent_distractors_stay_out_of_the_world_when_the_arm_goes_limp() -> None:
    with World(KITCHEN, TASK, "standard") as world:
        world.reset(3)
        items = distractors_of(world.kitchen, world.task, world.level)
        absent = [i for i, item in enumerate(items) if item.name not in world.object_poses()]
        assert absent
        world.set_torque(1, False)
        world.step(world.data.ctrl[:6].copy(), FINGER_OPEN, 1.0)
        for index in absent:
            assert world.data.xpos[world.model.body(f"distractor_{index}").id][0] == pytest.approx(-2.0, abs=1e-6)


def pushed(level: str) -> float:
    """How far (m) a cucumber travels that an open finger brushes from the side at 0.2 m/s."""
    with World(KITCHEN, TASK, level) as world:
        world.reset(2)
        scene = world.scene()
        side = world.kitchen.side
        joints = START_JOINTS
        for offset in np.linspace(0.085, 0.035, 26):
            place = scene.object_position + [0.0, side * offset, 0.0]
            joints = inverse(Pose(np.array([*place[:2], 0.02]), DEFAULT_ROTATION), joints)
            assert joints is not None
            if offset == 0.085:
                world.place_arm(joints, FINGER_OPEN)
            world.step(joints, FINGER_OPEN, 0.01)
        world.step(joints, FINGER_OPEN, 2.0)
        return float(np.hypot(*(world.scene().object_position - scene.object_position)[:2]))


def test_a_touch_from_the_side_sends_round_things_further_at_harder_levels() -> None:
    easy, standard = pushed("easy"), pushed("standard")
    assert standard > 1.5 * easy


def test_an_unknown_level_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'brutal'.*easy, standard, hard"):
        level_named("brutal")
