# SPDX-License-Identifier: Apache-2.0
"""The timer of a run's control steps."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.clock import Clock
from rclpy.node import Node

from ptr_bringup.ros.time import STEADY
from ptr_policy.server.streams import ObservationStreams
from ptr_policy.server.ticks import Lateness, Ticks

LOOK = 0.001  # s between two looks whether a picture is there


class StepTimer:
    """Makes steps on an even grid of a steady clock, which follows the pictures where it can (`Phase`).

    With `use_sim_time` the clock is that of the simulation.
    """

    def __init__(
        self,
        node: Node,
        period: float,
        work: float,
        streams: ObservationStreams,
        on_step: Callable[[Lateness], None],
    ) -> None:
        """Args: period: s.   work: s that a step takes.   streams: that it looks at.   on_step: makes a step."""
        self._node, self._streams, self._on_step = node, streams, on_step
        simulated = node.get_parameter("use_sim_time").value
        self._clock = node.get_clock() if simulated else STEADY
        self._phase = streams.phase()
        wait = self._phase.first(_seconds(node.get_clock()), work, streams.arm_beat())
        self._ticks = Ticks(period, _seconds(self._clock) + wait)
        self._timer = node.create_timer(wait, self._on_timer, clock=self._clock)

    def close(self) -> None:
        """No more steps."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
            self._timer = None

    def _on_timer(self) -> None:
        late = _seconds(self._clock) - self._ticks.due
        if self._phase.worth_waiting(_seconds(self._node.get_clock()), self._streams.newest_picture(), late):
            self._come_back(LOOK)
            return
        self._on_step(self._ticks.tick(_seconds(self._clock)))
        if self._timer is None:  # that was the last one
            return
        ahead = _seconds(self._node.get_clock()) - _seconds(self._clock)
        self._phase = self._streams.phase()
        self._ticks.due += self._phase.correction(self._ticks.due + ahead)
        self._come_back(self._ticks.due - _seconds(self._clock))

    def _come_back(self, wait: float) -> None:
        self._timer.timer_period_ns = max(1, round(wait * 1e9))
        self._timer.reset()


def _seconds(clock: Clock) -> float:
    return clock.now().nanoseconds * 1e-9
