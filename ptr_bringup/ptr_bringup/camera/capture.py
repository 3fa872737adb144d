# SPDX-License-Identifier: Apache-2.0
"""A thread that reads images from a source, and reopens the source if it disappears or its images are unusable."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ptr_bringup.camera.health import Problem
from ptr_bringup.camera.source import CameraError, Frame, Source

MIN_TIMEOUT, MAX_TIMEOUT = 2.0, 60.0
"""s of unusable images after which the camera is reopened: initial and maximum value."""
STABLE = 60.0
"""s of usable images after which the timeout is reset; if the camera freezes earlier, reopening has not helped."""
MIN_WAIT, MAX_WAIT = 0.5, 4.0
"""s between two attempts to find a camera; each wait is twice as long as the previous one."""


class ReconnectBackoff:
    """Decides when to reopen a camera that runs but whose images are unusable.

    A stream that repeats one image, or that is out of sync so that every image is torn, often stays that way until the
    device is reopened. Reopening does not help if the view itself makes all images equal (a test pattern, a capped
    sensor), and it delays the first image after the view changes. So each timeout is twice the previous one.

    Attributes:
        timeout: s of only unusable images after which the camera is reopened.
    """

    def __init__(self) -> None:
        self.timeout = MIN_TIMEOUT
        self._useless_since: float | None = None
        self._useful_since: float | None = None

    def opened(self) -> None:
        """The camera was opened: the timeout starts again with its next image."""
        self._useless_since = self._useful_since = None

    def due(self, now: float, useful: bool) -> bool:
        """Record an image; returns whether to reopen the camera.

        Args:
            now: s, steady clock.
            useful: the image is neither frozen nor torn.
        """
        if useful:
            self._useless_since = None
            self._useful_since = now if self._useful_since is None else self._useful_since
            if now - self._useful_since >= STABLE:
                self.timeout = MIN_TIMEOUT
            return False
        self._useful_since = None
        self._useless_since = now if self._useless_since is None else self._useless_since
        if now - self._useless_since < self.timeout:
            return False
        self.timeout = min(2 * self.timeout, MAX_TIMEOUT)
        return True


class CaptureThread:
    """Delivers each image immediately, from its own thread.

    Args:
        open_source: opens the source, and reopens it after it was closed.
        returns: the source may come back: wait for it if it disappears, and reopen it if its images are unusable.
            Otherwise the thread ends with the source.
        deliver: receives each image; returns why it is unusable, or None.
        tell: receives a message when the source is closed and when it is available again.
        ended: called when there are no more images, with the reason for a failure or an empty string.

    Attributes:
        reopened: number of times the source was reopened.
    """

    def __init__(
        self,
        open_source: Callable[[], Source],
        returns: bool,
        deliver: Callable[[Frame], Problem | None],
        tell: Callable[[str], None],
        ended: Callable[[str], None],
    ) -> None:
        self._open, self._returns = open_source, returns
        self._deliver, self._tell, self._ended = deliver, tell, ended
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.reopened = 0

    def start(self, source: Source | None) -> None:
        """Start with an open source, or by searching for one."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, args=(source,), name="capture", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; it closes the source."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5.0)
            self._thread = None

    def _run(self, source: Source | None) -> None:
        backoff = ReconnectBackoff()
        try:
            source = source or self._find()
            while source is not None:
                backoff.opened()
                end = self._read_all(source, backoff)
                source.close()
                source = None
                if not self._returns or self._stop.is_set():
                    break
                self._tell(end)
                source = self._find()
                self.reopened += source is not None
            if not self._stop.is_set():
                self._ended("")
        except CameraError as error:
            self._ended(str(error))
        except Exception as error:  # from a library: a thread that died silently would look like a camera that hangs
            self._ended(f"capturing images failed: {type(error).__name__}: {error}")
        finally:
            if source is not None:
                source.close()

    def _read_all(self, source: Source, backoff: ReconnectBackoff) -> str:
        """Deliver images at the source's pace or at its period; returns why there are no more usable ones."""
        due = time.monotonic()
        while not self._stop.is_set():
            image = source.read()
            if image is None:
                return "The camera has stopped sending images; waiting for it to come back."
            problem, timeout = self._deliver(image), backoff.timeout
            if self._returns and backoff.due(time.monotonic(), problem is None):
                return (
                    f"Only {problem} images for {timeout:.0f} s; reopening the camera "
                    f"(number {self.reopened + 1} since the start)."
                )
            if source.period is not None:
                due = max(due + source.period, time.monotonic() - source.period)
                self._stop.wait(max(0.0, due - time.monotonic()))
        return ""

    def _find(self) -> Source | None:
        """Try to open the source until it succeeds; None if the thread must end."""
        wait, reason = MIN_WAIT, ""
        while not self._stop.wait(wait):
            try:
                source = self._open()
            except CameraError as error:
                if str(error) != reason:
                    reason = str(error)
                    self._tell(reason)
                wait = min(2 * wait, MAX_WAIT)
                continue
            self._tell("The camera is available.")
            return source
        return None
