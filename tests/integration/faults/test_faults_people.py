# SPDX-License-Identifier: Apache-2.0
"""Devices that are lost while a person drives: the page is closed, the SpaceMouse unplugged, teleoperation gone."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from fault_drivers import PageKeyboard, SpaceMouse
from fault_plant import Plant


@pytest.fixture(scope="module")
def desk(ros, tmp_path_factory: pytest.TempPathFactory) -> Plant:
    """The system without a policy server, with a SpaceMouse at hand."""
    path: Path = tmp_path_factory.mktemp("devices") / "hidraw0"
    mouse = {"spacemouse.path": path, "spacemouse.model": "SpaceMouseCompact"}
    return Plant(ros, tmp_path_factory.mktemp("episodes"), more={"teleop": mouse})


def test_a_page_that_is_closed_holds_the_arm(desk: Plant) -> None:
    with desk.trial(PageKeyboard) as trial:
        trial.strike(lambda: setattr(desk.source, "sending", False), watched=1.5)
    trial.assert_held()
    assert "COMMAND_TIMEOUT" in trial.bag.reasons()
    assert trial.bag.says("page_keyboard is lost, the arm holds")


def test_a_teleop_node_that_is_killed_holds_the_arm(desk: Plant) -> None:
    with desk.trial(PageKeyboard) as trial:
        trial.strike(lambda: desk.kill("teleop"))
    trial.assert_held()
    assert "COMMAND_TIMEOUT" in trial.bag.reasons()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_teleop_node_that_is_told_to_end_holds_the_arm_and_hands_it_to_nobody(desk: Plant, number: int) -> None:
    with desk.trial(PageKeyboard) as trial:
        trial.strike(lambda: desk.end("teleop", number))
    trial.assert_held()
    last = trial.bag.of("/teleop/command")[-1].content
    assert last.deadman, "a release would hand the arm to a policy"
    assert (last.twist.linear.x, last.twist.linear.y, last.twist.linear.z) == (0.0, 0.0, 0.0)
    assert "COMMAND_TIMEOUT" in trial.bag.reasons()
    assert "teleoperation ended while its deadman was held" in desk.processes["teleop"].output


def test_a_teleop_node_that_hangs_holds_the_arm(desk: Plant) -> None:
    with desk.trial(PageKeyboard) as trial:
        with desk.frozen("teleop"):
            trial.strike(lambda: None)
        desk.ros.spin(0.2)
    trial.assert_held()
    assert "COMMAND_TIMEOUT" in trial.bag.reasons()


def test_a_spacemouse_that_is_unplugged_holds_the_arm(desk: Plant) -> None:
    pytest.importorskip("pyspacemouse")
    with desk.trial(SpaceMouse) as trial:
        trial.strike(lambda: desk.source.unplug(), watched=1.5)
    trial.assert_held()
    assert trial.bag.says("the SpaceMouse was unplugged")
