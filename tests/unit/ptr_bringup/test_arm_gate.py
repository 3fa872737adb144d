# SPDX-License-Identifier: Apache-2.0
"""The gate as a whole, with a simulated clock and an arm that follows immediately."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptr_bringup.arm.gate.arbiter import Arbiter, Command, Kind, Mode, Timing
from ptr_bringup.arm.gate.gate import Gate
from ptr_bringup.arm.gate.limits import Limits, Reason
from ptr_bringup.arm.model import kinematics
from ptr_bringup.arm.types import JointState, Output
from ptr_models.common import rotations

START = np.array([0.0, 0.02201199, 0.18310092, 0.0, 1.36568341, 0.0])
LEFT = np.array([0.0, 0.1, 0.0, 0.0, 0.0, 0.0])


class Rig:
    """A gate, a clock, and an arm that is where it was commanded."""

    def __init__(self, rate: float = 50.0, limits: Limits | None = None) -> None:
        self.core = Gate(limits)
        self.period = 1.0 / rate
        self.now = 100.0
        self.joints = START.copy()
        self.finger = kinematics.FINGER_OPEN
        self.outputs: list[Output] = []
        self.run(self.period)

    def state(self) -> JointState:
        return JointState(self.now, self.joints, np.zeros(6), np.zeros(6), self.finger)

    def tick(self) -> Output:
        self.now += self.period
        output = self.core.tick(self.now, self.state())
        if output.joints is not None:
            self.joints = output.joints.copy()
            self.finger = kinematics.finger_from_gripper(output.gripper)
        self.outputs.append(output)
        return output

    def run(self, seconds: float) -> Output:
        for _ in range(max(1, round(seconds / self.period))):
            output = self.tick()
        return output

    def send(self, kind: Kind = Kind.POLICY, twist: np.ndarray = LEFT, **changes) -> Reason:
        fields = {"stamp": self.now, "source": kind.name.lower(), "gripper": 1.0} | changes
        return self.core.command(kind, Command(twist=twist, **fields), self.now)

    @property
    def position(self) -> np.ndarray:
        return kinematics.forward(self.joints).position

    @property
    def reasons(self) -> list[Reason]:
        return [event.reason for output in self.outputs for event in output.events]


@pytest.mark.parametrize("rate", [5.0, 10.0, 20.0, 50.0, 33.0])
def test_five_steps_move_the_arm_by_five_bridge_actions_at_any_rate(rate: float) -> None:
    rig = Rig(rate)
    begin = rig.position
    action = np.array([0.02, -0.01, -0.015, 0.0, 0.0, 0.05])
    end = rig.now + 1.0 - 1e-9
    following = rig.now
    while rig.now < end:
        if rig.now >= following - 1e-9:
            rig.core.command(Kind.POLICY, Command(following, "policy", action / 0.2, 1.0), rig.now)
            following += 0.2
        rig.tick()
    rig.run(0.4)
    assert rig.position - begin == pytest.approx(5 * action[:3], abs=5e-5)
    turned = rig.core.target.rotation @ kinematics.forward(START).rotation.T
    assert rotations.rotation_vector_from_matrix(turned) == pytest.approx([0.0, 0.0, 0.25], abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(delays=st.lists(st.floats(0.0, 0.019), min_size=6, max_size=6))
def test_steps_that_arrive_with_jitter_are_neither_cut_short_nor_doubled(delays: list[float]) -> None:
    rig = Rig()
    begin, first = rig.position, rig.now
    arrivals = [(first + 0.2 * k, first + 0.2 * k + delay) for k, delay in enumerate(delays)]
    while rig.now < first + 1.5:
        while arrivals and arrivals[0][1] <= rig.now + rig.period:
            stamp, now = arrivals.pop(0)
            rig.core.command(Kind.POLICY, Command(stamp, "policy", LEFT, 1.0), now)
        rig.tick()
    assert rig.position - begin == pytest.approx([0.0, 0.12, 0.0], abs=5e-5)


def test_an_arm_that_lags_is_commanded_from_where_it_was_sent_not_from_where_it_is() -> None:
    rig = Rig()
    begin = rig.core.target.position
    rig.send(twist=LEFT)
    for tick in range(15):
        rig.now += rig.period
        crawling = START + [0.0025 * tick, 0.0, 0.0, 0.0, 0.0, 0.0]  # half as fast as it is told to
        lagging = JointState(rig.now, crawling, np.zeros(6), np.zeros(6), rig.finger)
        rig.core.tick(rig.now, lagging)
    assert rig.core.target.position - begin == pytest.approx([0.0, 0.02, 0.0], abs=1e-9)


def test_nothing_is_sent_before_the_first_joint_state() -> None:
    core = Gate()
    output = core.tick(1.0, None)
    assert output.joints is None
    assert output.state is None
    assert output.executed is None
    assert output.events == ()
    assert "No joint state" in core.move_to_name("start", 1.0, 0.0, 1.0)


def test_the_first_target_is_where_the_arm_is() -> None:
    rig = Rig()
    assert rig.core.target.position == pytest.approx([0.3, 0.0, 0.15], abs=1e-6)
    assert rig.outputs[0].joints == pytest.approx(START)
    assert rig.outputs[0].gripper == pytest.approx(1.0)


def test_releasing_the_deadman_keeps_the_gripper_closed() -> None:
    rig = Rig()
    rig.send(Kind.HUMAN, gripper=0.0)
    rig.run(0.1)
    held = rig.position
    rig.send(Kind.HUMAN, gripper=1.0, deadman=False)
    output = rig.run(0.5)
    assert output.gripper == 0.0
    assert output.state.mode is Mode.IDLE
    assert rig.position == pytest.approx(held, abs=1e-6)


def test_silence_holds_pose_and_gripper_and_says_so() -> None:
    rig = Rig()
    rig.send(gripper=0.25)
    output = rig.run(0.6)
    assert output.state.mode is Mode.HOLD
    assert output.gripper == 0.25
    assert rig.reasons == [Reason.COMMAND_TIMEOUT]
    place = rig.position
    rig.run(1.0)
    assert rig.position == pytest.approx(place, abs=1e-9)
    rig.send()
    rig.run(0.1)
    assert rig.outputs[-1].state.mode is Mode.POLICY


def test_back_to_normal_is_reported_once_the_reason_is_gone() -> None:
    rig = Rig()
    rig.send(twist=np.array([np.nan, 0, 0, 0, 0, 0]))
    rig.run(1.0)
    assert rig.reasons == [Reason.NOT_FINITE, Reason.NONE]
    assert rig.position == pytest.approx([0.3, 0.0, 0.15], abs=1e-5)


def test_a_refusal_that_repeats_at_5_hz_is_one_event() -> None:
    rig = Rig()
    for _ in range(10):
        rig.core.command(Kind.POLICY, Command(rig.now - 1.0, "policy", LEFT, 1.0), rig.now)
        rig.run(0.2)
    assert rig.reasons == [Reason.STALE_COMMAND]


def test_an_event_of_two_reasons_speaks_of_the_one_that_is_new() -> None:
    rig = Rig()
    rig.send(twist=np.full(6, np.nan), source="broken")
    rig.run(0.1)
    rig.send(twist=10.0 * LEFT, source="hasty")
    rig.run(0.04)
    first, second = (event for output in rig.outputs for event in output.events)
    assert (first.reason, first.source) == (Reason.NOT_FINITE, "broken")
    assert (second.reason, second.source) == (Reason.NOT_FINITE | Reason.VELOCITY_LIMIT, "hasty")


def test_a_stop_freezes_the_arm_where_it_is_and_keeps_the_gripper() -> None:
    rig = Rig()
    rig.send(gripper=0.0)
    rig.run(0.1)
    place = rig.position
    rig.core.stop("a test")
    rig.send(Kind.HUMAN, twist=LEFT, gripper=1.0)
    output = rig.run(1.0)
    assert output.state.mode is Mode.PROTECTIVE_STOP
    assert output.gripper == 0.0
    assert rig.position == pytest.approx(place, abs=2.1e-3)  # a tick of 0.1 m/s
    place = rig.position
    rig.core.clear()
    assert rig.send(Kind.HUMAN) == Reason.NONE
    rig.run(0.2)
    assert rig.position[1] == pytest.approx(place[1] + 0.02, abs=1e-4)


def test_a_stop_that_was_cleared_is_no_reason_from_the_next_tick_on() -> None:
    rig = Rig()
    rig.core.stop("by the test")
    rig.run(0.1)
    assert rig.core.clear() == ""
    rig.tick()
    assert rig.reasons == [Reason.STOPPED, Reason.NONE]


def test_the_target_does_not_run_away_behind_an_unreachable_pose() -> None:
    rig = Rig(limits=Limits(workspace_min=(0.1, -0.3, 0.0), workspace_max=(0.49, 0.3, 0.4)))
    for _ in range(10):
        rig.send(twist=np.array([0.25, 0, 0, 0, 0, 0]))
        rig.run(0.2)
    assert any(Reason.UNREACHABLE in reason for reason in rig.reasons)
    furthest = rig.position[0]
    assert 0.45 < furthest < 0.4635  # r max at z = 0.15 m is 0.463 m
    rig.send(twist=np.array([-0.25, 0, 0, 0, 0, 0]))
    rig.run(0.2)
    assert furthest - 0.051 < rig.position[0] < furthest - 0.03  # at once, if slowed near the singularity


def test_with_joint_states_too_old_nothing_is_sent() -> None:
    rig = Rig()
    old = rig.state()
    rig.now += 0.51
    rig.send()
    output = rig.core.tick(rig.now, old)
    assert output.joints is None
    assert output.executed is None
    assert output.events[0].reason == Reason.STATE_TIMEOUT
    begin = rig.core.target.position.copy()
    for _ in range(11):
        rig.now += 0.02
        rig.core.tick(rig.now, old)
    rig.tick()
    assert rig.core.target.position == pytest.approx(begin)


def test_an_arm_that_was_moved_by_hand_is_not_pulled_back() -> None:
    rig = Rig()
    rig.joints = START + [0.6, 0, 0, 0, 0, 0]
    elsewhere = rig.joints.copy()
    for _ in range(20):
        rig.now += rig.period
        output = rig.core.tick(rig.now, JointState(rig.now, elsewhere, np.zeros(6), np.zeros(6), rig.finger))
        if output.notice:
            break
    assert "0.60 rad" in output.notice
    assert output.joints == pytest.approx(elsewhere)


@settings(max_examples=40, deadline=None)
@given(
    gripper=st.floats(allow_nan=True, allow_infinity=True, width=32),
    twist=st.lists(st.floats(width=32), min_size=6, max_size=6),
)
def test_no_command_however_odd_makes_an_output_that_is_not_finite(gripper: float, twist: list[float]) -> None:
    rig = Rig()
    rig.send(Kind.HUMAN, twist=np.array(twist), gripper=gripper)
    output = rig.run(0.1)
    assert np.isfinite(output.joints).all()
    assert 0.0 <= output.gripper <= 1.0


def test_executed_names_the_command_behind_it() -> None:
    rig = Rig()
    executed = rig.tick().executed
    assert (executed.source, executed.command_stamp) == ("", 0.0)  # there was none yet
    sent = rig.now
    rig.send(source="policy")
    executed = rig.run(0.04).executed
    assert (executed.source, executed.command_stamp) == ("policy", sent)
    assert rig.run(1.0).executed.source == ""


def test_a_motor_fault_stops_and_can_not_be_cleared_before_the_motors_are_well() -> None:
    rig = Rig()
    rig.send()
    rig.run(0.1)
    rig.core.motor_fault("The shoulder reports OVERLOAD.")
    rig.run(0.02)
    place = rig.position
    output = rig.run(0.3)
    assert output.state.mode is Mode.PROTECTIVE_STOP
    assert Reason.MOTOR_FAULT in rig.reasons[-1]
    assert rig.position == pytest.approx(place)
    assert "shoulder reports OVERLOAD" in rig.core.clear()
    rig.core.motor_fault("")
    assert rig.run(0.1).state.mode is Mode.PROTECTIVE_STOP
    assert rig.core.clear() == ""
    assert rig.run(0.1).state.mode is Mode.IDLE
    assert rig.position == pytest.approx(place)


def test_an_arm_that_sank_without_torque_is_not_pulled_up_when_its_motors_are_well() -> None:
    rig = Rig()
    rig.core.motor_fault("The elbow has no torque.")
    sunk = rig.joints + [0.0, 0.1, 0.1, 0.0, 0.0, 0.0]
    rig.joints = sunk.copy()
    rig.core.tick(rig.now + rig.period, rig.state())
    rig.core.motor_fault("")
    rig.run(0.1)
    assert rig.joints == pytest.approx(sunk)


@pytest.mark.parametrize(("limp", "opening"), [(True, 0.25), (False, 1.0)])
def test_limp_fingers_that_were_moved_by_hand_do_not_snap_back_and_a_held_thing_stays_held(
    limp: bool, opening: float
) -> None:
    rig = Rig()
    rig.core.motor_fault("The torque of every motor is off.")
    rig.finger = kinematics.finger_from_gripper(0.25)
    rig.core.tick(rig.now + rig.period, rig.state())
    rig.core.hold_here(gripper=limp)
    assert rig.core.gripper == pytest.approx(opening)
    assert rig.core.joints == pytest.approx(rig.joints)


def drive(rig: Rig, seconds: float, twist: np.ndarray = LEFT, kind: Kind = Kind.POLICY) -> None:
    """Command for some time at 5 Hz."""
    for k in range(round(seconds / rig.period)):
        if k % round(0.2 / rig.period) == 0:
            rig.send(kind, twist)
        rig.tick()


def test_joint_states_that_repeat_themselves_hold_the_arm_within_300_ms() -> None:
    rig = Rig()
    drive(rig, 0.4)
    frozen, began, moved = rig.joints.copy(), rig.now, rig.now
    for k in range(30):
        before = rig.core.joints.copy()
        rig.now += rig.period
        if k % 10 == 0:
            rig.send()
        output = rig.core.tick(rig.now, JointState(rig.now, frozen, np.zeros(6), np.zeros(6), rig.finger))
        moved = rig.now if (rig.core.joints != before).any() else moved
    assert 0.1 < moved - began < 0.3
    assert output.events == () or Reason.STATE_TIMEOUT in output.events[0].reason
    assert output.joints == pytest.approx(rig.core.joints)
    rig.joints = place = rig.core.joints.copy()  # that is where it really went
    drive(rig, 0.4)
    assert np.abs(rig.core.joints - place).max() > 0.02


def test_an_arm_that_does_not_follow_is_not_commanded_away_but_may_come_back() -> None:
    rig = Rig()
    drive(rig, 0.4)
    measured, rng, began, moved = rig.joints.copy(), np.random.default_rng(0), rig.now, rig.now
    for k in range(40):
        before = rig.core.joints.copy()
        rig.now += rig.period
        if k % 10 == 0:
            rig.send()
        state = JointState(rig.now, measured + rng.normal(0, 1e-4, 6), np.zeros(6), np.zeros(6), rig.finger)
        rig.outputs.append(rig.core.tick(rig.now, state))
        moved = rig.now if (rig.core.joints != before).any() else moved
    assert 0.1 < moved - began < 0.3
    assert Reason.MOTOR_FAULT in rig.reasons[-1]
    assert rig.core.arbiter.mode is Mode.POLICY  # nothing latched
    behind = np.abs(rig.core.joints - measured).max()
    for k in range(5):
        rig.now += rig.period
        if k == 0:
            rig.send(twist=-LEFT)
        rig.core.tick(rig.now, JointState(rig.now, measured, np.zeros(6), np.ones(6) * k, rig.finger))
    assert np.abs(rig.core.joints - measured).max() < behind


def test_a_jump_of_the_clock_holds_until_the_next_command() -> None:
    rig = Rig()
    drive(rig, 0.3)
    rig.core.clock_jumped(-3600.0, rig.now)
    place = rig.position
    rig.run(0.1)
    assert rig.position == pytest.approx(place)
    assert rig.reasons[-1] == Reason.STALE_COMMAND
    assert rig.core.command(Kind.POLICY, Command(-3000.0, "policy", LEFT, 1.0), rig.now, age=0.01) == Reason.NONE
    rig.run(0.1)
    assert rig.position[1] > place[1] + 0.005


@pytest.mark.parametrize("stopped", [False, True])
def test_an_arm_that_moved_while_out_of_sight_is_not_pulled_back(stopped: bool) -> None:
    rig = Rig()
    rig.run(0.1)
    if stopped:
        rig.core.stop("test")
    old = rig.state()
    for _ in range(70):
        rig.now += rig.period
        assert rig.core.tick(rig.now, old).joints is None or rig.now - old.stamp <= 0.25
    rig.joints = elsewhere = rig.joints + [0.2, 0.0, 0.0, 0.0, 0.0, 0.0]
    output = rig.tick()
    assert output.joints == pytest.approx(elsewhere)
    assert "continues from its measured position" in output.notice


def test_a_stopped_arm_that_sags_keeps_its_command_until_it_is_cleared() -> None:
    rig = Rig()
    rig.core.stop("test")
    rig.run(0.1)
    held = rig.core.joints.copy()
    sunk = held + [0.0, 0.5, 0.0, 0.0, 0.0, 0.0]
    for _ in range(40):
        rig.joints = sunk.copy()
        rig.tick()
    assert rig.core.joints == pytest.approx(held)
    rig.joints = sunk.copy()
    assert rig.core.tick(rig.now, rig.state()) and rig.core.clear() == ""
    rig.run(0.1)
    assert rig.core.joints == pytest.approx(sunk)


def test_after_a_stop_is_cleared_nothing_moves_before_a_new_command() -> None:
    rig = Rig()
    drive(rig, 0.3)
    rig.core.stop("test")
    rig.run(0.05)
    place = rig.position
    rig.core.clear()
    rig.run(0.5)
    assert rig.position == pytest.approx(place)


def test_times_of_zero_are_limits() -> None:
    rig = Rig()
    rig.core.timing = Timing(joint_state_timeout=0.0)
    output = rig.core.tick(rig.now + 0.02, rig.state())
    assert output.joints is None
    arbiter = Arbiter(Timing(max_command_age=0.0, command_timeout=0.0))
    late = Command(9.999, "policy", LEFT, 1.0)
    assert arbiter.offer(Kind.POLICY, late, 10.0)[0] == Reason.STALE_COMMAND
    arbiter.offer(Kind.POLICY, dataclasses.replace(late, stamp=10.0, valid_for=0.0), 10.0)
    arbiter.check_timeout(10.01)
    assert arbiter.mode is Mode.HOLD


def test_an_arm_that_lags_for_a_moment_after_a_gap_keeps_its_command() -> None:
    rig = Rig()
    drive(rig, 0.4)
    old, commanded = rig.state(), rig.core.joints.copy()
    for _ in range(20):
        rig.now += rig.period
        rig.core.tick(rig.now, old)
    rig.joints = commanded - [0.2, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert rig.core.tick(rig.now, rig.state()).notice == ""


def test_after_a_pause_of_two_seconds_a_joint_goes_no_further_than_in_a_quarter_of_one() -> None:
    rig = Rig(limits=Limits(max_joint_velocity=0.2))
    rig.send(twist=np.array([0.0, 0.0, 0.0, 0.0, 0.0, 1.0]), valid_for=0.4)
    before = rig.joints
    rig.now += 2.0
    rig.tick()
    assert np.abs(rig.joints - before).max() == pytest.approx(0.2 * 0.25)
