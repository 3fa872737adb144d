# SPDX-License-Identifier: Apache-2.0
"""Does the arm follow its commands? Decided from the measured joints alone, within about a quarter of a second.

If commands get lost, the arm stands still while its commanded pose runs away; it would jump there later. If joint
states repeat with fresh stamps (a hung bus, a driver that resends its last reading), the arm moves without being
measured. In both cases commands change while the measured joints don't. Bitwise identical states indicate the second.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np

from ptr_bringup.arm.model.kinematics import Array
from ptr_bringup.arm.types import JointMeasurement

_MOVED = 0.002
"""rad. A larger change counts as motion, of a joint or of its command. The encoder's resolution is 0.0015 rad."""
_FROZEN_AFTER, _STUCK_AFTER = 0.010, 0.03
"""rad, minimum commanded motion before judging. The second value leaves room for friction: at 0.03 rad the motor's
position controller applies a seventh of its force; stopping earlier would never let the joint break loose."""
_START_TIMEOUT = 0.15
"""s that the arm may take to start moving; the motors' time profile alone takes 0.04 s."""


class FollowingStatus(enum.Enum):
    """How the arm answers its commands."""

    YES = 0
    FROZEN = 1
    """The joint states are bitwise identical."""
    STUCK = 2
    """The joint states change, but no joint moves."""


@dataclass
class _Start:
    """The reference that motion is measured from.

    Attributes:
        commanded: (6,) rad.
        alive: the joint states have changed since then.
        behind_since: s, when the command started to differ.
    """

    state: JointMeasurement
    commanded: Array
    alive: bool = False
    behind_since: float | None = None


class FollowingErrorMonitor:
    """Compares commanded with measured joints, tick by tick."""

    def __init__(self) -> None:
        self._start: _Start | None = None
        self._newest: JointMeasurement | None = None
        self._status = FollowingStatus.YES

    def update(self, commanded: Array, state: JointMeasurement, now: float) -> FollowingStatus:
        """Does the arm follow?

        Args:
            commanded: (6,) rad, last sent.   state: newest measurement.   now: s.
        """
        if state is self._newest:
            return self._status
        self._newest, self._status = state, self._judge(commanded, state, now)
        return self._status

    def _judge(self, commanded: Array, state: JointMeasurement, now: float) -> FollowingStatus:
        start = self._start
        if start is None or np.abs(state.positions - start.state.positions).max() > _MOVED:
            self.reset(commanded, state)
            return FollowingStatus.YES
        start.alive |= not _same(state, start.state)
        behind = float(np.abs(commanded - start.commanded).max())
        if behind <= _MOVED:
            start.behind_since = None
            return FollowingStatus.YES
        start.behind_since = now if start.behind_since is None else start.behind_since
        if now - start.behind_since <= _START_TIMEOUT or behind <= _FROZEN_AFTER:
            return FollowingStatus.YES
        if not start.alive:
            return FollowingStatus.FROZEN
        return FollowingStatus.STUCK if behind > _STUCK_AFTER else FollowingStatus.YES

    def reset(self, commanded: Array, state: JointMeasurement) -> None:
        """Measure motion from the arm's current position."""
        self._start, self._status = _Start(state, commanded), FollowingStatus.YES


def _same(one: JointMeasurement, other: JointMeasurement) -> bool:
    """Do two states hold the same numbers?"""
    return one is other or (
        one.finger == other.finger
        and np.array_equal(one.positions, other.positions)
        and np.array_equal(one.velocities, other.velocities)
        and np.array_equal(one.efforts, other.efforts)
    )
