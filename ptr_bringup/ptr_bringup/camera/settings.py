# SPDX-License-Identifier: Apache-2.0
"""Exposure, gain, white balance and focus: fixed values don't drift between recordings.

V4L2's exposure is in units of 0.1 ms. Its menu entry for manual exposure is 1, for automatic 3 (V4L2_EXPOSURE_MANUAL,
V4L2_EXPOSURE_APERTURE_PRIORITY in the kernel's documentation of camera controls).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Protocol

import cv2

AUTOMATIC = -1.0
_TOLERANCE = 0.02  # relative rounding error of a device


@dataclass(frozen=True)
class Settings:
    """Settings of a camera; AUTOMATIC leaves a value to the camera.

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
    """The part of cv2.VideoCapture that is used."""

    def set(self, property: int, value: float) -> bool:
        """Set a property; True if the device has it."""

    def get(self, property: int) -> float:
        """Its value, -1 if the device lacks it."""


@dataclass(frozen=True)
class _Control:
    """One setting in OpenCV's V4L2 capture: its value, and the switch to automatic."""

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
    """Apply settings to a V4L2 device; returns a sentence for each one that it did not accept."""
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
            problems.append(f"The camera uses {name} {got / control.scale:g} instead of {wanted:g}.")
    return problems


def read(capture: Capture) -> dict[str, float]:
    """Current settings of a V4L2 device, without those it lacks."""
    found = {}
    for name, control in _CONTROLS.items():
        value = capture.get(control.value)
        if value >= 0:
            found[name] = value / control.scale
        if control.switch is not None and capture.get(control.switch) == control.automatic:
            found[f"automatic_{name}"] = True
    return found
