# SPDX-License-Identifier: Apache-2.0
"""Ending processes: a child when its parent ends, and one that hangs."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import os
import signal
import subprocess
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1  # prctl(2)
_CLOCK_MONOTONIC = 1
_SIGEV_THREAD = 2
_DUMP = 0.2
"""s from the dump of the stacks to the end of the process."""


def interrupted_with_parent() -> Callable[[], None]:
    """For `preexec_fn`: the child is interrupted, as by Ctrl-C, when its parent ends for any reason."""
    libc, parent = ctypes.CDLL(None), os.getpid()

    def request() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() != parent:  # it ended before the request was made
            os.kill(os.getpid(), signal.SIGINT)

    return request


def end_process(process: subprocess.Popen[bytes], group: bool = False, patience: float = 15.0) -> None:
    """Interrupt a process that still runs, as Ctrl-C in its own terminal would, and wait; kill it if it does not end.

    Args:
        group: signals go to its whole process group, which it leads.
        patience: s between the signals.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)


def exit_after(timeout: float, code: int) -> None:
    """End this process with an exit code if it still runs after `timeout` s, no matter which locks are held.

    For a process whose work is done and whose libraries may hang as they shut down. With PYTHONFAULTHANDLER=1 the
    stacks of all threads are written to stderr before it ends. A Python signal handler would not run while native code
    holds Python's lock, so a POSIX timer lets a thread of the C library call `_exit`.

    Args:
        timeout: s.
        code: exit code, 0 to 255.
    """
    if faulthandler.is_enabled():
        faulthandler.dump_traceback_later(timeout)
    libc = ctypes.CDLL(None, use_errno=True)
    event = _SigEvent(value=code, notify=_SIGEV_THREAD, function=ctypes.cast(libc._exit, ctypes.c_void_p))
    timer = ctypes.c_void_p()
    if libc.timer_create(_CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(timer)):
        raise OSError(ctypes.get_errno(), "cannot create the timer that ends a hanging process")
    seconds, fraction = divmod(timeout + _DUMP, 1.0)
    setting = _TimerSetting(seconds=int(seconds), nanoseconds=int(fraction * 1e9))
    libc.timer_settime(timer, 0, ctypes.byref(setting), None)


class _SigEvent(ctypes.Structure):
    """`struct sigevent` of Linux, for SIGEV_THREAD; 64 bytes."""

    _fields_ = [
        ("value", ctypes.c_long),
        ("signal", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("function", ctypes.c_void_p),
        ("attribute", ctypes.c_void_p),
        ("_padding", ctypes.c_char * 32),
    ]


class _TimerSetting(ctypes.Structure):
    """`struct itimerspec`: once, after so long."""

    _fields_ = [
        ("interval_seconds", ctypes.c_long),
        ("interval_nanoseconds", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("nanoseconds", ctypes.c_long),
    ]
