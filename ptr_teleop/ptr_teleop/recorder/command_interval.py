# SPDX-License-Identifier: Apache-2.0
"""Where an episode's control grid starts and ends: just before its first command and after its last.

The bag holds everything from shortly before the service call that starts the episode to the one that ends it. The
reader's grid runs from the `start` event to the `stop` event. These are placed around the commands, so that step k of
the grid is what the k-th command did, and reaction times at either end do not become actions.
"""

from __future__ import annotations

from ptr_teleop.recorder.episode import CommandTiming

LEAD = 5_000_000  # ns from the grid's start to the first command: jitter moves no command across an instant
LAST_STEP = 90_000_000  # ns from the end of the last command to the grid's end: jitter costs no step


class CommandInterval:
    """Tracks when commands are in effect."""

    def __init__(self) -> None:
        self._acted_until: int | None = None

    def update(self, command: CommandTiming) -> int | None:
        """Process a command; returns the stamp of the start (ns) if it is the first with its deadman held."""
        if not command.held:
            return None
        first = self._acted_until is None
        self._acted_until = max(self._acted_until or 0, command.stamp + command.valid_for)
        return command.stamp - LEAD if first else None

    def end(self, now: int) -> int:
        """Stamp of the grid's end (ns): after the last command, or now."""
        return now if self._acted_until is None else min(now, self._acted_until + LAST_STEP)
