# SPDX-License-Identifier: Apache-2.0
"""Tasks of the toy kitchens, and their success conditions: functions of the objects' poses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptr_bringup.sim.door_tasks import DOOR_TASKS, DoorTask
from ptr_bringup.sim.objects import FOOD, RECEPTACLES, FoodItem, Receptacle

ON = ("plate", "pan")
"""Receptacles that objects are put on, not in."""


@dataclass(frozen=True)
class Task:
    """Put a food item into (or onto) a receptacle, or take it out of (or off) it."""

    skill: str  # put or take
    item: str
    receptacle: str

    @property
    def name(self) -> str:
        """For example `put_knife_in_pot` or `take_croissant_out_of_metal_bowl`."""
        on = self.receptacle in ON
        preposition = ("on" if on else "in") if self.skill == "put" else ("off" if on else "out_of")
        return f"{self.skill}_{self.item}_{preposition}_{self.receptacle}"

    @property
    def food(self) -> FoodItem:
        """The food item that is moved."""
        return FOOD[self.item]

    @property
    def vessel(self) -> Receptacle:
        """The receptacle that it goes to or comes from."""
        return RECEPTACLES[self.receptacle]


TARGET_TASKS: tuple[Task, ...] = (
    Task("put", "sweet_potato", "plate"),
    Task("take", "croissant", "metal_bowl"),
    Task("put", "knife", "pot"),
    Task("put", "cucumber", "pot"),
)
"""The four target tasks; they are not in pre-training."""

_PRETRAINING = """
put sweet_potato pot | put sweet_potato metal_bowl | take sweet_potato pan | put croissant plate
put croissant pan | take croissant pot | put knife pan | put knife plate | take knife metal_bowl
put cucumber plate | put cucumber metal_bowl | take cucumber pot | put carrot plate | put carrot pot
take carrot metal_bowl | put eggplant pot | put eggplant pan | take eggplant plate | put corn pot
put corn metal_bowl | take corn plate | put pear plate | put pear metal_bowl | take pear pot
put lime plate | take lime metal_bowl | put lime pan | put sushi plate | take sushi pan
put tomato metal_bowl | take tomato pan | put blue_cup plate
"""

PRETRAINING_TASKS: tuple[Task, ...] = tuple(
    Task(*entry.split()) for line in _PRETRAINING.strip().splitlines() for entry in line.split("|")
)
OTHER_TASKS: tuple[Task, ...] = ()
"""Your own tasks go here; they are in neither protocol, so that results stay comparable."""

AnyTask = Task | DoorTask
_ALL: tuple[AnyTask, ...] = (*PRETRAINING_TASKS, *TARGET_TASKS, *DOOR_TASKS, *OTHER_TASKS)
TASKS = {task.name: task for task in _ALL}

AT_REST = 0.05
"""Speed (m/s) below which an object is at rest."""
CLEAR_OF_GRIPPER = 0.6
"""Gripper opening above which nothing is held."""


def task_named(name: str) -> AnyTask:
    """The task of that name."""
    if name not in TASKS:
        raise ValueError(f"unknown task {name!r}; known: {', '.join(TASKS)}")
    return TASKS[name]


@dataclass(frozen=True)
class Scene:
    """Poses of the objects. Positions (3,) in m in `base_link`; the receptacle's is its center on the counter."""

    object_position: NDArray[np.float64]
    object_speed: float  # m/s
    receptacle_position: NDArray[np.float64]
    gripper: float  # measured opening, 0..1
    tool_position: NDArray[np.float64]
    object_yaw: float = 0.0  # rad about z, of the object's long side from the x axis


def in_receptacle(task: Task, scene: Scene) -> bool:
    """True if the object's center is above the receptacle's floor and within its walls."""
    offset = scene.object_position - scene.receptacle_position
    vessel = task.vessel
    inside = float(np.hypot(offset[0], offset[1])) < vessel.inner_radius + 0.5 * vessel.flare
    return inside and 0.0 < float(offset[2]) < vessel.wall_height + task.food.half[0] + 0.01


def success(task: Task, scene: Scene) -> bool:
    """True if the task is done: the object is in the right place, at rest, and released by the gripper.

    Put: inside the receptacle's radius, above its floor. Take: outside the receptacle, low above the counter.
    """
    apart = float(np.linalg.norm(scene.object_position - scene.tool_position)) > 0.06
    released = scene.gripper > CLEAR_OF_GRIPPER or apart
    if scene.object_speed > AT_REST or not released:
        return False
    if task.skill == "put":
        return in_receptacle(task, scene)
    offset = scene.object_position - scene.receptacle_position
    outside = float(np.hypot(offset[0], offset[1])) > task.vessel.outer_radius + 0.01
    return outside and 0.0 < float(offset[2]) < max(task.food.half) + 0.01
