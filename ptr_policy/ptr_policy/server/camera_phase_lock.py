# SPDX-License-Identifier: Apache-2.0
"""Synchronizes control steps with camera frames: a step starts just after an image arrives.

A step at an arbitrary time uses an image that is on average half a camera period old, at worst a whole one: 33 ms at
30 Hz, more than everything else on the way to the motors. If the control period is a multiple of the camera's, steps
can follow the images. A run starts with such a step, and its grid is shifted by a few thousandths of a period per step
as the two clocks drift apart. A step waits briefly for a late image. Among the images of a period, a run starts with
the one whose command waits least for the arm's own loop.
"""

from __future__ import annotations

import numpy as np

from ptr_policy.server.period_estimator import PeriodEstimate

LEAD = 0.01
"""s, minimum time from the acceptance of a run to its first step."""
GUARD = 0.0015
"""s from the usual arrival of an image to the step."""
TIMEOUT = 0.3
"""Share of the camera's period for which a step waits for a late image."""
TRANSPORT_DELAY = 0.003
"""s, total delay of the observation, of the command to the arm, and of the way back."""
SLACK = 0.006
"""s by which a step may take longer than the rehearsed one while its command still meets the arm's intended tick. A
command that misses it waits for a whole period of the arm's loop."""
MAX_SHIFT = 0.01
"""Share of the control period: the maximum shift of a step, and the tolerance for a multiple of the camera's period."""


class CameraPhaseLock:
    """Phase of a run's control steps relative to the images.

    Args:
        period: control period, s.
        camera: timing of the images; None: not known.
        shift: s by which an observation's image is older than the observation (`shifts` of the contract).
    """

    def __init__(self, period: float, camera: PeriodEstimate | None, shift: float = 0.0) -> None:
        self._period = period
        self._per_step = _multiple(period, camera)
        self._camera = camera if self._per_step else None
        self._offset = GUARD if camera is None else max(camera.latency, shift) + GUARD

    @property
    def follows(self) -> bool:
        """Whether steps can follow the images."""
        return self._camera is not None

    def first(self, now: float, work: float, arm: PeriodEstimate | None = None) -> float:
        """s from now to the first step.

        Args:
            now: s, on the clock of the estimates.
            work: s from the start of a step to its command.
            arm: timing of the arm's loop; None: not known.
        """
        camera = self._camera
        if camera is None:
            return self._period
        wait = LEAD + camera.wait(now + LEAD, self._offset)
        choices = [wait + number * camera.period for number in range(self._per_step)]
        if arm is None or not _multiple(self._period, arm):
            return choices[0]
        return min(choices, key=lambda one: arm.wait(now + one + work + TRANSPORT_DELAY + SLACK, arm.latency))

    def should_wait(self, now: float, newest: float, waited: float) -> bool:
        """Whether a step should wait for its image.

        Args:
            now, newest: current time and stamp of the newest image, s.
            waited: s by which the step is already late.
        """
        if self._camera is None or waited >= TIMEOUT * self._camera.period:
            return False
        return now - newest > self._offset + self._camera.period / 2

    def correction(self, due: float) -> float:
        """s by which to delay a step that is due at `due` (s); negative: advance it."""
        if self._camera is None:
            return 0.0
        later = self._camera.wait(due, self._offset)
        nearest = later if later <= self._camera.period / 2 else later - self._camera.period
        return float(np.clip(nearest, -MAX_SHIFT * self._period, MAX_SHIFT * self._period))


def _multiple(period: float, samples: PeriodEstimate | None) -> int:
    """Number of samples per control period; 0: not a whole number."""
    if samples is None:
        return 0
    number = round(period / samples.period)
    return number if abs(number * samples.period - period) <= MAX_SHIFT * period else 0
