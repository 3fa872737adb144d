# SPDX-License-Identifier: Apache-2.0
"""State uptime follows the joint states, not the system clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptr_bringup.arm.motors.monitor import StateUptime

PERIOD = 0.02


def test_it_passes_with_joint_states_and_stands_without_them() -> None:
    heard = StateUptime()
    for k in range(101):
        heard.update(k * PERIOD, stamp=1000.0 + k * PERIOD)
    assert heard.seconds == pytest.approx(2.0)
    assert [heard.update(now, stamp=1002.0) for now in (3.0, 10.0, 60.0)] == [heard.seconds] * 3


def test_it_does_not_pass_before_the_first_joint_state() -> None:
    heard = StateUptime()
    assert heard.update(50.0, stamp=None) == heard.update(70.0, stamp=1.0) == 0.0
    assert heard.update(70.1, stamp=1.1) == pytest.approx(0.1)


def test_a_long_silence_counts_for_no_more_than_the_gates_patience() -> None:
    """After a driver was away, its motors have the full timeout again."""
    heard = StateUptime()
    heard.update(0.0, stamp=0.0)
    assert heard.update(600.0, stamp=600.0) == 0.25


def test_looking_more_often_than_joint_states_come_changes_nothing() -> None:
    heard = StateUptime()
    for k in range(81):
        heard.update(0.05 * k, stamp=float(k // 4))  # five joint states a second
    assert heard.seconds == pytest.approx(4.0)


@given(st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=50, unique=True))
def test_stamps_may_say_what_they_like(stamps: list[float]) -> None:
    heard = StateUptime()
    for k, stamp in enumerate(stamps):
        heard.update(k * PERIOD, stamp)
    assert heard.seconds == pytest.approx((len(stamps) - 1) * PERIOD)
