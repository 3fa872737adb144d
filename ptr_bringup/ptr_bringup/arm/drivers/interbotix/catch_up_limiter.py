# SPDX-License-Identifier: Apache-2.0
"""The way from where the arm is to where the gate wants it, when the two have come apart.

The gate limits the speed of what it commands, but it can't know that the motors were not listening: after torque was
off, or xs_sdk was away, the commanded pose may be far from the arm, and a motor without a speed limit would jump there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptr_bringup.arm.model.kinematics import Array


class CatchUpLimiter:
    """Passes setpoints on; after `reset`, leads from the measured positions back to them at a gentle speed.

    Args:
        speed: rad/s, of the way back.
    """

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._sent: Array | None = None
        self._following = np.zeros(6, dtype=bool)

    def reset(self) -> None:
        """The motors were not listening: begin from the measured positions."""
        self._sent = None
        self._following[:] = False

    @property
    def following(self) -> bool:
        """True while setpoints pass unchanged."""
        return bool(self._following.all())

    def step(self, target: Array, measured: Array, holding: NDArray[np.bool_], elapsed: float) -> Array:
        """Joint positions to send.

        Args:
            target, measured: (6,) rad.
            holding: (6,) joints that have torque; a limp one is sent where it is, so that it stays there when its
                torque comes back.
            elapsed: s since the last step.
        """
        sent = measured if self._sent is None else self._sent
        reach = self._speed * elapsed
        nearer = sent + np.clip(target - sent, -reach, reach)
        self._following = holding & (self._following | (np.abs(target - nearer) < 1e-9))
        self._sent = np.where(self._following, target, np.where(holding, nearer, measured))
        return self._sent
