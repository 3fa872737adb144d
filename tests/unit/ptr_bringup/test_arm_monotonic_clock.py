# SPDX-License-Identifier: Apache-2.0
"""The gate's time while the system clock is set."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptr_bringup.arm.monotonic_clock import MonotonicClock


@pytest.mark.parametrize("jump", [3600.0, -3600.0, 0.5, -0.5])
def test_a_clock_that_is_set_is_told_and_time_goes_on(jump: float) -> None:
    base = MonotonicClock(1e9, 50.0)
    assert base.advance(1e9 + 0.02, 50.02) == 0.0
    assert base.advance(1e9 + 0.04 + jump, 50.04) == pytest.approx(jump, abs=1e-6)
    assert base.advance(1e9 + 0.06 + jump, 50.06) == 0.0
    assert base.now == pytest.approx(50.06)


def test_slewing_and_busy_machines_are_no_jumps() -> None:
    base = MonotonicClock(0.0, 0.0)
    assert base.advance(5.0025, 5.0) == 0.0  # a late look, and 500 ppm of NTP's slewing
    assert base.now == 5.0


def test_a_suspended_machine_has_jumped() -> None:
    base = MonotonicClock(0.0, 0.0)
    assert base.advance(600.0, 0.1) == pytest.approx(599.9)


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(0.0, 10.0)), max_size=30), st.booleans())
def test_time_never_goes_back(looks: list[tuple[float, float]], simulated: bool) -> None:
    base, steady = MonotonicClock(0.0, 0.0, simulated), 0.0
    for ros, flown in looks:
        before, steady = base.now, steady + flown
        base.advance(ros, steady)
        assert base.now >= before


def test_simulated_time_counts_as_it_runs_but_not_its_jumps() -> None:
    base = MonotonicClock(100.0, 0.0, simulated=True)
    assert base.advance(100.2, 0.01) == 0.0
    assert base.now == pytest.approx(0.2)
    assert base.advance(10.0, 0.02) == pytest.approx(-90.2)
    assert base.advance(10.1, 0.03) == 0.0
    assert base.now == pytest.approx(0.3)
