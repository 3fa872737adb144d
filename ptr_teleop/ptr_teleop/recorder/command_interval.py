# SPDX-License-Identifier: Apache-2.0
"""From the first command of an episode to after its last: where the control grid of its reader lies.

The bag holds everything from shortly before the service call that starts the episode to the one that ends it.
The grid goes from the `start` event to the `stop` event, and these are placed before the first and after the last
command: step k of the grid is then what the k-th command did, and nobody's reaction time at either end becomes an
action.
"""

from __future__ import annotations

from ptr_teleop.recorder.episode import CommandTiming

LEAD = 5_000_000  # ns that the grid is ahead of the first command: no command jitters across an instant
LAST_STEP = 90_000_000  # ns that the grid goes on beyond the last command, so that jitter costs no step


class CommandInterval:
    """Keeps track of when commands act."""

    def __init__(self) -> None:
        self._acted_until: int | None = None

    def follow(self, command: CommandTiming) -> int | None:
        """Take note of a command; the stamp of the start (ns) when it was the first that acts."""
        if not command.held:
            return None
        first = self._acted_until is None
        self._acted_until = command.stamp + command.valid_for
        return command.stamp - LEAD if first else None

    def end(self, now: int) -> int:
        """Where the grid ends (ns): after the last command, or now."""
        return now if self._acted_until is None else min(now, self._acted_until + LAST_STEP)
