# SPDX-License-Identifier: Apache-2.0
"""Processes that are killed or hang while the policy drives: what is left of the system holds the arm."""

from __future__ import annotations

import signal
import time

import pytest
from fault_bag import BOUND
from fault_drivers import PolicyRun
from fault_plant import Plant, Trial


def test_a_policy_server_that_is_killed_holds_the_arm(plant: Plant) -> None:
    with plant.trial(PolicyRun) as trial:
        trial.strike(lambda: plant.kill("policy_server"))
    trial.assert_held()
    assert "COMMAND_TIMEOUT" in trial.bag.reasons()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_policy_server_that_is_told_to_end_releases_the_arm(plant: Plant, number: int) -> None:
    with plant.trial(PolicyRun) as trial:
        trial.strike(lambda: plant.end("policy_server", number))
        trial.driver.wait_for_end()
    trial.assert_held()
    assert not trial.bag.of("/policy/command")[-1].content.deadman
    assert "COMMAND_TIMEOUT" not in trial.bag.reasons()
    assert trial.bag.says("the policy server is ending")


def test_an_arm_node_that_is_killed_leaves_the_joints_where_they_are(plant: Plant) -> None:
    with plant.trial(PolicyRun) as trial:
        trial.strike(lambda: plant.kill("arm"), watched=1.5)
    _joints_held(trial)
    assert "stream_stalled" in trial.bag.event_kinds()
    assert trial.bag.says("no message on /arm/state")
    assert any("arm state" in one.content.reason for one in trial.bag.of("/policy/step") if one.stamp > trial.struck)


def test_an_arm_node_that_comes_back_does_not_jump(plant: Plant) -> None:
    plant.ready()
    folder = plant.record()
    plant.kill("arm")
    plant.executed.clear()
    plant.revive()
    plant.ros.wait(lambda: len(plant.executed) > 25, "the new arm node's poses")
    bag = plant.keep(folder)
    assert not bag.joint_changes(least=0.01)


def test_an_arm_node_that_hangs_leaves_the_joints_where_they_are(plant: Plant) -> None:
    with plant.trial(PolicyRun) as trial:
        with plant.frozen("arm"):
            trial.strike(lambda: None)
            trial.driver.wait_for_end()
        plant.ros.spin(0.6)  # nothing that waited meanwhile may move the arm
        trial.watched = time.time_ns()
    _joints_held(trial)
    assert trial.driver.result is not None and not trial.driver.result.completed


def test_a_simulator_that_is_killed_holds_the_arm(plant: Plant) -> None:
    with plant.trial(PolicyRun) as trial:
        trial.strike(lambda: plant.kill("simulator"), watched=1.2)
    trial.assert_held()
    assert "STATE_TIMEOUT" in trial.bag.reasons()
    assert trial.bag.says("no message on /joint_states")
    assert trial.bag.says("no message on /camera/over_shoulder/image/compressed")


def test_a_simulator_that_hangs_holds_the_arm(plant: Plant) -> None:
    with plant.trial(PolicyRun) as trial:
        with plant.frozen("simulator"):
            trial.strike(lambda: None, watched=1.2)
    trial.assert_held()
    assert "STATE_TIMEOUT" in trial.bag.reasons()
    assert "stream_stalled" in trial.bag.event_kinds()


def _joints_held(trial: Trial) -> None:
    """The simulated joints moved until the fault and held after the bound; a motor is still on its way for 0.1 s."""
    changes = trial.bag.joint_changes()
    assert any(trial.begun - BOUND <= stamp <= trial.struck for stamp in changes), "the joints did not move before"
    late = [(stamp - trial.struck) * 1e-9 for stamp in changes if trial.struck + trial.bound < stamp < trial.watched]
    assert not late, f"joints moved {late[0]:.3f} s after the fault"


def test_a_recorder_that_hangs_tells_what_it_missed_and_does_not_touch_the_arm(plant: Plant) -> None:
    with plant.trial(PolicyRun) as trial:
        with plant.frozen("recorder"):
            trial.strike(lambda: None, watched=1.5)
        plant.wait_moving()
    lost = trial.bag.metadata.lost
    kept = [one for one in trial.bag.of("/arm/executed") if trial.struck < one.stamp < trial.watched]
    assert len(kept) + lost.get("/arm/executed", 0) > 60  # of 75 at 50 Hz
    assert bool(lost) == ("messages_lost" in trial.bag.event_kinds())


def test_a_recorder_that_is_killed_leaves_a_bag_that_is_recovered(plant: Plant) -> None:
    with plant.trial(PolicyRun) as trial:
        plant.ros.spin(1.0)  # what is half a second old is with the operating system
        trial.strike(lambda: plant.kill("recorder"))
    assert trial.bag.metadata.extra["recovered_from"].endswith(".partial")
    kept = [one.stamp for one in trial.bag.of("/arm/executed")]
    assert (trial.struck - kept[-1]) * 1e-9 < 1.0
    assert trial.bag.of("/policy/step")
    assert trial.bag.changes()
