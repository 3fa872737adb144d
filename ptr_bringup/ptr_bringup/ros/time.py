# SPDX-License-Identifier: Apache-2.0
"""Clocks, and the stamps and durations of messages as numbers."""

from __future__ import annotations

import math

from builtin_interfaces.msg import Duration, Time
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

STEADY = Clock(clock_type=ClockType.STEADY_TIME)
"""For timers in real time, independent of the simulator's clock."""


def now(node: Node) -> float:
    """Time of a node's clock, s."""
    return node.get_clock().now().nanoseconds * 1e-9


def seconds(stamp: Time | Duration) -> float:
    """s of a stamp or duration."""
    return stamp.sec + 1e-9 * stamp.nanosec


def nanoseconds(stamp: Time | Duration) -> int:
    """ns of a stamp or duration."""
    return stamp.sec * 10**9 + stamp.nanosec


def stamp_from_seconds(time: float) -> Time:
    """The stamp of a time in s."""
    whole = math.floor(time)
    return Time(sec=int(whole), nanosec=min(int((time - whole) * 1e9), 999_999_999))


def stamp_from_nanoseconds(time: int) -> Time:
    """The stamp of a time in ns."""
    return Time(sec=time // 10**9, nanosec=time % 10**9)


def duration_from_seconds(time: float) -> Duration:
    """The duration of a time in s, rounded to ns."""
    whole, rest = divmod(round(time * 1e9), 10**9)
    return Duration(sec=whole, nanosec=rest)
