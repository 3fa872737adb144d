# SPDX-License-Identifier: Apache-2.0
"""The driver's end of the gripper's guard (see `gripper_guard`): it starts that process and tells it each force."""

from __future__ import annotations

import os
import subprocess
import sys

_END = 3.0
"""s that the guard may take to end."""


class Guard:
    """Starts the guard; it ends by itself when this process does, however that comes.

    Args:
        topic: full name of the topic of single commands to xs_sdk.
        hold: PWM that keeps an object once the finger has settled on it.
        name: of the guard's node.

    Attributes:
        there: False once the guard has ended before its time.
    """

    def __init__(self, topic: str, hold: float, name: str) -> None:
        command = [sys.executable, "-m", "ptr_bringup.arm.drivers.interbotix.gripper_guard", topic, str(hold), name]
        # In a session of its own: what ends this process's group, as ctrl-C does, must not end its guard before it.
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
        os.set_blocking(self._process.stdin.fileno(), False)
        self.there = True

    def tell(self, force: float) -> None:
        """The force (PWM) that the gripper was told now."""
        if not self.there:
            return
        try:
            os.write(self._process.stdin.fileno(), b"%.1f\n" % force)
        except BlockingIOError:
            pass  # a guard that can't keep up has much to read yet; its newest line will do
        except BrokenPipeError:
            self.there = False

    def close(self) -> None:
        """Let it end; it takes off the force that was told last, if that has to be."""
        self._process.stdin.close()
        try:
            self._process.wait(_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
