# SPDX-License-Identifier: Apache-2.0
"""Makes this process punctual, as far as the system grants it."""

from __future__ import annotations

import ctypes
import gc
import os

_LOCK_PRESENT, _LOCK_FUTURE, _LOCK_WHEN_TOUCHED = 1, 2, 4
"""MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT of mlockall(2)."""


def prepare(priority: int) -> str:
    """Take real-time priority and keep memory in place.

    All threads of the process get it, also those that receive messages: a punctual loop with late commands is late.
    Objects that live as long as the process are taken out of the garbage collector's view.

    Args:
        priority: of SCHED_FIFO, 1 to 98; 0 asks for nothing.
    Returns:
        What it got, in one sentence.
    """
    gc.collect()
    gc.freeze()
    if priority == 0:
        return "ordinary priority, as asked for"
    try:
        for thread in os.listdir("/proc/self/task"):
            os.sched_setscheduler(int(thread), os.SCHED_FIFO, os.sched_param(priority))
    except ProcessLookupError:
        pass  # a thread that ended meanwhile
    except (OSError, AttributeError):
        return "ordinary priority: the system does not grant real-time priority (ulimit -r, rtprio in limits.conf)"
    return f"real-time priority {priority} (SCHED_FIFO), {_lock_memory()}"


def _lock_memory() -> str:
    """Keep pages in memory once they have been touched."""
    flags = _LOCK_PRESENT | _LOCK_FUTURE | _LOCK_WHEN_TOUCHED
    locked = ctypes.CDLL(None).mlockall(flags) == 0
    return "memory locked" if locked else "memory not locked (ulimit -l)"
