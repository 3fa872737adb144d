# SPDX-License-Identifier: Apache-2.0
"""The low-dimensional twin in simulation, and control rates other than the suite's: collect, train, try, practise."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ptr_bringup.sim.robot import SimulatedRobot
from ptr_bringup.sim.world import World
from ptr_models.cli import main
from ptr_models.common.errors import PtrError
from ptr_models.contract import Contract
from ptr_models.episodes.object_features import object_features
from ptr_models.episodes.reader import read_episode
from ptr_models.inference.policy import Policy
from ptr_models.training.data import Bags
from ptr_models.training.presets import preset
from ptr_models.training.run_setup import start_pretraining
from ptr_models.training.runs import latest_checkpoint
from ptr_policy.bulk.collect import collect, decision_steps, orders
from ptr_policy.bulk.practice import Practice, PracticeOptions
from ptr_policy.bulk.practice_scene import PracticeScene
from ptr_policy.bulk.sight import observe
from ptr_policy.server.loading import LoadRequest, ServerError, load
from ptr_policy.table.cli import plan_from
from ptr_policy.table.plan import all_stages

KITCHEN, TASK, BACK = "toykitchen2", "put_cucumber_in_pot", "take_cucumber_out_of_pot"
LOW_DIM = Contract().low_dim()
FAST = dataclasses.replace(LOW_DIM, control_rate=10.0)


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever makes an image fails."""

    def refuse(*_: object) -> None:
        raise AssertionError("an image was rendered")

    monkeypatch.setattr(World, "render", refuse)


@pytest.fixture(scope="module")
def robot() -> Iterator[SimulatedRobot]:
    """One kitchen for all trials."""
    with World(KITCHEN, TASK) as world:
        yield SimulatedRobot(world, 64, 48)


def train(demonstrations: Path, folder: Path, steps: int = 3) -> Policy:
    """A few updates of behaviour cloning on what is in a folder."""
    config = preset("bc_low_dim").replaced([f"schedule.steps={steps}", "batch_size=16", "threads=1"])
    start_pretraining(config, Bags((), (demonstrations,), folder / "cache"), folder).run()
    path = latest_checkpoint(folder)
    assert path is not None
    return Policy.load(path)


def test_demonstrations_training_and_trials_make_no_image(
    blind: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--kitchens", KITCHEN, "--tasks", TASK]
    bags, run, found = tmp_path / "bags", tmp_path / "run", tmp_path / "trials.json"
    assert main(["sim", "collect", "--out", str(bags), *place, "--episodes", "3", "--jobs", "1", "--no-images"]) == 0
    policy = train(bags, run)
    assert policy.contract == LOW_DIM and policy.checkpoint.config.networks.encoder == "none"
    words = ["--checkpoint", str(run), *place, "--episodes", "2", "--max-steps", "4", "--json", str(found)]
    assert main(["sim", "evaluate", *words]) == 0
    assert [trial["task"] for trial in json.loads(found.read_text())] == [TASK, TASK]
    words = [str(run), "--target", str(bags), "--task", TASK, "--kitchen", KITCHEN, "--episodes", "1"]
    assert main(["sim", "rule", *words, "--max-steps", "2", "--cache", str(tmp_path / "cache")]) != 0
    assert "no Q-function" in capsys.readouterr().err


def test_the_twin_s_bags_are_those_with_images_without_the_images(tmp_path: Path) -> None:
    wanted = orders(1, 4, [KITCHEN], [TASK])
    collect(tmp_path / "images", wanted, 1, 64, 48)
    collect(tmp_path / "objects", wanted, 1, 64, 48, LOW_DIM)
    first, second = (read_episode(tmp_path / kind / wanted[0].episode_id, LOW_DIM) for kind in ("images", "objects"))
    assert np.array_equal(first.states, second.states) and np.array_equal(first.actions, second.actions)
    assert first.states.shape[1] == 17
    item, target = first.states[:, 7:10], first.states[:, 12:15]
    assert np.ptp(target, axis=0) == pytest.approx(0.0) and np.ptp(item[:, 2]) > 0.03  # the item is lifted
    assert np.hypot(*(item[-1] - target[-1])[:2]) < 0.05  # and ends in the pot


def test_what_a_policy_sees_in_a_trial_is_what_the_bag_says(robot: SimulatedRobot) -> None:
    robot.reset(3)
    seen = observe(robot, LOW_DIM)
    poses = list(robot.world.object_poses().values())[:2]  # item and target, before distractors
    ordered = [np.concatenate([at, np.roll(turn, -1)]) for at, turn in poses]  # w x y z to x y z w
    assert (seen.image, seen.images, seen.snapshot.images) == (None, {}, {})
    assert seen.state[7:] == pytest.approx(object_features(ordered), abs=1e-6)
    with_image = observe(robot, Contract())
    assert with_image.image is not None and with_image.image.shape == (64, 64, 3)
    assert np.array_equal(with_image.state, seen.state[:7])


@pytest.mark.parametrize("rate", [5.0, 10.0, 20.0])
def test_a_control_step_lasts_as_long_as_the_contract_says(robot: SimulatedRobot, rate: float) -> None:
    quick = SimulatedRobot(robot.world, 64, 48, 1 / rate)
    quick.reset(1)
    began, height = quick.world.time, quick.commanded.position[2]
    for _ in range(2):
        quick.act([0, 0, 0.1 / rate, 0, 0, 0, 1.0])
    assert quick.world.time - began == pytest.approx(2 / rate)
    assert quick.commanded.position[2] - height == pytest.approx(0.2 / rate, abs=1e-6)  # 0.1 m/s at any rate


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.1])
def test_a_delayed_command_moves_the_arm_later_and_as_far(robot: SimulatedRobot, delay: float) -> None:
    delayed = SimulatedRobot(robot.world, 64, 48, command_delay=delay)
    delayed.reset(1)
    heights = [delayed.commanded.position[2]]
    for speed in (0.1, 0.1, 0.0):
        delayed.act([0, 0, 0.2 * speed, 0, 0, 0, 1.0])
        heights.append(delayed.commanded.position[2])
    late = 0.1 * delay  # m at 0.1 m/s
    assert np.diff(heights) == pytest.approx([0.02 - late, 0.02, late], abs=1e-6)


@pytest.mark.parametrize("delay", [0.2, 0.03, -0.05])
def test_a_command_delay_that_the_gate_can_t_keep_is_refused(robot: SimulatedRobot, delay: float) -> None:
    with pytest.raises(ValueError, match=rf"{delay:g} s can't be simulated; use a multiple of 0.05 s below 0.2 s"):
        SimulatedRobot(robot.world, command_delay=delay)


def test_a_rate_that_the_gate_can_t_keep_is_refused(robot: SimulatedRobot) -> None:
    with pytest.raises(ValueError, match=r"0.142857 s can't be simulated.*20, 10, 5 Hz"):
        SimulatedRobot(robot.world, period=1 / 7)
    assert [decision_steps(1 / rate) for rate in (5.0, 10.0, 20.0)] == [1, 2, 4]
    with pytest.raises(PtrError, match="2.5 Hz is not a multiple"):
        collect(Path("nowhere"), [], 1, 64, 48, Contract(control_rate=2.5))


def test_demonstrations_at_ten_hertz_take_as_long_and_have_twice_the_steps(tmp_path: Path) -> None:
    wanted = orders(1, 4, [KITCHEN], [TASK])
    collect(tmp_path / "slow", wanted, 1, 64, 48, LOW_DIM)
    collect(tmp_path / "fast", wanted, 1, 64, 48, FAST)
    slow = read_episode(tmp_path / "slow" / wanted[0].episode_id)
    fast = read_episode(tmp_path / "fast" / wanted[0].episode_id)
    assert fast.metadata.contract == FAST and set(np.diff(fast.stamps)) == {100_000_000}
    assert len(fast) == pytest.approx(2 * len(slow), abs=12)  # another tremor, the same pace
    moved = np.abs(np.diff(fast.states[:, :3], axis=0)).max()
    assert moved < 0.05 / 2 + 0.01


def test_practice_at_ten_hertz_writes_what_happened(tmp_path: Path) -> None:
    collect(tmp_path / "bags", orders(4, 0, [KITCHEN], [TASK, BACK]), 1, 64, 48, FAST)
    policy = train(tmp_path / "bags", tmp_path / "run")
    options = PracticeOptions(TASK, BACK, KITCHEN, seed=5, max_steps=6, noise=0.3)
    with PracticeScene(KITCHEN, TASK, BACK, 5, policy.contract) as scene:
        began = scene.robot.world.time
        made = Practice(tmp_path / "run", tmp_path / "trials", scene, options, None).next()
        lasted = scene.robot.world.time - began
        (path,) = (tmp_path / "trials").iterdir()
        episode = read_episode(path, policy.contract)
        assert (made.steps, len(episode)) == (6, 6)
        assert (episode.stamps[-1] - episode.stamps[0]) * 1e-9 == pytest.approx(0.6)
        assert lasted == pytest.approx(0.6 + 0.05)  # and the gate's first tick after the reset
        assert episode.states[-1] == pytest.approx(observe(scene.robot, policy.contract).state, abs=1e-5)
    with PracticeScene(KITCHEN, TASK, BACK, 5) as scene, pytest.raises(PtrError, match="10 Hz, but the scene's is 5"):
        Practice(tmp_path / "run", tmp_path / "other", scene, options, None).next()


def test_the_policy_server_refuses_a_policy_that_needs_a_simulator(tmp_path: Path) -> None:
    collect(tmp_path / "bags", orders(1, 0, [KITCHEN], [TASK]), 1, 64, 48, LOW_DIM)
    train(tmp_path / "bags", tmp_path / "run")
    with pytest.raises(ServerError, match="poses of simulated objects, which no camera provides"):
        load(LoadRequest(str(tmp_path / "run")))


def test_the_table_of_twins_collects_without_images_and_leaves_out_who_has_none(tmp_path: Path) -> None:
    plan = plan_from(table_options(tmp_path, observation="low_dim"))
    assert plan.size == "low_dim" and "r3m_bc" not in {method.name for method in plan.methods}
    first = next(iter(all_stages(plan)))
    assert "--no-images" in first.command
    assert "--no-images" not in next(iter(all_stages(dataclasses.replace(plan, size="small")))).command
    with pytest.raises(PtrError, match="r3m_bc has no preset of size low_dim; those that have: ptr, "):
        plan_from(table_options(tmp_path, observation="low_dim", methods=["r3m_bc"]))
    with pytest.raises(PtrError, match="--size paper is for policies that see images"):
        plan_from(table_options(tmp_path, observation="low_dim", size="paper"))


def table_options(folder: Path, **changes: object) -> argparse.Namespace:
    """Arguments of `ptr table` as the parser gives them."""
    from ptr_policy.table.cli import register

    parser = argparse.ArgumentParser()
    register(parser.add_subparsers())
    options = parser.parse_args(["table", "--data", str(folder), "--out", str(folder / "table")])
    for name, value in changes.items():
        setattr(options, name, value)
    return options
