# SPDX-License-Identifier: Apache-2.0
"""From a recording of a moving arm to the latencies of its cameras and of its commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from ptr_bringup.calibrate.errors import CalibrationError
from ptr_bringup.calibrate.lag import Lag, find_lag
from ptr_bringup.calibrate.motion import DIRECTION
from ptr_models.common.jpeg import decode

COMPONENTS = 8
"""Of the images: the few ways in which they change most."""
EXPLAINED = 0.5
"""Share of the changes that the arm must explain; less, and it is hardly in the image."""
WIDEST = 0.03
"""s, width of a camera's interval that is still of use."""
STRETCH = 0.2
"""s over which ways are compared: a command that the gate held back shifts all later places, but only few ways."""
EARLIEST = -0.01
"""s. A stamp that is earlier than the image by more than this is wrong; a little less is the error of measuring."""
SMALL = (40, 30)  # width and height of the images that are compared


@dataclass
class Recording:
    """What was seen while the arm moved; stamps in s, ascending.

    Attributes:
        commands: (stamp, speed along the way in m/s).
        states: (stamp, position (3,) m of the end effector).
        images: per camera (stamp, grey image of any size).
    """

    commands: list[tuple[float, float]] = field(default_factory=list)
    states: list[tuple[float, Sequence[float]]] = field(default_factory=list)
    images: dict[str, list[tuple[float, NDArray[np.uint8]]]] = field(default_factory=dict)


def small_image(jpeg: bytes) -> NDArray[np.uint8] | None:
    """An image as it is recorded: grey, an eighth of its size; None when it can't be decoded."""
    return decode(jpeg, cv2.IMREAD_REDUCED_GRAYSCALE_8)


def measure(recording: Recording) -> tuple[Lag, dict[str, Lag]]:
    """The latency of commands, and of each camera.

    Raises:
        CalibrationError: something was not seen well enough.
    """
    times, places = _places(recording)
    sent, wanted = _commanded(recording)
    found = find_lag(times, _way(times, places)[:, None], sent, _way(sent, wanted), degree=1)
    command = _sure(found, "The arm", "its commands")
    cameras = {}
    for name, images in recording.images.items():
        stamps, components = _components(name, images)
        what = f"The image of {name}"
        cameras[name] = _narrow(_sure(find_lag(stamps, components, times, places), what, "the arm's motion"), what)
    return command, cameras


def latencies(command: Lag, cameras: Mapping[str, Lag]) -> tuple[float, dict[str, float]]:
    """What is to be kept: whole ms, and zero where the error of measuring has led below it."""
    return _kept(command), {name: _kept(lag) for name, lag in cameras.items()}


def _kept(lag: Lag) -> float:
    return round(max(lag.value, 0.0), 3)


def _places(recording: Recording) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Stamps (N,) and places (N,) in m along the way of the measured end effector."""
    if len(recording.states) < 2:
        raise CalibrationError("No state of the arm was recorded; is the arm node running?")
    times = np.array([stamp for stamp, _ in recording.states])
    positions = np.array([position for _, position in recording.states])
    return times, (positions - positions[0]) @ DIRECTION


def _commanded(recording: Recording) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Stamps (N,) of the commands and the places (N,) in m that they lead to: each speed holds until the next one."""
    if len(recording.commands) < 2:
        raise CalibrationError("No command was sent.")
    times, speeds = np.array(recording.commands).T
    return times, np.concatenate([[0.0], np.cumsum(speeds[:-1] * np.diff(times))])


def _way(times: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) m gone in the STRETCH before each time."""
    return places - np.interp(times - STRETCH, times, places)


def _components(
    name: str, images: Sequence[tuple[float, NDArray[np.uint8]]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Stamps (N,) and the principal components (N, COMPONENTS) of images."""
    if len(images) < COMPONENTS:
        raise CalibrationError(f"{len(images)} images of {name} arrived; is the camera running?")
    stamps = np.array([stamp for stamp, _ in images])
    rows = [cv2.resize(image, SMALL, interpolation=cv2.INTER_AREA).ravel() for _, image in images]
    flat = np.array(rows, np.float64)
    left, sizes, _ = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
    return stamps, left[:, :COMPONENTS] * sizes[:COMPONENTS]


def _sure(lag: Lag, what: str, whom: str) -> Lag:
    if lag.explained < EXPLAINED:
        raise CalibrationError(
            f"{what} follows {whom} only to {100 * lag.explained:.0f} %; let the arm be seen large, nothing else move, "
            "and the light be steady."
        )
    if lag.value < EARLIEST:
        raise CalibrationError(
            f"{what} is {-1e3 * lag.value:.0f} ms ahead of {whom}: its stamps, or those of the joints, are wrong."
        )
    return lag


def _narrow(lag: Lag, what: str) -> Lag:
    if lag.high - lag.low > WIDEST:
        raise CalibrationError(
            f"{what} is {1e3 * lag.low:.0f} to {1e3 * lag.high:.0f} ms late, which is too wide an interval; measure "
            "for longer, on a machine that does nothing else."
        )
    return lag
