# SPDX-License-Identifier: Apache-2.0
"""Profiles of the motors: the registers that the driver writes, and the motion that a Dynamixel makes of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptr_bringup.arm.drivers.interbotix.catch_up_limiter import CatchUpLimiter
from ptr_bringup.arm.drivers.interbotix.profile import Profile, profile_named
from ptr_bringup.xs_sdk.profiles import Reference

ALL, NONE = np.ones(6, dtype=bool), np.zeros(6, dtype=bool)
angles = st.floats(-3.0, 3.0)


def positions(reference: Reference, duration: float, step: float = 0.001) -> np.ndarray:
    return np.array([reference.advance(step) for _ in range(round(duration / step))])


def test_bridge_is_bridge() -> None:
    assert profile_named("bridge", 0.02) == Profile("time", 250, 100)


def test_setpoints_come_before_the_motor_brakes() -> None:
    for rate in (5.0, 20.0, 50.0, 200.0):
        profile = profile_named("time", 1.0 / rate)
        assert profile.velocity - profile.acceleration >= 1000.0 / rate
        assert profile.acceleration <= profile.velocity / 2  # the motor allows no more


def test_an_unknown_profile_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="unknown profile 'spline'; known: time, velocity, bridge"):
        profile_named("spline", 0.02)


@given(angles, angles, st.integers(1, 1000), st.integers(0, 500))
def test_a_time_profile_arrives_on_time_whatever_the_way(
    start: float, goal: float, moving: int, accelerating: int
) -> None:
    reference = Reference(start, "time", moving, accelerating)
    reference.go(goal)
    reference.advance(1e-3 * moving - 5e-4)
    reference.advance(6e-4)
    assert reference.position == goal
    assert reference.speed == 0.0


def test_a_time_profile_is_a_trapezoid() -> None:
    """1 rad in 1 s with 0.25 s of acceleration: cruises at 1 / 0.75 rad/s."""
    reference = Reference(0.0, "time", 1000, 250)
    reference.go(1.0)
    speeds = np.diff(positions(reference, 1.0)) / 0.001
    assert speeds.max() == pytest.approx(4 / 3, rel=1e-3)
    assert speeds[125] == pytest.approx(2 / 3, rel=0.02)
    assert np.abs(np.diff(speeds)).max() / 0.001 == pytest.approx(16 / 3, rel=0.02)


@given(angles, angles, st.floats(0.0, 0.3))
def test_a_new_goal_does_not_break_the_velocity(first: float, second: float, when: float) -> None:
    reference = Reference(0.0, "time", 250, 100)
    reference.go(first)
    reference.advance(when)
    before = reference.speed
    reference.go(second)
    reference.advance(1e-6)
    assert reference.speed == pytest.approx(before, abs=1e-2)


def test_a_velocity_profile_of_zero_is_a_step() -> None:
    reference = Reference(0.0, "velocity", 0, 0)
    reference.go(0.7)
    assert reference.advance(0.001) == 0.7


def test_a_velocity_profile_keeps_to_its_limits() -> None:
    """131 is 3.14 rad/s, 15 is 5.6 rad/s^2 (OperatingModes.srv)."""
    reference = Reference(0.0, "velocity", 131, 15)
    reference.go(3.0)
    moved = positions(reference, 2.0)
    speeds = np.diff(moved) / 0.001
    assert moved[-1] == 3.0
    assert speeds.max() == pytest.approx(math.pi, rel=0.01)
    assert np.abs(np.diff(speeds)).max() / 0.001 == pytest.approx(5.6, rel=0.02)


def test_holding_forgets_a_motion() -> None:
    reference = Reference(0.0, "time", 250, 100)
    reference.go(1.0)
    reference.advance(0.1)
    reference.hold(0.3)
    assert reference.advance(1.0) == 0.3


def test_setpoints_pass_unchanged_while_the_arm_follows() -> None:
    limiter, path = CatchUpLimiter(0.5), np.linspace(0.0, 1.0, 20)
    assert limiter.step(np.zeros(6), np.zeros(6), ALL, 0.02).tolist() == [0.0] * 6
    assert limiter.following
    for point in path:
        target = np.full(6, point)
        assert limiter.step(target, target - 0.1, ALL, 0.02).tolist() == target.tolist()


def test_after_torque_was_off_the_arm_is_led_back_gently() -> None:
    limiter, target, sagged = CatchUpLimiter(0.5), np.zeros(6), np.array([0.0, 0.3, -0.2, 0.0, 0.0, 0.0])
    limiter.step(target, target, ALL, 0.02)
    limiter.reset()
    sent = [limiter.step(target, sagged, ALL, 0.02) for _ in range(40)]
    assert sent[0] == pytest.approx([0.0, 0.29, -0.19, 0.0, 0.0, 0.0])
    assert np.abs(np.diff(sent, axis=0)).max() <= 0.01 + 1e-12
    assert sent[-1].tolist() == target.tolist()
    assert limiter.following


def test_a_limp_joint_is_sent_where_it_is() -> None:
    limiter, target = CatchUpLimiter(0.5), np.zeros(6)
    limiter.step(target, target, ALL, 0.02)
    holding, hanging = ALL.copy(), np.array([0.0, 0.4, 0.0, 0.0, 0.0, 0.0])
    holding[1] = False
    assert limiter.step(target, hanging, holding, 0.02).tolist() == hanging.tolist()
    back = limiter.step(target, hanging, ALL, 0.02)
    assert back[1] == pytest.approx(0.39)


@given(st.lists(angles, min_size=6, max_size=6), st.lists(angles, min_size=6, max_size=6))
def test_what_is_sent_lies_between_where_the_arm_is_and_where_it_should_be(a: list[float], b: list[float]) -> None:
    limiter, target, measured = CatchUpLimiter(0.5), np.array(a), np.array(b)
    for _ in range(3):
        sent = limiter.step(target, measured, ALL, 0.02)
        assert np.all(sent >= np.minimum(target, measured) - 1e-9)
        assert np.all(sent <= np.maximum(target, measured) + 1e-9)
