# SPDX-License-Identifier: Apache-2.0
"""A session's waits when the thread that hears other nodes has failed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("rclpy")

from rclpy.task import Future  # noqa: E402

from ptr_bringup.ros.session import Caller, SessionError, Spinner  # noqa: E402


class FailingExecutor:
    """Spins once, then a callback raises."""

    def __init__(self, error: BaseException) -> None:
        self.spins, self.error = 0, error

    def spin_once(self, timeout_sec: float) -> None:
        self.spins += 1
        if self.spins == 2:
            raise self.error

    def wake(self) -> None: ...

    def shutdown(self) -> None: ...


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(
    "wait",
    [
        lambda caller: caller.wait(lambda: False, "a message", 60.0),
        lambda caller: caller.result(Future(), "a response", 60.0),
        lambda caller: caller.sleep(60.0),
    ],
)
@pytest.mark.parametrize("error", [KeyError("depth"), SystemExit("depth")])
def test_a_wait_ends_at_once_when_a_callback_has_failed(wait: Callable[[Caller], Any], error: BaseException) -> None:
    spinner: Any = Spinner(FailingExecutor(error))  # type: ignore[arg-type]
    caller = Caller(None, threading.Event(), spinner)  # type: ignore[arg-type]
    with pytest.raises(
        SessionError, match=f"a callback failed: {type(error).__name__}: .*depth.*; the traceback is above"
    ):
        wait(caller)
    spinner.join(timeout=10.0)
    with pytest.raises(SessionError, match="a callback failed"):
        caller.sleep(60.0)
    spinner.stop()
