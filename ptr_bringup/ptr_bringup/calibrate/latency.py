# SPDX-License-Identifier: Apache-2.0
"""Latencies of cameras and commands from a recording of the moving arm."""

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
"""Number of principal components of the images."""
IN_VIEW = "the arm fills the view, nothing else moves and the light is steady"
EXPLAINED = 0.5
"""Minimum share of the variance that the arm must explain; with less, it is hardly visible."""
MAX_INTERVAL = 0.03
"""s, maximum usable width of a camera's confidence interval."""
STRETCH = 0.2
"""s over which displacements are compared: a command held back by the gate shifts all later positions, but only a few
displacements."""
MIN_LAG = -0.01
"""s. A more negative lag means that the stamps are wrong; a less negative one is measurement error."""
IMAGE_SIZE = (40, 30)  # width and height of the compared images


@dataclass
class Recording:
    """Data recorded while the arm moved; stamps in s, ascending.

    Attributes:
        commands: (stamp, speed along the path in m/s).
        states: (stamp, position (3,) m of the end effector).
        images: per camera (stamp, gray image of any size).
    """

    commands: list[tuple[float, float]] = field(default_factory=list)
    states: list[tuple[float, Sequence[float]]] = field(default_factory=list)
    images: dict[str, list[tuple[float, NDArray[np.uint8]]]] = field(default_factory=dict)


def small_image(jpeg: bytes) -> NDArray[np.uint8] | None:
    """A gray image at an eighth of its size; None if it can't be decoded."""
    return decode(jpeg, cv2.IMREAD_REDUCED_GRAYSCALE_8)


def measure(recording: Recording) -> tuple[Lag, dict[str, Lag]]:
    """The latency of commands and of each camera.

    Raises:
        CalibrationError: the data are not good enough.
    """
    times, places = _places(recording)
    sent, wanted = _commanded(recording)
    found = find_lag(times, _displacement(times, places)[:, None], sent, _displacement(sent, wanted), degree=1)
    command = _check_fit(found, "the arm", "its commands", "nothing blocks the arm and nobody else commands it")
    cameras = {}
    for name, images in recording.images.items():
        stamps, components = _components(name, images)
        what = f"the image of {name}"
        lag = _check_fit(find_lag(stamps, components, times, places), what, "the arm's motion", IN_VIEW)
        cameras[name] = _check_interval(lag, what)
    return command, cameras


def latencies(command: Lag, cameras: Mapping[str, Lag]) -> tuple[float, dict[str, float]]:
    """The values to store: rounded to ms, and zero instead of a slightly negative lag."""
    return _rounded(command), {name: _rounded(lag) for name, lag in cameras.items()}


def _rounded(lag: Lag) -> float:
    return round(max(lag.value, 0.0), 3)


def _places(recording: Recording) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Stamps (N,) and positions (N,) in m of the measured end effector along the path."""
    if len(recording.states) < 2:
        raise CalibrationError("no state of the arm was recorded; is the arm node running?")
    times = np.array([stamp for stamp, _ in recording.states])
    positions = np.array([position for _, position in recording.states])
    return times, (positions - positions[0]) @ DIRECTION


def _commanded(recording: Recording) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Stamps (N,) of the commands and the resulting positions (N,) in m; a speed holds until the next one."""
    if len(recording.commands) < 2:
        raise CalibrationError("no command was sent")
    times, speeds = np.array(recording.commands).T
    return times, np.concatenate([[0.0], np.cumsum(speeds[:-1] * np.diff(times))])


def _displacement(times: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) m, displacement during the STRETCH before each time."""
    return places - np.interp(times - STRETCH, times, places)


def _components(
    name: str, images: Sequence[tuple[float, NDArray[np.uint8]]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Stamps (N,) and the principal components (N, COMPONENTS) of images."""
    if len(images) < COMPONENTS:
        raise CalibrationError(f"{len(images)} images of {name} arrived; is the camera running?")
    stamps = np.array([stamp for stamp, _ in images])
    rows = [cv2.resize(image, IMAGE_SIZE, interpolation=cv2.INTER_AREA).ravel() for _, image in images]
    flat = np.array(rows, np.float64)
    left, sizes, _ = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
    return stamps, left[:, :COMPONENTS] * sizes[:COMPONENTS]


def _check_fit(lag: Lag, what: str, reference: str, condition: str) -> Lag:
    if lag.explained < EXPLAINED:
        raise CalibrationError(
            f"{what} follows {reference} only poorly ({100 * lag.explained:.0f} % explained); make sure that "
            f"{condition}"
        )
    if lag.value < MIN_LAG:
        raise CalibrationError(
            f"{what} is {-1e3 * lag.value:.0f} ms ahead of {reference}: its stamps, or those of the joints, are wrong"
        )
    return lag


def _check_interval(lag: Lag, what: str) -> Lag:
    if lag.high - lag.low > MAX_INTERVAL:
        raise CalibrationError(
            f"{what} is {1e3 * lag.low:.0f} to {1e3 * lag.high:.0f} ms late, which is too wide an interval; measure "
            "longer, on an otherwise idle machine"
        )
    return lag
