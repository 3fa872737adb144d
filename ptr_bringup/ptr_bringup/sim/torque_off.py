# SPDX-License-Identifier: Apache-2.0
"""Effects of a motor without torque on the simulated arm: gears that yield slowly, links that rest on things."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptr_bringup.arm.model.kinematics import JOINT_NAMES
from ptr_bringup.sim.arm_mjcf import DAMPING
from ptr_bringup.sim.renderer import mujoco

_FRICTION = 0.15
"""Damping of a limp motor's gears, as a share of its controller's damping."""
_SCENE, _SELF = 1, 4
"""Contact bits: links with counter and objects, distal links with proximal ones."""
_PROXIMAL = ("base_link", "waist_link", "shoulder_link")
_DISTAL = ("forearm_roll_link", "wrist_angle_link", "wrist_rotate_link")


class TorqueOffArm:
    """Changes a model while a joint has no torque. With torque, the gate keeps the links from colliding.

    Args:
        model: of an arm with torque.
    """

    def __init__(self, model: mujoco.MjModel) -> None:
        self._model = model
        self._joints = np.array([model.joint(name).dofadr[0] for name in JOINT_NAMES])
        self._damping = model.dof_damping[self._joints].copy()
        links = np.flatnonzero((model.geom_group == 1) & (model.geom_contype == 0))
        names = np.array([model.body(model.geom_bodyid[geom]).name for geom in links])
        self._links = links
        self._proximal, self._distal = links[np.isin(names, _PROXIMAL)], links[np.isin(names, _DISTAL)]
        bodies = np.unique(model.geom_bodyid[links])
        self._originals = [
            (f"{kind}_{table}", rows, getattr(model, f"{kind}_{table}")[rows].copy())
            for kind, rows in (("geom", links), ("body", bodies))
            for table in ("contype", "conaffinity")
        ]

    def adapt(self, torque: NDArray[np.bool_]) -> None:
        """Adapt the model to the torque switches (7,): six joints and the gripper."""
        limp = ~torque[:6]
        self._model.dof_damping[self._joints] = self._damping + limp * _FRICTION * np.array(DAMPING)
        for table, rows, values in self._originals:
            getattr(self._model, table)[rows] = values
        if limp.any():
            self._touch(self._links, "conaffinity", _SCENE)
            self._touch(self._proximal, "contype", _SELF)
            self._touch(self._distal, "conaffinity", _SELF)

    def _touch(self, geoms: NDArray[np.int64], table: str, bit: int) -> None:
        model = self._model
        getattr(model, f"geom_{table}")[geoms] |= bit
        getattr(model, f"body_{table}")[model.geom_bodyid[geoms]] |= bit
