# SPDX-License-Identifier: Apache-2.0
"""Does the arm follow its commands? Lost commands and frozen readings are distinguished from friction and lag."""

from __future__ import annotations

import numpy as np
import pytest

from ptr_bringup.arm.gate.following_error import FollowingErrorMonitor, FollowingStatus
from ptr_bringup.arm.types import JointMeasurement

TICK = 0.02


def watch(commanded: list[float], measured: list[float], noise: float = 1e-4) -> list[FollowingStatus]:
    """Status while the waist (rad) is commanded and measured so, tick by tick; efforts tremble by `noise`."""
    rng, follow, verdicts = np.random.default_rng(0), FollowingErrorMonitor(), []
    for tick, (command, position) in enumerate(zip(commanded, measured, strict=True)):
        joints = np.zeros((2, 6))
        joints[:, 0] = command, position
        state = JointMeasurement(tick * TICK, joints[1], np.zeros(6), noise * rng.standard_normal(6), 0.03)
        verdicts.append(follow.update(joints[0], state, tick * TICK))
    return verdicts


def ramp(speed: float, ticks: int = 60) -> list[float]:
    return [speed * TICK * tick for tick in range(ticks)]


@pytest.mark.parametrize("speed", [0.25, 0.5, 1.25])
def test_commands_that_do_not_arrive_are_noticed_within_a_period_and_100_ms(speed: float) -> None:
    verdicts = watch(ramp(speed), [0.0] * 60)
    assert verdicts.index(FollowingStatus.STUCK) * TICK <= 0.2


def test_a_joint_that_friction_holds_for_0_03_rad_is_not_called_stuck() -> None:
    # 0.03 rad is 19.6 ticks of an encoder with 4096 a turn; the default P gain (800 / 128) makes that a PWM of
    # 122 of 885.
    slow = ramp(0.1, ticks=16)
    assert set(watch(slow, [0.0] * 16)) == {FollowingStatus.YES}


def test_an_arm_whose_profile_is_120_ms_late_follows() -> None:
    commanded = ramp(0.5)
    assert set(watch(commanded, [0.0] * 6 + commanded[:-6])) == {FollowingStatus.YES}


def test_readings_that_repeat_bit_by_bit_are_frozen_even_before_the_arm_counts_as_stuck() -> None:
    verdicts = watch(ramp(0.1), [0.0] * 60, noise=0.0)
    assert FollowingStatus.FROZEN in verdicts
    assert FollowingStatus.STUCK not in verdicts


def test_an_arm_that_stands_where_it_is_commanded_is_neither() -> None:
    assert set(watch([0.2] * 60, [0.2] * 60, noise=0.0)) == {FollowingStatus.YES}
