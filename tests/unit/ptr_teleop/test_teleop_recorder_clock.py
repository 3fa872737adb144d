# SPDX-License-Identifier: Apache-2.0
"""Times and numbers that the recorder must not trust: the system's clock, stamps of zero, what is not finite."""

from __future__ import annotations

import math

import pytest

from ptr_teleop.recorder.clock_watch import ClockWatch
from ptr_teleop.recorder.command_interval import CommandInterval
from ptr_teleop.recorder.episode import CommandTiming
from ptr_teleop.recorder.health import StreamMonitor
from ptr_teleop.recorder.streams import Stream

SECOND = 10**9


@pytest.mark.parametrize(("offset", "seen"), [(-1.5, -1.5), (3600.0, 3600.0), (0.05, 0.0), (0.0, 0.0)])
def test_a_jump_is_how_far_the_clock_went_beyond_one_that_never_jumps(offset: float, seen: float) -> None:
    watch = ClockWatch()
    assert watch.jump(1000 * SECOND, 5 * SECOND) == 0.0
    assert watch.jump(1002 * SECOND, 7 * SECOND) == 0.0  # a look that comes late is no jump
    assert watch.jump(1003 * SECOND + int(offset * SECOND), 8 * SECOND) == pytest.approx(seen)
    assert watch.jump(1004 * SECOND + int(offset * SECOND), 9 * SECOND) == 0.0


def test_a_stream_that_never_sent_is_silent_when_simulated_time_begins() -> None:
    monitor = StreamMonitor(Stream("/arm/state", "ptr_msgs/msg/ArmState", required=True))
    assert monitor.silent(SECOND // 10) and monitor.silent(100 * SECOND)


def test_an_older_command_does_not_end_the_episode_before_a_newer_one() -> None:
    interval = CommandInterval()
    interval.update(CommandTiming(100 * SECOND, SECOND // 5, True))
    end = interval.end(200 * SECOND)
    interval.update(CommandTiming(0, SECOND // 5, True))
    assert interval.end(200 * SECOND) == end > 100 * SECOND


@pytest.mark.parametrize(("d", "k0", "known"), [(0.1, 600.0, True), (math.nan, 600.0, False), (0.1, math.inf, False)])
def test_a_calibration_with_numbers_that_are_not_finite_is_none(d: float, k0: float, known: bool) -> None:
    """JSON has no such numbers, and what the recorder writes must be readable."""
    serialization = pytest.importorskip("rclpy.serialization")
    from sensor_msgs.msg import CameraInfo

    from ptr_teleop.recorder.conversions import read_calibration

    info = CameraInfo(width=640, height=480, d=[d], k=[k0, *[0.0] * 8])
    assert (read_calibration(serialization.serialize_message(info)) is not None) == known
