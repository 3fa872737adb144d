# SPDX-License-Identifier: Apache-2.0
"""Limits the speed at which the arm returns to its commanded position.

The gate limits the speed of its commands, but it doesn't know when the motors ignored them. After torque was off or
xs_sdk was down, the commanded pose may be far from the arm, and a motor without a speed limit would jump there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptr_bringup.arm.model.kinematics import Array


class CatchUpLimiter:
    """Passes setpoints on; after `reset`, moves from the measured positions to them at a limited speed.

    Args:
        speed: rad/s, maximum speed while catching up.
    """

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._sent: Array | None = None
        self._following = np.zeros(6, dtype=bool)

    def reset(self) -> None:
        """Start again from the measured positions, after the motors ignored commands."""
        self._sent = None
        self._following[:] = False

    @property
    def following(self) -> bool:
        """True while setpoints are passed on unchanged."""
        return bool(self._following.all())

    def step(self, target: Array, measured: Array, holding: NDArray[np.bool_], elapsed: float) -> Array:
        """Joint positions to send.

        Args:
            target, measured: (6,) rad.
            holding: (6,) joints with torque. A limp joint is commanded to its measured position, so that it stays
                there when torque returns.
            elapsed: s since the last step.
        """
        sent = measured if self._sent is None else self._sent
        reach = self._speed * elapsed
        nearer = sent + np.clip(target - sent, -reach, reach)
        self._following = holding & (self._following | (np.abs(target - nearer) < 1e-9))
        self._sent = np.where(self._following, target, np.where(holding, nearer, measured))
        return self._sent
