# SPDX-License-Identifier: Apache-2.0
"""The gripper by PWM: proportional, ends, and a force that backs off on an object."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptr_bringup.arm.drivers.interbotix.gripper_pwm import GripperPwm, GripperSettings
from ptr_bringup.xs_sdk.gripper import FULL, GripperMotor, finger_from_angle

PERIOD = 0.02


def run(gripper: GripperPwm, opening: float, finger: float, seconds: float, start: float = 0.0) -> list[float]:
    """PWM while the finger doesn't move."""
    return [gripper.step(start + k * PERIOD, finger, opening) for k in range(round(seconds / PERIOD))]


def test_bridge_gain_and_limit() -> None:
    """Error x 300 per m, clipped to +-1, times 350."""
    gripper = GripperPwm(GripperSettings())
    assert gripper.step(0.0, 0.035, 0.0) == -350.0
    assert gripper.step(0.1, 0.020, 1.0) == 350.0
    assert gripper.step(0.2, 0.035, 1.0) == pytest.approx(300.0 * 0.002 * 350.0)


def test_no_force_at_the_goal_and_at_the_end_stops() -> None:
    settings = GripperSettings()
    assert GripperPwm(settings).step(0.0, 0.026, 0.5) == 0.0
    assert GripperPwm(settings).step(0.0, 0.0149, 0.0) == 0.0
    assert GripperPwm(settings).step(0.0, 0.0375, 1.0) == 0.0


def test_the_force_backs_off_once_the_finger_has_settled_on_an_object() -> None:
    pwm = run(GripperPwm(GripperSettings()), 0.0, 0.025, 2.0)
    assert pwm[:20] == [-350.0] * 20
    assert pwm[22:] == [-200.0] * (len(pwm) - 22)


def test_an_object_that_slips_is_gripped_again() -> None:
    gripper = GripperPwm(GripperSettings())
    run(gripper, 0.0, 0.025, 1.0)
    assert gripper.step(1.0, 0.0235, 0.0) == -350.0
    assert run(gripper, 0.0, 0.0235, 1.0, 1.02)[-1] == -200.0


def test_a_finger_that_yields_to_the_smaller_force_is_no_slipping_object() -> None:
    gripper = GripperPwm(GripperSettings())
    run(gripper, 0.0, 0.025, 1.0)
    assert run(gripper, 0.0, 0.0262, 1.0, 1.0) == [-200.0] * 50


def test_an_object_that_slowly_turns_between_the_fingers_is_not_pushed_harder() -> None:
    gripper = GripperPwm(GripperSettings())
    run(gripper, 0.0, 0.025, 1.0)
    creeping = [gripper.step(1.0 + k * PERIOD, 0.025 - 0.001 * k * PERIOD, 0.0) for k in range(200)]
    assert creeping == [-200.0] * 200


def test_opening_against_a_block_takes_the_force_off() -> None:
    assert run(GripperPwm(GripperSettings()), 1.0, 0.020, 1.0)[-1] == 0.0


def test_a_new_goal_has_full_force_again() -> None:
    gripper = GripperPwm(GripperSettings())
    run(gripper, 0.0, 0.025, 1.0)
    assert gripper.step(1.0, 0.025, 1.0) == 350.0


def test_what_is_held_is_not_dropped_while_nobody_sees_the_finger() -> None:
    gripper = GripperPwm(GripperSettings())
    assert gripper.step(0.0, 0.030, 0.0) == -350.0
    assert gripper.step_without_position() == gripper.step(0.1, math.nan, 0.0) == -200.0
    assert gripper.step(0.2, 0.020, 1.0) == 350.0
    assert gripper.step_without_position() == 0.0


@pytest.mark.parametrize(("finger", "opening"), [(math.nan, 0.0), (0.02, math.nan), (math.inf, 1.0)])
def test_no_force_without_numbers(finger: float, opening: float) -> None:
    assert GripperPwm(GripperSettings()).step(0.0, finger, opening) == 0.0


@given(st.floats(0.010, 0.040), st.floats(-1.0, 2.0), st.floats(0.0, 5.0))
def test_the_force_never_exceeds_its_limit_nor_points_away_from_the_goal(
    finger: float, opening: float, seconds: float
) -> None:
    settings = GripperSettings()
    pwm = run(GripperPwm(settings), opening, finger, seconds + PERIOD)[-1]
    assert abs(pwm) <= settings.limit
    assert pwm * (settings.finger(opening) - finger) >= 0.0


def test_the_stroke_is_configurable() -> None:
    bridge = GripperSettings(closed=0.010, opened=0.035)
    assert bridge.opening(0.010) == 0.0
    assert bridge.opening(0.0225) == pytest.approx(0.5)
    assert bridge.finger(1.0) == 0.035


@pytest.mark.parametrize("wrong", [{"closed": 0.03, "opened": 0.02}, {"hold": 400.0}])
def test_a_stroke_or_force_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="stroke|holding PWM"):
        GripperSettings(**wrong)


def test_the_crank_of_the_stand_in_is_that_of_the_wx250s() -> None:
    """horn_radius 0.014 m and arm_length 0.024 m: at 90 deg both lie in line, at 0 they make a right triangle."""
    assert finger_from_angle(math.pi / 2) == pytest.approx(0.038)
    assert finger_from_angle(0.0) == pytest.approx(math.sqrt(0.024**2 - 0.014**2))


def test_the_simulated_motor_runs_with_its_pwm_and_stalls_with_its_force() -> None:
    motor, finger = GripperMotor(), 0.030
    motor.pwm = -350.0
    assert motor.advance(finger, 0.01) - finger == pytest.approx(-350.0 / FULL * 6.4 * 0.014 * 0.01)
    for _ in range(200):
        blocked = motor.advance(finger, 0.01)
    assert 1500.0 * (finger - blocked) == pytest.approx(18.0, rel=0.02)
    motor.pwm = 0.0
    assert motor.advance(finger, 0.01) == finger
