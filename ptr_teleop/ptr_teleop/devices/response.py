# SPDX-License-Identifier: Apache-2.0
"""Maps the deflection of a spring-loaded axis to a speed: dead zone, response curve and gain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ptr_teleop.devices.base import DeviceError


@dataclass(frozen=True)
class Response:
    """Response of a device's six axes.

    Attributes:
        gain: per axis x, y, z, roll, pitch, yaw; negative: reversed.
        deadzone: share of full deflection below which an axis counts as released; subtracted from larger ones.
        expo: 0 = linear, 1 = cubic: fine near the center, full at the end.
    """

    gain: Sequence[float] = (1.0,) * 6
    deadzone: float = 0.05
    expo: float = 0.0

    def __post_init__(self) -> None:
        gain = np.asarray(self.gain, dtype=float)
        if gain.shape != (6,) or not np.isfinite(gain).all():
            raise DeviceError(f"a device's gain needs six numbers (x y z roll pitch yaw), not {list(self.gain)}")
        if not 0.0 <= self.deadzone < 1.0 or not 0.0 <= self.expo <= 1.0:
            raise DeviceError(
                f"deadzone {self.deadzone} must be in [0, 1) and expo {self.expo} in [0, 1]; change the parameter"
            )

    def shape(self, axes: np.ndarray) -> np.ndarray:
        """Speeds (6,) for deflections (6,), both as shares of full; deflections beyond [-1, 1] are clipped."""
        deflection = np.clip(axes, -1.0, 1.0)
        beyond = np.maximum(np.abs(deflection) - self.deadzone, 0.0) / (1.0 - self.deadzone)
        curved = (1.0 - self.expo) * beyond + self.expo * beyond**3
        return np.sign(deflection) * curved * np.asarray(self.gain, dtype=float)
