# SPDX-License-Identifier: Apache-2.0
"""The clutch: what a release of the deadman holds, how a hand is followed, and what the caps leave."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptr_models.common.rotations import matrix_from_rpy
from ptr_teleop.clutch import GAIN, ArmTarget, Clutch, State
from ptr_teleop.devices.base import Hand, Reading

CAPS = (0.15, 0.6)
axis = st.floats(-2.0, 2.0)
START = np.array([0.25, 0.0, 0.2])
RELEASED, LOST = Reading(), Reading(lost=True)


def arm(gripper: float = 1.0, position: np.ndarray = START, rotation: np.ndarray | None = None) -> ArmTarget:
    return ArmTarget(position, np.eye(3) if rotation is None else rotation, gripper)


def held(gripper: float | None = None, twist: tuple[float, ...] = (0.1, 0, 0, 0, 0, 0), **more: object) -> Reading:
    return Reading(np.array(twist, dtype=float), gripper, True, **more)


def follow(*poses: tuple[np.ndarray, np.ndarray], scale: float = 1.0) -> np.ndarray:
    """The last twist of a clutch whose arm stays where it is while the hand goes from pose to pose."""
    clutch = Clutch(None, armed=True)
    wishes = [clutch.advance(Reading(deadman=True, hand=Hand(*pose, scale)), arm()) for pose in poses]
    return wishes[-1].twist


def test_releasing_the_deadman_keeps_the_gripper_closed() -> None:
    clutch = Clutch(CAPS, armed=True)
    assert clutch.advance(held(gripper=0.0), arm()).gripper == 0.0
    released = clutch.advance(Reading(np.ones(6), 1.0, False), arm(0.0))
    assert (released.deadman, released.gripper) == (False, 0.0)
    assert not released.twist.any()


def test_a_release_is_said_once() -> None:
    clutch = Clutch(CAPS, armed=True)
    assert clutch.advance(RELEASED, arm()) is None
    clutch.advance(held(), arm())
    assert clutch.advance(RELEASED, arm()) is not None
    assert clutch.advance(RELEASED, arm()) is None


def test_pressing_again_continues_with_the_opening_that_the_arm_has() -> None:
    clutch = Clutch(CAPS, armed=True)
    clutch.advance(held(gripper=0.0), arm())
    clutch.advance(RELEASED, arm(0.0))
    assert clutch.advance(held(), arm(0.4)).gripper == 0.4  # somebody else opened it meanwhile
    assert clutch.advance(held(), arm(0.9)).gripper == 0.4  # held on: the own command stays


def test_a_wish_outside_of_the_opening_is_clipped() -> None:
    assert Clutch(CAPS, armed=True).advance(held(gripper=1.7), arm(0.0)).gripper == 1.0


def test_a_deadman_that_is_down_already_does_not_count_before_it_was_released() -> None:
    clutch = Clutch(CAPS)
    assert clutch.advance(held(), arm()) is None
    assert clutch.state is State.UNARMED
    assert clutch.advance(RELEASED, arm()) is None
    assert clutch.advance(held(), arm()).deadman


def test_a_lost_device_stops_the_arm_at_once_but_does_not_hand_it_over() -> None:
    clutch = Clutch(CAPS, armed=True)
    clutch.advance(held(gripper=0.0), arm())
    stop = clutch.advance(LOST, arm(0.0))
    assert (stop.deadman, stop.gripper, stop.twist.any()) == (True, 0.0, False)
    assert clutch.advance(LOST, arm(0.0)) is None
    assert clutch.state is State.LOST
    assert not clutch.advance(RELEASED, arm(0.0)).deadman  # it came back released: now the arm is handed over


def test_a_device_that_is_lost_while_released_says_nothing() -> None:
    clutch = Clutch(CAPS, armed=True)
    assert clutch.advance(LOST, arm()) is None
    assert clutch.advance(RELEASED, arm()) is None


def test_who_is_refused_releases_and_must_press_again() -> None:
    clutch = Clutch(CAPS, armed=True)
    clutch.advance(held(), arm())
    assert not clutch.disarm().deadman
    assert clutch.advance(held(), arm()) is None
    assert clutch.disarm() is None
    clutch.advance(RELEASED, arm())
    assert clutch.advance(held(), arm()).deadman


def test_a_trigger_does_not_drop_what_the_gripper_holds() -> None:
    clutch = Clutch(CAPS, armed=True)
    closed = arm(0.0)
    assert clutch.advance(held(1.0, trigger=True), closed).gripper == 0.0  # the trigger is released: opening 1
    assert clutch.advance(held(0.4, trigger=True), closed).gripper == 0.0
    assert clutch.advance(held(0.15, trigger=True), closed).gripper == 0.0
    assert clutch.advance(held(0.05, trigger=True), closed).gripper == 0.05  # met: from here it is followed
    assert clutch.advance(held(0.6, trigger=True), closed).gripper == 0.6
    clutch.advance(RELEASED, closed)
    assert clutch.advance(held(1.0, trigger=True), closed).gripper == 0.0  # pressed again: it must meet again


def test_a_trigger_that_passes_the_opening_between_two_readings_has_met_it() -> None:
    clutch = Clutch(CAPS, armed=True)
    assert clutch.advance(held(1.0, trigger=True), arm(0.5)).gripper == 0.5
    assert clutch.advance(held(0.2, trigger=True), arm(0.5)).gripper == 0.2


def test_a_toggle_turns_the_gripper_of_the_arm_round() -> None:
    clutch = Clutch(CAPS, armed=True)
    assert clutch.advance(held(toggle=True), arm(0.9)).gripper == 0.0
    assert clutch.advance(held(), arm(0.9)).gripper == 0.0
    assert clutch.advance(held(toggle=True), arm(0.0)).gripper == 1.0


@given(st.tuples(axis, axis, axis, axis, axis, axis))
def test_caps_keep_the_direction_and_never_exceed(twist: tuple[float, ...]) -> None:
    requested = Clutch(CAPS, armed=True).advance(held(twist=twist), arm())
    for part, asked, cap in ((requested.twist[:3], twist[:3], CAPS[0]), (requested.twist[3:], twist[3:], CAPS[1])):
        assert np.abs(part).max() <= cap + 1e-12
        assert np.allclose(np.cross(part, asked), 0.0, atol=1e-9)
        assert np.dot(part, asked) >= 0.0


def test_a_device_without_caps_is_left_alone() -> None:
    twist = (0.25, -0.25, 0.25, 1.25, 0.0, 0.0)
    assert np.array_equal(Clutch(None, armed=True).advance(held(twist=twist), arm()).twist, twist)


def test_a_hand_is_followed_from_where_it_was_when_the_deadman_was_pressed() -> None:
    far, near = np.array([3.0, -2.0, 1.0]), np.array([3.1, -2.0, 0.95])
    assert not follow((far, np.eye(3))).any()
    twist = follow((far, np.eye(3)), (near, np.eye(3)), scale=0.5)
    assert twist == pytest.approx([GAIN * 0.05, 0, -GAIN * 0.025, 0, 0, 0])


def test_a_turn_of_the_hand_turns_the_arm_about_the_same_axis_of_the_base() -> None:
    hand, turn = matrix_from_rpy(np.array([0.3, -1.0, 2.0])), matrix_from_rpy(np.array([0.0, 0.0, 0.1]))
    assert follow((START, hand), (START, turn @ hand)) == pytest.approx([0, 0, 0, 0, 0, GAIN * 0.1])


def test_the_next_press_starts_where_arm_and_hand_are_then() -> None:
    clutch = Clutch(None, armed=True)
    clutch.advance(Reading(deadman=True, hand=Hand(np.zeros(3), np.eye(3))), arm())
    clutch.advance(RELEASED, arm())
    elsewhere = Hand(np.array([0.7, 0.1, 0.0]), matrix_from_rpy(np.array([1.0, 0.0, 0.0])))
    assert not clutch.advance(Reading(deadman=True, hand=elsewhere), arm()).twist.any()


def test_a_hand_that_was_lost_and_comes_back_elsewhere_does_not_pull_the_arm_there() -> None:
    clutch = Clutch(None, armed=True)
    clutch.advance(Reading(deadman=True, hand=Hand(np.zeros(3), np.eye(3))), arm())
    clutch.advance(LOST, arm())
    back = Reading(deadman=True, hand=Hand(np.ones(3), np.eye(3)))
    assert not clutch.advance(back, arm()).twist.any()


def test_another_scale_does_not_move_the_arm() -> None:
    clutch = Clutch(None, armed=True)
    for scale in (1.0, 1.0, 0.5):
        hand = Hand(np.full(3, scale), np.eye(3), scale)
        twist = clutch.advance(Reading(deadman=True, hand=hand), arm()).twist
    assert not twist.any()


def test_the_arm_ends_where_the_hand_does() -> None:
    clutch, position, rotation = Clutch(CAPS, armed=True), START, np.eye(3)
    goal = matrix_from_rpy(np.array([0.2, -0.1, 0.3]))
    clutch.advance(Reading(deadman=True, hand=Hand(np.zeros(3), np.eye(3))), arm())
    for _ in range(150):
        hand = Hand(np.array([0.05, -0.1, 0.02]), goal)
        twist = clutch.advance(Reading(deadman=True, hand=hand), arm(1.0, position, rotation)).twist * 0.02
        position = position + twist[:3]
        rotation = matrix_from_rpy(twist[3:]) @ rotation
    assert position == pytest.approx(START + [0.05, -0.1, 0.02], abs=1e-4)
    assert rotation == pytest.approx(goal, abs=1e-3)


def test_with_40_ms_of_delay_the_arm_follows_a_step_of_the_hand_quickly_and_without_overshoot() -> None:
    """At 50 Hz, what the arm tells of itself and what it is told arrive two periods late in all."""
    clutch, hand = Clutch(None, armed=True), Hand(np.array([0.05, 0.0, 0.0]), np.eye(3))
    clutch.advance(Reading(deadman=True, hand=Hand(np.zeros(3), np.eye(3))), arm())
    positions = [START] * 3
    for _ in range(50):
        twist = clutch.advance(Reading(deadman=True, hand=hand), arm(1.0, positions[-3])).twist
        positions.append(positions[-1] + twist[:3] * 0.02)
    way = (np.array(positions)[:, 0] - START[0]) / 0.05
    assert way.max() < 1.1
    assert way[3 + 25] == pytest.approx(1.0, abs=0.05)  # half a second later
