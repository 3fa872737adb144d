# SPDX-License-Identifier: Apache-2.0
"""The gripper's watchdog: starts the watchdog process, and decides which force must not outlive the arm node.

The arm node starts `gripper_watchdog_process` and writes each force to it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import IO, cast

_EXIT_TIMEOUT = 3.0
"""s for the watchdog to exit."""


class GripperWatchdog:
    """Starts the watchdog process, which ends when this process does, for whatever reason.

    Args:
        topic: full name of xs_sdk's topic for single commands.
        hold: PWM that holds an object once the finger has settled on it.
        name: of the watchdog's node.

    Attributes:
        running: False once the process has ended prematurely.
    """

    def __init__(self, topic: str, hold: float, name: str) -> None:
        command = [
            sys.executable,
            "-m",
            "ptr_bringup.arm.drivers.interbotix.gripper_watchdog_process",
            topic,
            str(hold),
            name,
        ]
        # In a session of its own: a signal to this process group, such as ctrl-C, must not end the watchdog first.
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
        self._pipe = cast("IO[bytes]", self._process.stdin)  # not None because of PIPE
        os.set_blocking(self._pipe.fileno(), False)
        self.running = True

    def feed(self, force: float) -> None:
        """Report the force (PWM) that is commanded now."""
        if not self.running:
            return
        try:
            os.write(self._pipe.fileno(), b"%.1f\n" % force)
        except BlockingIOError:
            pass  # the watchdog can't keep up; it will act on the newest line it has
        except BrokenPipeError:
            self.running = False

    def close(self) -> None:
        """End the process; it removes the last force if necessary."""
        self._pipe.close()
        try:
            self._process.wait(_EXIT_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class HeldForce:
    """Stores the last reported force, and decides whether it must be removed.

    A moving gripper is stopped. A gripper that holds an object keeps it: once the fingers have settled, they only
    apply the holding force. The motor can sustain that, and removing it would drop the object.

    Args:
        hold: PWM that holds an object once the finger has settled on it.
    """

    def __init__(self, hold: float) -> None:
        self._hold, self._force, self._rest = hold, 0.0, b""

    def feed(self, data: bytes) -> None:
        """Parse what was written: one force (PWM, positive opens) per line; the last line may be incomplete."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if lines:
            self._force = float(lines[-1])

    def expire(self) -> bool:
        """Handle an arm node that is gone or hangs; returns True, once, if the force must be removed."""
        moving = not -self._hold <= self._force <= 0.0
        if moving:
            self._force = 0.0
        return moving
