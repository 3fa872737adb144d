# SPDX-License-Identifier: Apache-2.0
"""The recorder notices that the system's clock was set."""

from __future__ import annotations

import pytest

from ptr_teleop.recorder.clock_watch import ClockWatch

SECOND = 10**9


@pytest.mark.parametrize(("offset", "seen"), [(-1.5, -1.5), (3600.0, 3600.0), (0.05, 0.0), (0.0, 0.0)])
def test_a_jump_is_how_far_the_clock_went_beyond_one_that_never_jumps(offset: float, seen: float) -> None:
    watch = ClockWatch()
    assert watch.jump(1000 * SECOND, 5 * SECOND) == 0.0
    assert watch.jump(1002 * SECOND, 7 * SECOND) == 0.0  # a look that comes late is no jump
    assert watch.jump(1003 * SECOND + int(offset * SECOND), 8 * SECOND) == pytest.approx(seen)
    assert watch.jump(1004 * SECOND + int(offset * SECOND), 9 * SECOND) == 0.0
