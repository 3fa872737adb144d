# SPDX-License-Identifier: Apache-2.0
"""The scripted operator for doors: grasps the handle, moves it along its arc, releases it, and retries after a failure.

It decides from the poses of handle and door alone. To open, the fingers clamp a knob or hook behind a bar. To close,
they lift an oven's door the same way, and push other doors. It makes mistakes like a person; see `DoorManner`.
"""

from __future__ import annotations

import enum

import numpy as np
from numpy.typing import NDArray

from ptr_bringup.arm.gate.limits import Limits
from ptr_bringup.arm.model.kinematics import Pose
from ptr_bringup.sim.door_grasp import grip_pose, panel_top, push_pose, turned_by
from ptr_bringup.sim.door_manner import DoorManner, draw_attempt
from ptr_bringup.sim.door_tasks import DoorScene, DoorTask
from ptr_bringup.sim.doors import SHUT_ANGLE, Door
from ptr_models.common.rotations import rotation_vector_from_matrix

Array = NDArray[np.float64]
STEP_LIMIT, TURN_LIMIT = 0.046, 0.23
"""Maximum motion along an axis (m) and rotation (rad) in a control step; the action's bounds are 0.05 and 0.25."""
HOVER = 0.060
"""Height above its goal at which the gripper approaches from afar (m)."""
MISSED = 0.045
"""Measured opening below which nothing is between the fingers."""
RELEASED = 0.60
"""Measured opening above which the fingers have released."""
PULL_LEAD, PUSH_LEAD = 0.40, 0.22
"""Maximum lead of the hand over the door on its arc (rad)."""
SEPARATED = 0.055
"""Distance from the tool to the handle above which the handle is lost (m)."""
MIN_TURN = 0.012
"""Minimum rotation of a door that follows, per control step (rad)."""
MAX_STALLED_STEPS = 3
"""Steps in which the door does not follow, after which the operator gives up the attempt."""
MAX_REACH_STEPS = 18
"""Steps of an approach after which the operator continues from its current position."""
_LOW, _HIGH = np.add(Limits().workspace_min, 0.005), np.subtract(Limits().workspace_max, 0.005)
"""m, bounds of the operator's hand within the arm's workspace."""


class DoorPhase(enum.Enum):
    """Phase of an attempt."""

    REACH = "reach"
    ENGAGE = "engage"
    GRASP = "grasp"
    MOVE = "move"
    RELEASE = "release"
    RETREAT = "retreat"


class DoorOperator:
    """Demonstrates opening or closing one door.

    Args:
        task: what to do.   door: the door.
        seed: of its random choices.
        manner: parameters of its behavior.
    """

    def __init__(self, task: DoorTask, door: Door, seed: int, manner: DoorManner | None = None) -> None:
        self._opens, self._door = task.skill == "open", door
        self.manner = manner or DoorManner()
        self._random = np.random.default_rng(np.random.SeedSequence([seed, 29]))
        self.pace = float(self._random.uniform(*self.manner.pace))
        self._target = door.open_angle + self._random.uniform(*self.manner.beyond) if self._opens else 0.0
        self._holds = self._opens or door.hinge == "bottom"
        self._lifts = self._holds and not self._opens
        self._clamps = self._holds and not door.handle.hooked
        self._resting = 0
        self.attempts = 0
        self._start_attempt()

    @property
    def done(self) -> bool:
        """True when the door is as required, and the hand has released it and retreated."""
        return self.phase is DoorPhase.RETREAT and self._achieved and self._waited >= 3

    def act(self, commanded: Pose, gripper: float, scene: DoorScene) -> Array:
        """The action (7,) of the next control step: m, rad, opening.

        Args:
            commanded: pose that the action's displacement is added to.
            gripper: measured opening.
            scene: state of the door.
        """
        self._advance(commanded, gripper, scene)
        if self._rests():
            return self._action(np.zeros(3), np.zeros(3))
        if self.phase is DoorPhase.REACH:
            return self._action(*self._reach(commanded, scene))
        if self.phase is DoorPhase.ENGAGE:
            return self._action(*_towards(self._pose(scene, scene.angle), commanded))
        if self.phase is DoorPhase.MOVE:
            return self._action(*self._move(commanded, scene))
        if self.phase is DoorPhase.RETREAT:
            return self._action(self._back_off(commanded, scene), np.zeros(3))
        return self._action(np.zeros(3), np.zeros(3))

    def _start_attempt(self) -> None:
        self._attempt = draw_attempt(self.manner, self._random, self.attempts, not self._holds)
        self._detour = self._attempt.detour
        self.attempts += 1
        self._until: float | None = None
        self._enter(DoorPhase.REACH)

    def _enter(self, phase: DoorPhase) -> None:
        self.phase, self._waited, self._stalled, self._achieved = phase, 0, 0, False
        self._last_angle: float | None = None

    def _advance(self, commanded: Pose, gripper: float, scene: DoorScene) -> None:
        """Go to the next phase if this one is finished."""
        self._waited += 1
        match self.phase:
            case DoorPhase.REACH if self._waited > MAX_REACH_STEPS or self._at_goal(commanded, scene):
                self._enter(DoorPhase.ENGAGE)
                self._advance(commanded, gripper, scene)
            case DoorPhase.ENGAGE if self._waited > 5 or self._engaged(commanded, scene):
                self._enter(DoorPhase.GRASP if self._clamps else DoorPhase.MOVE)
            case DoorPhase.GRASP if self._waited >= self._attempt.hesitation + 3:
                self._enter(DoorPhase.RETREAT if gripper < MISSED else DoorPhase.MOVE)
            case DoorPhase.MOVE:
                self._advance_move(scene)
            case DoorPhase.RELEASE if gripper > RELEASED and self._waited > self._attempt.lingering:
                self._enter(DoorPhase.RETREAT)
            case DoorPhase.RETREAT:
                self._achieved = self._at_target(scene)
                if self._waited >= 3 and not self._achieved:
                    self._start_attempt()

    def _advance_move(self, scene: DoorScene) -> None:
        """End the motion at the target, when the hand comes off, or when the door does not follow."""
        if self._until is None:
            self._until = scene.angle + self._attempt.share * (self._target - scene.angle)
        if self._last_angle is not None and not self._resting:
            follows = abs(scene.angle - self._last_angle) > MIN_TURN
            self._stalled = 0 if follows else self._stalled + 1
        self._last_angle = scene.angle
        arrived = scene.angle >= self._until if self._opens else scene.angle <= max(self._until, 0.015)
        lost = self._holds and float(np.linalg.norm(scene.handle_position - scene.tool_position)) > SEPARATED
        if arrived and self._clamps and not self._attempt.slips:
            self._enter(DoorPhase.RELEASE)
        elif arrived or (lost and not self._attempt.missed) or self._stalled >= MAX_STALLED_STEPS:
            self._enter(DoorPhase.RETREAT)

    def _at_target(self, scene: DoorScene) -> bool:
        return scene.angle >= self._door.open_angle + 0.01 if self._opens else scene.angle <= SHUT_ANGLE - 0.01

    def _pose(self, scene: DoorScene, angle: float) -> Pose:
        """Required pose of the hand at a hinge angle, with the operator's aiming error."""
        pose = (grip_pose if self._holds else push_pose)(self._door, scene.door_position, angle)
        position = pose.position + self._door.rotation(angle) @ self._attempt.aim
        return Pose(np.clip(position, _LOW, _HIGH), pose.rotation)

    def _goal(self, scene: DoorScene) -> Pose:
        """End of the approach: at the handle, above an open oven's handle, or in front of a door to push."""
        pose = self._pose(scene, scene.angle)
        if self._opens:
            return pose
        before = np.array([0.0, 0.0, 0.045] if self._holds else [-0.012, 0.0, 0.0])
        return Pose(pose.position + self._door.rotation(scene.angle) @ before, pose.rotation)

    def _at_goal(self, commanded: Pose, scene: DoorScene) -> bool:
        return self._detour is None and _near(self._goal(scene), commanded)

    def _engaged(self, commanded: Pose, scene: DoorScene) -> bool:
        return not self._lifts or _near(self._pose(scene, scene.angle), commanded)

    def _reach(self, commanded: Pose, scene: DoorScene) -> tuple[Array, Array]:
        """A step along a funnel: high while far away or misaligned, down when near; up before sideways."""
        goal = self._goal(scene)
        position, (error, turn) = commanded.position, _towards(goal, commanded)
        ceiling = self._ceiling(scene) - float(goal.position[2])
        distance = float(np.hypot(*error[:2]))
        if self._detour is not None:
            via = goal.position + self._detour + [0.0, 0.0, ceiling]
            if float(np.linalg.norm((via - position)[:2])) < 0.03 or self._waited > 6:
                self._detour = None
            error, distance = via - position, 1.0
        height = 1.6 * (distance - 0.010) + 0.12 * (float(np.linalg.norm(turn)) - 0.30)
        wanted = float(goal.position[2]) + float(np.clip(height, 0.0, ceiling))
        rise = wanted - float(position[2])
        sideways = error[:2] * float(np.clip(1.0 - rise / 0.04, 0.0, 1.0)) if rise > 0.0 else error[:2]
        return 0.8 * np.array([*sideways, rise]), turn

    def _ceiling(self, scene: DoorScene) -> float:
        """Height (m) of the approach: above the handle, and above a panel in the way."""
        goal = float(self._goal(scene).position[2])
        if self._opens or self._door.hinge == "bottom":
            return goal + HOVER
        return max(goal + 0.02, panel_top(self._door, scene.door_position) + 0.035)

    def _move(self, commanded: Pose, scene: DoorScene) -> tuple[Array, Array]:
        """A step along the arc, with a limited lead over the door."""
        door, hinge = self._door, scene.door_position
        here = scene.angle + turned_by(door, hinge, self._pose(scene, scene.angle).position, commanded.position)
        radius = float(np.linalg.norm(np.cross(door.axis, commanded.position - hinge)))
        stride = self.pace * min(0.95 * TURN_LIMIT, 0.9 * STEP_LIMIT / max(radius, 0.05))
        if self._opens:
            ahead = min(here + stride, scene.angle + PULL_LEAD, door.max_angle - 0.03)
        else:
            ahead = max(here - stride, scene.angle - PUSH_LEAD, -0.10)
        goal = self._pose(scene, ahead)
        return _towards(goal, commanded)

    def _back_off(self, commanded: Pose, scene: DoorScene) -> Array:
        """A step out of the handle along the panel, or away from a pushed door, and up."""
        panel = self._door.rotation(scene.angle)
        away = panel @ np.array([0.0, 0.0, 1.0]) if self._holds else panel @ np.array([-0.7, 0.0, 0.0])
        if self._door.hinge == "bottom" and self._waited > 2:
            away = np.array([-1.0, 0.0, 0.7])
        step = away + np.array([0.0, 0.0, 0.3 if self._holds else 0.6])
        return np.clip(0.04 * step / float(np.abs(step).max()), _LOW - commanded.position, _HIGH - commanded.position)

    def _rests(self) -> bool:
        """Whether this step is a pause."""
        if self._resting:
            self._resting -= 1
            return True
        if self.phase in (DoorPhase.REACH, DoorPhase.MOVE) and self._random.random() < self.manner.pause:
            low, high = self.manner.pause_steps
            self._resting = int(self._random.integers(low, high + 1)) - 1
            return True
        return False

    def _action(self, step: Array, turn: Array) -> Array:
        """The action of a step: limited to the pace, with tremor and the phase's gripper opening."""
        limit = STEP_LIMIT * self.pace
        step = step * min(1.0, limit / max(float(np.abs(step).max()), 1e-9))
        turn = turn * min(1.0, TURN_LIMIT / max(float(np.abs(turn).max()), 1e-9))
        if self.phase not in (DoorPhase.GRASP, DoorPhase.RELEASE):
            step = step + self._random.normal(0.0, self.manner.tremor, 3)
            turn = turn + self._random.normal(0.0, self.manner.turn_tremor, 3)
        return np.array([*np.clip(step, -0.05, 0.05), *np.clip(turn, -0.25, 0.25), self._opening()])

    def _opening(self) -> float:
        """Opening in this phase: fingers close around a knob after hesitating, and stay closed to hook or push."""
        if not self._clamps:
            return 0.0
        match self.phase:
            case DoorPhase.GRASP:
                return 1.0 if self._waited <= self._attempt.hesitation else 0.0
            case DoorPhase.MOVE:
                return 0.0
            case DoorPhase.RELEASE:
                return 0.0 if self._waited <= self._attempt.lingering else 1.0
        return 1.0


def _towards(goal: Pose, commanded: Pose) -> tuple[Array, Array]:
    """Displacement (3,) in m and rotation vector (3,) in rad from the commanded pose to a goal."""
    return goal.position - commanded.position, rotation_vector_from_matrix(goal.rotation @ commanded.rotation.T)


def _near(goal: Pose, commanded: Pose) -> bool:
    """True if the commanded pose is close enough to a goal to start the next phase."""
    error, turn = _towards(goal, commanded)
    return float(np.hypot(*error[:2])) < 0.009 and abs(error[2]) < 0.009 and float(np.linalg.norm(turn)) < 0.15
