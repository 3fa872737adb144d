# SPDX-License-Identifier: Apache-2.0
"""The active reasons, and an event when their set changes."""

from __future__ import annotations

from ptr_bringup.arm.gate.limits import Reason, split_reasons
from ptr_bringup.arm.model.kinematics import Pose
from ptr_bringup.arm.types import SafetyChange

_LASTS = 0.5
"""s. A reason stays active this long after it was last reported, so that a 5 Hz refusal does not flicker at 50 Hz."""


class ActiveReasons:
    """Remembers each reason with its source and sentence."""

    def __init__(self) -> None:
        self._entries: dict[Reason, tuple[float, str, str]] = {}
        self._reported = Reason.NONE

    def report(self, reason: Reason, source: str, message: str, now: float, lasts: float = _LASTS) -> None:
        """Activate reasons at time `now` (s) for `lasts` s."""
        for bit in split_reasons(reason):
            self._entries[bit] = (now + lasts, source, message)

    def poll(self, requested: Pose, limited: Pose, now: float) -> tuple[SafetyChange, ...]:
        """An event if the set of reasons has changed since the last call, else nothing."""
        self._entries = {bit: entry for bit, entry in self._entries.items() if entry[0] >= now}
        current = Reason.NONE
        for bit in self._entries:
            current |= bit
        if current == self._reported:
            return ()
        newest_last = list(self._entries.values())  # each call removes those that are over
        source, message = newest_last[-1][1:] if newest_last else ("", "Back to normal.")
        self._reported = current
        return (SafetyChange(current, source, message, requested, limited),)
