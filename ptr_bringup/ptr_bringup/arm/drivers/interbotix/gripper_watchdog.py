# SPDX-License-Identifier: Apache-2.0
"""The gripper's watchdog: which force must not outlive its commander, and the process that sees to it.

The arm node starts `gripper_watchdog_process` and writes each force to it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import IO, cast

_END = 3.0
"""s that the watchdog may take to end."""


class GripperWatchdog:
    """Starts the watchdog's process; it ends by itself when this process does, however that comes.

    Args:
        topic: full name of the topic of single commands to xs_sdk.
        hold: PWM that keeps an object once the finger has settled on it.
        name: of the watchdog's node.

    Attributes:
        there: False once the process has ended before its time.
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
        # In a session of its own: what ends this process's group, as ctrl-C does, must not end its watchdog before it.
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
        self._words = cast("IO[bytes]", self._process.stdin)  # as it was asked for
        os.set_blocking(self._words.fileno(), False)
        self.there = True

    def feed(self, force: float) -> None:
        """The force (PWM) that the gripper was told now."""
        if not self.there:
            return
        try:
            os.write(self._words.fileno(), b"%.1f\n" % force)
        except BlockingIOError:
            pass  # a watchdog that can't keep up has much to read yet; its newest line will do
        except BrokenPipeError:
            self.there = False

    def close(self) -> None:
        """Let it end; it takes off the force that was told last, if that has to be."""
        self._words.close()
        try:
            self._process.wait(_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class HeldForce:
    """Remembers the force that was told last, and says whether it has to be taken off.

    A gripper that moves stops. One that holds something keeps it: after the fingers have settled the force is the
    holding one, which the motor bears for long; letting go would drop the thing.

    Args:
        hold: PWM that keeps an object once the finger has settled on it.
    """

    def __init__(self, hold: float) -> None:
        self._hold, self._force, self._rest = hold, 0.0, b""

    def feed(self, words: bytes) -> None:
        """Take what was written: a force (PWM, positive opens) a line; the last line may be still unfinished."""
        *lines, self._rest = (self._rest + words).split(b"\n")
        if lines:
            self._force = float(lines[-1])

    def expire(self) -> bool:
        """Nobody is in command any more: True, once, if the force has to be taken off."""
        moving = not -self._hold <= self._force <= 0.0
        if moving:
            self._force = 0.0
        return moving
