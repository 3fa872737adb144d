# SPDX-License-Identifier: Apache-2.0
"""Objects that a task does not name: some lie on the counter, the others are removed until a later scene."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ptr_bringup.sim.objects import FoodItem
from ptr_bringup.sim.renderer import mujoco

Array = NDArray[np.float64]
_ASIDE = (-2.0, 0.0, 0.5)
"""m, position of absent objects: no gravity, no contact, invisible."""


class Distractors:
    """The bodies `distractor_0`, `distractor_1`, ... of a model.

    Args:
        model: just compiled, with all distractors present.
        items: the distractors, in order.
    """

    def __init__(self, model: mujoco.MjModel, items: Sequence[FoodItem]) -> None:
        self.items = tuple(items)
        self.present: list[int] = []
        self._model = model
        self._bodies = [model.body(f"distractor_{i}").id for i in range(len(items))]
        self._joints = [int(model.joint(f"distractor_{i}").qposadr[0]) for i in range(len(items))]
        self._geoms = [np.flatnonzero(model.geom_bodyid == body) for body in self._bodies]
        self._alpha = model.geom_rgba[:, 3].copy()
        self._contact = {name: getattr(model, name).copy() for name in ("geom_contype", "geom_conaffinity")}

    def clear(self, data: mujoco.MjData) -> None:
        """Remove all of them."""
        self.present = []
        for index in range(len(self.items)):
            self._show(index, False)
            place = [_ASIDE[0], _ASIDE[1] + 0.2 * index, _ASIDE[2]]
            data.qpos[self._joints[index] : self._joints[index] + 7] = [*place, 1, 0, 0, 0]

    def lay(self, data: mujoco.MjData, index: int, place: Array, yaw: float) -> None:
        """Place one on the counter: position (x, y) in m, yaw of its long side in rad."""
        self._show(index, True)
        self.present.append(index)
        height = self.items[index].rest_height + 0.001
        data.qpos[self._joints[index] : self._joints[index] + 7] = [
            *place, height, np.cos(yaw / 2), 0, 0, np.sin(yaw / 2),
        ]  # fmt: skip

    def poses(self, data: mujoco.MjData) -> dict[str, tuple[Array, Array]]:
        """Position (3,) in m and quaternion (4,) w x y z of those on the counter, by the name of the item."""
        return {
            self.items[i].name: (data.xpos[self._bodies[i]].copy(), data.xquat[self._bodies[i]].copy())
            for i in self.present
        }

    def _show(self, index: int, shown: bool) -> None:
        model, geoms, body = self._model, self._geoms[index], self._bodies[index]
        model.geom_rgba[geoms, 3] = self._alpha[geoms] * shown
        for name, values in self._contact.items():
            getattr(model, name)[geoms] = values[geoms] * shown
            getattr(model, name.replace("geom", "body"))[body] = int(shown)
        model.body_gravcomp[body] = float(not shown)
