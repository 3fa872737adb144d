# SPDX-License-Identifier: Apache-2.0
"""The scripted operator of doors behind the arm's gate, in process: it opens, closes, errs and tries again."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ptr_bringup.sim.door_manner import DOOR_MANNERS, MACHINE, DoorManner, draw_attempt
from ptr_bringup.sim.door_operator import DoorOperator, DoorPhase
from ptr_bringup.sim.door_tasks import DoorTask, scene_of_poses
from ptr_bringup.sim.doors import DOORS, NEW_DOOR, Door, door_in
from ptr_bringup.sim.kitchens import KITCHENS
from ptr_bringup.sim.operator import MANNERS, ScriptedOperator
from ptr_bringup.sim.operators import operator_for
from ptr_bringup.sim.robot import SimulatedRobot
from ptr_bringup.sim.world import Variation, World

LONGEST = 45
LOW, HIGH = np.array([-0.05] * 3 + [-0.25] * 3 + [0.0]), np.array([0.05] * 3 + [0.25] * 3 + [1.0])
ANYWHERE = Variation(start=(0.045, 0.045, 0.035))
BOTH = pytest.mark.parametrize("skill", ["open", "close"])


def kitchen_of(door: Door) -> str:
    """A kitchen with this door."""
    return next(name for name in KITCHENS if door_in(name, door.kind) is door)


def demonstrate(world: World, seed: int, manner: DoorManner) -> tuple[np.ndarray, DoorOperator]:
    """Actions (T, 7) of one attempt, without images, by an operator that sees the two poses alone."""
    robot = SimulatedRobot(world)
    robot.reset(seed, ANYWHERE if seed % 2 else None)
    operator = DoorOperator(world.task, world.door.door, seed, manner)
    actions = []
    while not operator.done and len(actions) < LONGEST:
        (handle, _), (hinge, quaternion) = world.object_poses().values()
        seen = scene_of_poses(world.door.door, handle, hinge, quaternion, world.gripper, world.tool_pose.position)
        actions.append(operator.act(robot.commanded, world.gripper, seen))
        robot.act(actions[-1])
    return np.array(actions), operator


@BOTH
@pytest.mark.parametrize("door", (*DOORS, NEW_DOOR), ids=lambda door: door.name)
def test_every_door_is_opened_and_closed_at_once_by_an_operator_that_does_not_err(door: Door, skill: str) -> None:
    with World(kitchen_of(door), DoorTask(skill, door.kind)) as world:
        for seed in range(2):
            actions, operator = demonstrate(world, seed, MACHINE)
            assert world.successful(), f"seed {seed}: {world.scene()}"
            assert operator.done and operator.attempts == 1
            assert 10 <= len(actions) <= 24
            assert np.abs(actions[:, 3:6]).max() > 0.05  # the wrist turns with the door


@BOTH
def test_most_attempts_of_a_person_succeed_and_some_take_two(skill: str) -> None:
    """Three doors, six people each."""
    successes, attempts = 0, []
    for door in (DOORS[0], DOORS[4], NEW_DOOR):
        with World(kitchen_of(door), DoorTask(skill, door.kind)) as world:
            for seed in range(6):
                _, operator = demonstrate(world, 50 + seed, DoorManner())
                successes += world.successful()
                attempts.append(operator.attempts)
    assert successes >= 14
    assert min(attempts) == 1 and max(attempts) >= 2


def test_actions_stay_in_the_box_and_a_demonstration_repeats() -> None:
    with World("toykitchen_target1", "open_microwave") as world:
        first, _ = demonstrate(world, 3, DoorManner())
        assert np.all(first >= LOW) and np.all(first <= HIGH)
        assert np.array_equal(demonstrate(world, 3, DoorManner())[0], first)
        assert not np.array_equal(demonstrate(world, 5, DoorManner())[0][:5], first[:5])


@pytest.mark.parametrize("door", [DOORS[0], DOORS[2], DOORS[5]], ids=lambda door: door.handle.kind)
def test_a_missed_handle_is_noticed_and_taken_the_second_time(door: Door) -> None:
    misses = dataclasses.replace(MACHINE, miss=1.0, miss_again=0.0, miss_distance=(0.048, 0.050))
    with World(kitchen_of(door), DoorTask("open", door.kind)) as world:
        _, operator = demonstrate(world, 0, misses)
        assert world.successful() and operator.attempts == 2


@BOTH
def test_a_door_that_was_left_half_way_is_taken_again(skill: str) -> None:
    door = DOORS[1]
    stops = dataclasses.replace(MACHINE, stop_short=1.0, let_go_share=(0.4, 0.4))
    with World(kitchen_of(door), DoorTask(skill, door.kind)) as world:
        _, operator = demonstrate(world, 0, stops)
        assert operator.attempts >= 2
        assert world.door.angle > 0.5 if skill == "open" else world.door.angle < 0.6


def test_it_opens_the_fingers_for_a_knob_and_keeps_them_closed_for_a_bar_or_a_push() -> None:
    for door, skill, opening in ((DOORS[0], "open", 1.0), (DOORS[2], "open", 0.0), (DOORS[0], "close", 0.0)):
        with World(kitchen_of(door), DoorTask(skill, door.kind)) as world:
            actions, operator = demonstrate(world, 0, MACHINE)
            assert actions[0, 6] == opening
            assert set(actions[:, 6]) == ({0.0, 1.0} if opening else {0.0})
            assert operator.phase is DoorPhase.RETREAT


def test_attempts_follow_their_probabilities() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_attempt(DoorManner(), rng, 0) for _ in range(4000)]
    assert np.mean([a.missed for a in drawn]) == pytest.approx(0.30, abs=0.03)
    assert np.mean([a.detour is not None for a in drawn]) == pytest.approx(0.25, abs=0.03)
    assert np.mean([a.share < 1.0 for a in drawn]) == pytest.approx(1.0 - 0.88 * 0.82, abs=0.03)
    assert np.mean([a.hesitation for a in drawn]) == pytest.approx(1.5, abs=0.2)
    assert all(np.linalg.norm(a.aim) > 0.025 for a in drawn if a.missed)
    pushes = [draw_attempt(DoorManner(), rng, 0, pushes=True) for _ in range(200)]
    assert all(a.aim[2] > 0.03 for a in pushes if a.missed)
    clean = draw_attempt(MACHINE, rng, 0)
    assert not clean.aim.any() and clean.detour is None and clean.share == 1.0 and clean.hesitation == 0


def test_the_task_decides_which_operator_demonstrates_and_the_manner_with_food_names_that_with_doors() -> None:
    with World("toykitchen1", "close_oven") as world:
        operator = operator_for(world, 0, MANNERS["machine"])
        assert isinstance(operator, DoorOperator) and operator.manner is DOOR_MANNERS["machine"]
        assert operator_for(world, 0, MANNERS["human"]).manner.name == "human"
    with World("toykitchen1", "put_lime_on_plate") as world:
        assert isinstance(operator_for(world, 0), ScriptedOperator)
    assert set(DOOR_MANNERS) == set(MANNERS)
