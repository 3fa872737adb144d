# SPDX-License-Identifier: Apache-2.0
"""A thread that takes images from a source as they come, and opens it again when it has gone or they are useless."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ptr_bringup.camera.health import Problem
from ptr_bringup.camera.source import CameraError, Frame, Source

FIRST, LONGEST = 2.0, 60.0
"""s of images of no use after which the camera is reopened, at first and at most."""
STEADY = 60.0
"""s of useful images after which the waits start over: what has frozen again by then was not mended."""
FIRST_WAIT, LONGEST_WAIT = 0.5, 4.0
"""s between two tries to find a camera again; each wait is twice the one before."""


class Reopening:
    """Says when a camera that runs, but whose images are of no use, is to be closed and opened again.

    A stream that repeats one image, or that is out of step so that every image is torn, often stays so until the
    device is opened again. That does not help where the view makes all images equal (a test pattern, a sensor under
    a cap), and it delays the first image after the view has changed: so each wait is twice the one before.

    Attributes:
        patience: s of nothing but images of no use after which it is to be reopened.
    """

    def __init__(self) -> None:
        self.patience = FIRST
        self._useless_since: float | None = None
        self._useful_since: float | None = None

    def opened(self) -> None:
        """The camera was opened: it gets the whole patience from its next image on."""
        self._useless_since = self._useful_since = None

    def due(self, now: float, useful: bool) -> bool:
        """Take an image into account; says whether the camera is to be closed and opened again.

        Args:
            now: s of a steady clock.
            useful: whether the image is neither frozen nor torn.
        """
        if useful:
            self._useless_since = None
            self._useful_since = now if self._useful_since is None else self._useful_since
            if now - self._useful_since >= STEADY:
                self.patience = FIRST
            return False
        self._useful_since = None
        self._useless_since = now if self._useless_since is None else self._useless_since
        if now - self._useless_since < self.patience:
            return False
        self.patience = min(2 * self.patience, LONGEST)
        return True


class CaptureThread:
    """Delivers each image at once, from its own thread.

    Args:
        open_source: opens the source, again after it was closed.
        returns: whether a source that gives nothing is to be waited for, and one whose images are of no use opened
            again; else its end is the end.
        deliver: gets each image; returns why it is of no use, if it is of none.
        tell: gets a sentence when the source is closed, and when it is back.
        ended: called when there are no more images, with the reason of a failure or an empty string.

    Attributes:
        reopened: how often the source was opened again after it had gone or given images of no use.
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
        """Begin, with a source that is open, or by looking for one."""
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
        reopening = Reopening()
        try:
            source = source or self._find()
            while source is not None:
                reopening.opened()
                end = self._read_all(source, reopening)
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
        except Exception as error:  # of a library: a node whose thread died unheard would look like a camera that hangs
            self._ended(f"The images can't be taken: {type(error).__name__}: {error}.")
        finally:
            if source is not None:
                source.close()

    def _read_all(self, source: Source, reopening: Reopening) -> str:
        """Deliver at the source's own pace or at its period, until there is nothing more of use; says why."""
        due = time.monotonic()
        while not self._stop.is_set():
            image = source.read()
            if image is None:
                return "The camera gives no images any more; waiting for it to come back."
            problem, patience = self._deliver(image), reopening.patience
            if self._returns and reopening.due(time.monotonic(), problem is None):
                return (
                    f"Nothing but {problem} images for {patience:.0f} s; the camera is closed and reopened "
                    f"(reopening {self.reopened + 1} since the start)."
                )
            if source.period is not None:
                due = max(due + source.period, time.monotonic() - source.period)
                self._stop.wait(max(0.0, due - time.monotonic()))
        return ""

    def _find(self) -> Source | None:
        """Try to open the source until that succeeds; None when the thread is to end."""
        wait, reason = FIRST_WAIT, ""
        while not self._stop.wait(wait):
            try:
                source = self._open()
            except CameraError as error:
                if str(error) != reason:
                    reason = str(error)
                    self._tell(reason)
                wait = min(2 * wait, LONGEST_WAIT)
                continue
            self._tell("The camera is there.")
            return source
        return None
