# SPDX-License-Identifier: Apache-2.0
"""Does the arm follow its commands? Judged from the measured joints alone, in about a quarter of a second.

An arm whose commands get lost stands still while its commanded pose runs away, and would jump after it later. An arm
whose joint states repeat themselves with fresh stamps (a hung bus, a driver that keeps sending its last reading) does
move, unseen. Both show as commands that change while no joint does; repeated bits tell the second from the first.
"""

from __future__ import annotations

import enum

import numpy as np

from ptr_bringup.arm.kinematics import Array
from ptr_bringup.arm.reports import JointState

_MOVED = 0.002
"""rad. A joint that moves at all moves more, which is above the encoder's 0.0015 rad; a command that does has begun."""
_FROZEN_AFTER, _STUCK_AFTER = 0.010, 0.03
"""rad that a joint was commanded to move by, at least. The second leaves room for friction: a motor's position
controller gives a seventh of its force at 0.03 rad, and a gate that stopped earlier would never let it break loose."""
_PATIENCE = 0.15
"""s that the arm may take to begin with a motion; the motors' time profile alone takes 0.04 s."""


class Following(enum.Enum):
    """How the arm answers its commands."""

    YES = 0
    FROZEN = 1
    """The joint states repeat themselves bit by bit."""
    STUCK = 2
    """The joint states are alive, but no joint moves."""


class FollowWatch:
    """Compares what was commanded with what is measured, tick by tick."""

    def __init__(self) -> None:
        self._measured: Array | None = None
        self._commanded: Array | None = None
        self._state: JointState | None = None
        self._alive = False
        self._since: float | None = None
        self._newest: JointState | None = None
        self._verdict = Following.YES

    def look(self, commanded: Array, state: JointState, now: float) -> Following:
        """Judge.

        Args:
            commanded: (6,) rad, last sent.   state: newest measurement.   now: s.
        """
        if state is self._newest:
            return self._verdict
        self._newest, self._verdict = state, self._judge(commanded, state, now)
        return self._verdict

    def _judge(self, commanded: Array, state: JointState, now: float) -> Following:
        if self._measured is None or np.abs(state.positions - self._measured).max() > _MOVED:
            self.begin(commanded, state)
            return Following.YES
        self._alive |= not _same(state, self._state)
        behind = float(np.abs(commanded - self._commanded).max())
        if behind <= _MOVED:
            self._since = None
            return Following.YES
        self._since = now if self._since is None else self._since
        if now - self._since <= _PATIENCE or behind <= _FROZEN_AFTER:
            return Following.YES
        if not self._alive:
            return Following.FROZEN
        return Following.STUCK if behind > _STUCK_AFTER else Following.YES

    def begin(self, commanded: Array, state: JointState) -> None:
        """Take where the arm is now as where it sets out from."""
        self._measured, self._commanded, self._state = state.positions, commanded, state
        self._alive, self._since, self._verdict = False, None, Following.YES


def _same(one: JointState, other: JointState) -> bool:
    """Do two states hold the same numbers?"""
    return one is other or (
        one.finger == other.finger
        and np.array_equal(one.positions, other.positions)
        and np.array_equal(one.velocities, other.velocities)
        and np.array_equal(one.efforts, other.efforts)
    )
