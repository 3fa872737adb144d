# SPDX-License-Identifier: Apache-2.0
"""The scripted operator: acts like a person with a SpaceMouse, based on the objects' poses.

It makes human mistakes: it hesitates, takes detours, grasps beside the object or too early, releases too soon, notices,
and retries. An episode's seed determines these choices, which are stored with it.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptr_bringup.arm.model.kinematics import Pose
from ptr_bringup.sim.tasks import Scene, Task
from ptr_models.common.rotations import DEFAULT_ROTATION, rpy_from_matrix

Array = NDArray[np.float64]
Range = tuple[float, float]
STEP_LIMIT = 0.046
"""Maximum motion along an axis in a control step (m); the action's bound is 0.05."""
TURN_LIMIT = 0.23
"""Maximum rotation about an axis in a control step (rad); the action's bound is 0.25."""
HOVER = 0.075
"""Height above its goal at which the gripper approaches from afar (m)."""
TRANSIT = 0.12
"""Height at which objects are carried (m)."""
HELD = 0.60
"""Measured opening below which the fingers have closed around an object, and above which they have released it."""
MISSED = 0.045
"""Measured opening below which nothing is between the fingers."""
GRASP_HEIGHT = 0.020
"""Minimum height of the end effector at a grasp (m)."""


class Phase(enum.Enum):
    """Phase of a demonstration."""

    DETOUR = "detour"
    REACH = "reach"
    AIM = "aim"
    GRASP = "grasp"
    RISE = "rise"
    CARRY = "carry"
    HOLD = "hold"
    RELEASE = "release"
    RETREAT = "retreat"


OPEN_HANDED = (Phase.DETOUR, Phase.REACH, Phase.AIM, Phase.RISE, Phase.RELEASE, Phase.RETREAT)
STATIONARY = (Phase.GRASP, Phase.RELEASE)


@dataclass(frozen=True)
class Manner:
    """How an operator moves, and how often it errs.

    Attributes:
        name: `machine` or `human`.
        pace: range of the speed; 1 is brisk.
        tremor: m, standard deviation of the error of each step; the next step corrects it.
        rotation_tremor: rad, the same for each step's rotation about x, y and z.
        still_tremor: share of the tremor while the fingers close or open; with 0, an action of exactly zero would
            reveal the demonstrator to a critic.
        pause: probability of a pause in each step of a motion.   pause_steps: range of its length, steps.
        detour: probability of an approach via a point off the direct path.   detour_distance: range, m.
        sloppiness: m, maximum deviation of the aim from the object's middle, when it does not miss.
        first_miss, later_miss: probability that the first or a later grasp misses the object.
        miss_distance: range of the deviation when missing, m.
        early_close: probability that the fingers close too high.   early_height: range, m.
        close_wait, release_wait: mean steps (geometric) of waiting above the object before the fingers close, and
            before they open.   dither: m, standard deviation of the motion while waiting.
        early_release: probability of releasing before the goal.   release_distance: range, m.
        notice: steps until a failed grasp is noticed.
        turn_tolerance: rad, maximum misalignment of the object before the wrist turns.
    """

    name: str = "machine"
    pace: Range = (0.75, 1.05)
    tremor: float = 0.002
    rotation_tremor: float = 0.0
    still_tremor: float = 0.0
    pause: float = 0.02
    pause_steps: tuple[int, int] = (1, 1)
    detour: float = 0.0
    detour_distance: Range = (0.0, 0.0)
    sloppiness: float = 0.004
    first_miss: float = 0.0
    later_miss: float = 0.0
    miss_distance: Range = (0.0, 0.0)
    early_close: float = 0.0
    early_height: Range = (0.0, 0.0)
    close_wait: float = 0.0
    release_wait: float = 0.0
    dither: float = 0.0
    early_release: float = 0.0
    release_distance: Range = (0.0, 0.0)
    notice: int = 0
    turn_tolerance: float = 0.36

    def scaled(self, share: float) -> Manner:
        """The same manner with errors `share` times as frequent (0: none, 1: unchanged)."""
        frequent = ("detour", "first_miss", "later_miss", "early_close", "early_release")
        return dataclasses.replace(self, **{name: min(1.0, share * getattr(self, name)) for name in frequent})


MANNERS: dict[str, Manner] = {
    manner.name: manner
    for manner in (
        Manner(),
        Manner(
            name="human",
            pace=(0.55, 1.05),
            tremor=0.004,
            rotation_tremor=0.02,
            still_tremor=1.0,
            pause=0.03,
            pause_steps=(2, 5),
            detour=0.30,
            detour_distance=(0.05, 0.09),
            first_miss=0.35,
            later_miss=0.25,
            miss_distance=(0.038, 0.052),
            early_close=0.20,
            early_height=(0.035, 0.055),
            close_wait=3.0,
            release_wait=2.0,
            dither=0.006,
            early_release=0.10,
            release_distance=(0.05, 0.10),
            notice=2,
            turn_tolerance=0.10,
        ),
    )
}


DEFAULT_MANNER = "human"
"""The manner of the people that the operator represents."""


def manner_named(name: str) -> Manner:
    """The manner of that name.

    Raises:
        ValueError: the name is unknown; the message lists the manners.
    """
    if name not in MANNERS:
        raise ValueError(f"unknown manner {name!r}; known: {', '.join(MANNERS)}")
    return MANNERS[name]


@dataclass
class _Attempt:
    """Random choices for one approach, grasp and release, drawn before it starts."""

    aim: Array  # (2,) m beside the object's middle
    height: float  # m above the height of a good grasp
    detour: Array | None  # (3,) m, off the direct path
    wait: int  # steps above the object
    release_aim: Array  # (2,) m beside the goal
    release_wait: int  # steps


class ScriptedOperator:
    """Demonstrates one task.

    Args:
        task: what to do.
        drop_spot: (2,) m, where to put an object taken out of a receptacle.
        seed: of its random choices.
        manner: how it moves and errs.

    Attributes:
        grasps: how often it has closed the gripper.
    """

    def __init__(self, task: Task, drop_spot: Array, seed: int, manner: Manner | None = None) -> None:
        self._task, self._drop_spot = task, np.asarray(drop_spot, dtype=float)
        self._manner = manner or MANNERS["machine"]
        self._random = np.random.default_rng(np.random.SeedSequence([seed, 23]))
        self._pace = self._random.uniform(*self._manner.pace)
        self.grasps = self._waited = self._pausing = 0
        self._attempt: _Attempt | None = None
        self.phase = Phase.REACH

    @property
    def done(self) -> bool:
        """True when it has released the object and retreated."""
        return self.phase is Phase.RETREAT and self._waited >= 3

    def act(self, commanded: Pose, gripper: float, scene: Scene) -> Array:
        """The action (7,) of the next control step: m, rad, opening.

        Args:
            commanded: pose that the action's displacement is added to.
            gripper: measured opening.
            scene: poses of the objects.
        """
        self._plan(commanded, scene)
        self._advance(commanded, gripper, scene)
        self._plan(commanded, scene)
        turn = self._turn(commanded, scene)
        if self._rests():
            return self._action(np.zeros(3), np.zeros(3))
        if self.phase in STATIONARY:
            return self._action(np.zeros(3), np.zeros(3))
        if self.phase in (Phase.RETREAT, Phase.RISE):
            return self._action(np.array([0.0, 0.0, 0.04]), turn)
        if self.phase in (Phase.AIM, Phase.HOLD):
            return self._action(self._random.normal(0.0, self._manner.dither, 3) * [1.0, 1.0, 0.5], turn)
        goal, height = self._goal(scene)
        return self._action(self._approach(commanded.position, goal, height), turn)

    def _plan(self, commanded: Pose, scene: Scene) -> None:
        """Draw the choices for the next approach, if there are none yet."""
        if self._attempt is None:
            self._attempt = self._draw(commanded, scene)
            if self._attempt.detour is not None:
                self._enter(Phase.DETOUR)

    def _draw(self, commanded: Pose, scene: Scene) -> _Attempt:
        manner, random = self._manner, self._random
        aim = random.uniform(-1.0, 1.0, 2) * manner.sloppiness
        height = 0.0
        if random.random() < (manner.later_miss if self.grasps else manner.first_miss):
            aim = _direction(random) * random.uniform(*manner.miss_distance)
        elif random.random() < manner.early_close:
            height = random.uniform(*manner.early_height)
        detour = None
        if random.random() < manner.detour:
            middle = 0.5 * (commanded.position[:2] + scene.object_position[:2])
            beside = middle + _direction(random) * random.uniform(*manner.detour_distance)
            detour = np.array([*beside, max(float(commanded.position[2]), HOVER)])
        release_aim = np.zeros(2)
        if random.random() < manner.early_release:
            goal = scene.receptacle_position[:2] if self._task.skill == "put" else self._drop_spot
            back = scene.object_position[:2] - goal
            release_aim = back / max(float(np.hypot(*back)), 1e-3) * random.uniform(*manner.release_distance)
        waits = [_geometric(random, mean) for mean in (manner.close_wait, manner.release_wait)]
        return _Attempt(aim, height, detour, waits[0], release_aim, waits[1])

    def _advance(self, commanded: Pose, gripper: float, scene: Scene) -> None:
        """Go to the next phase if this one is finished."""
        self._waited += 1
        attempt, notice = self._planned, self._manner.notice
        if self.phase is Phase.DETOUR and (self._arrived(commanded, scene, 0.025) or self._waited > 8):
            self._enter(Phase.REACH)
        elif self.phase is Phase.REACH and self._arrived(commanded, scene, 0.010):
            self._enter(Phase.AIM if attempt.wait else Phase.GRASP)
        elif self.phase is Phase.AIM and self._waited > attempt.wait:
            self._enter(Phase.GRASP)
        elif self.phase is Phase.GRASP and self._waited >= 2:
            if gripper >= MISSED:
                self._enter(Phase.CARRY)
            elif self._waited >= 2 + notice:
                self._try_again(Phase.RISE if notice else Phase.REACH)
        elif self.phase is Phase.RISE and self._waited >= 2:
            self._enter(Phase.REACH)
        elif self.phase in (Phase.CARRY, Phase.HOLD) and gripper < MISSED:
            self._try_again(Phase.RISE if notice else Phase.REACH)
        elif self.phase is Phase.CARRY and self._arrived(commanded, scene, 0.020):
            self._enter(Phase.HOLD if attempt.release_wait else Phase.RELEASE)
        elif self.phase is Phase.HOLD and self._waited > attempt.release_wait:
            self._enter(Phase.RELEASE)
        elif self.phase is Phase.RELEASE and gripper > HELD and self._waited >= 1:
            self._enter(Phase.RETREAT)
        elif self.phase is Phase.RETREAT and self._waited >= 3 and self._missed_the_goal(scene):
            self._try_again(Phase.REACH)

    @property
    def _planned(self) -> _Attempt:
        assert self._attempt is not None  # `act` plans first
        return self._attempt

    def _enter(self, phase: Phase) -> None:
        if phase is Phase.GRASP:
            self.grasps += 1
        self.phase, self._waited = phase, 0

    def _try_again(self, phase: Phase) -> None:
        self._attempt = None
        self._enter(phase)

    def _missed_the_goal(self, scene: Scene) -> bool:
        """Whether a person would see that the released object is in the wrong place, and could still fetch it."""
        if not self._manner.early_release:
            return False
        offset = scene.object_position - scene.receptacle_position
        inside = math.hypot(offset[0], offset[1]) < self._task.vessel.inner_radius + 0.5 * self._task.vessel.flare
        return inside != (self._task.skill == "put")

    def _rests(self) -> bool:
        """Whether this step is a pause."""
        if self.phase not in (Phase.REACH, Phase.CARRY, Phase.DETOUR):
            return False
        if self._pausing > 0:
            self._pausing -= 1
            return True
        if self._random.random() < self._manner.pause:
            self._pausing = int(self._random.integers(*self._manner.pause_steps, endpoint=True)) - 1
            return True
        return False

    def _arrived(self, commanded: Pose, scene: Scene, tolerance: float) -> bool:
        goal, height = self._goal(scene)
        near = float(np.hypot(*(commanded.position[:2] - goal))) < tolerance
        return near and (self.phase is Phase.DETOUR or commanded.position[2] < height + 0.008)

    def _goal(self, scene: Scene) -> tuple[Array, float]:
        """Goal position of the gripper (x, y in m), and its height."""
        attempt = self._planned
        if self.phase is Phase.DETOUR and attempt.detour is not None:
            return attempt.detour[:2], float(attempt.detour[2])
        if self.phase in (Phase.CARRY, Phase.HOLD, Phase.RELEASE, Phase.RETREAT):
            if self._task.skill == "put":
                return scene.receptacle_position[:2] + attempt.release_aim, self._task.vessel.floor_height + 0.050
            return self._drop_spot + attempt.release_aim, self._task.food.rest_height + 0.018
        height = max(float(scene.object_position[2]), GRASP_HEIGHT) + attempt.height
        return scene.object_position[:2] + attempt.aim, height

    def _approach(self, position: Array, goal: Array, height: float) -> Array:
        """A step along a funnel: high while far away, down when near; up before sideways while carrying."""
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

    def _turn(self, commanded: Pose, scene: Scene) -> Array:
        """Rotation (3,) of this step: keeps the gripper upright, with its fingers across the object's short side."""
        rpy = rpy_from_matrix(commanded.rotation @ DEFAULT_ROTATION.T)
        across = _half_turn(scene.object_yaw - rpy[2])
        wanted = rpy[2]
        if self.phase in (Phase.REACH, Phase.AIM, Phase.DETOUR) and abs(across) > self._manner.turn_tolerance:
            wanted = rpy[2] + across
            if abs(wanted) > math.pi / 2:  # the opposite orientation is closer to the neutral one
                wanted -= math.copysign(math.pi, wanted)
        turn = 0.75 * np.array([-rpy[0], -rpy[1], wanted - rpy[2]])
        limit = TURN_LIMIT * self._pace
        return turn * min(1.0, limit / max(float(np.abs(turn).max()), 1e-9))

    def _action(self, step: Array, turn: Array) -> Array:
        """The action of a step, with tremor and the phase's gripper opening."""
        tremor = self._manner.still_tremor if self.phase in STATIONARY else 1.0
        if tremor:
            step = step + self._random.normal(0.0, tremor * self._manner.tremor, 3)
            if self._manner.rotation_tremor:
                turn = turn + self._random.normal(0.0, tremor * self._manner.rotation_tremor, 3)
        opening = 1.0 if self.phase in OPEN_HANDED else 0.0
        return np.array([*np.clip(step, -0.05, 0.05), *np.clip(turn, -0.25, 0.25), opening])


def _direction(random: np.random.Generator) -> Array:
    angle = random.uniform(0.0, 2.0 * math.pi)
    return np.array([math.cos(angle), math.sin(angle)])


def _geometric(random: np.random.Generator, mean: float) -> int:
    """A geometrically distributed number of steps with that mean; 0 for a mean of 0."""
    return int(random.geometric(1.0 / (1.0 + mean))) - 1 if mean > 0.0 else 0


def _half_turn(angle: float) -> float:
    """An angle modulo half a turn, in [-pi/2, pi/2), because objects look the same from both ends."""
    return (angle + math.pi / 2) % math.pi - math.pi / 2
