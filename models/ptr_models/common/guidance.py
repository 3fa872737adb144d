# SPDX-License-Identifier: Apache-2.0
"""The closing messages of commands: the next step, or after an interruption the progress and how to continue."""

from __future__ import annotations

import functools
import os
import shlex
import shutil
import signal
import sys
import threading
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from ptr_models.common.plain_text import plain

AGAIN = "the same command continues from here"
BEGINS_AGAIN = "the same command starts again"


class Interrupted(KeyboardInterrupt):
    """A person interrupted the command; the text describes the progress and how to continue.

    Attributes:
        number: of the signal, SIGINT or SIGTERM; the exit code is 128 + number.
    """

    def __init__(self, text: str = "", number: int = signal.SIGINT) -> None:
        super().__init__(text)
        self.number = number


def next_step(*words: object, about: str = "") -> None:
    """Print the command to run next.

    Args:
        words: the command after `ptr`.
        about: what it does, if that is not obvious.
    """
    print(f"next: {plain(command_text(*words))}" + (f"   ({about})" if about else ""))


def command_text(*words: object) -> str:
    """A `ptr` command as typed by a person; "…" is a placeholder for their own value."""
    return " ".join([_ptr(), *(word if word == "…" else shlex.quote(word) for word in map(str, words))])


def _ptr() -> str:
    """`ptr`; if it is not on the PATH, the path of this command, or, in a node, of the `ptr` beside Python."""
    called = sys.argv[0] if sys.argv else ""
    if os.path.basename(called) != "ptr":
        called = os.path.join(os.path.dirname(sys.executable), "ptr")
    if shutil.which("ptr") or not os.path.exists(called):
        return "ptr"
    beside = os.path.relpath(called)
    return shlex.quote(called if beside.startswith(os.pardir) else beside)


@contextmanager
def resumable(done: Callable[[], str], how: str = AGAIN) -> Iterator[None]:
    """If the block is interrupted, report the progress (as in the progress bar) and how to continue.

    A message from an inner block takes precedence.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        if isinstance(error, Interrupted) and str(error):
            raise
        number = getattr(error, "number", signal.SIGINT)
        raise Interrupted(f"{done()}; {how}", number) from None


def begins_again(run: Callable[[Namespace], int]) -> Callable[[Namespace], int]:
    """Wrap a command that at first writes nothing: an interruption then reports that."""

    @functools.wraps(run)
    def interruptible(options: Namespace) -> int:
        with resumable(lambda: "nothing is written yet", BEGINS_AGAIN):
            return run(options)

    return interruptible


@contextmanager
def termination_interrupts() -> Iterator[None]:
    """Let SIGTERM act like Ctrl-C, so that helpers and locks end too, unless it already has a handler."""
    here = threading.current_thread() is threading.main_thread()
    if not here or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is _terminate:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def tell_interrupted(error: KeyboardInterrupt) -> int:
    """Print the message of an interruption; returns the exit code."""
    text = str(error)
    print(f"interrupted: {plain(text, newlines=True)}" if text else "interrupted", file=sys.stderr)
    return 128 + int(getattr(error, "number", signal.SIGINT))


def _terminate(number: int, _: FrameType | None) -> None:
    raise Interrupted(number=number)
