# SPDX-License-Identifier: Apache-2.0
"""Bulk demonstrations and bulk trials: spread, repeatable, resumable, judged by object poses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ptr_bringup.sim.kitchens import pretraining_kitchens
from ptr_bringup.sim.operator import ScriptedOperator
from ptr_bringup.sim.robot import SimulatedRobot
from ptr_bringup.sim.scene_sampling import scene_seed
from ptr_bringup.sim.tasks import PRETRAINING_TASKS
from ptr_bringup.sim.world import World
from ptr_models.common.errors import PtrError
from ptr_models.contract import Contract
from ptr_models.episodes.reader import read_episode
from ptr_models.inference.acting import Decision
from ptr_policy.bulk.collect import MACHINE, Order, collect, demonstrate, orders
from ptr_policy.bulk.evaluate import BulkTrial, goals_of, run_trial, show
from ptr_policy.bulk.sight import observe, robot_for

KITCHEN, TASK = "toykitchen2", "put_corn_in_pot"
CONTRACT = Contract()
CAMERA = CONTRACT.cameras[0]


@pytest.fixture(scope="module")
def robot() -> Iterator[SimulatedRobot]:
    """One kitchen for all trials."""
    with World(KITCHEN, TASK) as world:
        yield SimulatedRobot(world, 160, 120)


def decision(action: np.ndarray, q: float) -> Decision:
    """A decision with that action and value."""
    action = np.asarray(action, dtype=np.float32)
    return Decision(action, action, q=q, q_spread=0.0, q_mode=q, inference_time=0.0)


class Expert:
    """Acts like the scripted operator, which looks at the object poses instead of the image."""

    def __init__(self, robot: SimulatedRobot, seed: int) -> None:
        self._robot = robot
        self._operator = ScriptedOperator(robot.world.task, robot.world.drop_spot, seed)
        self.seen: list[tuple[tuple[int, ...], str]] = []

    def reset(self) -> None:
        self.seen.clear()

    def act(self, image: np.ndarray, state: np.ndarray, task: str, choice: str) -> Decision:
        self.seen.append((image.shape, task))
        world = self._robot.world
        action = self._operator.act(self._robot.commanded, world.gripper, world.scene())
        return decision(action, -1.0)


class Idle:
    """Does nothing, with an open gripper, and has no Q-function."""

    def reset(self) -> None:
        """Nothing is remembered."""

    def act(self, image: np.ndarray, state: np.ndarray, task: str, choice: str) -> Decision:
        return decision(np.array([0, 0, 0, 0, 0, 0, 1.0]), float("nan"))


def test_orders_spread_evenly_over_kitchens_and_tasks() -> None:
    pairs = len(pretraining_kitchens()) * len(PRETRAINING_TASKS)
    wanted = orders(2 * pairs, seed=3)
    counts: dict[tuple[str, str], int] = {}
    for order in wanted:
        counts[order.kitchen, order.task] = counts.get((order.kitchen, order.task), 0) + 1
    assert set(counts.values()) == {2} and len(counts) == pairs
    assert len({order.episode_id for order in wanted}) == len(wanted)
    assert orders(2 * pairs, seed=3) == wanted


def test_more_episodes_keep_those_that_are_there() -> None:
    assert orders(1000, seed=0)[:400] == orders(400, seed=0)


def test_an_unknown_kitchen_or_task_is_refused_with_the_known_ones() -> None:
    with pytest.raises(PtrError, match=r"'castle'.*toykitchen1"):
        orders(1, 0, ["castle"])
    with pytest.raises(PtrError, match=r"'fly'.*put_knife_in_pot"):
        orders(1, 0, [], ["fly"])


def test_demonstrations_become_bags_once_and_the_same_again(tmp_path: Path) -> None:
    wanted = orders(2, 5, [KITCHEN], [TASK])
    assert collect(tmp_path / "a", wanted, 1, 80, 60) == 2
    bag = tmp_path / "a" / wanted[0].episode_id
    first = (bag / f"{bag.name}.mcap").read_bytes()
    assert collect(tmp_path / "a", wanted, 1, 80, 60) == 0
    (bag / f"{bag.name}.mcap").unlink()
    for rest in bag.iterdir():
        rest.unlink()
    bag.rename(bag.with_name(f"{bag.name}.partial"))
    assert collect(tmp_path / "a", wanted, 1, 80, 60) == 1
    assert (bag / f"{bag.name}.mcap").read_bytes() == first
    assert sorted(path.name for path in (tmp_path / "a").glob("[!.]*")) == sorted(o.episode_id for o in wanted)


def test_a_bag_says_what_it_is_and_holds_the_whole_demonstration(tmp_path: Path) -> None:
    order = Order(0, KITCHEN, TASK, 6, manner="machine")
    collect(tmp_path, [order], 1, 80, 60)
    episode = read_episode(tmp_path / order.episode_id, Contract())
    about = episode.metadata
    assert (about.task, about.kitchen, about.robot, about.outcome) == (TASK, KITCHEN, "sim", "success")
    actions = np.asarray(episode.actions)
    assert 14 <= len(actions) <= 45
    assert np.all(np.abs(actions[:, :3]) <= 0.05 + 1e-6)
    assert {round(float(g)) for g in actions[:, 6]} == {0, 1}
    assert actions[0, 6] > 0.9 and actions[-1, 6] > 0.9


def test_an_image_drawn_later_is_that_of_its_moment(robot: SimulatedRobot) -> None:
    robot.reset(3)
    moments = []
    for step in range(6):
        robot.act([0.02, 0.01, -0.02, 0.0, 0.0, 0.2, float(step < 3)])
        moments.append((robot.images()["over_shoulder"], robot.world.appearance()))
    drawn = [robot.images(appearance=appearance)["over_shoulder"] for _, appearance in moments]
    assert all(np.array_equal(image, then) for (image, _), then in zip(moments, drawn, strict=True))
    assert np.array_equal(robot.images()["over_shoulder"], drawn[-1]) and not np.array_equal(drawn[0], drawn[-1])


def test_images_are_drawn_of_demonstrations_that_succeed_only(
    robot: SimulatedRobot, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = demonstrate(robot, 5, MACHINE)
    assert seen is not None and all(list(it.images) == ["over_shoulder"] for it in seen)
    monkeypatch.setattr(World, "successful", lambda self: False)
    monkeypatch.setattr(World, "render", lambda *_: pytest.fail("drawn"))
    assert demonstrate(robot, 5, MACHINE) is None


def test_an_expert_succeeds_and_sees_what_the_contract_says(robot: SimulatedRobot) -> None:
    seed = scene_seed("trial", 0, 0)
    expert = Expert(robot, seed)
    trial = run_trial(robot, expert, CONTRACT, TASK, seed, 40)
    assert trial.success and trial.steps < 30
    assert (trial.task, trial.kitchen, trial.mean_q) == (TASK, KITCHEN, -1.0)
    assert set(expert.seen) == {((CAMERA.height, CAMERA.width, 3), TASK)}


def test_who_does_nothing_fails_after_all_steps(robot: SimulatedRobot) -> None:
    trial = run_trial(robot, Idle(), CONTRACT, TASK, 1, 6)
    assert (trial.success, trial.steps, trial.mean_q) == (False, 6, None)
    assert "NaN" not in json.dumps(trial.to_dict())


def test_the_table_tells_successes_with_their_interval(capsys: pytest.CaptureFixture[str]) -> None:
    show([BulkTrial(TASK, KITCHEN, i, i < 7, 20, 0.0) for i in range(10)])
    printed = capsys.readouterr().out
    assert "7/10" in printed and "40-89 %" in printed


TWO = CONTRACT.with_cameras(["wrist", "over_shoulder"])


def test_a_demonstration_has_the_cameras_of_its_contract_and_a_policy_sees_them_in_its_order(
    robot: SimulatedRobot, tmp_path: Path
) -> None:
    (order,) = wanted = orders(1, 5, [KITCHEN], [TASK])
    assert collect(tmp_path, wanted, 1, 64, 48, TWO) == 1
    recorded = read_episode(tmp_path / order.episode_id, TWO).images
    assert list(recorded) == ["wrist", "over_shoulder"]
    assert (recorded["wrist"][0] != recorded["over_shoulder"][0]).any()
    robot.reset(1)
    seen, alone = observe(robot, TWO).image, observe(robot, CONTRACT).image
    assert seen is not None and alone is not None and seen.shape == (64, 64, 6)
    assert np.array_equal(seen[..., 3:], alone) and not np.array_equal(seen[..., :3], alone)


def test_a_camera_that_is_not_simulated_is_refused(robot: SimulatedRobot) -> None:
    with pytest.raises(PtrError, match="no simulated camera 'front'; known: over_shoulder, wrist"):
        robot_for(robot.world, CONTRACT.with_cameras(["front"]))


def test_goals_are_an_image_a_bag_or_the_successes_of_the_task_in_a_folder(tmp_path: Path) -> None:
    wanted = [Order(index, KITCHEN, task, index) for index, task in enumerate((TASK, "put_sushi_on_plate", TASK))]
    collect(tmp_path / "bags", wanted, 1, 64, 64, CONTRACT.low_dim())
    bags = [str(tmp_path / "bags" / order.episode_id) for order in wanted]
    (tmp_path / "end.png").touch()
    assert goals_of(None, TASK) == ("",)
    assert goals_of(tmp_path / "end.png", TASK) == (str(tmp_path / "end.png"),)
    assert goals_of(Path(bags[1]), TASK) == (bags[1],)  # whoever names a bag knows what it shows
    assert goals_of(tmp_path / "bags", TASK) == (bags[0], bags[2])
    with pytest.raises(PtrError, match="has no successful demonstration of put_carrot_on_plate"):
        goals_of(tmp_path / "bags", "put_carrot_on_plate")
