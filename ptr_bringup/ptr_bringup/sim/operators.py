# SPDX-License-Identifier: Apache-2.0
"""Selects the scripted operator for a task."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray

from ptr_bringup.arm.model.kinematics import Pose
from ptr_bringup.sim.door_manner import DOOR_MANNERS, DoorManner
from ptr_bringup.sim.door_operator import DoorOperator
from ptr_bringup.sim.door_tasks import DoorTask
from ptr_bringup.sim.operator import Manner, ScriptedOperator
from ptr_bringup.sim.tasks import Task
from ptr_bringup.sim.world import World


class Operator(Protocol):
    """Decides the actions of a demonstration."""

    @property
    def done(self) -> bool:
        """True when it has finished the task and retreated."""

    def act(self, commanded: Pose, gripper: float, scene: Any) -> NDArray[Any]:
        """The action (7,) of the next control step.

        Args:
            commanded: pose that the action's displacement is added to.
            gripper: measured opening.
            scene: `Scene` or `DoorScene`, depending on the task.
        """


def operator_for(world: World, seed: int, manner: Manner | None = None) -> Operator:
    """The operator of a world's task.

    Args:
        seed: of its random choices.
        manner: its behavior; for doors, its name selects one of `DOOR_MANNERS`.
    """
    return operator_of_task(world.task, world.kitchen.name, world.drop_spot, seed, manner)


def operator_of_task(
    task: Task | DoorTask, kitchen: str, drop_spot: NDArray[Any], seed: int, manner: Manner | None = None
) -> Operator:
    """The operator of a task in a kitchen; the rest as for `operator_for`.

    Args:
        drop_spot: (2,) m, where to put an object taken out of a receptacle.
    """
    if isinstance(task, DoorTask):
        return DoorOperator(task, task.door(kitchen), seed, DOOR_MANNERS[manner.name] if manner else None)
    return ScriptedOperator(task, drop_spot, seed, manner)


def manner_for(task: Task | DoorTask, manner: Manner) -> Manner | DoorManner:
    """The manner stored with a demonstration; for doors, the one of `DOOR_MANNERS` with the same name."""
    return DOOR_MANNERS[manner.name] if isinstance(task, DoorTask) else manner
