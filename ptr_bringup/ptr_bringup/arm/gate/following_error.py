# SPDX-License-Identifier: Apache-2.0
"""Does the arm follow its commands? Judged from the measured joints alone, in about a quarter of a second.

An arm whose commands get lost stands still while its commanded pose runs away, and would jump after it later. An arm
whose joint states repeat themselves with fresh stamps (a hung bus, a driver that keeps sending its last reading) does
move, unseen. Both show as commands that change while no joint does; repeated bits tell the second from the first.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np

from ptr_bringup.arm.model.kinematics import Array
from ptr_bringup.arm.types import JointState

_MOVED = 0.002
"""rad. A joint that moves at all moves more, which is above the encoder's 0.0015 rad; a command that does has begun."""
_FROZEN_AFTER, _STUCK_AFTER = 0.010, 0.03
"""rad that a joint was commanded to move by, at least. The second leaves room for friction: a motor's position
controller gives a seventh of its force at 0.03 rad, and a gate that stopped earlier would never let it break loose."""
_START_TIMEOUT = 0.15
"""s that the arm may take to begin with a motion; the motors' time profile alone takes 0.04 s."""


class FollowingStatus(enum.Enum):
    """How the arm answers its commands."""

    YES = 0
    FROZEN = 1
    """The joint states repeat themselves bit by bit."""
    STUCK = 2
    """The joint states are alive, but no joint moves."""


@dataclass
class _Start:
    """Where the arm sets out from.

    Attributes:
        commanded: (6,) rad.
        alive: the joint states have changed since then.
        behind_since: s, since when the command has been another one.
    """

    state: JointState
    commanded: Array
    alive: bool = False
    behind_since: float | None = None


class FollowingErrorMonitor:
    """Compares what was commanded with what is measured, tick by tick."""

    def __init__(self) -> None:
        self._start: _Start | None = None
        self._newest: JointState | None = None
        self._status = FollowingStatus.YES

    def update(self, commanded: Array, state: JointState, now: float) -> FollowingStatus:
        """Judge.

        Args:
            commanded: (6,) rad, last sent.   state: newest measurement.   now: s.
        """
        if state is self._newest:
            return self._status
        self._newest, self._status = state, self._judge(commanded, state, now)
        return self._status

    def _judge(self, commanded: Array, state: JointState, now: float) -> FollowingStatus:
        start = self._start
        if start is None or np.abs(state.positions - start.state.positions).max() > _MOVED:
            self.begin(commanded, state)
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

    def begin(self, commanded: Array, state: JointState) -> None:
        """Take where the arm is now as where it sets out from."""
        self._start, self._status = _Start(state, commanded), FollowingStatus.YES


def _same(one: JointState, other: JointState) -> bool:
    """Do two states hold the same numbers?"""
    return one is other or (
        one.finger == other.finger
        and np.array_equal(one.positions, other.positions)
        and np.array_equal(one.velocities, other.velocities)
        and np.array_equal(one.efforts, other.efforts)
    )
