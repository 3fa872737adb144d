# SPDX-License-Identifier: Apache-2.0
"""Policies that fail in the middle of a run, checkpoints that do not fit, and a policy server that hangs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_bag import BOUND, assert_held
from fault_drivers import PolicyRun
from fault_plant import Plant
from fault_policy import TASK, damage, wrist_contract, write_checkpoint

from ptr_msgs.action import RunPolicy
from ptr_msgs.srv import LoadCheckpoint

SENTENCES = {
    "action": "the policy's action is not finite",
    "q": "the Q-function is not finite",
    "value": "Q has been outside the range of the demonstrations",
}


@pytest.fixture
def fresh(plant: Plant, checkpoint: Path) -> Iterator[Plant]:
    """The plant; afterwards the policy server has the good checkpoint again."""
    yield plant
    assert load(plant, checkpoint).success


def load(plant: Plant, checkpoint: Path) -> LoadCheckpoint.Response:
    return plant.ask("/policy_server/load", LoadCheckpoint.Request(checkpoint=str(checkpoint)), 60.0)


@pytest.mark.parametrize("wrong", SENTENCES)
def test_a_policy_that_goes_wrong_in_a_run_holds_the_arm(fresh: Plant, wrong: str, tmp_path: Path) -> None:
    answer = load(fresh, write_checkpoint(tmp_path / wrong, goes_wrong=wrong))
    assert answer.success, answer.message
    fresh.ready()
    assert fresh.move(named_pose="start", gripper_position=1.0).success
    with fresh.trial(PolicyRun) as trial:
        trial.driver.wait_for_end()
    steps = [one for one in trial.bag.of("/policy/step") if SENTENCES[wrong] in one.content.reason]
    assert steps and all(one.content.held for one in steps)
    struck = steps[0].stamp
    assert_held(trial.bag, struck, bound=BOUND + trial.stalls.allowance(struck, struck + 2 * BOUND))
    assert trial.driver.result is not None and not trial.driver.result.completed


def test_a_policy_server_that_hangs_holds_the_arm(plant: Plant) -> None:
    with plant.trial(PolicyRun) as trial:
        with plant.frozen("policy_server"):
            trial.strike(lambda: None)
        plant.wait_moving()  # it goes on with what it sees then
    trial.assert_held()
    assert "COMMAND_TIMEOUT" in trial.bag.reasons()
    assert trial.bag.says("fell silent")


@pytest.mark.parametrize("kind", ["of another contract", "damaged", "missing"])
def test_a_checkpoint_that_does_not_fit_is_refused_and_the_old_one_drives(
    plant: Plant, kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "wrong"
    if kind == "of another contract":
        write_checkpoint(path, wrist_contract())
    elif kind == "damaged":
        damage(write_checkpoint(path))
    answer = load(plant, path)
    assert not answer.success
    assert {"of another contract": "another contract", "damaged": "damaged", "missing": "no checkpoint"}[
        kind
    ] in answer.message
    with plant.trial(PolicyRun):
        assert answer.contract_hash


def test_no_checkpoint_is_changed_during_a_run(plant: Plant, checkpoint: Path) -> None:
    with plant.trial(PolicyRun):
        answer = load(plant, checkpoint)
        assert not answer.success
        assert "is in progress; cancel it first" in answer.message
        plant.wait_moving()


def test_a_second_run_and_an_unknown_task_are_refused(plant: Plant) -> None:
    with plant.trial(PolicyRun):
        second = plant.ros.act(RunPolicy, "/run_policy", RunPolicy.Goal(task=TASK))
        assert not second.completed and "is in progress; cancel it first" in second.message
        plant.wait_moving()
    unknown = plant.ros.act(RunPolicy, "/run_policy", RunPolicy.Goal(task="fold_towel"))
    assert not unknown.completed and "'fold_towel'" in unknown.message
