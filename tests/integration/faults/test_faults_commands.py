# SPDX-License-Identifier: Apache-2.0
"""Commands that are wrong, late, too much, or somebody else's: the gate holds the arm, and the bag says why."""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Duration
from fault_bag import BOUND, FaultBag
from fault_drivers import HumanSource, PolicySource
from fault_plant import BOX, Plant, Trial
from fault_policy import CENTRE
from geometry_msgs.msg import Point, Pose, Quaternion
from std_msgs.msg import Bool

from ptr_msgs.msg import ArmCommand, ArmState

BULGE = 1e-3  # m that a slowed step may bulge out of the box
CAP = 0.25  # m/s, of each component


def test_a_command_that_is_not_a_number_holds_the_arm(bench) -> None:
    def not_a_number(command: ArmCommand) -> ArmCommand:
        command.twist.linear.y = math.nan
        return command

    with bench.trial(PolicySource) as trial:
        trial.strike(lambda: setattr(bench.source, "change", not_a_number))
    trial.assert_held()
    assert "NOT_FINITE" in trial.bag.reasons()
    assert trial.bag.says("contains NaN or infinite numbers")


@pytest.mark.parametrize(
    ("field", "value"),
    [("valid_for", Duration(sec=1000)), ("source", 100_000 * "x")],
    ids=["valid_for", "source"],
)
def test_a_command_with_a_field_out_of_its_bounds_holds_the_arm(bench, field: str, value: Any) -> None:
    def out_of_bounds(command: ArmCommand) -> ArmCommand:
        setattr(command, field, value)
        return command

    with bench.trial(PolicySource) as trial:
        trial.strike(lambda: setattr(bench.source, "change", out_of_bounds))
    trial.assert_held()
    assert "OUT_OF_RANGE" in trial.bag.reasons()
    assert trial.bag.says(f"its {field} ")


@pytest.mark.parametrize("seconds", [-1.0, 1.0], ids=["behind", "ahead"])
def test_a_source_whose_clock_is_wrong_holds_the_arm(bench, seconds: float) -> None:
    def shifted(command: ArmCommand) -> ArmCommand:
        return _stamped(command, seconds)

    with bench.trial(PolicySource) as trial:
        trial.strike(lambda: setattr(bench.source, "change", shifted))
    trial.assert_held()
    assert "STALE_COMMAND" in trial.bag.reasons()
    assert trial.bag.says("s old on arrival")


def test_commands_that_a_network_delays_hold_the_arm(bench) -> None:
    under_way: deque[ArmCommand] = deque()

    def delayed(command: ArmCommand) -> ArmCommand | None:
        under_way.append(command)
        return under_way.popleft() if len(under_way) > 2 else None  # two periods, 0.4 s later

    with bench.trial(PolicySource) as trial:
        trial.strike(lambda: setattr(bench.source, "change", delayed), watched=1.4)
    trial.assert_held()
    assert {"STALE_COMMAND", "COMMAND_TIMEOUT"} & trial.bag.reasons() == {"STALE_COMMAND", "COMMAND_TIMEOUT"}


def test_a_source_that_falls_silent_holds_the_arm(bench) -> None:
    with bench.trial(PolicySource) as trial:
        trial.strike(lambda: setattr(bench.source, "change", lambda command: None))
    trial.assert_held()
    assert "COMMAND_TIMEOUT" in trial.bag.reasons()


def test_a_command_that_is_too_fast_is_slowed_to_the_cap(bench) -> None:
    def too_fast(command: ArmCommand) -> ArmCommand:
        for axis in "xyz":
            setattr(command.twist.linear, axis, 20.0 * getattr(command.twist.linear, axis))
        return command

    with bench.trial(PolicySource) as trial:
        trial.strike(lambda: setattr(bench.source, "change", too_fast))
    rows = trial.bag.of("/arm/executed")
    stamps = np.array([row.stamp for row in rows])
    speeds = np.abs(np.diff(trial.bag.targets(), axis=0)).max(axis=1) / (np.diff(stamps) * 1e-9)
    moving = stamps[1:] > trial.struck
    # A tick that comes late makes up for its pause, and the next one follows soon: five together tell the speed.
    assert _over(5, np.diff(trial.bag.targets(), axis=0)[moving], np.diff(stamps)[moving]) < 1.25 * CAP
    assert np.median(speeds[moving]) > 0.5 * CAP
    assert "VELOCITY_LIMIT" in trial.bag.reasons()
    assert trial.bag.says("the caps are 0.250 m/s")


@pytest.mark.parametrize("axis", range(3), ids="xyz")
def test_no_command_leaves_the_box_at_a_face(bench, axis: int) -> None:
    bag, ends = _push(bench, [sign * np.eye(3)[axis] for sign in (-1.0, 1.0)])
    assert [end[axis] for end in ends] == pytest.approx(BOX[:, axis], abs=BULGE)
    assert "WORKSPACE_LIMIT" in bag.reasons()
    assert bag.says("clipped to the workspace box")


@pytest.mark.parametrize("upwards", [-1.0, 1.0], ids=["low", "high"])
def test_no_command_leaves_the_box_at_a_corner(bench, upwards: float) -> None:
    directions = [np.array([*signs, upwards]) for signs in itertools.product((-1.0, 1.0), repeat=2)]
    bag, ends = _push(bench, directions)
    assert bag.reasons() & {"WORKSPACE_LIMIT", "UNREACHABLE", "JOINT_LIMIT"}
    for direction, end in zip(directions, ends, strict=True):
        assert direction @ (end - CENTRE) > 0.15  # m: it went there as far as the gate let it


def _push(bench: Plant, directions: list[np.ndarray]) -> tuple[FaultBag, list[np.ndarray]]:
    """Push in each direction until the arm holds, and circle in between; the bag, and where it held (3,) m."""
    ends = []
    with bench.trial(PolicySource) as trial:
        for direction in directions:
            bench.source.change = lambda command, push=direction: _towards(command, push)
            bench.wait_still()
            ends.append(bench.commanded)
            bench.source.change = lambda command: command
            bench.wait_moving()
    targets = trial.bag.targets()
    assert (targets > BOX[0] - BULGE).all() and (targets < BOX[1] + BULGE).all()
    return trial.bag, ends


def test_a_pose_out_of_reach_holds_the_arm(bench) -> None:
    with bench.trial(PolicySource) as trial:
        bench.source.change = lambda command: _towards(command, np.array([1.0, 1.0, 1.0]))
        bench.wait_still()
    refused = trial.bag.first("UNREACHABLE", "JOINT_LIMIT", "COLLISION")
    assert trial.bag.crept(refused + BOUND) < 0.005  # along the border of what it reaches


def test_a_move_to_a_pose_out_of_reach_is_refused(bench) -> None:
    bench.ready()
    down = Quaternion(x=0.0, y=math.sqrt(0.5), z=0.0, w=math.sqrt(0.5))
    goal = Pose(position=Point(x=0.41, y=0.19, z=0.29), orientation=down)
    answer = bench.move(pose=goal, gripper_position=1.0)
    assert not answer.success
    assert "reach" in answer.message
    goal.position.x = math.nan
    answer = bench.move(pose=goal, gripper_position=1.0)
    assert not answer.success and "finite" in answer.message


def test_two_policies_at_once_hold_the_arm(bench) -> None:
    with bench.trial(PolicySource) as trial, another(PolicySource, bench) as second:
        bench.ros.spin(0.1)  # between the steps of the first

        def begin() -> None:
            second.__enter__()

        trial.strike(begin, watched=1.2)
        second.__exit__(None, None, None)
    trial.assert_held()
    assert "PREEMPTED" in trial.bag.reasons()
    assert trial.bag.says("2 policies command the arm at once")


def test_a_second_human_is_refused_and_the_first_keeps_the_arm(bench) -> None:
    with bench.trial(HumanSource) as trial, another(HumanSource, bench) as second:
        second.name = "webxr"
        with second:
            trial.strike(lambda: None)
    assert "PREEMPTED" in trial.bag.reasons()
    assert trial.bag.says("The command of webxr was refused: spacemouse is in command")
    assert {one.content.source for one in trial.bag.of("/arm/executed")} <= {"", "spacemouse"}


def test_a_second_person_with_the_same_kind_of_device_is_refused_too(bench) -> None:
    with bench.trial(HumanSource) as trial, another(HumanSource, bench) as second, second:
        trial.strike(lambda: None)
    assert "PREEMPTED" in trial.bag.reasons()
    assert trial.bag.says("The command of spacemouse was refused: another spacemouse is in command")


def test_a_person_takes_the_arm_from_the_policy_at_once(bench) -> None:
    with bench.trial(PolicySource) as trial, another(HumanSource, bench) as person:
        with person:
            trial.strike(lambda: None)
        bench.ros.wait(lambda: bench.executed[-1].source == "policy", "the policy to have it back")
    sources = [(one.stamp, one.content.source) for one in trial.bag.of("/arm/executed")]
    taken = [source for stamp, source in sources if trial.struck + 3e8 < stamp < trial.struck + 8e8]
    assert set(taken) == {"spacemouse"}
    assert trial.bag.says("The command of policy was refused: spacemouse is in command")


def test_a_person_who_falls_silent_keeps_the_policy_out(bench) -> None:
    with bench.trial(HumanSource) as trial, another(PolicySource, bench) as policy, policy:
        trial.strike(lambda: setattr(trial.driver, "change", lambda command: None), watched=1.5)
    trial.assert_held()
    assert {"COMMAND_TIMEOUT", "PREEMPTED"} <= trial.bag.reasons()
    assert trial.bag.says("fell silent without releasing the deadman")


def test_a_released_deadman_holds_pose_and_gripper(bench) -> None:
    def released(command: ArmCommand) -> ArmCommand:
        command.deadman, command.gripper_position = False, 1.0
        return command

    def closing(command: ArmCommand) -> ArmCommand:
        command.gripper_position = 0.25
        return command

    with bench.trial(HumanSource) as trial:
        bench.source.change = closing
        bench.ros.wait(lambda: bench.executed[-1].gripper_position == 0.25, "the gripper's command")
        trial.strike(lambda: setattr(bench.source, "change", released))
    trial.assert_held()
    assert trial.bag.of("/arm/executed")[-1].content.gripper_position == 0.25


def test_the_stop_button_holds_the_arm_until_it_is_cleared(bench) -> None:
    with bench.trial(PolicySource) as trial:
        trial.strike(lambda: bench.ask("/arm/stop"))
    trial.assert_held()
    assert "STOPPED" in trial.bag.reasons()
    assert trial.bag.says("The arm is stopped: by /arm/stop.")
    bench.ready()
    bench.ros.wait(lambda: bench.states.newest.mode == ArmState.IDLE, "the arm to be nobody's")


def test_clearing_a_stop_does_not_move_the_arm_for_a_policy_that_went_on(bench) -> None:
    with bench.trial(PolicySource) as trial:
        trial.strike(lambda: bench.ask("/arm/stop"))
        assert bench.ask("/arm/clear").success
        bench.ros.wait(lambda: bench.states.newest.mode == ArmState.IDLE, "the stop to be cleared")
        bench.executed.clear()
        bench.ros.spin(1.5)
        assert all(one.target == bench.executed[0].target for one in bench.executed[1:])
    assert trial.bag.says("its deadman was held while the arm was stopped")


def test_a_stop_by_topic_holds_the_arm_and_is_not_taken_back_by_it(bench) -> None:
    button = bench.ros.node.create_publisher(Bool, "/arm/stop_request", 10)
    bench.ros.wait(lambda: button.get_subscription_count() > 0, "the arm to listen to the button")
    with bench.trial(PolicySource) as trial:
        trial.strike(lambda: button.publish(Bool(data=True)))
        button.publish(Bool(data=False))
        bench.ros.spin(0.5)
    bench.ros.node.destroy_publisher(button)
    trial.assert_held()
    assert bench.states.newest.mode == ArmState.PROTECTIVE_STOP
    assert trial.bag.says("The arm is stopped: by /arm/stop_request.")


def test_a_stop_in_the_middle_of_a_move_ends_it(bench) -> None:
    bench.ready()
    folder = bench.record()
    future = bench.begin_move(named_pose="home", gripper_position=1.0)
    bench.wait_moving()
    trial = Trial(bench)
    trial.strike(lambda: bench.ask("/arm/stop"))
    assert not bench.ros.result(future, "the end of the move").result.success
    trial.bag = bench.keep(folder)
    trial.assert_held()
    assert "STOPPED" in trial.bag.reasons()


def _stamped(command: ArmCommand, seconds: float) -> ArmCommand:
    stamp = command.header.stamp
    stamp.sec, stamp.nanosec = divmod(stamp.sec * 10**9 + stamp.nanosec + round(seconds * 1e9), 10**9)
    return command


def _towards(command: ArmCommand, direction: np.ndarray) -> ArmCommand:
    """At full speed."""
    linear = command.twist.linear
    linear.x, linear.y, linear.z = (CAP * float(value) for value in direction)
    return command


def _over(count: int, steps: np.ndarray, durations: np.ndarray) -> float:
    """Greatest speed (m/s) of a component over so many steps (N, 3) m, of durations (N,) ns."""
    way = np.lib.stride_tricks.sliding_window_view(steps, count, axis=0).sum(axis=-1)
    time = np.lib.stride_tricks.sliding_window_view(durations, count).sum(axis=-1) * 1e-9
    return float((np.abs(way).max(axis=1) / time).max())


@contextmanager
def another(kind: type, bench: Plant) -> Iterator:
    """A second source; entering it makes it send."""
    before = bench.source
    yield kind(bench)
    bench.source = before
