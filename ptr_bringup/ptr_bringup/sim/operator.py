# SPDX-License-Identifier: Apache-2.0
"""The scripted operator: what a person at a SpaceMouse would do, decided from where things are.

Each decision follows from the present pose, the opening and the scene, with little memory, so that it can be imitated
from a picture. Human-like: a pace of its own, small errors that are corrected, pauses, seldom a missed grasp.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptr_bringup.arm.kinematics import Pose
from ptr_bringup.sim.tasks import Scene, Task

Array = NDArray[np.float64]
STEP_LIMIT = 0.046
"""Longest motion along an axis in a control step (m); the action's bound is 0.05."""
HOVER = 0.075
"""How far above its goal the gripper comes in when it is far from it (m)."""
TRANSIT = 0.12
"""Height at which things are carried (m)."""
HELD = 0.60
"""Measured opening under which the fingers have closed around something, and above which they have let go."""
MISSED = 0.045
"""Measured opening under which nothing is between the fingers."""


class Phase(enum.Enum):
    """What the operator is about."""

    REACH = "reach"
    GRASP = "grasp"
    CARRY = "carry"
    RELEASE = "release"
    RETREAT = "retreat"


@dataclass(frozen=True)
class Manner:
    """How human the operator is.

    Attributes:
        tremor: m, standard deviation of the error of each step; the next step corrects it.
        pause: probability of resting for a step.
        hurry: range of the pace, 1 is brisk.
        sloppiness: m, how far from the middle the operator aims at a grasp, at most.
    """

    tremor: float = 0.002
    pause: float = 0.02
    hurry: tuple[float, float] = (0.75, 1.05)
    sloppiness: float = 0.004


class ScriptedOperator:
    """Demonstrates one task.

    Args:
        task: what to do.
        drop_spot: (2,) m, where to put what was taken out of a receptacle.
        seed: of its manner.
        manner: how human it is.
    """

    def __init__(self, task: Task, drop_spot: Array, seed: int, manner: Manner | None = None) -> None:
        self._task, self._drop_spot = task, np.asarray(drop_spot, dtype=float)
        self._manner = manner or Manner()
        self._random = np.random.default_rng(np.random.SeedSequence([seed, 23]))
        self._pace = self._random.uniform(*self._manner.hurry)
        self._aim = self._random.uniform(-1.0, 1.0, 2) * self._manner.sloppiness
        self._waited = 0
        self.phase = Phase.REACH

    @property
    def done(self) -> bool:
        """True when it has let go and backed off."""
        return self.phase is Phase.RETREAT and self._waited >= 3

    def act(self, commanded: Pose, gripper: float, scene: Scene) -> Array:
        """The action (7,) of the next control step: m, rad, opening.

        Args:
            commanded: pose that the action's displacement is added to.
            gripper: measured opening.
            scene: where things are.
        """
        self._advance(commanded, gripper, scene)
        if self._random.random() < self._manner.pause and self.phase in (Phase.REACH, Phase.CARRY):
            return self._action(np.zeros(3))
        if self.phase in (Phase.GRASP, Phase.RELEASE):
            return self._action(np.zeros(3))
        if self.phase is Phase.RETREAT:
            return self._action(np.array([0.0, 0.0, 0.04]))
        goal, height = self._goal(scene)
        return self._action(self._approach(commanded.position, goal, height))

    def _advance(self, commanded: Pose, gripper: float, scene: Scene) -> None:
        """Go to the next phase when this one has reached its end."""
        self._waited += 1
        if self.phase is Phase.REACH and self._arrived(commanded, scene, 0.010):
            self._enter(Phase.GRASP)
        elif self.phase is Phase.GRASP and self._waited >= 2:
            self._enter(Phase.REACH if gripper < MISSED else Phase.CARRY)
        elif self.phase is Phase.CARRY and gripper < MISSED:
            self._enter(Phase.REACH)
        elif self.phase is Phase.CARRY and self._arrived(commanded, scene, 0.020):
            self._enter(Phase.RELEASE)
        elif self.phase is Phase.RELEASE and gripper > HELD and self._waited >= 1:
            self._enter(Phase.RETREAT)

    def _enter(self, phase: Phase) -> None:
        self.phase, self._waited = phase, 0

    def _arrived(self, commanded: Pose, scene: Scene, tolerance: float) -> bool:
        goal, height = self._goal(scene)
        return (
            float(np.hypot(*(commanded.position[:2] - goal))) < tolerance
            and commanded.position[2] < height + 0.008
        )

    def _goal(self, scene: Scene) -> tuple[Array, float]:
        """Where the gripper has to be in the end (x, y in m), and how high."""
        if self.phase in (Phase.REACH, Phase.GRASP):
            return scene.object_position[:2] + self._aim, max(float(scene.object_position[2]), 0.020)
        if self._task.skill == "put":
            return scene.receptacle_position[:2], self._task.vessel.floor_height + 0.050
        return self._drop_spot, self._task.food.rest_height + 0.018

    def _approach(self, position: Array, goal: Array, height: float) -> Array:
        """A step along a funnel: high while far, down while near; up before sideways when something is carried."""
        error = goal - position[:2]
        distance = float(np.hypot(*error))
        carrying = self.phase is Phase.CARRY
        ceiling = TRANSIT if carrying else height + HOVER
        wanted = height + float(np.clip(1.6 * (distance - 0.008), 0.0, ceiling - height))
        rise = wanted - position[2]
        if carrying and rise > 0.0:
            error = error * float(np.clip(1.0 - rise / 0.05, 0.0, 1.0))
        step = 0.75 * np.array([*error, rise])
        limit = STEP_LIMIT * self._pace
        return step * min(1.0, limit / max(float(np.abs(step).max()), 1e-9))

    def _action(self, step: Array) -> Array:
        """Add the tremor, and the gripper of the phase."""
        if self.phase not in (Phase.GRASP, Phase.RELEASE):
            step = step + self._random.normal(0.0, self._manner.tremor, 3)
        opening = 0.0 if self.phase in (Phase.GRASP, Phase.CARRY) else 1.0
        return np.array([*np.clip(step, -0.05, 0.05), 0.0, 0.0, 0.0, opening])
