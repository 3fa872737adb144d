# SPDX-License-Identifier: Apache-2.0
"""A simulated scene without resets: each trial starts where the last one ended."""

from __future__ import annotations

from types import TracebackType

import numpy as np

from ptr_bringup.arm.gate.limits import Limits
from ptr_bringup.arm.model.kinematics import Pose
from ptr_bringup.sim.door_tasks import DoorScene, DoorTask, door_success
from ptr_bringup.sim.scene_sampling import scene_seed, start_position
from ptr_bringup.sim.tasks import Scene, Task, success, task_named
from ptr_bringup.sim.world import World
from ptr_models.common.errors import PtrError
from ptr_models.common.rotations import DEFAULT_ROTATION
from ptr_models.contract import Contract
from ptr_policy.bulk.sight import robot_for

LIFT = 0.15
"""m above the counter, height to which the arm rises before it returns."""
OPENING = 3
"""Control steps with an open gripper, so that a held object drops in place."""


class PracticeScene:
    """One item and one receptacle, or a door, and two tasks that undo each other; a context manager.

    Attributes:
        robot: arm and world.   by_hand: number of resets of the scene, including the first.
    """

    def __init__(self, kitchen: str, forward: str, backward: str, seed: int, contract: Contract | None = None) -> None:
        """Args:
            forward, backward: tasks with the same item and receptacle.
            seed: of all random numbers.
            contract: gives the control rate; None: the suite's.
        Raises:
            PtrError: kitchen or task is unknown, the tasks do not undo each other, or the rate is not simulated.
        """
        try:
            self._tasks = {name: task_named(name) for name in (forward, backward)}
            self._world = World(kitchen, forward)
        except ValueError as error:
            raise PtrError(str(error)) from error
        one, other = self._tasks.values() if len(self._tasks) == 2 else 2 * tuple(self._tasks.values())
        if (one.item, one.receptacle) != (other.item, other.receptacle) or one.skill == other.skill:
            raise PtrError(f"{forward} and {backward} do not undo each other: one puts in what the other takes out")
        self.robot = robot_for(self._world, contract or Contract())
        self.by_hand = 0
        self._seed = seed

    def __enter__(self) -> PracticeScene:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._world.close()

    def prepare(self, trial: int, reset: bool = False) -> bool:
        """Move the arm to a varied start. Reset the scene if the object is out of reach, or if `reset` is set.

        Args: trial: number of the trial, from 0.
        Returns: whether the scene was reset.
        """
        if reset or not self.by_hand or not (self._return(trial) and self.within_reach()):
            self.robot.reset(scene_seed("practice", self._seed, trial))
            self.by_hand += 1
            return True
        return False

    def done(self, task: str) -> bool:
        """Whether the task is done, judged by the objects' poses."""
        chosen, door, scene = self._tasks[task], self._world.door, self._world.scene()
        if isinstance(chosen, DoorTask) and isinstance(scene, DoorScene):
            return door is not None and door_success(chosen, door.door, scene)
        return isinstance(chosen, Task) and isinstance(scene, Scene) and success(chosen, scene)

    def within_reach(self) -> bool:
        """Whether the object is on the counter below the arm's workspace box; a door is always in reach."""
        scene = self._world.scene()
        if isinstance(scene, DoorScene):
            return True
        limits = Limits()
        x, y, z = scene.object_position
        inside = (
            limits.workspace_min[0] <= x <= limits.workspace_max[0]
            and limits.workspace_min[1] <= y <= limits.workspace_max[1]
        )
        return bool(inside and z > 0.0)

    def _return(self, trial: int) -> bool:
        """Open the gripper, rise and move to the start of this trial; returns whether the arm got there."""
        here = self.robot.commanded.position
        for _ in range(OPENING):
            self.robot.act([0, 0, 0, 0, 0, 0, 1.0], "policy")
        above = Pose(np.array([here[0], here[1], max(here[2], LIFT)]), DEFAULT_ROTATION)
        start = start_position(scene_seed("practice start", self._seed, trial))
        return self.robot.move(above) and self.robot.move(Pose(start, DEFAULT_ROTATION))
