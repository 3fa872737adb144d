# SPDX-License-Identifier: Apache-2.0
"""A child process that does not outlive this one, however this one ends."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1  # prctl(2)


def interrupted_with_parent() -> Callable[[], None]:
    """For `preexec_fn`: the child is interrupted, as by Ctrl-C, when its parent is gone, killed or not."""
    libc, parent = ctypes.CDLL(None), os.getpid()

    def request() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() != parent:  # it went before the request was made
            os.kill(os.getpid(), signal.SIGINT)

    return request
