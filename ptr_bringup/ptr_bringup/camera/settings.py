# SPDX-License-Identifier: Apache-2.0
"""Exposure, gain, white balance and focus: fixed values do not drift from one recording to the next.

V4L2 calls an exposure in units of 0.1 ms, and 1 is its menu entry for manual exposure, 3 the one for automatic
(V4L2_EXPOSURE_MANUAL, V4L2_EXPOSURE_APERTURE_PRIORITY in the kernel's documentation of camera controls).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Protocol

import cv2

AUTOMATIC = -1.0
_TOLERANCE = 0.02  # share by which a device may round what it is set to


@dataclass(frozen=True)
class Settings:
    """What a camera is set to; AUTOMATIC leaves a value to the camera.

    Attributes:
        exposure: ms.
        gain: in the units of the device.
        white_balance: K.
        focus: in the units of the device.
    """

    exposure: float = AUTOMATIC
    gain: float = AUTOMATIC
    white_balance: float = AUTOMATIC
    focus: float = AUTOMATIC


NAMES = tuple(field.name for field in fields(Settings))


class Capture(Protocol):
    """What is needed of a cv2.VideoCapture."""

    def set(self, property: int, value: float) -> bool:
        """Set a property; True when the device has it."""

    def get(self, property: int) -> float:
        """Its value, -1 when the device lacks it."""


@dataclass(frozen=True)
class _Control:
    """One setting as OpenCV's V4L2 capture has it: its value, and the switch that leaves it to the camera."""

    value: int
    scale: float = 1.0
    switch: int | None = None
    automatic: float = 1.0
    manual: float = 0.0


_CONTROLS = {
    "exposure": _Control(cv2.CAP_PROP_EXPOSURE, 10.0, cv2.CAP_PROP_AUTO_EXPOSURE, 3.0, 1.0),
    "gain": _Control(cv2.CAP_PROP_GAIN),
    "white_balance": _Control(cv2.CAP_PROP_WB_TEMPERATURE, 1.0, cv2.CAP_PROP_AUTO_WB),
    "focus": _Control(cv2.CAP_PROP_FOCUS, 1.0, cv2.CAP_PROP_AUTOFOCUS),
}


def apply(capture: Capture, settings: Settings) -> list[str]:
    """Set a V4L2 device; what it does not take is said in sentences."""
    problems = []
    for name, control in _CONTROLS.items():
        wanted = getattr(settings, name)
        fixed = wanted != AUTOMATIC
        if control.switch is not None:
            capture.set(control.switch, control.manual if fixed else control.automatic)
        if not fixed:
            continue
        capture.set(control.value, wanted * control.scale)
        got = capture.get(control.value)
        if got < 0:
            problems.append(f"The camera has no {name}; leave it out of its settings.")
        elif abs(got / control.scale - wanted) > max(_TOLERANCE * abs(wanted), 1.0 / control.scale):
            problems.append(f"The camera runs with {name} {got / control.scale:g}, not {wanted:g}.")
    return problems


def read(capture: Capture) -> dict[str, float]:
    """What a V4L2 device is set to now; what it lacks is left out."""
    found = {}
    for name, control in _CONTROLS.items():
        value = capture.get(control.value)
        if value >= 0:
            found[name] = value / control.scale
        if control.switch is not None and capture.get(control.switch) == control.automatic:
            found[f"automatic_{name}"] = True
    return found
