# SPDX-License-Identifier: Apache-2.0
"""A door in a simulated world: sets up its scenes and reports its state."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from ptr_bringup.sim.door_model import door_body
from ptr_bringup.sim.door_tasks import HANDLE, DoorScene, DoorTask, door_success
from ptr_bringup.sim.doors import FRONT, Door
from ptr_bringup.sim.kitchens import Kitchen
from ptr_bringup.sim.renderer import mujoco

Array = NDArray[np.float64]
SHIFT = (0.010, 0.015)
"""Maximum shift of the box along x and y in a scene (m)."""
AJAR = 0.03
"""Maximum initial angle of a door to be opened (rad)."""
START_OPEN = {"cabinet": (1.30, 1.55), "oven": (0.90, 1.05), "microwave": (1.30, 1.55)}
"""Range of the initial angle of a door to be closed (rad)."""

_START_SHIFT = {"left": (-0.025, -0.015, 0.030), "right": (-0.025, 0.015, 0.030), "bottom": (-0.025, 0.0, 0.030)}
"""m, per hinge: shift of the arm's start, clear of the door."""
_AIM = (0.01, -0.01, 0.03)
"""Shift of the camera's target from the kitchen's usual one (m)."""


def staged(task: DoorTask, kitchen: str) -> tuple[str, str]:
    """MJCF assets and body of a task's door in a kitchen."""
    return '<material name="shiny" specular="0.35" shininess="0.5"/>', door_body(task.door(kitchen))


def prepared(kitchen: Kitchen, task: object) -> Kitchen:
    """The kitchen; for a door task, without clutter at the door's box, and with the camera aimed at it."""
    if not isinstance(task, DoorTask):
        return kitchen
    x, y, z = (float(c) for c in np.add(kitchen.look_at, _AIM))
    return dataclasses.replace(
        kitchen, look_at=(x, y, z), clutter=tuple(block for block in kitchen.clutter if block.position[0] < FRONT)
    )


class DoorStage:
    """The door of a model, and its state.

    Args:
        task: the task.   door: the door in the model.   model, data: of MuJoCo.
    """

    def __init__(self, task: DoorTask, door: Door, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        self.door, self._task, self._model, self._data = door, task, model, data
        self._box, self._body = model.body("door_box").id, model.body("door").id
        self._handle = model.site("handle").id
        self._q, self._v = int(model.joint("hinge").qposadr[0]), int(model.joint("hinge").dofadr[0])
        self._fingers = [model.body(f"{side}_finger_link").id for side in ("left", "right")]

    def place(self, rng: np.random.Generator) -> None:
        """Set up a new scene: the box slightly shifted, the door shut (task open) or open (task close)."""
        shift = rng.uniform(-1.0, 1.0, 2) * np.asarray(SHIFT)
        self._model.body_pos[self._box] = self.door.hinge_position + [*shift, 0.0]
        low, high = (0.0, AJAR) if self._task.skill == "open" else START_OPEN[self.door.kind]
        self.set_angle(float(rng.uniform(low, high)))

    @property
    def start_shift(self) -> Array:
        """(3,) m, added to the arm's start to keep it clear of the door."""
        return np.array(_START_SHIFT[self.door.hinge])

    def set_angle(self, angle: float) -> None:
        """Set the door's angle (rad), at rest."""
        self._data.qpos[self._q], self._data.qvel[self._v] = angle, 0.0

    @property
    def angle(self) -> float:
        """Angle of the hinge (rad)."""
        return float(self._data.qpos[self._q])

    def object_poses(self) -> dict[str, tuple[Array, Array]]:
        """Position (3,) in m and quaternion (4,) w x y z of the handle, then of the door's body at its hinge."""
        quaternion = self._data.xquat[self._body].copy()
        return {
            HANDLE: (self._data.site_xpos[self._handle].copy(), quaternion),
            self.door.kind: (self._data.xpos[self._body].copy(), quaternion.copy()),
        }

    def scene(self, gripper: float, tool_position: Array) -> DoorScene:
        """Current state of the door."""
        return DoorScene(
            self._data.site_xpos[self._handle].copy(),
            self._data.xpos[self._body].copy(),
            self.angle,
            float(self._data.qvel[self._v]),
            self.touched,
            gripper,
            tool_position,
        )

    @property
    def touched(self) -> bool:
        """True while a finger touches the door or its handle."""
        bodies = self._model.geom_bodyid[self._data.contact.geom]
        door = (bodies == self._body).any(axis=1)
        finger = np.isin(bodies, self._fingers).any(axis=1)
        return bool((door & finger).any())

    def successful(self, scene: DoorScene) -> bool:
        """True if the task is done in a scene of this door."""
        return door_success(self._task, self.door, scene)
