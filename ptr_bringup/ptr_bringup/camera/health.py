# SPDX-License-Identifier: Apache-2.0
"""Health of a camera: detects missing, frozen, torn, dark and slow images.

`CameraHealth` decides for a camera, `ptr_policy.server.image_guard.ImageGuard` for the policy server, and
`ptr_models.episodes.bag_audit` for episodes. The thresholds of all three are in `ptr_models.common.image_checks`.

| problem | meaning | criterion |
|---|---|---|
| missing | nothing arrives | no image for MISSING, or five periods if that is longer |
| frozen | the same image repeats | at least three identical images over SENSOR_FROZEN_TIME; see `noisy` |
| torn | images are cut off or damaged | structure of the JPEG; a bottom part of a single color |
| dark | a cap, a hand, no light | the brightest percent of the pixels is below DARK |
| slow | fewer images than requested | below SLOW of the rate over WINDOW |
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ptr_models.common.image_checks import DARK, FROZEN_TURN, SENSOR_FROZEN_TIME, brightness, broken_off
from ptr_models.common.jpeg import Structure, TornError, decode, whole
from ptr_models.common.stream_monitor import WINDOW, StreamRate

MISSING = 0.5
"""s without an image."""
SLOW = 0.8
"""Share of the requested rate."""
_DECODE_PERIOD = 0.25
"""s between two images that are decoded, at an eighth of their size (about 1 ms); after a bad one, all are decoded."""


class Problem(str, enum.Enum):
    """Problems of a camera."""

    MISSING = "missing"
    FROZEN = "frozen"
    TORN = "torn"
    DARK = "dark"
    SLOW = "slow"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Report:
    """The health of a camera at one moment.

    Attributes:
        problems: from the worst to the mildest.
        rate: Hz, over the last WINDOW.
        age: s since the last image; infinite before the first.
        lost: number of missing images since the start.
        torn: number of torn images since the start.
        brightness: mean of the last decoded image, of 255.
        detail: what was wrong with the last torn image.
    """

    problems: tuple[Problem, ...]
    rate: float
    age: float
    lost: int
    torn: int
    brightness: float
    detail: str


class CameraHealth:
    """Checks the images of one camera.

    Args:
        rate: requested rate, Hz.
        noisy: two images are never identical, as with a real sensor. Without noise (simulation, files), identical
            images only count as frozen if the arm has moved in the meantime.
    """

    def __init__(self, rate: float, noisy: bool) -> None:
        self._period, self._noisy = 1.0 / rate, noisy
        self._arrivals = StreamRate()
        self._started: float | None = None
        self._last: float | None = None
        self._previous, self._same_since, self._same, self._is_frozen = b"", 0.0, 0, False
        self._joints: NDArray[np.float64] | None = None
        self._torn_at, self._detail, self._torn, self._lost = -np.inf, "", 0, 0
        self._decoded, self._broken = -np.inf, False
        self._dark, self._brightness = False, float("nan")
        self.structure: Structure | None = None

    def start(self, now: float) -> None:
        """Expect images from now on (s); the time before does not count as a gap."""
        self._started, self._last = now, None
        self._arrivals = StreamRate()

    def arrived(self, taken: float, jpeg: bytes, joints: NDArray[np.float64] | None = None) -> Problem | None:
        """Check an image; returns why it is unusable, or None.

        Args:
            taken: s, on the same clock as `now` of `report`.
            joints: (J,) rad, of the arm that the camera sees, if known.
        """
        self._started = taken if self._started is None else self._started
        self._count(taken)
        try:
            self.structure = whole(jpeg)
            self._decode(taken, jpeg)
        except TornError as error:
            self._torn_at, self._detail = taken, str(error)
            self._torn += 1
            return Problem.TORN
        return Problem.FROZEN if self._frozen(taken, jpeg, joints) else None

    def _count(self, taken: float) -> None:
        if self._last is not None:
            self._lost += max(0, round((taken - self._last) / self._period) - 1)
        self._last = taken
        self._arrivals.arrived(taken)

    def _frozen(self, taken: float, jpeg: bytes, joints: NDArray[np.float64] | None) -> bool:
        if jpeg != self._previous:
            self._previous, self._same_since, self._same, self._joints = jpeg, taken, 0, joints
        self._same += 1
        may_be_static = not self._noisy and not _moved(self._joints, joints)
        self._is_frozen = self._same >= 3 and taken - self._same_since > SENSOR_FROZEN_TIME and not may_be_static
        return self._is_frozen

    def _decode(self, taken: float, jpeg: bytes) -> None:
        if taken - self._decoded < _DECODE_PERIOD and not self._broken:
            return
        self._decoded, self._broken = taken, True  # until this image has passed
        small = decode(jpeg, cv2.IMREAD_REDUCED_GRAYSCALE_8)
        if small is None:
            raise TornError("it can't be decoded")
        self._brightness = float(small.mean())
        self._dark = brightness(small) < DARK
        if broken_off(small):
            raise TornError("its bottom part is missing")
        self._broken = False

    def report(self, now: float) -> Report:
        """The camera's health at time `now` (s)."""
        age = now - self._last if self._last is not None else np.inf
        waited = now - (self._last if self._last is not None else self._started if self._started is not None else now)
        rate = self._arrivals.rate(now)
        missing = waited > max(MISSING, 5 * self._period)
        watched = self._started is not None and now - self._started > WINDOW + self._period
        found = {
            Problem.MISSING: missing,
            Problem.FROZEN: not missing and self._is_frozen,
            Problem.TORN: now - self._torn_at <= WINDOW,
            Problem.DARK: not missing and self._dark,
            Problem.SLOW: not missing and watched and rate < SLOW / self._period,
        }
        problems = tuple(problem for problem, true in found.items() if true)
        return Report(problems, rate, age, self._lost, self._torn, self._brightness, self._detail)


def _moved(before: NDArray[np.float64] | None, now: NDArray[np.float64] | None) -> bool:
    if before is None or now is None or before.shape != now.shape:
        return False
    return bool(np.abs(now - before).max(initial=0.0) > FROZEN_TURN)
