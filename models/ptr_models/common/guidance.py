# SPDX-License-Identifier: Apache-2.0
"""What a command says at its end: what comes next; and when it is interrupted: how far it came and how to go on."""

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

AGAIN = "the same command goes on from here"
BEGINS_AGAIN = "the same command begins again"


class Interrupted(KeyboardInterrupt):
    """A person ended the command; the text says how far it came and how to go on.

    Attributes:
        number: of the signal, SIGINT or SIGTERM; the exit code is 128 more.
    """

    def __init__(self, text: str = "", number: int = signal.SIGINT) -> None:
        super().__init__(text)
        self.number = number


def next_step(*words: object, about: str = "") -> None:
    """Print the command that comes next.

    Args:
        words: of it, behind `ptr`.
        about: what it does, where that is no matter of course.
    """
    print(f"next: {plain(command_text(*words))}" + (f"   ({about})" if about else ""))


def command_text(*words: object) -> str:
    """A command of `ptr` as a person types it; "…" stands for what only they know."""
    return " ".join([_ptr(), *(word if word == "…" else shlex.quote(word) for word in map(str, words))])


def _ptr() -> str:
    """`ptr`, or where that is not on the PATH, its file, as this command was called."""
    called = sys.argv[0] if sys.argv else ""
    if os.path.basename(called) != "ptr" or shutil.which("ptr"):
        return "ptr"
    beside = os.path.relpath(called)
    return shlex.quote(called if beside.startswith(os.pardir) else beside)


@contextmanager
def resumable(done: Callable[[], str], how: str = AGAIN) -> Iterator[None]:
    """Whoever interrupts what is inside is told how far it came, as the bar showed it, and how to go on.

    What is told further inside stays.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        if isinstance(error, Interrupted) and str(error):
            raise
        number = getattr(error, "number", signal.SIGINT)
        raise Interrupted(f"{done()}; {how}", number) from None


def begins_again(run: Callable[[Namespace], int]) -> Callable[[Namespace], int]:
    """A command that writes nothing until it says otherwise: whoever interrupts it is told so."""

    @functools.wraps(run)
    def interruptible(options: Namespace) -> int:
        with resumable(lambda: "nothing is written yet", BEGINS_AGAIN):
            return run(options)

    return interruptible


@contextmanager
def termination_interrupts() -> Iterator[None]:
    """SIGTERM does what Ctrl-C does, so that helpers and locks end too; only where nobody else handles it."""
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
    """Say what there is to be said after an interruption; returns the exit code."""
    text = str(error)
    print(f"interrupted: {plain(text, newlines=True)}" if text else "interrupted", file=sys.stderr)
    return 128 + int(getattr(error, "number", signal.SIGINT))


def _terminate(number: int, _: FrameType | None) -> None:
    raise Interrupted(number=number)
