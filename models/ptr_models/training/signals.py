# SPDX-License-Identifier: Apache-2.0
"""SIGINT and SIGTERM as a request to stop after the current update."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

Handler = Callable[[int, FrameType | None], Any] | int | None
SIGNALS = (signal.SIGINT, signal.SIGTERM)
ABRUPT: dict[signal.Signals, Handler] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}


class StopRequest:
    """Whether, and by which signal, the process was asked to stop."""

    signal: int = 0

    def __bool__(self) -> bool:
        return self.signal != 0


@contextmanager
def stop_signals() -> Iterator[StopRequest]:
    """Record the first SIGINT or SIGTERM; the second ends the process immediately.

    This also works where SIGINT was ignored, as in a shell's background jobs. It has no effect outside the main thread.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    previous = {number: signal.getsignal(number) for number in SIGNALS}

    def on_signal(number: int, _: FrameType | None) -> None:
        request.signal = number
        _install(ABRUPT)

    _install(dict.fromkeys(SIGNALS, on_signal))
    try:
        yield request
    finally:
        _install(previous)


def _install(handlers: Mapping[signal.Signals, Handler]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)
