# SPDX-License-Identifier: Apache-2.0
"""Statistics of the control loop's periodicity and overruns."""

from __future__ import annotations

import pytest

from ptr_bringup.arm.realtime import LoopStatistics


def test_a_punctual_loop_has_no_error() -> None:
    watch = LoopStatistics(0.02)
    for k in range(100):
        watch.tick(5.0 + 0.02 * k)
    assert watch.figures() == {
        "period, median (ms)": "20.00",
        "period error, 99th percentile (ms)": "0.00",
        "overruns": "0",
    }


@pytest.mark.parametrize(("gap", "lost"), [(0.029, 0), (0.031, 1), (0.1, 4)])
def test_a_gap_counts_the_periods_that_it_lost(gap: float, lost: int) -> None:
    watch = LoopStatistics(0.02)
    for at in (1.0, 1.02, 1.02 + gap):
        watch.tick(at)
    assert watch.overruns == lost
    assert watch.figures()["overruns"] == str(lost)
