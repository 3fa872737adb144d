# SPDX-License-Identifier: Apache-2.0
"""Execution of a move to a pose: progress, pauses and result."""

from __future__ import annotations

import numpy as np

from ptr_bringup.arm.model.kinematics import Array, Pose, gripper_from_finger
from ptr_bringup.arm.motion.trajectory import Move
from ptr_bringup.arm.types import JointMeasurement, MoveReport
from ptr_models.common.rotations import rotation_vector_from_matrix

_ARRIVED_POSITION, _ARRIVED_ROTATION, _ARRIVED_GRIPPER = 0.015, 0.1, 0.1
"""m, rad and opening: tolerances of the measured pose at the goal."""
_SETTLING_TIME = 1.5
"""s that a move waits at its end for the measured pose to settle."""
_GRIPPER_SETTLING_TIME = 3.0
"""s that it waits for the gripper, which starts at the end. A gripper that an object holds open counts as closed."""
_MAX_PAUSE = 2.0
"""s that a move waits for joint states, or for an arm that does not follow. Meanwhile the arm holds."""


class TrajectoryExecution:
    """One move in execution. Its time pauses while there are no joint states or the arm does not follow."""

    def __init__(self, move: Move) -> None:
        self.move = move
        self._elapsed = 0.0
        self._paused = 0.0

    @property
    def progress(self) -> float:
        """Elapsed share of the duration, 0..1."""
        return min(1.0, self._elapsed / self.move.duration)

    @property
    def over(self) -> bool:
        """True when the whole path has been commanded."""
        return self._elapsed >= self.move.duration

    def advance(self, elapsed: float) -> Array:
        """Advance by `elapsed` s; returns joint positions (6,) in rad."""
        self._elapsed += elapsed
        self._paused = 0.0
        return self.move.joints(self._elapsed)

    def pause(self, elapsed: float, why: str) -> MoveReport:
        """Pause for another `elapsed` s; the move fails after too long a pause."""
        self._paused += elapsed
        if self._paused <= _MAX_PAUSE:
            return MoveReport(self.progress)
        return MoveReport(self.progress, True, False, f"The move was ended after {_MAX_PAUSE:.0f} s: {why}")

    def arrival(self, measured: Pose, state: JointMeasurement) -> MoveReport:
        """Has the measured arm arrived? The move is done if it has, or once the settling time is over."""
        goal = self.move.goal
        off = float(np.linalg.norm(measured.position - goal.position))
        turned = float(np.linalg.norm(rotation_vector_from_matrix(measured.rotation @ goal.rotation.T)))
        there = off < _ARRIVED_POSITION and turned < _ARRIVED_ROTATION
        opening, wanted = gripper_from_finger(state.finger), self.move.gripper
        arrived = abs(opening - wanted) < _ARRIVED_GRIPPER
        if there and arrived:
            return MoveReport(1.0, True, True, "The arm has arrived.")
        if self._elapsed <= self.move.duration + (_GRIPPER_SETTLING_TIME if there else _SETTLING_TIME):
            return MoveReport(1.0)
        if not there:
            return MoveReport(1.0, True, False, f"The arm ended {off:.3f} m and {turned:.2f} rad away from the goal.")
        if opening > wanted:
            held = f"The arm has arrived; something holds the gripper at {opening:.2f} instead of {wanted:.2f}."
            return MoveReport(1.0, True, True, held)
        return MoveReport(
            1.0, True, False, f"The arm has arrived, but its gripper is at {opening:.2f} instead of {wanted:.2f}."
        )
