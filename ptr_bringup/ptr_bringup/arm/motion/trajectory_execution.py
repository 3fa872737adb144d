# SPDX-License-Identifier: Apache-2.0
"""A move to a pose while it is executed: how far it is, its pauses, and how it ends."""

from __future__ import annotations

import numpy as np

from ptr_bringup.arm.model.kinematics import Array, Pose, gripper_from_finger
from ptr_bringup.arm.motion.trajectory import Move
from ptr_bringup.arm.types import JointState, MoveReport
from ptr_models.common.rotations import rotation_vector_from_matrix

_ARRIVED_POSITION, _ARRIVED_ROTATION, _ARRIVED_GRIPPER = 0.015, 0.1, 0.1
"""m, rad and opening: a move has arrived when the measured pose is that near its goal."""
_SETTLING = 1.5
"""s that a move waits at its end for the measured pose."""
_GRIPPER_SETTLING = 3.0
"""s that it waits for the gripper, which sets off at the end. An object may hold it open: it is closed then, too."""
_LONGEST_PAUSE = 2.0
"""s that a move waits for joint states, or for an arm that does not follow; it holds meanwhile."""


class TrajectoryExecution:
    """One move in execution. Its time stands still while the arm can't be seen or does not follow."""

    def __init__(self, move: Move) -> None:
        self.move = move
        self._elapsed = 0.0
        self._paused = 0.0

    @property
    def progress(self) -> float:
        """Share of the way in time, 0..1."""
        return min(1.0, self._elapsed / self.move.duration)

    @property
    def over(self) -> bool:
        """True when the whole path has been commanded."""
        return self._elapsed >= self.move.duration

    def advance(self, elapsed: float) -> Array:
        """Joint positions (6,) in rad, some seconds further."""
        self._elapsed += elapsed
        self._paused = 0.0
        return self.move.joints(self._elapsed)

    def pause(self, elapsed: float, why: str) -> MoveReport:
        """Wait some seconds more, but not for ever."""
        self._paused += elapsed
        if self._paused <= _LONGEST_PAUSE:
            return MoveReport(self.progress)
        return MoveReport(self.progress, True, False, f"The move was ended after {_LONGEST_PAUSE:.0f} s: {why}")

    def arrival(self, measured: Pose, state: JointState) -> MoveReport:
        """Is the measured arm there? Done when it is, or when it has had time enough."""
        goal = self.move.goal
        off = float(np.linalg.norm(measured.position - goal.position))
        turned = float(np.linalg.norm(rotation_vector_from_matrix(measured.rotation @ goal.rotation.T)))
        there = off < _ARRIVED_POSITION and turned < _ARRIVED_ROTATION
        opening, wanted = gripper_from_finger(state.finger), self.move.gripper
        arrived = abs(opening - wanted) < _ARRIVED_GRIPPER
        if there and arrived:
            return MoveReport(1.0, True, True, "The arm is there.")
        if self._elapsed <= self.move.duration + (_GRIPPER_SETTLING if there else _SETTLING):
            return MoveReport(1.0)
        if not there:
            return MoveReport(1.0, True, False, f"The arm ended {off:.3f} m and {turned:.2f} rad away from the goal.")
        if opening > wanted:
            held = f"The arm is there; something holds the gripper at {opening:.2f} instead of {wanted:.2f}."
            return MoveReport(1.0, True, True, held)
        return MoveReport(
            1.0, True, False, f"The arm is there, but its gripper opened to {opening:.2f} instead of {wanted:.2f}."
        )
