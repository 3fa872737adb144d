# SPDX-License-Identifier: Apache-2.0
"""The scripted operator behind the arm's gate, in process: it demonstrates, corrects itself, and can be repeated."""

from __future__ import annotations

import numpy as np
import pytest

from ptr_bringup.arm.kinematics import DEFAULT_ROTATION, Pose
from ptr_bringup.sim.kitchens import held_out_kitchens, pretraining_kitchens
from ptr_bringup.sim.operator import Manner, Phase, ScriptedOperator
from ptr_bringup.sim.robot import PERIOD, SimulatedRobot
from ptr_bringup.sim.tasks import PRETRAINING_TASKS, TARGET_TASKS, Scene, task_named
from ptr_bringup.sim.world import Variation, World

LOW, HIGH = np.array([-0.05] * 3 + [-0.25] * 3 + [0.0]), np.array([0.05] * 3 + [0.25] * 3 + [1.0])
POT, OBJECT = np.array([0.30, -0.12, 0.0]), np.array([0.30, 0.08, 0.018])
CALM = Manner(tremor=0.0, pause=0.0, hurry=(1.0, 1.0), sloppiness=0.0)


def demonstrate(world: World, seed: int, manner: Manner | None = None, wide: bool = False) -> np.ndarray:
    """Actions (T, 7) of one attempt, without pictures."""
    robot = SimulatedRobot(world)
    robot.reset(seed, Variation(start=(0.045, 0.045, 0.035)) if wide else None)
    operator = ScriptedOperator(world.task, world.drop_spot, seed, manner)
    actions = []
    while not operator.done and len(actions) < 45:
        actions.append(operator.act(robot.commanded, world.gripper, world.scene()))
        robot.act(actions[-1])
    return np.array(actions)


def scene(gripper: float, object_position: np.ndarray = OBJECT) -> Scene:
    """A scene at rest."""
    return Scene(object_position, 0.0, POT, gripper, np.array([0.3, 0.0, 0.15]))


def at(x: float, y: float, z: float) -> Pose:
    """A commanded pose, gripper down."""
    return Pose(np.array([x, y, z]), DEFAULT_ROTATION)


@pytest.mark.parametrize("task", TARGET_TASKS, ids=lambda task: task.name)
def test_the_target_tasks_succeed_in_both_held_out_kitchens(task: object) -> None:
    for kitchen in held_out_kitchens():
        with World(kitchen, task) as world:
            for seed in range(2):
                actions = demonstrate(world, seed, wide=bool(seed))
                assert world.successful(), f"{task} in {kitchen}, seed {seed}"
                assert 14 <= len(actions) <= 32


@pytest.mark.parametrize("third", range(3))
def test_pretraining_tasks_succeed_across_kitchens(third: int) -> None:
    """Every task once, every kitchen in turn; at most one of each twelve attempts may fail."""
    kitchens, failures = pretraining_kitchens(), []
    for i, task in list(enumerate(PRETRAINING_TASKS))[third::3]:
        with World(kitchens[(5 * i) % len(kitchens)], task) as world:
            demonstrate(world, 100 + i, Manner(tremor=0.004), wide=i % 2 == 0)
            if not world.successful():
                failures.append((world.kitchen.name, task.name))
    assert len(failures) <= 1, failures


def test_actions_stay_in_the_box_and_a_demonstration_repeats() -> None:
    with World("toykitchen2", "put_pear_in_metal_bowl") as world:
        first = demonstrate(world, 8)
        assert np.all(first >= LOW) and np.all(first <= HIGH)
        assert np.array_equal(demonstrate(world, 8), first)
        assert not np.array_equal(demonstrate(world, 9)[:5], first[:5])


def test_manner_changes_pace_and_tremor_but_not_the_outcome() -> None:
    with World("toykitchen5", "put_lime_on_plate") as world:
        brisk = demonstrate(world, 4, CALM)
        assert world.successful()
        slow = demonstrate(world, 4, Manner(tremor=0.004, pause=0.15, hurry=(0.5, 0.6), sloppiness=0.008))
        assert world.successful()
        assert len(slow) > len(brisk) + 3


def test_far_away_it_comes_in_high_and_descends_when_near() -> None:
    operator = ScriptedOperator(task_named("put_carrot_in_pot"), np.zeros(2), 0, CALM)
    far = operator.act(at(0.30, -0.05, 0.10), 1.0, scene(1.0))
    assert far[1] > 0.03 and abs(far[2]) < 0.02 and far[6] == 1.0
    near = operator.act(at(0.30, 0.08, 0.09), 1.0, scene(1.0))
    assert near[2] < -0.03 and np.abs(near[:2]).max() < 0.002


def test_it_closes_where_the_object_is_and_lifts_before_it_carries() -> None:
    operator = ScriptedOperator(task_named("put_carrot_in_pot"), np.zeros(2), 0, CALM)
    for _ in range(2):
        closing = operator.act(at(0.30, 0.08, 0.022), 1.0, scene(1.0))
        assert closing == pytest.approx([0, 0, 0, 0, 0, 0, 0])
    lifting = operator.act(at(0.30, 0.08, 0.022), 0.2, scene(0.2))
    assert operator.phase is Phase.CARRY
    assert lifting[2] > 0.03 and np.abs(lifting[:2]).max() < 0.005 and lifting[6] == 0.0


def test_after_a_missed_grasp_it_opens_and_tries_again() -> None:
    operator = ScriptedOperator(task_named("put_carrot_in_pot"), np.zeros(2), 0, CALM)
    for _ in range(2):
        operator.act(at(0.30, 0.08, 0.022), 1.0, scene(1.0))
    moved = np.array([0.33, 0.05, 0.018])
    again = operator.act(at(0.30, 0.08, 0.022), 0.0, scene(0.0, moved))
    assert operator.phase is Phase.REACH
    assert again[6] == 1.0


def test_what_slips_out_on_the_way_is_fetched_again() -> None:
    operator = ScriptedOperator(task_named("put_carrot_in_pot"), np.zeros(2), 0, CALM)
    for _ in range(3):
        operator.act(at(0.30, 0.08, 0.022), 0.2, scene(0.2))
    assert operator.phase is Phase.CARRY
    operator.act(at(0.30, 0.0, 0.12), 0.0, scene(0.0))
    assert operator.phase is Phase.REACH


def test_the_robot_in_process_takes_a_bridge_step_in_a_fifth_of_a_second() -> None:
    with World("toykitchen1", "put_carrot_on_plate") as world:
        robot = SimulatedRobot(world, 64, 48)
        robot.reset(1)
        before, began = robot.commanded.position.copy(), world.time
        robot.act([0.02, -0.01, -0.03, 0.0, 0.0, 0.0, 1.0])
        assert world.time - began == pytest.approx(PERIOD)
        assert robot.commanded.position - before == pytest.approx([0.02, -0.01, -0.03], abs=1e-6)
        robot.act(np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.1, 0.0]))
        robot.act(np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.1, 0.0]))
        robot.act(np.zeros(7))
        seen = robot.observe()
        assert seen.image.shape == (48, 64, 3)
        assert seen.state[:3] == pytest.approx(before + [0.02, -0.01, -0.03], abs=0.003)
        assert seen.state[3:6] == pytest.approx([0.0, 0.0, 0.2], abs=0.02)
        assert seen.gripper < 0.05 and seen.gripper_commanded == 0.0
