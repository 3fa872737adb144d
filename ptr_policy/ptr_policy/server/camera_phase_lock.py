# SPDX-License-Identifier: Apache-2.0
"""When within an image's period a control step is made: just after the image is there.

A step that begins at any time looks at an image that has waited for it by half a camera period on average, a whole
one at worst: 33 ms at 30 Hz, more than everything else on the way to the motors. When the control period is a multiple
of the camera's, steps can follow the images: a run begins with such a step, and its grid is shifted by a few
thousandths per step as the two clocks drift apart; an image that is late is waited for a little. Among the images of
a period the run begins with the one whose command has to wait least for the arm's own loop.
"""

from __future__ import annotations

import numpy as np

from ptr_policy.server.period_estimator import PeriodEstimate

LEAD = 0.01
"""s from the acceptance of a run to its first step, at least."""
GUARD = 0.0015
"""s from the usual arrival of an image to the step."""
TIMEOUT = 0.3
"""Share of the camera's period for which a step waits for an image that is late."""
WAY = 0.003
"""s for the observation, from the command to the arm, and from there back, together."""
SPARE = 0.006
"""s by which a step may take longer than the one that was rehearsed, and its command still meets the tick of the arm
that it was meant for. One that misses it waits for a whole period of the arm's loop."""
SHARE = 0.01
"""Share of the control period by which a step is shifted at most, and by which a multiple of images may miss it."""


class CameraPhaseLock:
    """Where the steps of a run belong.

    Args:
        period: s, of control.
        camera: beat of the images; None: not known.
        shift: s by which the image of an observation is older than the observation (`shifts` of the contract).
    """

    def __init__(self, period: float, camera: PeriodEstimate | None, shift: float = 0.0) -> None:
        self._period = period
        self._per_step = _multiple(period, camera)
        self._camera = camera if self._per_step else None  # that steps follow
        self._offset = GUARD if camera is None else max(camera.latency, shift) + GUARD

    @property
    def follows(self) -> bool:
        """Whether steps can follow the images at all."""
        return self._camera is not None

    def first(self, now: float, work: float, arm: PeriodEstimate | None = None) -> float:
        """s from now to the first step.

        Args:
            now: s, of the clock of the beats.
            work: s from the beginning of a step to its command.
            arm: beat of the arm's loop; None: not known.
        """
        camera = self._camera
        if camera is None:
            return self._period
        wait = LEAD + camera.wait(now + LEAD, self._offset)
        choices = [wait + number * camera.period for number in range(self._per_step)]
        if arm is None or not _multiple(self._period, arm):
            return choices[0]
        return min(choices, key=lambda one: arm.wait(now + one + work + WAY + SPARE, arm.latency))

    def worth_waiting(self, now: float, newest: float, waited: float) -> bool:
        """Whether a step had better wait for its image.

        Args:
            now, newest: s, and the stamp of the newest image.
            waited: s that the step is late already.
        """
        if self._camera is None or waited >= TIMEOUT * self._camera.period:
            return False
        return now - newest > self._offset + self._camera.period / 2

    def correction(self, due: float) -> float:
        """s by which a step that is due at a time (s) had better be later; negative: earlier."""
        if self._camera is None:
            return 0.0
        later = self._camera.wait(due, self._offset)
        nearest = later if later <= self._camera.period / 2 else later - self._camera.period
        return float(np.clip(nearest, -SHARE * self._period, SHARE * self._period))


def _multiple(period: float, beat: PeriodEstimate | None) -> int:
    """How many samples come in a control period; 0: not a whole number of them."""
    if beat is None:
        return 0
    number = round(period / beat.period)
    return number if abs(number * beat.period - period) <= SHARE * period else 0
