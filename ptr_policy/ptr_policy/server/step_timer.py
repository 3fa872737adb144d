# SPDX-License-Identifier: Apache-2.0
"""The timer of a run's control steps."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.clock import Clock
from rclpy.node import Node
from rclpy.timer import Timer

from ptr_bringup.ros.time import STEADY
from ptr_policy.server.step_grid import Lateness, StepGrid
from ptr_policy.server.streams import ObservationStreams

POLL_PERIOD = 0.001  # s between two checks for an image


class StepTimer:
    """Triggers steps on an even grid of a steady clock, synchronized with the images if possible (`CameraPhaseLock`).

    With `use_sim_time` it uses the simulation's clock.
    """

    def __init__(
        self,
        node: Node,
        period: float,
        work: float,
        streams: ObservationStreams,
        on_step: Callable[[Lateness], None],
    ) -> None:
        """Args: period: s.   work: duration of a step, s.   streams: its inputs.   on_step: makes a step."""
        self._node, self._streams, self._on_step = node, streams, on_step
        simulated = node.get_parameter("use_sim_time").value
        self._clock = node.get_clock() if simulated else STEADY
        self._phase = streams.phase()
        wait = self._phase.first(_seconds(node.get_clock()), work, streams.arm_timing())
        self._ticks = StepGrid(period, _seconds(self._clock) + wait)
        self._timer: Timer | None = node.create_timer(wait, self._on_timer, clock=self._clock)

    def close(self) -> None:
        """No more steps."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
            self._timer = None

    def _on_timer(self) -> None:
        late = _seconds(self._clock) - self._ticks.due
        if self._phase.should_wait(_seconds(self._node.get_clock()), self._streams.newest_image(), late):
            self._schedule(POLL_PERIOD)
            return
        self._on_step(self._ticks.tick(_seconds(self._clock)))
        ahead = _seconds(self._node.get_clock()) - _seconds(self._clock)
        self._phase = self._streams.phase()
        self._ticks.due += self._phase.correction(self._ticks.due + ahead)
        self._schedule(self._ticks.due - _seconds(self._clock))

    def _schedule(self, wait: float) -> None:
        if self._timer is not None:  # None after the last step
            self._timer.timer_period_ns = max(1, round(wait * 1e9))
            self._timer.reset()


def _seconds(clock: Clock) -> float:
    return clock.now().nanoseconds * 1e-9
